/* model.c: the keys, and the Redis side (the rest of it in model_more.c); memcached is in model_mc.c. */
#include "model.h"

#include "base/mem.h"
#include "base/num.h"
#include "base/sha1.h"
#include "model_int.h"

#include <stdio.h>

/* ---- keys ---- */

static uint32_t key_hash(struct slice k) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < k.n; i++) {
        h = (h ^ k.p[i]) * 16777619u;
    }
    return h % MODEL_BUCKETS;
}

struct model_key *model_find(struct model *m, struct slice key) {
    for (struct model_key *k = m->buckets[key_hash(key)]; k != NULL; k = k->next) {
        if (slice_eq(slice(k->key, k->key_len), key)) {
            return k;
        }
    }
    return NULL;
}

void model_put(struct model *m, struct slice key, struct slice value, uint32_t flags) {
    struct model_key *k = model_find(m, key);
    if (k == NULL) {
        k = mem_zalloc(sizeof(*k));
        k->key = mem_alloc(key.n + 1);
        memcpy(k->key, key.p, key.n);
        k->key_len = key.n;
        k->next = m->buckets[key_hash(key)];
        m->buckets[key_hash(key)] = k;
    }
    uint8_t *copy = mem_alloc(value.n + 1);
    memcpy(copy, value.p, value.n);
    mem_free(k->value);
    k->value = copy;
    k->value_len = value.n;
    k->flags = flags;
    k->cas = ++m->cas;
}

bool model_del(struct model *m, struct slice key) {
    for (struct model_key **at = &m->buckets[key_hash(key)]; *at != NULL; at = &(*at)->next) {
        struct model_key *k = *at;
        if (slice_eq(slice(k->key, k->key_len), key)) {
            *at = k->next;
            mem_free(k->key);
            mem_free(k->value);
            mem_free(k);
            return true;
        }
    }
    return false;
}

bool model_value(struct slice key, uint8_t **value, size_t *len) {
    if (!slice_starts(key, "u:")) {
        return false;
    }
    size_t colon = key.n;
    while (key.p[colon - 1] != ':') {
        colon--;
    }
    uint64_t n;
    if (!num_u64(slice(key.p + colon, key.n - colon), &n) || n > (64u << 20)) {
        return false;
    }
    *value = mem_alloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        (*value)[i] = key.p[i % key.n];
    }
    *len = n;
    return true;
}

/* The value of a key, set or made up; false: there is none. */
bool model_get(struct model *m, struct slice key, uint8_t **value, size_t *len, uint32_t *flags) {
    struct model_key *k = model_find(m, key);
    *flags = k != NULL ? k->flags : 0;
    if (k == NULL) {
        return model_value(key, value, len);
    }
    *value = mem_alloc(k->value_len + 1);
    memcpy(*value, k->value, k->value_len);
    *len = k->value_len;
    return true;
}

void model_touched(struct model *m, struct slice key) {
    if (m->opts.on_key != NULL) {
        m->opts.on_key(m->opts.ctx, key, m->serving);
    }
}

struct model *model_new(const struct model_opts *opts) {
    struct model *m = mem_zalloc(sizeof(*m));
    m->opts = *opts;
    return m;
}

void model_free(struct model **mp) {
    struct model *m = *mp;
    *mp = NULL;
    for (uint32_t i = 0; m != NULL && i < MODEL_BUCKETS; i++) {
        while (m->buckets[i] != NULL) {
            struct model_key *k = m->buckets[i];
            model_del(m, slice(k->key, k->key_len));
        }
    }
    mem_free(m);
}

/* ---- replies ---- */

void model_say(struct sim_conn *c, const char *text) {
    sim_peer_send(c, slice_str(text));
}

void model_say_int(struct sim_conn *c, int64_t v) {
    char t[40];
    snprintf(t, sizeof(t), ":%lld\r\n", (long long)v);
    model_say(c, t);
}

void model_say_bulk(struct sim_conn *c, struct slice s) {
    char t[40];
    snprintf(t, sizeof(t), "$%zu\r\n", s.n);
    model_say(c, t);
    sim_peer_send(c, s);
    model_say(c, "\r\n");
}

static void say_value(struct model *m, struct sim_conn *c, struct slice key) {
    uint8_t *v;
    size_t n;
    uint32_t flags;
    model_touched(m, key);
    if (!model_get(m, key, &v, &n, &flags)) {
        model_say(c, "$-1\r\n");
        return;
    }
    model_say_bulk(c, slice(v, n));
    mem_free(v);
}

