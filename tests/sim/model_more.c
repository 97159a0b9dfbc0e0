/* model_more.c: what of Redis needs a state of the connection or more than one value: transactions, WATCH, lists that are waited
 * for, HELLO; and sets and SCAN pages that are made of their names. */
#include "base/mem.h"
#include "base/num.h"
#include "model_int.h"

#include <stdio.h>
#include <stdlib.h>

#define WATCH_MAX 8
#define PAGE_CURSOR "77"

struct watched {
    uint8_t *key;
    size_t len;
    uint64_t cas;
};

/* A connection's, made when it is needed. */
struct model_more {
    bool multi, running; /* between MULTI and EXEC; while EXEC carries out */
    uint8_t *queued;     /* whole requests, one behind the other */
    size_t queued_n;
    uint32_t count;
    struct watched watched[WATCH_MAX];
    uint32_t nwatched;
    uint8_t *waits; /* keys that a pop waits for, each with its length in front */
    size_t waits_n;
    int64_t until;
};

static struct model_more *more_of(struct model_conn *mc) {
    if (mc->more == NULL) {
        mc->more = mem_zalloc(sizeof(*mc->more));
    }
    return mc->more;
}

static void unwatch(struct model_more *s) {
    while (s->nwatched > 0) {
        mem_free(s->watched[--s->nwatched].key);
    }
}

static void forget_queued(struct model_more *s) {
    mem_free(s->queued);
    s->queued = NULL;
    s->queued_n = s->count = 0;
    s->multi = false;
}

static void stop_waiting(struct model_more *s) {
    mem_free(s->waits);
    s->waits = NULL;
    s->waits_n = 0;
}

void model_conn_fini(struct model_conn *mc) {
    if (mc->more != NULL) {
        unwatch(mc->more);
        forget_queued(mc->more);
        stop_waiting(mc->more);
        mem_free(mc->more);
    }
    *mc = (struct model_conn){0};
}

bool model_in_exec(const struct model_conn *mc) {
    return mc->more != NULL && mc->more->running;
}

static bool word(struct slice a, const char *s) {
    return slice_ieq(a, slice_str(s));
}

static const char *nil_array(const struct model_conn *mc) {
    return mc->version == 3 ? "_\r\n" : "*-1\r\n";
}

static void append(uint8_t **to, size_t *n, struct slice s) {
    *to = mem_realloc(*to, *n + s.n + 1);
    memcpy(*to + *n, s.p, s.n);
    *n += s.n;
}

/* ---- transactions ---- */

static uint64_t cas_of(struct model *m, struct slice key) {
    const struct model_key *k = model_find(m, key);
    return k != NULL ? k->cas : 0;
}

static void watch(struct model *m, struct model_more *s, struct sim_conn *c, const struct slice *a, uint32_t n) {
    for (uint32_t i = 1; i < n && s->nwatched < WATCH_MAX; i++) {
        struct watched *w = &s->watched[s->nwatched++];
        size_t len = 0;
        w->key = NULL;
        append(&w->key, &len, a[i]);
        w->len = len;
        w->cas = cas_of(m, a[i]);
    }
    model_say(c, "+OK\r\n");
}

static bool changed(struct model *m, const struct model_more *s) {
    for (uint32_t i = 0; i < s->nwatched; i++) {
        const struct watched *w = &s->watched[i];
        if (cas_of(m, slice(w->key, w->len)) != w->cas) {
            return true;
        }
    }
    return false;
}

static void exec(struct model *m, struct model_conn *mc, struct sim_conn *c) {
    struct model_more *s = mc->more;
    struct slice args[MODEL_ARGS_MAX];
    uint32_t n;
    char t[32];
    bool nil = changed(m, s);
    unwatch(s);
    s->multi = false;
    if (nil) {
        model_say(c, nil_array(mc));
    } else {
        snprintf(t, sizeof(t), "*%u\r\n", s->count);
        model_say(c, t);
        s->running = true;
        for (size_t pos = 0; pos < s->queued_n;) {
            pos += model_read_request(slice(s->queued + pos, s->queued_n - pos), args, &n);
            model_serve_redis(m, mc, c, slice(NULL, 0), args, n);
        }
        s->running = false;
    }
    forget_queued(s);
    mc->mark = 0;
}

