/* world.c: starts the proxy as main does, turns its loops in some order, moves the clock. */
#include "world.h"

#include "admin/control.h"
#include "base/log.h"
#include "base/mem.h"
#include "sim_int.h"

#include <stdio.h>

#define SPIN_ROUNDS 400000 /* at one moment of virtual time */

struct world {
    struct world_opts opts;
    struct conf *conf;
    struct shared shared;
    struct control *control;
    struct worker *workers[WORLD_WORKERS];
    bool stopped[WORLD_WORKERS];
    uint32_t n;
    bool all_stopped;
    char *log;
    size_t log_len, log_cap;
};

static void keep_line(void *ctx, enum log_level level, struct slice line) {
    struct world *w = ctx;
    if (w->log_len + line.n + 32 > w->log_cap) {
        w->log_cap = (w->log_len + line.n + 32) * 2;
        w->log = mem_realloc(w->log, w->log_cap);
    }
    int n = sprintf(w->log + w->log_len, "%.3f ", (double)sim.now / 1e6);
    w->log_len += (size_t)n;
    memcpy(w->log + w->log_len, line.p, line.n);
    w->log_len += line.n;
    w->log[w->log_len++] = '\n';
    w->log[w->log_len] = 0;
}

static bool no_names(const char *host, uint16_t port, struct addr *a, const char **why) {
    *why = "the simulator knows no listen names";
    return false;
}

static void read_config(struct world *w) {
    struct conf_problems problems = {0};
    w->conf = conf_parse(w->opts.name, w->opts.config, no_names, &problems);
    if (w->conf == NULL) {
        for (uint32_t i = 0; i < problems.n; i++) {
            fprintf(stderr, "%s:%u:%u: %s\n", w->opts.name, problems.v[i].line, problems.v[i].column, problems.v[i].text);
        }
        sim_fail("the configuration was not taken");
    }
    conf_problems_fini(&problems);
    for (uint32_t i = 0; i < w->conf->npools; i++) {
        w->conf->pools[i].learn_commands = w->conf->pools[i].learn_commands && w->opts.learns;
    }
}

static void start_listening(struct world *w) {
    for (uint32_t p = 0; p < w->conf->npools; p++) {
        const struct conf_pool *pool = &w->conf->pools[p];
        for (uint32_t i = 0; i < pool->nlistens; i++) {
            int fds[WORLD_WORKERS];
            struct bind_opts b = {.backlog = (int)pool->backlog, .share = w->n > 1};
            if (listen_open(&pool->listens[i].addr, &b, fds, w->n) != REASON_NONE) {
                sim_fail("cannot listen on %s", pool->listens[i].text);
            }
            for (uint32_t k = 0; k < w->n; k++) {
                worker_listen(w->workers[k], p, fds[k]);
            }
        }
    }
}

struct world *world_new(const struct world_opts *opts) {
    struct world *w = mem_zalloc(sizeof(*w));
    w->opts = *opts;
    w->n = opts->workers;
    ASSERT(w->n >= 1 && w->n <= WORLD_WORKERS);
    sim_begin(&opts->policy);
    sim_set_servers(&opts->servers);
    if (opts->before_start != NULL) {
        opts->before_start(opts->before_ctx);
    }
    w->log = mem_zalloc(1);
    log_set_level(LOG_INFO);
    log_set_sink(keep_line, w);
    read_config(w);
    w->shared = (struct shared){.clients = mem_zalloc(w->conf->npools * sizeof(uint32_t)),
                                .started_wall = SIM_WALL_START,
                                .pid = 4711,
                                .workers = w->n};
    struct addr none = {0};
    struct control_opts co = {.conf = w->conf,
                              .shared = &w->shared,
                              .stats = &none,
                              .stats_fd = -1,
                              .hostname = "sim",
                              .service = "nutcracker"};
    w->control = control_new(&co);
    for (uint32_t i = 0; i < w->n; i++) {
        struct worker_opts wo = {.index = i,
                                 .conf = w->conf,
                                 .rings = control_rings(w->control),
                                 .shared = &w->shared,
                                 .control = control_mailbox(w->control),
                                 .seed = opts->policy.seed * 64 + i};
        w->workers[i] = worker_new(&wo);
        control_add_worker(w->control, w->workers[i]);
    }
    start_listening(w);
    world_settle(w);
    return w;
}

static void turn_one(struct world *w, uint32_t i) {
    log_set_sink(keep_line, w);
    if (i == w->n) {
        w->all_stopped = !control_turn(w->control, -1);
    } else if (!w->stopped[i] && !worker_turn(w->workers[i], -1)) {
        w->stopped[i] = true;
        worker_loop(w->workers[i])->retired = true;
        control_wake(w->control);
    }
}

