/* script_run.c: carries out a scenario's statements. After each the world runs until nobody moves any more. */
#include "base/mem.h"
#include "base/num.h"
#include "model.h"
#include "script.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ACTORS_MAX 512
#define CONNS_MAX 256

struct actor {
    char name[24];
    /* a server */
    struct addr addr;
    enum sim_answer answer;
    int64_t delay;
    struct model *model;
    uint32_t accepted;
    struct sim_conn *conns[CONNS_MAX]; /* a client: only the first */
    struct model_conn model_conns[CONNS_MAX];
};

struct seen { /* the value of a metric when it was last looked at */
    char name[96];
    int64_t value;
};

struct run {
    const struct script *script;
    struct world *world;
    struct actor *clients[ACTORS_MAX], *servers[ACTORS_MAX];
    uint32_t nclients, nservers;
    struct seen seen[256];
    uint32_t nseen, line;
    bool together, verbose;
    struct line *l;
};

/* ---- failures ---- */

static void print_quoted(struct slice s) {
    fputc('"', stderr);
    for (size_t i = 0; i < s.n && i < 400; i++) {
        uint8_t c = s.p[i];
        if (c == '\r' || c == '\n') {
            fputs(c == '\r' ? "\\r" : "\\n", stderr);
        } else if (c < 0x20 || c >= 0x7f || c == '"' || c == '\\') {
            fprintf(stderr, "\\x%02x", c);
        } else {
            fputc(c, stderr);
        }
    }
    fprintf(stderr, "\"%s (%zu bytes)\n", s.n > 400 ? "..." : "", s.n);
}

static _Noreturn void give_up(struct run *r) {
    const char *log = r->world != NULL ? world_log(r->world) : "";
    size_t n = strlen(log);
    fprintf(stderr, "time %.3f s, log:\n%s", (double)sim_now() / 1e6, n > 6000 ? log + n - 6000 : log);
    fflush(stderr);
    _exit(1);
}

static _Noreturn void fail(struct run *r, const char *what) {
    fprintf(stderr, "%s:%u: %s [%s]\n", r->script->path, r->line + 1, what, sim_title_get());
    give_up(r);
}

static _Noreturn void fail_bytes(struct run *r, const char *what, struct slice want, struct slice got) {
    fprintf(stderr, "%s:%u: %s [%s]\n  expected ", r->script->path, r->line + 1, what, sim_title_get());
    print_quoted(want);
    fputs("  actual   ", stderr);
    print_quoted(got);
    give_up(r);
}

/* ---- actors ---- */

static const char *word(struct run *r, uint32_t i) {
    if (i >= r->l->n) {
        fail(r, "something is missing at the end of this line");
    }
    return (const char *)r->l->t[i].s.p;
}

static int64_t number(struct run *r, uint32_t i) {
    int64_t v;
    if (!num_i64(slice_str(word(r, i)), &v)) {
        fail(r, "a number is expected");
    }
    return v;
}

static int64_t duration(struct run *r, uint32_t i) {
    char *unit;
    double v = strtod(word(r, i), &unit);
    if (strcmp(unit, "ms") == 0) {
        return (int64_t)(v * 1e3);
    }
    if (strcmp(unit, "s") == 0) {
        return (int64_t)(v * 1e6);
    }
    if (strcmp(unit, "us") != 0) {
        fail(r, "a time is a number and us, ms or s");
    }
    return (int64_t)v;
}

static bool parse_addr(const char *text, struct addr *a) {
    if (text[0] == '/') {
        return addr_unix(a, slice_str(text));
    }
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    if (colon != NULL && !num_u64(slice_str(colon + 1), &port)) {
        return false;
    }
    size_t n = colon != NULL ? (size_t)(colon - text) : strlen(text);
    return addr_ip(a, slice(text, n), (uint16_t)port);
}

static struct actor *actor(struct actor **v, uint32_t *n, const char *name, size_t len, bool make) {
    for (uint32_t i = 0; i < *n; i++) {
        if (strlen(v[i]->name) == len && memcmp(v[i]->name, name, len) == 0) {
            return v[i];
        }
    }
    if (!make || *n == ACTORS_MAX || len >= sizeof(v[0]->name)) {
        return NULL;
    }
    struct actor *a = mem_zalloc(sizeof(*a));
    memcpy(a->name, name, len);
    v[(*n)++] = a;
    return a;
}