/* ---- Redis requests ---- */

size_t model_read_request(struct slice in, struct slice *args, uint32_t *nargs) {
    size_t pos = 0;
    uint64_t want = 0, n = 0;
    *nargs = 0;
    while (pos < in.n) {
        const uint8_t *lf = memchr(in.p + pos, '\n', in.n - pos);
        if (lf == NULL) {
            return 0;
        }
        size_t end = (size_t)(lf - in.p);
        char lead = want == 0 ? '*' : '$';
        if (end < pos + 3 || in.p[end - 1] != '\r' || in.p[pos] != lead ||
            !num_u64(slice(in.p + pos + 1, end - pos - 2), &n)) {
            sim_fail("a server received a broken frame: %.*s", (int)(in.n < 200 ? in.n : 200), (const char *)in.p);
        }
        pos = end + 1;
        if (want == 0) {
            want = n;
            continue;
        }
        if (in.n < pos + n + 2) {
            return 0;
        }
        if (in.p[pos + n] != '\r' || in.p[pos + n + 1] != '\n' || *nargs >= MODEL_ARGS_MAX) {
            sim_fail("a server received a broken argument");
        }
        args[(*nargs)++] = slice(in.p + pos, n);
        pos += n + 2;
        if (*nargs == want) {
            return pos;
        }
    }
    return 0;
}

static void count_keys(struct model *m, struct sim_conn *c, const struct slice *a, uint32_t n) {
    int64_t sum = 0;
    bool del = slice_ieq(a[0], slice_str("del")) || slice_ieq(a[0], slice_str("unlink"));
    for (uint32_t i = 1; i < n; i++) {
        model_touched(m, a[i]);
        sum += slice_starts(a[i], "u:") || (del ? model_del(m, a[i]) : model_find(m, a[i]) != NULL);
    }
    model_say_int(c, sum);
}

static bool word(struct slice a, const char *s) {
    return slice_ieq(a, slice_str(s));
}

static void incr(struct model *m, struct sim_conn *c, struct slice key) {
    struct model_key *k = model_find(m, key);
    int64_t v = 0;
    model_touched(m, key);
    if (k != NULL && !num_i64(slice(k->value, k->value_len), &v)) {
        model_say(c, "-ERR value is not an integer or out of range\r\n");
        return;
    }
    char t[32];
    int n = snprintf(t, sizeof(t), "%lld", (long long)++v);
    model_put(m, key, slice(t, (size_t)n), 0);
    model_say_int(c, v);
}

static void serve_keys(struct model *m, struct sim_conn *c, const struct slice *a, uint32_t n) {
    if (word(a[0], "get") && n == 2) {
        say_value(m, c, a[1]);
    } else if (word(a[0], "set") && n >= 3) {
        model_touched(m, a[1]);
        model_put(m, a[1], a[2], 0);
        model_say(c, "+OK\r\n");
    } else if (word(a[0], "mget") && n >= 2) {
        char t[32];
        snprintf(t, sizeof(t), "*%u\r\n", n - 1);
        model_say(c, t);
        for (uint32_t i = 1; i < n; i++) {
            say_value(m, c, a[i]);
        }
    } else if (word(a[0], "mset") && n >= 3 && n % 2 == 1) {
        for (uint32_t i = 1; i < n; i += 2) {
            model_touched(m, a[i]);
            model_put(m, a[i], a[i + 1], 0);
        }
        model_say(c, "+OK\r\n");
    } else if ((word(a[0], "del") || word(a[0], "unlink") || word(a[0], "exists") || word(a[0], "touch")) && n >= 2) {
        count_keys(m, c, a, n);
    } else if (word(a[0], "incr") && n == 2) {
        incr(m, c, a[1]);
    } else if (word(a[0], "info")) {
        model_say(c, "$36\r\nredis_version:7.0.15\r\nrun_id:model\r\n\r\n");
    } else if (word(a[0], "command")) {
        model_say(c, "*1\r\n*6\r\n$5\r\nx.get\r\n:2\r\n*1\r\n+readonly\r\n:1\r\n:1\r\n:1\r\n");
    } else {
        model_say(c, "-ERR the model does not know this command\r\n");
    }
}

/* ---- scripts ---- */

const char *const model_scripts[MODEL_SCRIPTS] = {"return 'get'", "return 'set' -- with one argument", "return 'incr'"};

