#include "admin/sum.h"

#include "admin/control_state.h"
#include "stats/times.h"

static void add(uint64_t *to, const uint64_t *from, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        to[i] += metric_get(&from[i]);
    }
}

/* `guess` is where it stands when the worker has the same configuration as control. NULL: the worker does not have it. */
static const struct view_at *find(const struct mail_view *view, uint32_t guess, uint32_t pool, uint32_t server) {
    if (guess < view->n && view->at[guess].pool == pool && view->at[guess].server == server) {
        return &view->at[guess];
    }
    for (uint32_t i = 0; i < view->n; i++) {
        if (view->at[i].pool == pool && view->at[i].server == server) {
            return &view->at[i];
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
        const struct view_at *at = find(c->views[w], place, c->conf->pools[pool].id, 0);
        if (at != NULL) {
            add(sum->v, at->v, POOL_METRICS);
        }
    }
}

void sum_server(const struct control *c, uint32_t pool, uint32_t server, struct server_block *sum) {
    uint32_t place = place_of(c, pool) + 1 + server;
    *sum = (struct server_block){0};
    for (uint32_t w = 0; w < c->nworkers; w++) {
        const struct view_at *at = find(c->views[w], place, c->conf->pools[pool].id, c->conf->pools[pool].servers[server].id);
        if (at != NULL) {
            add(sum->v, at->v, SERVER_METRICS);
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

static void merge(struct hist *to, const struct hist *from, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        hist_merge(&to[i], &from[i]);
    }
}

void sum_server_times(const struct control *c, uint32_t pool, uint32_t server, struct server_times *sum) {
    uint32_t place = place_of(c, pool) + 1 + server;
    *sum = (struct server_times){0};
    for (uint32_t w = 0; w < c->nworkers; w++) {
        const struct view_at *at = find(c->views[w], place, c->conf->pools[pool].id, c->conf->pools[pool].servers[server].id);
        const struct server_times *times = at != NULL ? __atomic_load_n(at->server_times, __ATOMIC_ACQUIRE) : NULL;
        if (times != NULL) {
            merge(sum->v, times->v, SERVER_TIMES);
        }
    }
    times_fill(&sum->v[SERVER_TIME_queue], hist_count(&sum->v[SERVER_TIME_server]));
}

void sum_pool_times(const struct control *c, uint32_t pool, struct pool_times *sum) {
    uint32_t place = place_of(c, pool);
    *sum = (struct pool_times){0};
    for (uint32_t w = 0; w < c->nworkers; w++) {
        const struct view_at *at = find(c->views[w], place, c->conf->pools[pool].id, 0);
        if (at != NULL) {
            merge(sum->v, (*at->pool_times)->v, POOL_TIMES);
        }
    }
    uint64_t all = 0;
    for (uint32_t i = POOL_TIME_read; i <= POOL_TIME_other; i++) {
        all += hist_count(&sum->v[i]);
    }
    for (uint32_t i = 0; i < POOL_TIME_read; i++) {
        times_fill(&sum->v[i], all);
    }
}