static enum sim_answer on_connect(void *ctx, const struct addr *addr, int64_t *delay) {
    struct run *r = ctx;
    for (uint32_t i = 0; i < r->nservers; i++) {
        if (addr_eq(&r->servers[i]->addr, addr)) {
            *delay = r->servers[i]->delay;
            return r->servers[i]->answer;
        }
    }
    return SIM_REFUSE;
}

static void on_open(void *ctx, const struct addr *addr, struct sim_conn *c) {
    struct run *r = ctx;
    for (uint32_t i = 0; i < r->nservers; i++) {
        struct actor *a = r->servers[i];
        if (addr_eq(&a->addr, addr)) {
            if (a->accepted == CONNS_MAX) {
                fail(r, "too many connections to this server");
            }
            a->conns[a->accepted++] = c;
            return;
        }
    }
}

static bool models(void *ctx) {
    struct run *r = ctx;
    bool moved = false;
    for (uint32_t i = 0; i < r->nservers; i++) {
        struct actor *a = r->servers[i];
        for (uint32_t k = 0; a->model != NULL && k < a->accepted; k++) {
            if (a->conns[k] == NULL) {
                continue;
            }
            moved |= model_serve(a->model, &a->model_conns[k], a->conns[k], 100) > 0;
            if (sim_peer_eof(a->conns[k])) {
                sim_peer_free(&a->conns[k]);
            }
        }
    }
    return moved;
}

/* ---- bytes of one connection ---- */

static struct slice joined(struct run *r, uint32_t from, uint32_t *next, uint8_t **store) {
    size_t n = 0;
    for (*next = from; *next < r->l->n && r->l->t[*next].quoted; ++*next) {
        n += r->l->t[*next].s.n;
    }
    if (*next == from) {
        fail(r, "a string is expected");
    }
    *store = mem_alloc(n + 1);
    size_t at = 0;
    for (uint32_t i = from; i < *next; i++) {
        memcpy(*store + at, r->l->t[i].s.p, r->l->t[i].s.n);
        at += r->l->t[i].s.n;
    }
    return slice(*store, n);
}

static void end_of(struct run *r, struct sim_conn *c, uint32_t i) {
    if (token_is(r->l, i, "fin")) {
        sim_peer_fin(c);
    } else if (token_is(r->l, i, "reset")) {
        sim_peer_reset(c);
    } else if (token_is(r->l, i, "close")) {
        sim_peer_close(c);
    } else {
        fail(r, "unknown word");
    }
}

static void expect(struct run *r, struct sim_conn *c, uint32_t i) {
    uint8_t *store;
    uint32_t next;
    struct slice want = joined(r, i, &next, &store), got = sim_peer_in(c);
    if (got.n < want.n || memcmp(got.p, want.p, want.n) != 0) {
        fail_bytes(r, "other bytes than expected", want, got.n < want.n + 100 ? got : slice(got.p, want.n + 100));
    }
    sim_peer_take(c, want.n);
    mem_free(store);
}

/* One line that begins like this. */
static void expect_line(struct run *r, struct sim_conn *c, uint32_t i) {
    uint8_t *store;
    uint32_t next;
    struct slice want = joined(r, i, &next, &store), got = sim_peer_in(c);
    const uint8_t *lf = got.n > 0 ? memchr(got.p, '\n', got.n) : NULL;
    if (lf == NULL || got.n < want.n || memcmp(got.p, want.p, want.n) != 0) {
        fail_bytes(r, "another line than expected", want, got);
    }
    sim_peer_take(c, (size_t)(lf - got.p) + 1);
    mem_free(store);
}