void model_digest(uint32_t script, char hex[MODEL_DIGEST]) {
    uint8_t digest[SHA1_LEN];
    sha1(slice_str(model_scripts[script]), digest);
    for (size_t i = 0; i < SHA1_LEN; i++) {
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
}

void model_forget_scripts(struct model *m) {
    memset(m->has_script, 0, sizeof m->has_script);
}

/* By its body or its digest; MODEL_SCRIPTS: none. */
static uint32_t find_script(struct slice s) {
    char hex[MODEL_DIGEST];
    uint32_t i = 0;
    for (; i < MODEL_SCRIPTS; i++) {
        model_digest(i, hex);
        if (slice_is(s, model_scripts[i]) || slice_is(s, hex)) {
            break;
        }
    }
    return i;
}

/* EVAL and EVALSHA of one key, SCRIPT LOAD and FLUSH. */
static void serve_script(struct model *m, struct sim_conn *c, const struct slice *a, uint32_t n) {
    char hex[MODEL_DIGEST];
    bool script = word(a[0], "script"), load = script && n == 3 && word(a[1], "load");
    uint32_t i = find_script(a[load ? 2 : 1]);
    if (script && !load) {
        model_forget_scripts(m);
        model_say(c, "+OK\r\n");
        return;
    }
    if (i == MODEL_SCRIPTS) {
        sim_fail("a script that nobody sent");
    }
    if (load) {
        m->has_script[i] = true;
        model_digest(i, hex);
        model_say_bulk(c, slice_str(hex));
        return;
    }
    m->has_script[i] = m->has_script[i] || word(a[0], "eval");
    if (!m->has_script[i]) {
        model_say(c, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
        return;
    }
    const struct slice plain[] = {slice_str((const char *[]){"get", "set", "incr"}[i]), a[3], n > 4 ? a[4] : a[3]};
    serve_keys(m, c, plain, n - 2);
}

void model_serve_redis(struct model *m, struct model_conn *mc, struct sim_conn *c, struct slice raw, const struct slice *a,
                       uint32_t n) {
    uint64_t db;
    if (word(a[0], "auth") && n >= 2) {
        mc->authed = m->opts.password != NULL && slice_is(a[n - 1], m->opts.password);
        model_say(c, mc->authed ? "+OK\r\n" : "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    } else if (word(a[0], "hello")) {
        model_hello(m, mc, c, a, n);
    } else if (m->opts.password != NULL && !mc->authed) {
        model_say(c, "-NOAUTH Authentication required.\r\n");
    } else if (word(a[0], "ping") && n == 1) {
        model_say(c, "+PONG\r\n");
    } else if (word(a[0], "wait") && n == 3) {
        model_say(c, ":0\r\n");
    } else if (word(a[0], "select") && n == 2 && num_u64(a[1], &db)) {
        mc->db = (uint32_t)db;
        model_say(c, "+OK\r\n");
    } else {
        if (mc->db != m->opts.db && mc->db != m->opts.other_db) {
            sim_fail("a request for database %u came to a connection with database %u", m->opts.db, mc->db);
        }
        bool script = word(a[0], "script") || word(a[0], "eval") || word(a[0], "evalsha");
        if (script) {
            serve_script(m, c, a, n);
        } else if (model_serve_listen(m, mc, c, a, n)) {
            return;
        } else if (!model_serve_more(m, mc, c, raw, a, n)) {
            serve_keys(m, c, a, n);
        }
    }
}

uint32_t model_serve(struct model *m, struct model_conn *mc, struct sim_conn *c, uint32_t max) {
    static struct slice args[MODEL_ARGS_MAX];
    uint32_t done = 0, nargs;
    m->serving = mc;
    if (model_waits(mc)) {
        return model_wait_ends(m, mc, c);
    }
    for (; done < max && !model_waits(mc); done++) {
        struct slice in = sim_peer_in(c);
        size_t used = 0;
        if (in.n > 0 && m->opts.kind == MODEL_REDIS) {
            used = model_read_request(in, args, &nargs);
            if (used > 0) {
                model_serve_redis(m, mc, c, slice(in.p, used), args, nargs);
            }
        } else if (in.n > 0) {
            used = model_mc_serve(m, c, in);
        }
        if (used == 0) {
            break;
        }
        sim_peer_take(c, used);
        mc->served++;
    }
    return done;
}
