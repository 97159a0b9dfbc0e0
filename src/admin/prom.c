#include "admin/prom.h"

#include "admin/control_state.h"
#include "admin/http.h"
#include "admin/sum.h"
#include "admin/view.h"
#include "base/mem.h"
#include "io/usage.h"

#include <inttypes.h>

/* ---- the format ---- */

static void put_escaped(struct str *to, const char *text, bool quotes) {
    for (; *text != '\0'; text++) {
        if (*text == '\n') {
            str_put(to, "\\n");
        } else if (*text == '\\' || (quotes && *text == '"')) {
            str_put_slice(to, slice((char[]){'\\', *text}, 2));
        } else {
            str_put_slice(to, slice(text, 1));
        }
    }
}

void prom_label(struct str *to, const char *name, const char *value) {
    str_put(to, name);
    str_put(to, "=\"");
    put_escaped(to, value, true);
    str_put(to, "\"");
}

static void put_head(struct str *to, const char *name, const char *help, const char *type) {
    str_format(to, "# HELP %s ", name);
    put_escaped(to, help, false);
    str_format(to, "\n# TYPE %s %s\n", name, type);
}

static void put_value(struct str *to, const struct metric_row *row, uint64_t value) {
    if (metric_is_usec(row)) {
        str_format(to, " %" PRIu64 ".%06" PRIu64 "\n", value / 1000000, value % 1000000);
    } else {
        str_put(to, " ");
        str_put_i64(to, (int64_t)value); /* a gauge that went below zero shows as what it is */
        str_put(to, "\n");
    }
}

/* ---- the tables ---- */

/* Things of one kind, with the labels that tell them apart: one sample each. */
struct samples {
    uint32_t n;
    struct str *labels;      /* of each, braces included; "": none */
    const uint64_t **values; /* of each, in the order of the table */
};

static void put_table(struct str *to, const struct metric_table *t, const struct samples *s) {
    for (uint32_t i = 0; i < t->n; i++) {
        char name[METRIC_NAME_MAX];
        metric_prom_name(t, &t->rows[i], name);
        put_head(to, name, metric_prom_help(&t->rows[i]), t->rows[i].kind == METRIC_COUNTER ? "counter" : "gauge");
        for (uint32_t k = 0; k < s->n; k++) {
            str_put(to, name);
            str_put_slice(to, slice(s->labels[k].p, s->labels[k].n));
            put_value(to, &t->rows[i], s->values[k][i]);
        }
    }
}

static void samples_init(struct samples *s, uint32_t n) {
    *s = (struct samples){
        .n = n, .labels = mem_zalloc((n + 1) * sizeof *s->labels), .values = mem_zalloc((n + 1) * sizeof *s->values)};
}

static void samples_fini(struct samples *s) {
    for (uint32_t i = 0; i < s->n; i++) {
        str_fini(&s->labels[i]);
    }
    mem_free(s->labels);
    mem_free(s->values);
}

/* ---- what stands in them ---- */

static void put_process(struct str *to, const struct control *c) {
    struct http_counts http = http_counts(c->http);
    struct usage usage;
    usage_read(&usage);
    const uint64_t values[CONTROL_METRICS] = {
        [CONTROL_kvmux_workers] = c->nworkers,
        [CONTROL_kvmux_draining] = c->draining,
        [CONTROL_kvmux_ready] = view_ready(c, NULL),
        [CONTROL_kvmux_reload_refused] = c->refused,
        [CONTROL_kvmux_buffer_limit_bytes] = (uint64_t)c->conf->buffer_limit,
        [CONTROL_kvmux_admin_connections] = http.connections,
        [CONTROL_kvmux_admin_requests] = http.requests,
        [CONTROL_kvmux_admin_refused] = http.refused,
        [CONTROL_kvmux_admin_dropped] = http.dropped,
        [CONTROL_kvmux_access_lines] = c->access.lines,
        [CONTROL_kvmux_access_lost] = c->access.lost,
        [CONTROL_process_start_time] = (uint64_t)c->shared->started_wall,
        [CONTROL_process_cpu] = (uint64_t)usage.cpu_usec,
        [CONTROL_process_resident_memory_bytes] = (uint64_t)usage.resident_bytes,
        [CONTROL_process_max_fds] = (uint64_t)usage.descriptors_max,
    };
    struct samples s;
    samples_init(&s, 1);
    s.values[0] = values;
    put_head(to, "kvmux_build_info", "the version that runs; always 1", "gauge");
    str_put(to, "kvmux_build_info{version=\"" KVMUX_VERSION "\"} 1\n");
    put_table(to, &metric_tables[TABLE_CONTROL], &s);
    samples_fini(&s);
}

