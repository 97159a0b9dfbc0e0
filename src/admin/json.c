#include "admin/json.h"

#include "admin/control_state.h"
#include "admin/sum.h"
#include "base/str.h"
#include "stats/times.h"

static void put_string(struct str *t, const char *name, const char *value) {
    str_quote(t, slice_str(name));
    str_put(t, ":");
    str_quote(t, slice_str(value));
    str_put(t, ", ");
}

static void put_number(struct str *t, const char *name, uint64_t value, bool last) {
    str_quote(t, slice_str(name));
    str_put(t, ":");
    str_put_i64(t, (int64_t)value); /* a gauge that went below zero shows as what it is */
    str_put(t, last ? "" : ", ");
}

/* Percentiles of a histogram: NAME_usec_p50 ... */
static void put_times(struct str *t, const char *name, const struct hist *h, bool last) {
    static const struct {
        const char *name;
        uint32_t permille;
    } rows[] = {{"p50", 500}, {"p99", 990}, {"p999", 999}, {"max", 1000}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        str_format(t, "\"%s_usec_%s\":%u%s", name, rows[i].name, hist_permille(h, rows[i].permille),
                   last && i + 1 == ARRAY_LEN(rows) ? "" : ", ");
    }
}

static void put_server(struct str *t, const struct control *c, uint32_t pool, uint32_t server) {
    struct server_block sum;
    sum_server(c, pool, server, &sum);
    str_quote(t, slice_str(c->conf->pools[pool].servers[server].name));
    str_put(t, ": {");
    for (uint32_t i = 0; i < SERVER_METRICS; i++) {
        put_number(t, server_metric_rows[i].name, sum.v[i], false);
    }
    struct server_times times;
    sum_server_times(c, pool, server, &times);
    for (uint32_t i = 0; i < SERVER_TIMES; i++) {
        put_times(t, server_time_rows[i].name, &times.v[i], i + 1 == SERVER_TIMES);
    }
    str_put(t, "}");
}

static void put_pool(struct str *t, const struct control *c, uint32_t pool) {
    const struct conf_pool *conf = &c->conf->pools[pool];
    struct pool_block sum;
    sum_pool(c, pool, &sum);
    str_quote(t, slice_str(conf->name));
    str_put(t, ": {");
    for (uint32_t i = 0; i < POOL_METRICS; i++) {
        put_number(t, pool_metric_rows[i].name, sum.v[i], false);
    }
    struct pool_times times;
    sum_pool_times(c, pool, &times);
    for (uint32_t i = 0; i < POOL_TIMES; i++) {
        put_times(t, pool_time_rows[i].name, &times.v[i], false);
    }
    for (uint32_t s = 0; s < conf->nservers; s++) {
        str_put(t, s == 0 ? "" : ",");
        put_server(t, c, pool, s);
    }
    str_put(t, "}");
}

char *json_stats(const struct control *c, size_t *len) {
    struct str t = {0};
    struct worker_block sum;
    sum_workers(c, &sum);
    int64_t wall = loop_wall(c->loop);
    str_put(&t, "{");
    put_string(&t, "service", c->opts.service);
    put_string(&t, "source", c->opts.hostname);
    put_string(&t, "version", KVMUX_VERSION);
    put_number(&t, "uptime", (uint64_t)((wall - c->shared->started_wall) / 1000000), false);
    put_number(&t, "timestamp", (uint64_t)(wall / 1000000), false);
    for (uint32_t i = 0; i < WORKER_METRICS; i++) {
        put_number(&t, worker_metric_rows[i].name, sum.v[i], false);
    }
    put_number(&t, "threads", c->nworkers, false);
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        str_put(&t, p == 0 ? "" : ",");
        put_pool(&t, c, p);
    }
    str_put(&t, "}\n");
    *len = t.n;
    return t.p;
}