static void do_bytes(struct run *r, struct sim_conn *c, uint32_t i) {
    if (token_is(r->l, i, ">>>")) {
        uint8_t *store;
        uint32_t next;
        struct slice s = joined(r, i + 1, &next, &store);
        sim_peer_send(c, s);
        mem_free(store);
        if (next < r->l->n) {
            end_of(r, c, next);
        }
    } else if (token_is(r->l, i, "<<<")) {
        expect(r, c, i + 1);
    } else if (token_is(r->l, i, "<<<~")) {
        expect_line(r, c, i + 1);
    } else if (token_is(r->l, i, "skip")) {
        size_t n = (size_t)number(r, i + 1);
        if (sim_peer_in(c).n < n) {
            fail_bytes(r, "fewer bytes than to be skipped", slice_str(word(r, i + 1)), sim_peer_in(c));
        }
        sim_peer_take(c, n);
    } else if (token_is(r->l, i, "idle")) {
        if (sim_peer_in(c).n > 0 || sim_peer_eof(c)) {
            fail_bytes(r, sim_peer_eof(c) ? "closed, not idle" : "not idle", slice_str(""), sim_peer_in(c));
        }
    } else if (token_is(r->l, i, "closed")) {
        if (sim_peer_in(c).n > 0 || !sim_peer_eof(c)) {
            fail_bytes(r, sim_peer_in(c).n > 0 ? "bytes instead of the end" : "not closed", slice_str(""), sim_peer_in(c));
        }
    } else if (token_is(r->l, i, "window")) {
        sim_peer_window(c, (size_t)number(r, i + 1));
    } else {
        end_of(r, c, i);
    }
}

/* ---- statements ---- */

static void do_client(struct run *r) {
    const char *name = word(r, 1);
    if (token_is(r->l, 2, "connect")) {
        struct actor *a = actor(r->clients, &r->nclients, name, strlen(name), true);
        int which = -1;
        const char *pool = NULL, *from = NULL;
        bool refused = false;
        for (uint32_t i = 3; i < r->l->n; i++) {
            if (token_is(r->l, i, "worker")) {
                which = (int)number(r, ++i);
            } else if (token_is(r->l, i, "from")) {
                from = word(r, ++i);
            } else if (token_is(r->l, i, "refused")) {
                refused = true;
            } else {
                pool = word(r, i);
            }
        }
        const struct addr *to = world_listen(r->world, pool);
        sim_peer_free(&a->conns[0]);
        a->conns[0] = to != NULL ? sim_connect(to, which) : NULL;
        if (refused != (a->conns[0] == NULL)) {
            fail(r, refused ? "somebody listens there" : "nobody listens there");
        }
        if (from != NULL) {
            sim_peer_from(a->conns[0], from);
        }
        return;
    }
    struct actor *a = actor(r->clients, &r->nclients, name, strlen(name), false);
    if (a == NULL || a->conns[0] == NULL) {
        fail(r, "this client is not connected");
    }
    do_bytes(r, a->conns[0], 2);
}

static void make_model(struct run *r, struct actor *a, uint32_t i) {
    struct model_opts o = {.kind = token_is(r->l, i, "memcached") ? MODEL_MEMCACHED : MODEL_REDIS};
    a->model = model_new(&o);
}

/* Words that set up a server; the return value says that there were some. */
static bool set_up_server(struct run *r, struct actor *a) {
    uint32_t i = 2;
    for (; i < r->l->n; i++) {
        if (token_is(r->l, i, "at")) {
            if (!parse_addr(word(r, ++i), &a->addr)) {
                fail(r, "not an address");
            }
        } else if (token_is(r->l, i, "accept")) {
            a->answer = SIM_ACCEPT;
        } else if (token_is(r->l, i, "refuse")) {
            a->answer = SIM_REFUSE;
        } else if (token_is(r->l, i, "absent")) {
            a->answer = SIM_ABSENT;
        } else if (token_is(r->l, i, "silent")) {
            a->answer = SIM_SILENT;
        } else if (token_is(r->l, i, "delay")) {
            a->delay = duration(r, ++i);
        } else if (token_is(r->l, i, "model")) {
            make_model(r, a, ++i);
        } else {
            break;
        }
    }
    return i > 2;
}

static void do_server(struct run *r) {
    const char *name = word(r, 1), *hash = strchr(name, '#');
    size_t len = hash != NULL ? (size_t)(hash - name) : strlen(name);
    bool make = token_is(r->l, 2, "at");
    struct actor *a = actor(r->servers, &r->nservers, name, len, make);
    if (a == NULL) {
        fail(r, "no such server");
    }
    if (set_up_server(r, a)) {
        return;
    }
    if (token_is(r->l, 2, "accepted")) {
        if (a->accepted != (uint32_t)number(r, 3)) {
            fprintf(stderr, "  %u connections so far\n", a->accepted);
            fail(r, "another number of connections to this server");
        }
        return;
    }
    uint32_t k = hash != NULL ? (uint32_t)atoi(hash + 1) : a->accepted;
    if (k < 1 || k > a->accepted || a->conns[k - 1] == NULL) {
        fail(r, "this server has no such connection");
    }
    do_bytes(r, a->conns[k - 1], 2);
}

