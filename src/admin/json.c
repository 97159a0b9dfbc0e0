#include "admin/json.h"

#include "admin/control_state.h"
#include "admin/sum.h"
#include "base/mem.h"
#include "base/num.h"

struct text {
    char *p;
    size_t n, cap;
};

static char *room(struct text *t, size_t n) {
    if (t->cap - t->n < n) {
        t->cap = max_size(t->cap * 2, t->n + n);
        t->p = mem_realloc(t->p, t->cap);
    }
    return t->p + t->n;
}

static void put(struct text *t, const char *s) {
    size_t n = strlen(s);
    memcpy(room(t, n), s, n);
    t->n += n;
}

static void put_name(struct text *t, const char *name) {
    struct slice s = slice_str(name);
    char *to = room(t, 6 * s.n + 2);
    t->n += json_quote(to, s);
}

static void put_string(struct text *t, const char *name, const char *value) {
    put_name(t, name);
    put(t, ":");
    put_name(t, value);
    put(t, ", ");
}

static void put_number(struct text *t, const char *name, uint64_t value, bool last) {
    put_name(t, name);
    put(t, ":");
    /* A gauge that went below zero shows as what it is. */
    t->n += num_put_i64(room(t, NUM_MAX), (int64_t)value);
    put(t, last ? "" : ", ");
}

/* The length of the UTF-8 sequence that begins here (RFC 3629), 0: none. */
static size_t utf8_len(struct slice s) {
    uint8_t c = s.p[0];
    size_t n = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 && c >= 0xc2 ? 2 : (c & 0xf0) == 0xe0 ? 3 : (c & 0xf8) == 0xf0 && c <= 0xf4 ? 4 : 0;
    if (n == 0 || n > s.n) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s.p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (c == 0xe0 && s.p[1] < 0xa0) || (c == 0xf0 && s.p[1] < 0x90);
    bool surrogate = c == 0xed && s.p[1] >= 0xa0;
    bool beyond = c == 0xf4 && s.p[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : n;
}

size_t json_quote(char *to, struct slice s) {
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    to[n++] = '"';
    while (s.n > 0) {
        size_t len = utf8_len(s);
        uint8_t c = s.p[0];
        if (c == '"' || c == '\\') {
            to[n++] = '\\';
            to[n++] = (char)c;
        } else if (c < 0x20 || c == 0x7f || len == 0) {
            memcpy(to + n, "\\u00", 4);
            to[n + 4] = hex[c >> 4];
            to[n + 5] = hex[c & 15];
            n += 6;
            len = 1;
        } else {
            memcpy(to + n, s.p, len);
            n += len;
        }
        len = len == 0 ? 1 : len;
        s = slice(s.p + len, s.n - len);
    }
    to[n++] = '"';
    return n;
}

static void put_server(struct text *t, const struct control *c, uint32_t pool, uint32_t server) {
    struct server_block sum;
    sum_server(c, pool, server, &sum);
    put_name(t, c->conf->pools[pool].servers[server].name);
    put(t, ": {");
    for (uint32_t i = 0; i < SERVER_METRICS; i++) {
        put_number(t, server_metric_rows[i].name, sum.v[i], i + 1 == SERVER_METRICS);
    }
    put(t, "}");
}

static void put_pool(struct text *t, const struct control *c, uint32_t pool) {
    const struct conf_pool *conf = &c->conf->pools[pool];
    struct pool_block sum;
    sum_pool(c, pool, &sum);
    put_name(t, conf->name);
    put(t, ": {");
    for (uint32_t i = 0; i < POOL_METRICS; i++) {
        put_number(t, pool_metric_rows[i].name, sum.v[i], false);
    }
    for (uint32_t s = 0; s < conf->nservers; s++) {
        put(t, s == 0 ? "" : ",");
        put_server(t, c, pool, s);
    }
    put(t, "}");
}

char *json_stats(const struct control *c, size_t *len) {
    struct text t = {0};
    struct worker_block sum;
    sum_workers(c, &sum);
    int64_t wall = loop_wall(c->loop);
    put(&t, "{");
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
        put(&t, p == 0 ? "" : ",");
        put_pool(&t, c, p);
    }
    put(&t, "}\n");
    *len = t.n;
    return t.p;
}
