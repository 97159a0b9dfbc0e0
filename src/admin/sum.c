#include "admin/sum.h"

#include "admin/control_state.h"

static void add(uint64_t *to, const uint64_t *from, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        to[i] += metric_get(&from[i]);
    }
}

/* `guess` is where it stands when the worker has the same configuration as control. NULL: the worker does not have it. */
static const uint64_t *find(const struct mail_view *view, uint32_t guess, uint32_t pool, uint32_t server) {
    if (guess < view->n && view->at[guess].pool == pool && view->at[guess].server == server) {
        return view->at[guess].v;
    }
    for (uint32_t i = 0; i < view->n; i++) {
        if (view->at[i].pool == pool && view->at[i].server == server) {
            return view->at[i].v;
        }
    }
    return NULL;
}

static uint32_t place_of(const struct control *c, uint32_t pool) {
    uint32_t at = 0;
    for (uint32_t p = 0; p < pool; p++) {
        at += 1 + c->conf->pools[p].nservers;
    }
    return at;
}

void sum_pool(const struct control *c, uint32_t pool, struct pool_block *sum) {
    uint32_t place = place_of(c, pool);
    *sum = c->pools[pool]->block;
    for (uint32_t w = 0; w < c->nworkers; w++) {
        const uint64_t *v = find(c->views[w], place, c->conf->pools[pool].id, 0);
        if (v != NULL) {
            add(sum->v, v, POOL_METRICS);
        }
    }
}

void sum_server(const struct control *c, uint32_t pool, uint32_t server, struct server_block *sum) {
    uint32_t place = place_of(c, pool) + 1 + server;
    *sum = (struct server_block){0};
    for (uint32_t w = 0; w < c->nworkers; w++) {
        const uint64_t *v = find(c->views[w], place, c->conf->pools[pool].id, c->conf->pools[pool].servers[server].id);
        if (v != NULL) {
            add(sum->v, v, SERVER_METRICS);
        }
    }
    sum->v[SERVER_server_ejected_at] = c->pools[pool]->servers[server]->health.ejected_at;
}

void sum_worker(const struct control *c, uint32_t worker, struct worker_block *sum) {
    *sum = (struct worker_block){0};
    add(sum->v, worker_block(c->workers[worker])->v, WORKER_METRICS);
}

void sum_workers(const struct control *c, struct worker_block *sum) {
    *sum = (struct worker_block){0};
    for (uint32_t w = 0; w < c->nworkers; w++) {
        add(sum->v, worker_block(c->workers[w])->v, WORKER_METRICS);
    }
}
