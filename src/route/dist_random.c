/* random: one slot for each living server, whatever its weight; the key plays no part. */
#include "route/dist.h"

#include "base/mem.h"

uint32_t dist_random_build(const struct ring_server *servers, uint32_t n, struct point **out) {
    struct point *p = mem_alloc(n * sizeof *p);
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (servers[i].alive) {
            p[count] = (struct point){count, i};
            count++;
        }
    }
    *out = p;
    return count;
}

uint32_t dist_random_pick(const struct ring *r, struct rng *rng, struct slice key) {
    return r->points[rng_below(rng, r->npoints)].server;
}
