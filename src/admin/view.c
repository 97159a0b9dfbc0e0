#include "admin/view.h"

#include "admin/control_state.h"
#include "admin/sum.h"
#include "io/usage.h"
#include "stats/times.h"

#include <inttypes.h>

uint32_t view_servers_in_use(const struct control *c, uint32_t pool) {
    uint32_t n = 0;
    for (uint32_t s = 0; s < c->conf->pools[pool].nservers; s++) {
        n += c->pools[pool]->servers[s]->health.state == HEALTH_ALIVE;
    }
    return n;
}

bool view_ready(const struct control *c, struct str *why) {
    uint32_t served = 0;
    struct str without = {0};
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        if (view_servers_in_use(c, p) > 0) {
            served++;
        } else {
            str_put(&without, without.n > 0 ? ", " : "; no server in use: ");
            str_put(&without, c->conf->pools[p].name);
        }
    }
    bool ready = !c->draining && served > 0;
    if (why != NULL) {
        str_put(why, ready ? "ready" : c->draining ? "not ready: draining" : "not ready");
        str_put_slice(why, slice(without.p, without.n));
    }
    str_fini(&without);
    return ready;
}

/* ---- JSON ---- */

static void put_name(struct str *to, const char *name) {
    str_quote(to, slice_str(name));
    str_put(to, ":");
}

static void put_text(struct str *to, const char *name, const char *value) {
    put_name(to, name);
    str_quote(to, slice_str(value));
    str_put(to, ",");
}

static void put_number(struct str *to, const char *name, int64_t value) {
    put_name(to, name);
    str_put_i64(to, value);
    str_put(to, ",");
}

static void put_flag(struct str *to, const char *name, bool value) {
    put_name(to, name);
    str_put(to, value ? "true," : "false,");
}

/* The last member of an object. */
static void put_metrics(struct str *to, const struct metric_row *rows, uint32_t n, const uint64_t *values) {
    put_name(to, "metrics");
    for (uint32_t i = 0; i < n; i++) {
        str_put(to, i == 0 ? "{" : ",");
        put_name(to, rows[i].name);
        str_put_i64(to, (int64_t)values[i]);
    }
    str_put(to, "}}");
}

static void put_lately(struct str *to, struct lately took) {
    str_format(to, "\"p50_usec\":%u,\"p99_usec\":%u,\"p999_usec\":%u", took.p50, took.p99, took.p999);
}

/* What a pool's time went to, and commands of each class. */
static void put_took(struct str *to, const struct control *c, uint32_t pool) {
    put_name(to, "took");
    for (uint32_t i = 0; i < POOL_TIMES; i++) {
        str_put(to, i == 0 ? "{" : ",");
        put_name(to, pool_time_rows[i].name);
        str_put(to, "{");
        put_lately(to, history_part(c->history, pool, i));
        str_put(to, "}");
    }
    str_put(to, "},");
}

static void put_server(struct str *to, const struct control *c, uint32_t pool, uint32_t server) {
    const struct conf_server *conf = &c->conf->pools[pool].servers[server];
    const struct health *h = &c->pools[pool]->servers[server]->health;
    struct server_block sum;
    sum_server(c, pool, server, &sum);
    str_put(to, "\n   {");
    put_text(to, "name", conf->name);
    put_text(to, "address", conf->address);
    put_number(to, "weight", conf->weight);
    put_text(to, "state", health_word(h));
    put_flag(to, "in_use", h->state == HEALTH_ALIVE);
    put_number(to, "failures", h->failures);
    put_number(to, "ejected_at", (int64_t)(h->ejected_at / 1000000));
    put_number(to, "uplinks", (int64_t)sum.v[SERVER_server_connections]);
    put_number(to, "queued", (int64_t)sum.v[SERVER_in_queue]);
    put_number(to, "waiting", (int64_t)sum.v[SERVER_out_queue]);
    put_text(to, "version", c->pools[pool]->servers[server]->learn.identity.version);
    put_lately(to, history_server(c->history, pool, server));
    str_put(to, ",");
    put_metrics(to, server_metric_rows, SERVER_METRICS, sum.v);
}

static void put_pool(struct str *to, const struct control *c, uint32_t pool) {
    const struct conf_pool *conf = &c->conf->pools[pool];
    struct pool_block sum;
    sum_pool(c, pool, &sum);
    str_put(to, "\n {");
    put_text(to, "name", conf->name);
    put_text(to, "protocol", conf->redis ? "redis" : "memcached");
    put_name(to, "listen");
    for (uint32_t i = 0; i < conf->nlistens; i++) {
        str_put(to, i == 0 ? "[" : ",");
        str_quote(to, slice_str(conf->listens[i].text));
    }
    str_put(to, "],");
    put_text(to, "hash", hash_name(conf->hash));
    put_text(to, "distribution", dist_name(conf->distribution));
    put_flag(to, "auto_eject_hosts", conf->auto_eject_hosts);
    put_number(to, "client_limit", conf->client_connections);
    put_number(to, "servers_in_use", view_servers_in_use(c, pool));
    put_lately(to, history_pool(c->history, pool));
    str_put(to, ",");
    put_took(to, c, pool);
    put_name(to, "servers");
    for (uint32_t s = 0; s < conf->nservers; s++) {
        str_put(to, s == 0 ? "[" : ",");
        put_server(to, c, pool, s);
    }
    str_put(to, "],");
    put_metrics(to, pool_metric_rows, POOL_METRICS, sum.v);
}

static void put_process(struct str *to, const struct control *c) {
    struct worker_block sum;
    struct usage usage;
    struct str why = {0};
    sum_workers(c, &sum);
    usage_read(&usage);
    int64_t wall = loop_wall(c->loop);
    put_text(to, "version", KVMUX_VERSION);
    put_text(to, "host", c->opts.hostname);
    put_number(to, "pid", c->shared->pid);
    put_number(to, "workers", c->nworkers);
    put_number(to, "uptime", (wall - c->shared->started_wall) / 1000000);
    put_number(to, "now_usec", wall);
    put_flag(to, "draining", c->draining);
    put_flag(to, "ready", view_ready(c, &why));
    put_name(to, "ready_why");
    str_quote(to, slice(why.p, why.n));
    str_put(to, ",");
    str_fini(&why);
    put_number(to, "cpu_usec", usage.cpu_usec);
    put_number(to, "resident_bytes", usage.resident_bytes);
    put_number(to, "buffer_bytes", (int64_t)sum.v[WORKER_buffer_bytes]);
    put_number(to, "buffer_limit", c->conf->buffer_limit);
}

void view_pools(const struct control *c, struct str *to) {
    str_put(to, "{");
    put_process(to, c);
    put_name(to, "pools");
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        str_put(to, p == 0 ? "[" : ",");
        put_pool(to, c, p);
    }
    str_put(to, "]}\n");
}