/* MULTI and what follows it. False: an ordinary request. */
static bool serve_txn(struct model *m, struct model_conn *mc, struct sim_conn *c, struct slice raw, const struct slice *a,
                      uint32_t n) {
    struct model_more *s = mc->more;
    if (s != NULL && s->running) {
        return false;
    }
    bool multi = s != NULL && s->multi;
    if (word(a[0], "multi") && n == 1) {
        if (multi) {
            sim_fail("a server received MULTI inside MULTI");
        }
        more_of(mc)->multi = true;
        model_say(c, "+OK\r\n");
    } else if (word(a[0], "exec") && n == 1) {
        if (!multi) {
            sim_fail("a server received EXEC without MULTI");
        }
        exec(m, mc, c);
    } else if (multi) {
        append(&s->queued, &s->queued_n, raw);
        s->count++;
        model_say(c, "+QUEUED\r\n");
    } else if (word(a[0], "watch") && n >= 2) {
        watch(m, more_of(mc), c, a, n);
    } else if (word(a[0], "unwatch") && n == 1) {
        unwatch(more_of(mc));
        model_say(c, "+OK\r\n");
    } else {
        return false;
    }
    return true;
}

/* ---- lists: elements have a line each ---- */

static void push(struct model *m, struct sim_conn *c, struct slice key, struct slice element) {
    struct model_key *k = model_find(m, key);
    uint8_t *v = NULL;
    size_t n = 0;
    int64_t count = 0;
    if (k != NULL) {
        append(&v, &n, slice(k->value, k->value_len));
    }
    append(&v, &n, element);
    append(&v, &n, slice_str("\n"));
    for (size_t i = 0; i < n; i++) {
        count += v[i] == '\n';
    }
    model_put(m, key, slice(v, n), 0);
    mem_free(v);
    model_touched(m, element);
    model_say_int(c, count);
}

/* The first element of a list as the answer of a pop; false: there is none. */
static bool pop(struct model *m, struct sim_conn *c, struct slice key) {
    struct model_key *k = model_find(m, key);
    if (k == NULL || k->value_len == 0) {
        return false;
    }
    uint8_t *v = NULL;
    size_t n = 0;
    append(&v, &n, slice(k->value, k->value_len));
    size_t end = (size_t)((uint8_t *)memchr(v, '\n', n) - v);
    model_say(c, "*2\r\n");
    model_say_bulk(c, key);
    model_say_bulk(c, slice(v, end));
    if (m->opts.on_pop != NULL) {
        m->opts.on_pop(m->opts.ctx, slice(v, end));
    }
    if (end + 1 == n) {
        model_del(m, key);
    } else {
        model_put(m, key, slice(v + end + 1, n - end - 1), 0);
    }
    mem_free(v);
    return true;
}

static void blpop(struct model *m, struct model_conn *mc, struct sim_conn *c, const struct slice *a, uint32_t n) {
    for (uint32_t i = 1; i + 1 < n; i++) {
        if (pop(m, c, a[i])) {
            return;
        }
    }
    struct model_more *s = more_of(mc);
    if (s->running) {
        model_say(c, nil_array(mc));
        return;
    }
    char t[32];
    snprintf(t, sizeof(t), "%.*s", (int)min_size(a[n - 1].n, 31), (const char *)a[n - 1].p);
    s->until = sim_now() + (int64_t)(atof(t) * 1e6);
    for (uint32_t i = 1; i + 1 < n; i++) {
        uint8_t len = (uint8_t)a[i].n;
        append(&s->waits, &s->waits_n, slice(&len, 1));
        append(&s->waits, &s->waits_n, a[i]);
    }
}

bool model_waits(const struct model_conn *mc) {
    return mc->more != NULL && mc->more->waits_n > 0;
}

