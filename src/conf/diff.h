/* diff.h: what is different in another configuration, one thing at a time, in the order of the pools' names. Pure but for the
 * caller's function. */
#ifndef KVMUX_CONF_DIFF_H
#define KVMUX_CONF_DIFF_H

#include "conf/conf.h"

enum diff_kind { DIFF_ADDED, DIFF_REMOVED, DIFF_CHANGED, DIFF_KEYS };

/* Texts live as long as the call. */
struct diff {
    enum diff_kind kind;
    const char *pool;  /* NULL: the section kvmux */
    const char *what;  /* "pool", "server", "listen", "user", "commands", the name of a key; KEYS: "keys" */
    const char *name;  /* of the server, listen address or user; NULL: the pool's own matter */
    const char *from, *to; /* values; NULL: there was none, there is none. Secrets are "hidden". KEYS: `to` says how many move */
    bool restart;      /* takes effect at the next start only */
};
typedef void diff_fn(void *ctx, const struct diff *);

/* Returns how many differences there are. */
uint32_t conf_diff(const struct conf *old, const struct conf *now, diff_fn *, void *ctx);

/* One word for people: "added", "removed", "changed", "moved". */
const char *diff_word(enum diff_kind);

#endif
