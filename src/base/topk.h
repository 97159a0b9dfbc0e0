/* topk.h: the keys that are seen most often, with a fixed number of counters ("space-saving", Metwally, Agrawal and El Abbadi 2005).
 * Pure but for its memory. One thread.
 *
 * When all counters are in use, a new key takes the one that counted least, and goes on from what that had: so a count is never too
 * small, and too large by `error` at most. With n counters every key is there that is more than one in n of what is counted.
 *
 * topk_decay lets an eighth of everything go for each second: counts are those of the last seconds (their mean age becomes 8 s), and
 * `seconds` is how many seconds they stand for. */
#ifndef KVMUX_BASE_TOPK_H
#define KVMUX_BASE_TOPK_H

#include "base/slice.h"

#define TOPK_UNIT    1024u /* of counts and seconds */
#define TOPK_KEY_MAX 128u  /* bytes kept of a key; longer ones are told apart by their hash and length */

struct topk_entry {
    uint64_t count, error; /* in TOPK_UNIT */
    uint32_t hash, len;    /* of the whole key */
    uint8_t key[TOPK_KEY_MAX];
};

struct topk {
    uint32_t cap, n;
    uint64_t total, seconds; /* in TOPK_UNIT; total: of all keys */
    uint32_t *hashes;        /* of the entries, close together, since every look-up goes through them */
    struct topk_entry *v;
};

struct topk *topk_new(uint32_t cap); /* at least 1 */
void topk_free(struct topk **);
void topk_add(struct topk *, struct slice key, uint32_t times);
void topk_decay(struct topk *, uint64_t seconds); /* so many passed */

static inline struct slice topk_key(const struct topk_entry *e) {
    return slice(e->key, e->len < TOPK_KEY_MAX ? e->len : TOPK_KEY_MAX);
}
/* The same key, of this table or another one. */
static inline bool topk_same(const struct topk_entry *a, const struct topk_entry *b) {
    return a->hash == b->hash && a->len == b->len && slice_eq(topk_key(a), topk_key(b));
}

#endif
