/* modula: `weight` slots for each living server, slot = hash mod slots. A server's slots lie side by side, so its last
 * one is point enough. */
#include "route/dist.h"

#include "base/mem.h"

uint32_t dist_modula_build(const struct ring_server *servers, uint32_t n, struct point **out) {
    struct point *p = mem_alloc(n * sizeof *p);
    uint64_t slots = 0;
    uint32_t count = 0;
    /* No hash reaches a slot beyond 32 bits: who lies there owns nothing. */
    for (uint32_t i = 0; i < n && slots <= UINT32_MAX; i++) {
        if (servers[i].alive) {
            slots += servers[i].weight;
            p[count++] = (struct point){slots > UINT32_MAX ? UINT32_MAX : (uint32_t)slots - 1, i};
        }
    }
    *out = p;
    return count;
}

uint32_t dist_modula_pick(const struct ring *r, struct rng *rng, struct slice key) {
    uint32_t h = ring_hash(r, key);
    return ring_owner(r, r->span != 0 ? h % r->span : h);
}
