/* near.h: which known word was meant. Pure. */
#ifndef KVMUX_CONF_NEAR_H
#define KVMUX_CONF_NEAR_H

#include "base/base.h"

/* Edits that make one word the other: a letter put in, left out, changed, or two neighbours exchanged; case does not
 * count. Words longer than 63 bytes are never near anything (UINT32_MAX). */
uint32_t near_distance(const char *a, const char *b);

/* Keeps the best of the candidates shown to it. */
struct near {
    const char *word; /* what was written */
    const char *best; /* NULL: nothing is near enough to be meant */
    uint32_t distance;
};
void near_init(struct near *, const char *word);
void near_try(struct near *, const char *candidate);

#endif