static void do_resolve(struct run *r) {
    struct addr addrs[16];
    unsigned n = 0;
    if (token_is(r->l, 2, "pending")) {
        sim_name_pending(word(r, 1));
        return;
    }
    for (uint32_t i = token_is(r->l, 2, "->") ? 3 : 2; i < r->l->n && !token_is(r->l, i, "fails"); i++) {
        if (n == ARRAY_LEN(addrs) || !parse_addr(word(r, i), &addrs[n++])) {
            fail(r, "not an address");
        }
    }
    sim_name(word(r, 1), addrs, n, 60);
}

static int64_t *seen(struct run *r, const char *name) {
    for (uint32_t i = 0; i < r->nseen; i++) {
        if (strcmp(r->seen[i].name, name) == 0) {
            return &r->seen[i].value;
        }
    }
    if (r->nseen == ARRAY_LEN(r->seen)) {
        fail(r, "too many metrics");
    }
    snprintf(r->seen[r->nseen].name, sizeof(r->seen[0].name), "%.95s", name);
    return &r->seen[r->nseen++].value;
}

/* "metric POOL[/SERVER] NAME +1, NAME = 3, NAME >= 2" */
static void do_metric(struct run *r) {
    char pool[64];
    snprintf(pool, sizeof(pool), "%s", word(r, 1));
    char *server = strchr(pool, '/');
    if (server != NULL) {
        *server++ = 0;
    }
    for (uint32_t i = 2; i < r->l->n;) {
        char key[160];
        const char *name = word(r, i), *op = word(r, i + 1);
        snprintf(key, sizeof(key), "%s %s", word(r, 1), name);
        int64_t value, want, *last = seen(r, key);
        if (!world_metric(r->world, strcmp(pool, "worker") == 0 ? NULL : pool, server, name, &value)) {
            fail(r, "no such metric");
        }
        bool plus = op[0] == '+';
        want = plus ? strtol(op + 1, NULL, 10) + *last : strtol(word(r, i + 2), NULL, 10);
        bool ok = strcmp(op, ">=") == 0 ? value >= want : strcmp(op, "<=") == 0 ? value <= want : value == want;
        if (!ok) {
            fprintf(stderr, "  %s: expected %s %lld, actual %lld\n", key, plus ? "=" : op, (long long)want, (long long)value);
            fail(r, "a metric has another value");
        }
        *last = value;
        i += plus ? 2 : 3;
    }
}

static void do_log(struct run *r) {
    bool not = token_is(r->l, 1, "not");
    if ((strstr(world_log(r->world), word(r, not ? 2 : 1)) != NULL) == not) {
        fail(r, not ? "this was logged" : "this was not logged");
    }
}

/* "reload NAME [refused]" */
static void do_reload(struct run *r) {
    const struct script_config first = {.text = r->script->config, .len = r->script->config_len};
    const struct script_config *c = token_is(r->l, 1, "first") ? &first : r->script->others;
    while (c != NULL && c != &first && strcmp(c->name, word(r, 1)) != 0) {
        c = c->next;
    }
    if (c == NULL) {
        fail(r, "no such config");
    }
    bool refused = token_is(r->l, 2, "refused");
    if (world_reload(r->world, slice(c->text, c->len)) == refused) {
        fail(r, refused ? "the configuration was taken" : "the configuration was not taken");
    }
}

static void do_statement(struct run *r) {
    if (token_is(r->l, 0, "client")) {
        do_client(r);
    } else if (token_is(r->l, 0, "server")) {
        do_server(r);
    } else if (token_is(r->l, 0, "advance")) {
        world_advance(r->world, duration(r, 1));
    } else if (token_is(r->l, 0, "metric")) {
        do_metric(r);
    } else if (token_is(r->l, 0, "log")) {
        do_log(r);
    } else if (token_is(r->l, 0, "resolve")) {
        do_resolve(r);
    } else if (token_is(r->l, 0, "reload")) {
        do_reload(r);
    } else if (token_is(r->l, 0, "drain")) {
        world_drain(r->world);
    } else if (token_is(r->l, 0, "stopped")) {
        if (!world_stopped(r->world)) {
            fail(r, "the workers have not stopped");
        }
    } else if (token_is(r->l, 0, "buffers")) {
        if (world_buffers(r->world) > (size_t)number(r, 2)) {
            fprintf(stderr, "  %zu bytes of buffers\n", world_buffers(r->world));
            fail(r, "more bytes of buffers");
        }
    } else {
        fail(r, "unknown statement");
    }
}