bool world_round(struct world *w) {
    uint64_t before = sim_activity();
    bool moved = w->opts.peers != NULL && w->opts.peers(w->opts.peers_ctx);
    uint32_t first = sim.policy.shuffle ? sim_below(w->n + 1) : 0;
    for (uint32_t i = 0; i <= w->n; i++) {
        turn_one(w, (first + i) % (w->n + 1));
    }
    sim_reap();
    return moved || sim_activity() != before || sim_busy();
}

void world_settle(struct world *w) {
    for (uint32_t i = 0; i < SPIN_ROUNDS; i++) {
        if (!world_round(w)) {
            return;
        }
    }
    sim_fail("the proxy spins: %u turns at the same moment and still not at rest\n%s", SPIN_ROUNDS, w->log);
}

void world_advance(struct world *w, int64_t usec) {
    int64_t end = sim_now() + usec;
    world_settle(w);
    for (uint32_t steps = 0;; steps++) {
        int64_t next = sim_next();
        if (next > end) {
            break;
        }
        if (steps > 2000000) {
            sim_fail("too many timers within %lld usec\n%s", (long long)usec, w->log);
        }
        sim_set_now(next > sim_now() ? next : sim_now());
        world_settle(w);
    }
    sim_set_now(end);
    world_settle(w);
}

void world_drain(struct world *w) {
    control_drain(w->control);
}

bool world_stopped(const struct world *w) {
    for (uint32_t i = 0; i < w->n; i++) {
        if (!w->stopped[i]) {
            return false;
        }
    }
    return true;
}

void world_free(struct world **wp) {
    struct world *w = *wp;
    *wp = NULL;
    if (!world_stopped(w)) {
        world_settle(w);
        world_drain(w);
        world_advance(w, w->conf->drain_timeout * 1000 + 1000000);
    }
    if (!world_stopped(w) || !w->all_stopped) {
        sim_fail("%s has not stopped after draining\n%s", world_stopped(w) ? "control" : "a worker", w->log);
    }
    for (uint32_t i = 0; i < w->n; i++) {
        worker_free(&w->workers[i]);
    }
    control_free(&w->control);
    if (w->shared.buffer_bytes != 0) {
        sim_fail("shared->buffer_bytes is %llu at the end", (unsigned long long)w->shared.buffer_bytes);
    }
    for (uint32_t p = 0; p < w->conf->npools; p++) {
        if (w->shared.clients[p] != 0) {
            sim_fail("shared->clients[%u] is %u at the end", p, w->shared.clients[p]);
        }
    }
    mem_free(w->shared.clients);
    conf_unref(&w->conf);
    log_set_sink(NULL, NULL);
    mem_free(w->log);
    mem_free(w);
    sim_end();
}

/* ---- looking at it ---- */

uint32_t world_pools(const struct world *w) {
    return w->conf->npools;
}

static int row_index(const struct metric_row *rows, uint32_t n, const char *name) {
    for (uint32_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static int server_index(const struct conf_pool *p, const char *name) {
    for (uint32_t i = 0; i < p->nservers; i++) {
        if (strcmp(p->servers[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

bool world_metric(const struct world *w, const char *pool, const char *server, const char *name, int64_t *value) {
    int p = pool != NULL ? conf_pool_by_name(w->conf, pool) : 0;
    int s = p >= 0 && server != NULL ? server_index(&w->conf->pools[p], server) : 0;
    int row = pool == NULL     ? row_index(worker_metric_rows, WORKER_METRICS, name)
              : server == NULL ? row_index(pool_metric_rows, POOL_METRICS, name)
                               : row_index(server_metric_rows, SERVER_METRICS, name);
    if (p < 0 || s < 0 || row < 0) {
        return false;
    }
    *value = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        const struct worker *k = w->workers[i];
        const uint64_t *v = pool == NULL     ? worker_block(k)->v
                            : server == NULL ? worker_pool_block(k, (uint32_t)p)->v
                                             : worker_server_block(k, (uint32_t)p, (uint32_t)s)->v;
        *value += (int64_t)metric_get(&v[row]);
    }
    return true;
}

const char *world_log(const struct world *w) {
    return w->log;
}

const struct addr *world_listen(const struct world *w, const char *pool) {
    int p = pool == NULL ? 0 : conf_pool_by_name(w->conf, pool);
    return p < 0 ? NULL : &w->conf->pools[p].listens[0].addr;
}

size_t world_buffers(const struct world *w) {
    return (size_t)w->shared.buffer_bytes;
}
