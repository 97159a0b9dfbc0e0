#include "base/topk.h"

#include "base/mem.h"

#define DECAY_BITS  3          /* an eighth a second */
#define DECAY_LONG  200        /* seconds after which nothing is left */
#define GONE        (TOPK_UNIT / 8) /* who counts less is let go */

struct topk *topk_new(uint32_t cap) {
    ASSERT(cap > 0);
    struct topk *t = mem_zalloc(sizeof *t);
    t->cap = cap;
    t->hashes = mem_zalloc(cap * sizeof *t->hashes);
    t->v = mem_zalloc(cap * sizeof *t->v);
    return t;
}

void topk_free(struct topk **tp) {
    struct topk *t = *tp;
    *tp = NULL;
    if (t != NULL) {
        mem_free(t->hashes);
        mem_free(t->v);
        mem_free(t);
    }
}

/* Eight bytes at a time. Who finds keys of one hash gains nothing: bytes are compared. */
static uint32_t hash_of(struct slice key) {
    const uint64_t mix = 0x9e3779b97f4a7c15u;
    uint64_t h = key.n * mix, word;
    for (; key.n >= sizeof word; key = slice(key.p + sizeof word, key.n - sizeof word)) {
        memcpy(&word, key.p, sizeof word);
        h = (h ^ word) * mix;
        h ^= h >> 32;
    }
    word = 0;
    memcpy(&word, key.p, key.n);
    h = (h ^ word) * mix;
    return (uint32_t)(h >> 32);
}

static struct topk_entry *find(const struct topk *t, uint32_t hash, struct slice key) {
    size_t kept = min_size(key.n, TOPK_KEY_MAX);
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->hashes[i] == hash && t->v[i].len == key.n && memcmp(t->v[i].key, key.p, kept) == 0) {
            return &t->v[i];
        }
    }
    return NULL;
}

static uint32_t least(const struct topk *t) {
    uint32_t at = 0;
    for (uint32_t i = 1; i < t->n; i++) {
        at = t->v[i].count < t->v[at].count ? i : at;
    }
    return at;
}

/* The counter that a new key gets. */
static struct topk_entry *take(struct topk *t, uint32_t hash, struct slice key) {
    uint32_t at = t->n < t->cap ? t->n++ : least(t);
    struct topk_entry *e = &t->v[at];
    e->error = e->count;
    e->hash = t->hashes[at] = hash;
    e->len = (uint32_t)key.n;
    memcpy(e->key, key.p, min_size(key.n, TOPK_KEY_MAX));
    return e;
}

void topk_add(struct topk *t, struct slice key, uint32_t times) {
    uint32_t hash = hash_of(key);
    struct topk_entry *e = find(t, hash, key);
    if (e == NULL) {
        e = take(t, hash, key);
    }
    e->count += (uint64_t)times * TOPK_UNIT;
    t->total += (uint64_t)times * TOPK_UNIT;
}

static void let_go(struct topk *t, uint32_t i) {
    uint32_t last = --t->n;
    t->v[i] = t->v[last];
    t->hashes[i] = t->hashes[last];
    t->v[last].count = 0; /* the next key here begins with nothing */
}

static void decay_once(struct topk *t) {
    t->total -= t->total >> DECAY_BITS;
    t->seconds -= t->seconds >> DECAY_BITS;
    t->seconds += TOPK_UNIT;
    for (uint32_t i = t->n; i-- > 0;) {
        struct topk_entry *e = &t->v[i];
        e->count -= e->count >> DECAY_BITS;
        e->error -= e->error >> DECAY_BITS;
        if (e->count < GONE) {
            let_go(t, i);
        }
    }
}

void topk_decay(struct topk *t, uint64_t seconds) {
    for (uint64_t i = 0; i < seconds && i < DECAY_LONG; i++) {
        decay_once(t);
    }
}
