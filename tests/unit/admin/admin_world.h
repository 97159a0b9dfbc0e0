/* admin_world.h: what tests of what is told share: two pools, up to two workers with the numbers that a test wants. */
#ifndef KVMUX_TESTS_ADMIN_WORLD_H
#define KVMUX_TESTS_ADMIN_WORLD_H

#include "admin/control_state.h"
#include "base/mem.h"
#include "conf/conf.h"
#include "stats/times.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* ---- fakes: two workers with the numbers that a test wants ---- */

struct worker {
    struct pool_block pools[2];
    struct server_block servers[2][2];
    struct worker_block block;
    struct pool_times *pool_times[2];
    struct server_times *server_times[2][2]; /* NULL: never connected to */
};

static struct pool_times no_pool_times;

const struct worker_block *worker_block(const struct worker *w) {
    return &w->block;
}

int64_t loop_wall(const struct loop *loop) {
    return INT64_C(1795225796999999);
}

static struct conf_server servers_a[] = {{.id = 2, .name = (char *)"127.0.0.1:6379", .address = (char *)"127.0.0.1:6379", .weight = 1},
                                         {.id = 3, .name = (char *)"s\"2", .address = (char *)"h:1", .weight = 3}};
static struct conf_server servers_b[] = {{.id = 5, .name = (char *)"\xff", .address = (char *)"h:2", .weight = 1}};
static struct conf_listen listens[] = {{.text = (char *)"127.0.0.1:1"}};
static struct conf_pool pools[] = {
    {.id = 1, .name = (char *)"alpha", .listens = listens, .nlistens = 1, .servers = servers_a, .nservers = 2},
    {.id = 4, .name = (char *)"beta", .listens = listens, .nlistens = 1, .servers = servers_b, .nservers = 1},
};

struct world {
    struct conf conf;
    struct shared shared;
    struct worker one, two;
    struct worker *workers[2];
    struct mail_view *views[2];
    struct control_server servers[3], *of_pools[3];
    struct control_pool pools[2], *pools_at[2];
    struct control control;
};

static inline struct mail_view *view_of(const struct worker *w, bool older) {
    struct mail_view *v = mem_zalloc(sizeof *v + 5 * sizeof v->at[0]);
    const struct view_at all[] = {
        {1, 0, w->pools[0].v, {.pool_times = &w->pool_times[0]}},
        {1, 2, w->servers[0][0].v, {.server_times = &w->server_times[0][0]}},
        {1, 3, w->servers[0][1].v, {.server_times = &w->server_times[0][1]}},
        {4, 0, w->pools[1].v, {.pool_times = &w->pool_times[1]}},
        {4, 5, w->servers[1][0].v, {.server_times = &w->server_times[1][0]}},
    };
    for (uint32_t i = 0; i < 5; i++) { /* one of another configuration has other places, and does not know the newest server */
        v->at[older ? 4 - i : i] = older && i == 2 ? (struct view_at){9, 9, NULL, {NULL}} : all[i];
    }
    v->n = 5;
    return v;
}

static inline void world_init(struct world *w, uint32_t nworkers) {
    *w = (struct world){.conf = {.pools = pools, .npools = 2}};
    w->shared.started_wall = INT64_C(1795225689000001);
    w->one.pool_times[0] = w->one.pool_times[1] = w->two.pool_times[0] = w->two.pool_times[1] = &no_pool_times;
    w->workers[0] = &w->one;
    w->workers[1] = &w->two;
    w->views[0] = view_of(&w->one, false);
    w->views[1] = view_of(&w->two, true);
    for (uint32_t i = 0; i < 3; i++) {
        w->of_pools[i] = &w->servers[i];
    }
    snprintf(w->servers[1].learn.identity.version, sizeof w->servers[1].learn.identity.version, "7.0.1");
    for (uint32_t i = 0; i < 2; i++) {
        w->pools[i].servers = &w->of_pools[2 * i];
        w->pools_at[i] = &w->pools[i];
    }
    w->control = (struct control){
        .opts = {.hostname = "host\\1", .service = "nutcracker", .stats_fd = -1},
        .conf = &w->conf,
        .shared = &w->shared,
        .workers = w->workers,
        .nworkers = nworkers,
        .views = w->views,
        .pools = w->pools_at,
    };
}

static inline void world_fini(struct world *w) {
    mem_free(w->views[0]);
    mem_free(w->views[1]);
}

#endif