static void put_workers(struct str *to, const struct control *c) {
    struct samples s;
    struct worker_block *blocks = mem_zalloc((c->nworkers + 1) * sizeof *blocks);
    samples_init(&s, c->nworkers);
    for (uint32_t w = 0; w < c->nworkers; w++) {
        sum_worker(c, w, &blocks[w]);
        str_format(&s.labels[w], "{worker=\"%u\"}", w);
        s.values[w] = blocks[w].v;
    }
    put_table(to, &metric_tables[TABLE_WORKER], &s);
    samples_fini(&s);
    mem_free(blocks);
}

static void put_pools(struct str *to, const struct control *c) {
    uint32_t n = c->conf->npools;
    struct samples s;
    struct pool_block *blocks = mem_alloc((n + 1) * sizeof *blocks);
    uint64_t(*states)[POOL_STATE_METRICS] = mem_alloc((n + 1) * sizeof *states);
    samples_init(&s, n);
    for (uint32_t p = 0; p < n; p++) {
        sum_pool(c, p, &blocks[p]);
        str_put(&s.labels[p], "{");
        prom_label(&s.labels[p], "pool", c->conf->pools[p].name);
        str_put(&s.labels[p], "}");
        s.values[p] = blocks[p].v;
        states[p][POOL_STATE_servers] = c->conf->pools[p].nservers;
        states[p][POOL_STATE_servers_in_use] = view_servers_in_use(c, p);
        states[p][POOL_STATE_tls_certificate_expires] = (uint64_t)c->conf->pools[p].tls_pem.expires;
        states[p][POOL_STATE_server_tls_certificate_expires] = (uint64_t)c->conf->pools[p].server_tls_pem.expires;
        states[p][POOL_STATE_client_limit] = (uint64_t)c->conf->pools[p].client_connections;
    }
    put_table(to, &metric_tables[TABLE_POOL], &s);
    for (uint32_t p = 0; p < n; p++) {
        s.values[p] = states[p];
    }
    put_table(to, &metric_tables[TABLE_POOL_STATE], &s);
    samples_fini(&s);
    mem_free(blocks);
    mem_free(states);
}

struct server_numbers {
    struct server_block sum;
    uint64_t state[SERVER_STATE_METRICS];
};

static void read_server(const struct control *c, uint32_t p, uint32_t i, struct server_numbers *numbers, struct str *labels) {
    const struct conf_server *server = &c->conf->pools[p].servers[i];
    const struct health *h = &c->pools[p]->servers[i]->health;
    sum_server(c, p, i, &numbers->sum);
    numbers->state[SERVER_STATE_in_use] = h->state == HEALTH_ALIVE;
    numbers->state[SERVER_STATE_failures] = h->failures;
    numbers->state[SERVER_STATE_weight] = server->weight;
    str_put(labels, "{");
    prom_label(labels, "pool", c->conf->pools[p].name);
    str_put(labels, ",");
    prom_label(labels, "server", server->name);
    str_put(labels, "}");
}

static void put_servers(struct str *to, const struct control *c) {
    struct samples s;
    uint32_t n = 0, at = 0;
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        n += c->conf->pools[p].nservers;
    }
    struct server_numbers *numbers = mem_alloc((n + 1) * sizeof *numbers);
    samples_init(&s, n);
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        for (uint32_t i = 0; i < c->conf->pools[p].nservers; i++, at++) {
            read_server(c, p, i, &numbers[at], &s.labels[at]);
            s.values[at] = numbers[at].sum.v;
        }
    }
    put_table(to, &metric_tables[TABLE_SERVER], &s);
    for (uint32_t i = 0; i < n; i++) {
        s.values[i] = numbers[i].state;
    }
    put_table(to, &metric_tables[TABLE_SERVER_STATE], &s);
    samples_fini(&s);
    mem_free(numbers);
}

void prom_metrics(const struct control *c, struct str *to) {
    put_process(to, c);
    put_workers(to, c);
    put_pools(to, c);
    put_servers(to, c);
    prom_times(c, to);
}