static uint32_t block_end(struct run *r, uint32_t i) {
    uint32_t deep = 0;
    for (; i < r->script->n; i++) {
        const char *p = r->script->lines[i] + strspn(r->script->lines[i], " \t");
        if (strncmp(p, "repeat ", 7) == 0 || strcmp(p, "together") == 0) {
            deep++;
        } else if (strcmp(p, "end") == 0 && --deep == 0) {
            return i;
        }
    }
    fail(r, "a block without end");
}

static void run_lines(struct run *r, uint32_t from, uint32_t to, const struct script_var *up) {
    for (uint32_t i = from; i < to; i++) {
        struct line l;
        script_tokens(r->script, i, up, &l);
        r->line = i;
        r->l = &l;
        if (l.n == 0) {
            line_free(&l);
            continue;
        }
        if (r->verbose) {
            fprintf(stderr, "%.3f %s:%u %s\n", (double)sim_now() / 1e6, r->script->path, i + 1, r->script->lines[i]);
        }
        if (token_is(&l, 0, "repeat")) {
            struct script_var v = {.up = (struct script_var *)up};
            uint32_t times = (uint32_t)number(r, 1), end = block_end(r, i);
            snprintf(v.name, sizeof(v.name), "%s", l.n > 2 ? word(r, 2) : "i");
            for (; v.value < times; v.value++) {
                run_lines(r, i + 1, end, &v);
            }
            i = end;
        } else if (token_is(&l, 0, "together")) {
            bool before = r->together;
            uint32_t end = block_end(r, i);
            r->together = true;
            run_lines(r, i + 1, end, up);
            r->together = before;
            i = end;
        } else {
            do_statement(r);
        }
        line_free(&l);
        if (!r->together) {
            world_settle(r->world);
        }
    }
}

/* Servers and names that stand before the first other statement exist before the proxy starts. */
static uint32_t before_start(struct run *r) {
    uint32_t i = 0;
    for (; i < r->script->n; i++) {
        struct line l;
        const char *p = r->script->lines[i];
        if (*p != 0 && *p != '#' && strncmp(p, "server ", 7) != 0 && strncmp(p, "resolve ", 8) != 0) {
            break;
        }
        script_tokens(r->script, i, NULL, &l);
        r->line = i;
        r->l = &l;
        bool early = l.n == 0 || token_is(&l, 0, "resolve") || token_is(&l, 2, "at");
        if (l.n > 0 && early) {
            token_is(&l, 0, "server") ? do_server(r) : do_resolve(r);
        }
        line_free(&l);
        if (!early) {
            break;
        }
    }
    return i;
}

static void start(void *ctx) {
    struct run *r = ctx;
    r->line = before_start(r);
}

static void finish(struct run *r) {
    struct actor **all[] = {r->clients, r->servers};
    uint32_t n[] = {r->nclients, r->nservers};
    for (uint32_t side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < n[side]; i++) {
            for (uint32_t k = 0; k < CONNS_MAX; k++) {
                sim_peer_free(&all[side][i]->conns[k]);
            }
        }
    }
    world_free(&r->world);
    for (uint32_t side = 0; side < 2; side++) {
        for (uint32_t i = 0; i < n[side]; i++) {
            for (uint32_t k = 0; k < CONNS_MAX; k++) {
                model_conn_fini(&all[side][i]->model_conns[k]);
            }
            model_free(&all[side][i]->model);
            mem_free(all[side][i]);
        }
    }
}

void script_run(const struct script *s, const struct sim_policy *policy, const char *mode, bool verbose) {
    struct run *r = mem_zalloc(sizeof(*r));
    sim_title("%s %s", s->path, mode);
    r->script = s;
    r->verbose = verbose;
    struct world_opts o = {.name = s->path,
                           .config = slice(s->config, s->config_len),
                           .workers = s->workers,
                           .policy = *policy,
                           .servers = {.on_connect = on_connect, .on_open = on_open, .ctx = r},
                           .learns = s->learns,
                           .peers = models,
                           .peers_ctx = r,
                           .before_start = start,
                           .before_ctx = r};
    r->world = world_new(&o);
    run_lines(r, r->line, s->n, NULL);
    finish(r);
    mem_free(r);
}
