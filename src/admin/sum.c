#include "admin/sum.h"

#include "admin/control_state.h"

static void add(uint64_t *to, const uint64_t *from, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        to[i] += metric_get(&from[i]);
    }
}

void sum_pool(const struct control *c, uint32_t pool, struct pool_block *sum) {
    *sum = c->pool_blocks[pool];
    for (uint32_t w = 0; w < c->nworkers; w++) {
        add(sum->v, worker_pool_block(c->workers[w], pool)->v, POOL_METRICS);
    }
}

void sum_server(const struct control *c, uint32_t pool, uint32_t server, struct server_block *sum) {
    *sum = (struct server_block){0};
    for (uint32_t w = 0; w < c->nworkers; w++) {
        add(sum->v, worker_server_block(c->workers[w], pool, server)->v, SERVER_METRICS);
    }
    sum->v[SERVER_server_ejected_at] = c->health[pool][server].ejected_at;
}

void sum_workers(const struct control *c, struct worker_block *sum) {
    *sum = (struct worker_block){0};
    for (uint32_t w = 0; w < c->nworkers; w++) {
        add(sum->v, worker_block(c->workers[w])->v, WORKER_METRICS);
    }
}
