/* ring.h: which server owns a key. Immutable once built; counted, shared by all threads.
 *
 * The definitions, to the bit: docs/placement.md. The same servers, weights, hash, distribution and tag give the same
 * owner as nutcracker 0.5.0 on x86-64, on every CPU. */
#ifndef KVMUX_ROUTE_RING_H
#define KVMUX_ROUTE_RING_H

#include "base/rng.h"
#include "base/slice.h"

enum hash {
#define HASH(id, name, help) HASH_##id,
#include "route/hash.def"
#undef HASH
    HASH_COUNT
};

enum dist {
#define DIST(id, name, help) DIST_##id,
#include "route/dist.def"
#undef DIST
    DIST_COUNT
};

const char *hash_name(enum hash);
const char *dist_name(enum dist);
/* -1: no such name. Names are exact, lower case. */
int hash_by_name(struct slice);
int dist_by_name(struct slice);

/* The raw function, any key, also the empty one. */
uint32_t hash_key(enum hash, struct slice key);

/* The part of the key that decides, given the pool's hash_tag (two bytes, or NULL for none). */
struct slice tag_of(const char *tag, struct slice key);

struct ring_server {
    struct slice name; /* the name that is hashed (docs/placement.md, section 2) */
    uint32_t weight;   /* >= 1 */
    bool alive;        /* false: ejected, owns nothing */
};

#define RING_NONE UINT32_MAX

struct ring;

/* `servers` is in nutcracker's order (shorter names first, then bytes); ring_pick returns indices into it.
 * `tag`: two bytes or NULL. Returns a ring with one reference. Pure; the names need not outlive the call. */
struct ring *ring_new(enum dist, enum hash, const char *tag, const struct ring_server *servers, uint32_t n);
struct ring *ring_ref(struct ring *);
void ring_unref(struct ring **);

/* Owner of a key, or RING_NONE when no server is alive. `rng` is used by DIST_RANDOM only, else it may be NULL. */
uint32_t ring_pick(const struct ring *, struct rng *, struct slice key);
/* The number of points, and point i in ascending order: for tests and --where. ketama has about 160 a server; modula
 * one a server, at its last slot; random one a server. */
uint32_t ring_points(const struct ring *);
void ring_point(const struct ring *, uint32_t i, uint32_t *value, uint32_t *server);

#endif
