#include "route/ring.h"

#include "base/mem.h"
#include "route/dist.h"

static const struct dist_ops dists[DIST_COUNT] = {
#define DIST(id, name, help) {#name, dist_##name##_build, dist_##name##_pick},
#include "route/dist.def"
#undef DIST
};

const char *dist_name(enum dist d) {
    ASSERT(d < DIST_COUNT);
    return dists[d].name;
}

int dist_by_name(struct slice name) {
    for (int i = 0; i < DIST_COUNT; i++) {
        if (slice_is(name, dists[i].name)) {
            return i;
        }
    }
    return -1;
}

/* One to two buckets a point, so that a bucket holds a point or none, unless values crowd. */
static void ring_index(struct ring *r) {
    uint32_t last = r->points[r->npoints - 1].value;
    while ((last >> r->shift) / 2 >= r->npoints) {
        r->shift++;
    }
    r->buckets = (last >> r->shift) + 1;
    r->index = mem_alloc(((size_t)r->buckets + 1) * sizeof *r->index);
    uint32_t i = 0;
    for (uint32_t b = 0; b < r->buckets; b++) {
        while (r->points[i].value >> r->shift < b) {
            i++;
        }
        r->index[b] = i;
    }
    r->index[r->buckets] = r->npoints;
}

struct ring *ring_new(enum dist dist, enum hash hash, const char *tag, const struct ring_server *servers, uint32_t n) {
    ASSERT(dist < DIST_COUNT && hash < HASH_COUNT);
    struct ring *r = mem_zalloc(sizeof *r);
    r->dist = &dists[dist];
    r->hash = hash_fns[hash];
    r->servers = n;
    r->refs = 1;
    if (tag != NULL) {
        r->tagged = true;
        memcpy(r->tag, tag, sizeof r->tag);
    }
    uint64_t weights = 0;
    for (uint32_t i = 0; i < n; i++) {
        ASSERT(servers[i].weight > 0);
        weights += servers[i].alive ? servers[i].weight : 0;
    }
    if (weights > 0) {
        r->span = weights > UINT32_MAX ? 0 : (uint32_t)weights;
        r->npoints = r->dist->build(servers, n, &r->points);
        ASSERT(r->npoints > 0);
        ring_index(r);
    }
    return r;
}

struct ring *ring_ref(struct ring *r) {
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void ring_unref(struct ring **ring) {
    struct ring *r = *ring;
    *ring = NULL;
    /* The last one must see what the others did before they let go. */
    if (r != NULL && atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1) {
        mem_free(r->points);
        mem_free(r->index);
        mem_free(r);
    }
}

uint32_t ring_pick(const struct ring *r, struct rng *rng, struct slice key) {
    if (UNLIKELY(r->npoints == 0)) {
        return RING_NONE;
    }
    return r->servers == 1 ? 0 : r->dist->pick(r, rng, key);
}

uint32_t ring_points(const struct ring *r) {
    return r->npoints;
}

void ring_point(const struct ring *r, uint32_t i, uint32_t *value, uint32_t *server) {
    ASSERT(i < r->npoints);
    *value = r->points[i].value;
    *server = r->points[i].server;
}
