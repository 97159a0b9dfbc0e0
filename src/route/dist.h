/* dist.h: what ring.c and the dist_*.c files share; not for other folders.
 *
 * Every distribution is points on a line of 32-bit values: a value belongs to the first point at or above it, and what
 * lies above the last point to the first one. They differ in where the points are and how a key becomes a value. */
#ifndef KVMUX_ROUTE_DIST_H
#define KVMUX_ROUTE_DIST_H

#include "route/hash.h"
#include "route/ring.h"

#include <stdatomic.h>

struct point {
    uint32_t value;
    uint32_t server;
};

struct dist_ops {
    const char *name;
    /* Points of the living servers, ascending by value, allocated; their number is returned. At least one lives. */
    uint32_t (*build)(const struct ring_server *, uint32_t n, struct point **out);
    uint32_t (*pick)(const struct ring *, struct rng *, struct slice key);
};

struct ring {
    const struct dist_ops *dist;
    hash_fn *hash;
    char tag[2];
    bool tagged;
    uint32_t servers; /* also those that are not alive */
    uint32_t npoints; /* 0: nobody is alive */
    struct point *points;
    uint32_t span; /* modula: the number of slots; 0: 2^32 or more */
    /* To find a point in a probe or two: index[b] is the first point whose value >> shift is b or more. */
    uint32_t shift, buckets;
    uint32_t *index; /* buckets + 1 */
    _Atomic uint32_t refs;
};

/* The hash of the deciding part of a key. An empty key is not hashed, its value is 0. */
static inline uint32_t ring_hash(const struct ring *r, struct slice key) {
    if (r->tagged) {
        key = tag_of(r->tag, key);
    }
    return key.n == 0 ? 0 : r->hash(key);
}

static inline uint32_t ring_owner(const struct ring *r, uint32_t value) {
    uint32_t b = value >> r->shift;
    if (b >= r->buckets) {
        return r->points[0].server;
    }
    uint32_t lo = r->index[b], hi = r->index[b + 1];
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (r->points[mid].value < value) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return r->points[lo < r->npoints ? lo : 0].server;
}

#define DIST(id, name, help)                                                                       \
    uint32_t dist_##name##_build(const struct ring_server *, uint32_t n, struct point **out);      \
    uint32_t dist_##name##_pick(const struct ring *, struct rng *, struct slice key);
#include "route/dist.def"
#undef DIST

#endif
