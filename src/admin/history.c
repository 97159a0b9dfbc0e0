#include "admin/history.h"

#include "admin/control_state.h"
#include "admin/sum.h"
#include "base/mem.h"
#include "io/usage.h"
#include "stats/times.h"

#define PERIOD_SEC 2
#define POINTS 150 /* five minutes */
#define POOL_TIMED (POOL_TIMES + 1) /* its histograms, and behind them what reads, writes and others took together */
#define SERVERS_TIMED 512 /* 2 KiB each; where there are more, nothing is said of how long each took */

/* A counter's growth per second, or a gauge's value, at each sample. */
struct series {
    uint64_t last; /* of a counter */
    uint32_t v[POINTS];
};

enum { CLIENTS, QUEUE, MEMORY_KIB, CPU_PERCENT, PROCESS_SERIES };
enum { POOL_REQUESTS, POOL_ERRORS, POOL_P50, POOL_P99, POOL_SERIES }; /* then one for each server: its requests */

/* Of one histogram: how it was, and what came since the time before. */
struct timed {
    struct hist was;
    struct lately lately;
};

struct history {
    struct control *control;
    struct conf *conf; /* that `pools` is of; one reference */
    struct timer timer;
    uint32_t n, next;  /* samples that there are; where the next one goes */
    int64_t sampled_at, elapsed; /* usec; elapsed 0: there was no sample before this one, and `last` means nothing */
    struct series process[PROCESS_SERIES];
    struct series *pools; /* all series of all pools, in the order of the configuration */
    struct timed *timed;  /* POOL_TIMED of each pool, and behind all of them one of each server, unless there are too many */
    uint32_t *first;      /* of each pool: its first server's place among all servers */
    bool times_servers;
};

/* ---- sampling ---- */

static void put_counter(const struct history *h, struct series *s, uint64_t now) {
    double rate = h->elapsed > 0 && now > s->last ? (double)(now - s->last) * 1e6 / (double)h->elapsed : 0;
    s->last = now;
    s->v[h->next] = rate < UINT32_MAX ? (uint32_t)rate : UINT32_MAX;
}

static void put_gauge(const struct history *h, struct series *s, uint64_t now) {
    s->v[h->next] = (int64_t)now < 0 ? 0 : now < UINT32_MAX ? (uint32_t)now : UINT32_MAX;
}

static void time_took(struct history *h, struct timed *t, const struct hist *now) {
    struct hist since = {0};
    for (uint32_t i = 0; i < HIST_SLOTS; i++) {
        since.v[i] = h->elapsed > 0 && now->v[i] > t->was.v[i] ? now->v[i] - t->was.v[i] : 0;
    }
    t->was = *now;
    t->lately = (struct lately){hist_permille(&since, 500), hist_permille(&since, 990), hist_permille(&since, 999)};
}

static struct timed *timed_server(const struct history *h, uint32_t p, uint32_t s) {
    return &h->timed[h->conf->npools * POOL_TIMED + h->first[p] + s];
}

static void time_pool(struct history *h, uint32_t p) {
    struct pool_times sum;
    struct hist all = {0};
    sum_pool_times(h->control, p, &sum);
    hist_merge(&all, &sum.v[POOL_TIME_read]);
    hist_merge(&all, &sum.v[POOL_TIME_write]);
    hist_merge(&all, &sum.v[POOL_TIME_other]);
    struct timed *own = &h->timed[p * POOL_TIMED];
    for (unsigned i = 0; i < POOL_TIMES; i++) {
        time_took(h, &own[i], &sum.v[i]);
    }
    time_took(h, &own[POOL_TIMES], &all);
    for (uint32_t s = 0; h->times_servers && s < h->conf->pools[p].nservers; s++) {
        struct server_times server;
        sum_server_times(h->control, p, s, &server);
        time_took(h, timed_server(h, p, s), &server.v[SERVER_TIME_server]);
    }
}

static void sample_pools(struct history *h) {
    const struct control *c = h->control;
    struct series *s = h->pools;
    uint64_t clients = 0, queue = 0;
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        struct pool_block pool;
        sum_pool(c, p, &pool);
        clients += pool.v[POOL_client_connections];
        put_counter(h, s++, pool.v[POOL_client_requests]);
        put_counter(h, s++, pool.v[POOL_forward_error] + pool.v[POOL_protocol_errors]);
        time_pool(h, p);
        put_gauge(h, s++, history_pool(h, p).p50);
        put_gauge(h, s++, history_pool(h, p).p99);
        for (uint32_t i = 0; i < c->conf->pools[p].nservers; i++) {
            struct server_block server;
            sum_server(c, p, i, &server);
            queue += server.v[SERVER_in_queue] + server.v[SERVER_out_queue];
            put_counter(h, s++, server.v[SERVER_requests]);
        }
    }
    put_gauge(h, &h->process[CLIENTS], clients);
    put_gauge(h, &h->process[QUEUE], queue);
}