bool model_wait_ends(struct model *m, struct model_conn *mc, struct sim_conn *c) {
    struct model_more *s = mc->more;
    bool done = false;
    if (sim_peer_in(c).n > 0) {
        sim_fail("a server received a request behind one that waits");
    }
    for (size_t pos = 0; pos < s->waits_n && !done; pos += 1u + s->waits[pos]) {
        done = pop(m, c, slice(s->waits + pos + 1, s->waits[pos]));
    }
    if (!done && sim_now() >= s->until) {
        model_say(c, nil_array(mc));
        done = true;
    }
    if (done) {
        stop_waiting(s);
    }
    return done;
}

/* ---- made of their names ---- */

/* "s:ANYTHING:N" has the members "s:ANYTHING:N/0" .. "/N-1". */
static uint32_t set_size(struct slice key) {
    return key.n > 2 && slice_starts(key, "s:") ? (uint32_t)(key.p[key.n - 1] - '0') : 0;
}

static void say_members(struct sim_conn *c, struct slice key) {
    char t[80];
    for (uint32_t i = 0; i < set_size(key); i++) {
        int n = snprintf(t, sizeof(t), "%.*s/%u", (int)min_size(key.n, 64), (const char *)key.p, i);
        model_say_bulk(c, slice(t, (size_t)n));
    }
}

/* Sets of different names have nothing in common. */
static void algebra(struct model *m, const struct model_conn *mc, struct sim_conn *c, const struct slice *a, uint32_t n) {
    bool all = word(a[0], "sunion"), none = word(a[0], "sinter") && n > 2;
    uint32_t sum = 0;
    char t[32];
    for (uint32_t i = 1; i < n; i++) {
        model_touched(m, a[i]);
        sum += none || (!all && i > 1) ? 0 : set_size(a[i]);
    }
    snprintf(t, sizeof(t), "%c%u\r\n", mc->version == 3 ? '~' : '*', sum);
    model_say(c, t);
    for (uint32_t i = 1; i < n && !none && (all || i == 1); i++) {
        say_members(c, a[i]);
    }
}

/* Two pages; the pattern is the only key in it. */
static void scan(struct model *m, struct sim_conn *c, const struct slice *a, uint32_t n) {
    struct slice pattern = slice(NULL, 0);
    for (uint32_t i = 2; i + 1 < n; i += 2) {
        pattern = word(a[i], "match") ? a[i + 1] : pattern;
    }
    if (!slice_is(a[1], "0") && !slice_is(a[1], PAGE_CURSOR)) {
        sim_fail("a server received a cursor that is not its own: %.*s", (int)a[1].n, (const char *)a[1].p);
    }
    model_touched(m, pattern);
    model_say(c, slice_is(a[1], "0") ? "*2\r\n$2\r\n" PAGE_CURSOR "\r\n*1\r\n" : "*2\r\n$1\r\n0\r\n*1\r\n");
    model_say_bulk(c, pattern);
}

void model_hello(struct model *m, struct model_conn *mc, struct sim_conn *c, const struct slice *a, uint32_t n) {
    if (n >= 5 && word(a[2], "auth")) {
        mc->authed = m->opts.password != NULL && slice_is(a[4], m->opts.password);
    }
    if (m->opts.password != NULL && !mc->authed) {
        model_say(c, "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
        return;
    }
    mc->version = n > 1 && slice_is(a[1], "3") ? 3 : 2;
    model_say(c, mc->version == 3 ? "%1\r\n$5\r\nproto\r\n:3\r\n" : "*2\r\n$5\r\nproto\r\n:2\r\n");
}

bool model_serve_more(struct model *m, struct model_conn *mc, struct sim_conn *c, struct slice raw, const struct slice *a,
                      uint32_t n) {
    if (serve_txn(m, mc, c, raw, a, n)) {
        return true;
    }
    if (word(a[0], "rpush") && n == 3) {
        push(m, c, a[1], a[2]);
    } else if (word(a[0], "blpop") && n >= 3) {
        blpop(m, mc, c, a, n);
    } else if ((word(a[0], "sunion") || word(a[0], "sdiff") || word(a[0], "sinter")) && n >= 2) {
        algebra(m, mc, c, a, n);
    } else if (word(a[0], "scan") && n >= 2) {
        scan(m, c, a, n);
    } else if (word(a[0], "dbsize") && n == 1) {
        model_say(c, ":1\r\n");
    } else {
        return false;
    }
    return true;
}
