/* world.c: starts the proxy as main does, turns its loops in some order, moves the clock. */
#include "world.h"

#include "admin/control_state.h"
#include "admin/sum.h"
#include "core/mail.h"
#include "base/log.h"
#include "base/mem.h"
#include "sim_int.h"
#include "stats/times.h"

#include <stdio.h>

#define SPIN_ROUNDS 400000 /* at one moment of virtual time */

struct world {
    struct world_opts opts;
    struct listeners listeners;
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

static struct conf *read_config(const struct world *w, struct slice text, struct conf_problems *problems) {
    struct conf *conf = conf_parse(w->opts.name, text, no_names, problems);
    for (uint32_t i = 0; conf != NULL && i < conf->npools; i++) {
        conf->pools[i].learn_commands = conf->pools[i].learn_commands && w->opts.learns;
    }
    return conf;
}

static struct conf *first_config(const struct world *w) {
    struct conf_problems problems = {0};
    struct conf *conf = read_config(w, w->opts.config, &problems);
    if (conf == NULL) {
        for (uint32_t i = 0; i < problems.n; i++) {
            fprintf(stderr, "%s:%u:%u: %s\n", w->opts.name, problems.v[i].line, problems.v[i].column, problems.v[i].text);
        }
        sim_fail("the configuration was not taken");
    }
    conf_problems_fini(&problems);
    return conf;
}

bool world_reload(struct world *w, struct slice config) {
    struct conf_problems problems = {0};
    struct conf *conf = read_config(w, config, &problems);
    bool ok = control_switch(w->control, &conf, &problems);
    conf_problems_fini(&problems);
    return ok;
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
    struct conf *conf = first_config(w);
    struct addr none = {0};
    char why[256];
    if (!listeners_open(&w->listeners, conf, &none, w->n, why, sizeof why)) {
        sim_fail("cannot listen on %s", why);
    }
    w->shared = (struct shared){.started_wall = SIM_WALL_START,
                                .pid = 4711,
                                .workers = w->n};
    struct control_opts co = {.conf = conf,
                              .listeners = &w->listeners,
                              .resolve = no_names,
                              .shared = &w->shared,
                              .stats = &none,
                              .stats_fd = -1,
                              .admin.fd = -1,
                              .hostname = "sim",
                              .service = "nutcracker"};
    w->control = control_new(&co);
    struct pool_start *starts = control_starts(w->control);
    for (uint32_t i = 0; i < w->n; i++) {
        struct worker_opts wo = {.index = i,
                                 .conf = conf,
                                 .starts = starts,
                                 .shared = &w->shared,
                                 .control = control_mailbox(w->control),
                                 .seed = opts->policy.seed * 64 + i};
        w->workers[i] = worker_new(&wo);
        control_add_worker(w->control, w->workers[i]);
        listeners_give(&w->listeners, conf, i, w->workers[i]);
    }
    mem_free(starts);
    listeners_commit(&w->listeners, conf);
    conf_unref(&conf);
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
        world_advance(w, control_conf(w->control)->drain_timeout * 1000 + 1000000);
    }
    if (!world_stopped(w) || !w->all_stopped) {
        sim_fail("%s has not stopped after draining\n%s", world_stopped(w) ? "control" : "a worker", w->log);
    }
    for (uint32_t i = 0; i < w->n; i++) {
        worker_free(&w->workers[i]);
    }
    for (uint32_t p = 0; p < w->control->conf->npools; p++) {
        if (w->control->pools[p]->clients != 0) {
            sim_fail("pool %u has %u clients at the end", p, w->control->pools[p]->clients);
        }
    }
    control_free(&w->control);
    if (w->shared.promised_bytes != 0) {
        sim_fail("shared->promised_bytes is %llu at the end", (unsigned long long)w->shared.promised_bytes);
    }
    if (w->shared.buffer_bytes != 0) {
        sim_fail("shared->buffer_bytes is %llu at the end", (unsigned long long)w->shared.buffer_bytes);
    }
    listeners_fini(&w->listeners);
    log_set_sink(NULL, NULL);
    mem_free(w->log);
    mem_free(w);
    sim_end();
}

/* ---- looking at it ---- */

uint32_t world_pools(const struct world *w) {
    return control_conf(w->control)->npools;
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

/* The longest time of a row of pool_times.def or server_times.def, as the statistics have it: "server_usec_max". */
static bool world_time(const struct world *w, const char *pool, const char *server, const char *name, int64_t *value) {
    char field[64];
    int p = pool != NULL ? conf_pool_by_name(control_conf(w->control), pool) : -1;
    int s = p >= 0 && server != NULL ? server_index(&control_conf(w->control)->pools[p], server) : 0;
    if (p < 0 || s < 0) {
        return false;
    }
    struct pool_times times;
    struct server_times of_server;
    sum_pool_times(w->control, (uint32_t)p, &times);
    sum_server_times(w->control, (uint32_t)p, (uint32_t)s, &of_server);
    uint32_t n = server == NULL ? (uint32_t)POOL_TIMES : (uint32_t)SERVER_TIMES;
    for (uint32_t i = 0; i < n; i++) {
        snprintf(field, sizeof field, "%s_usec_max", server == NULL ? pool_time_rows[i].name : server_time_rows[i].name);
        if (strcmp(field, name) == 0) {
            *value = hist_permille(server == NULL ? &times.v[i] : &of_server.v[i], 1000);
            return true;
        }
    }
    return false;
}

bool world_metric(const struct world *w, const char *pool, const char *server, const char *name, int64_t *value) {
    const struct conf *conf = control_conf(w->control);
    int p = pool != NULL ? conf_pool_by_name(conf, pool) : 0;
    int s = p >= 0 && server != NULL ? server_index(&conf->pools[p], server) : 0;
    int row = pool == NULL     ? row_index(worker_metric_rows, WORKER_METRICS, name)
              : server == NULL ? row_index(pool_metric_rows, POOL_METRICS, name)
                               : row_index(server_metric_rows, SERVER_METRICS, name);
    if (p < 0 || s < 0 || row < 0) {
        return world_time(w, pool, server, name, value);
    }
    *value = 0;
    for (uint32_t i = 0; i < w->n; i++) {
        struct mail_view *view = worker_view(w->workers[i]);
        const uint64_t *v = pool == NULL ? worker_block(w->workers[i])->v : NULL;
        for (uint32_t k = 0; v == NULL && k < view->n; k++) {
            const struct conf_pool *at = &conf->pools[p];
            bool found = view->at[k].pool == at->id && view->at[k].server == (server == NULL ? 0 : at->servers[s].id);
            v = found ? view->at[k].v : NULL;
        }
        *value += v != NULL ? (int64_t)metric_get(&v[row]) : 0;
        mem_free(view);
    }
    return true;
}

const char *world_log(const struct world *w) {
    return w->log;
}

const struct addr *world_listen(const struct world *w, const char *pool) {
    const struct conf *conf = control_conf(w->control);
    int p = pool == NULL ? 0 : conf_pool_by_name(conf, pool);
    return p < 0 ? NULL : &conf->pools[p].listens[0].addr;
}

size_t world_buffers(const struct world *w) {
    return (size_t)w->shared.buffer_bytes;
}