static void begin_anew(struct history *h) {
    struct conf *conf = h->control->conf;
    uint32_t nservers = 0;
    h->first = mem_realloc(h->first, conf->npools * sizeof *h->first);
    for (uint32_t p = 0; p < conf->npools; p++) {
        h->first[p] = nservers;
        nservers += conf->pools[p].nservers;
    }
    conf_unref(&h->conf);
    h->conf = conf_ref(conf);
    mem_free(h->pools);
    h->pools = mem_zalloc((conf->npools * (size_t)POOL_SERIES + nservers) * sizeof *h->pools);
    h->times_servers = nservers <= SERVERS_TIMED;
    mem_free(h->timed);
    h->timed = mem_zalloc((conf->npools * (size_t)POOL_TIMED + (h->times_servers ? nservers : 0)) * sizeof *h->timed);
    h->n = h->next = 0;
    h->sampled_at = 0;
}

static void sample(struct history *h) {
    struct usage usage;
    if (h->conf != h->control->conf) {
        begin_anew(h);
    }
    int64_t now = loop_now(h->control->loop);
    h->elapsed = h->sampled_at != 0 ? now - h->sampled_at : 0;
    h->sampled_at = now;
    usage_read(&usage);
    sample_pools(h);
    put_gauge(h, &h->process[MEMORY_KIB], (uint64_t)usage.resident_bytes / 1024);
    put_counter(h, &h->process[CPU_PERCENT], (uint64_t)usage.cpu_usec / 10000);
    if (h->elapsed > 0) { /* else that was only where counters start */
        h->next = (h->next + 1) % POINTS;
        h->n += h->n < POINTS;
    }
}

static void history_on_timer(struct timer *t) {
    struct history *h = CONTAINER_OF(t, struct history, timer);
    sample(h);
    timer_set(h->control->loop, t, loop_now(h->control->loop) + PERIOD_SEC * 1000000);
}

/* ---- telling ---- */

static void put_series(struct str *to, const struct history *h, const char *name, const struct series *s, uint32_t times) {
    str_quote(to, slice_str(name));
    str_put(to, ":[");
    for (uint32_t i = 0; i < h->n; i++) { /* the oldest first */
        str_put(to, i == 0 ? "" : ",");
        str_put_i64(to, (int64_t)s->v[(h->next + POINTS - h->n + i) % POINTS] * times);
    }
    str_put(to, "]");
}

static const struct series *put_pool(struct str *to, const struct history *h, const struct conf_pool *pool, const struct series *s) {
    str_put(to, "\n {\"name\":");
    str_quote(to, slice_str(pool->name));
    str_put(to, ",");
    put_series(to, h, "requests", &s[POOL_REQUESTS], 1);
    str_put(to, ",");
    put_series(to, h, "errors", &s[POOL_ERRORS], 1);
    str_put(to, ",");
    put_series(to, h, "p50", &s[POOL_P50], 1);
    str_put(to, ",");
    put_series(to, h, "p99", &s[POOL_P99], 1);
    str_put(to, ",\"servers\":{");
    s += POOL_SERIES;
    for (uint32_t i = 0; i < pool->nservers; i++) {
        str_put(to, i == 0 ? "" : ",\n  ");
        put_series(to, h, pool->servers[i].name, s++, 1);
    }
    str_put(to, "}}");
    return s;
}

void history_json(const struct history *h, struct str *to) {
    static const struct {
        const char *name;
        uint32_t times;
    } rows[PROCESS_SERIES] = {
        [CLIENTS] = {"clients", 1}, [QUEUE] = {"queue", 1}, [MEMORY_KIB] = {"memory", 1024}, [CPU_PERCENT] = {"cpu", 1}};
    str_format(to, "{\"period\":%d,\"pid\":%u", PERIOD_SEC, h->control->shared->pid);
    for (unsigned i = 0; i < PROCESS_SERIES; i++) {
        str_put(to, ",\n ");
        put_series(to, h, rows[i].name, &h->process[i], rows[i].times);
    }
    str_put(to, ",\n\"pools\":[");
    const struct series *s = h->pools;
    for (uint32_t p = 0; h->conf != NULL && p < h->conf->npools; p++) {
        str_put(to, p == 0 ? "" : ",");
        s = put_pool(to, h, &h->conf->pools[p], s);
    }
    str_put(to, "]}\n");
}

struct lately history_part(const struct history *h, uint32_t pool, uint32_t which) {
    return h->conf == h->control->conf ? h->timed[pool * POOL_TIMED + which].lately : (struct lately){0};
}

struct lately history_pool(const struct history *h, uint32_t pool) {
    return history_part(h, pool, POOL_TIMES);
}

struct lately history_server(const struct history *h, uint32_t pool, uint32_t server) {
    bool known = h->conf == h->control->conf && h->times_servers;
    return known ? timed_server(h, pool, server)->lately : (struct lately){0};
}

/* ---- begin and end ---- */

struct history *history_new(struct control *c) {
    struct history *h = mem_zalloc(sizeof *h);
    h->control = c;
    timer_init(&h->timer, history_on_timer);
    timer_set(c->loop, &h->timer, loop_now(c->loop)); /* workers are there by then */
    return h;
}

void history_free(struct history **hp) {
    struct history *h = *hp;
    *hp = NULL;
    if (h != NULL) {
        timer_cancel(h->control->loop, &h->timer);
        conf_unref(&h->conf);
        mem_free(h->pools);
        mem_free(h->timed);
        mem_free(h->first);
        mem_free(h);
    }
}
