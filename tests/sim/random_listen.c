/* random_listen.c: clients that listen to channels, in both versions of the protocol, while others publish. What must hold: answers
 * come in order; a message is heard once at most for each name that it fits, after the name's SUBSCRIBE was answered and before its
 * UNSUBSCRIBE was; messages of one publisher in one channel come in order, unless the publisher read an error; and when all is well,
 * everything is heard. */
#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "random_int.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

#define LISTENERS 4
#define ASKS 64
#define LEAVES 32
#define BOTH_VERSIONS (1u << RND_PROFILE(false, 2) | 1u << RND_PROFILE(false, 3))

enum ask_what { ASK_AUTH, ASK_HELLO, ASK_JOIN, ASK_PART, ASK_PART_ALL, ASK_PING, ASK_GET, ASK_RESET };

struct ask {
    enum ask_what what;
    bool pattern;
    uint32_t n, at;    /* names, and how many of them are answered */
    uint8_t names[3];
    uint32_t id;       /* of a key; of HELLO: the version */
};

struct ear {
    struct sim_conn *conn;
    struct ask asks[ASKS];
    uint32_t first, last;
    uint32_t version, on; /* as of the answers; bits of names */
    bool slow, was_slow;
    uint32_t newest[MODEL_NAMES][MODEL_CHANNELS][RND_CLIENTS]; /* id of the last message by its publisher */
    uint8_t seen[RND_IDS];                                     /* bits of names */
};

struct rnd_listeners {
    uint32_t n;
    struct ear v[LISTENERS];
    uint8_t by[RND_IDS];    /* the publisher */
    bool heard[RND_IDS];    /* its publisher was told so */
    bool overtaken[RND_IDS]; /* a later one came first */
    uint64_t messages;
};

/* One value: its kind and the texts in it. */
struct value {
    char lead;
    uint32_t n;
    struct slice leaf[LEAVES];
    size_t len;
};

static _Noreturn void wrong(struct rnd *r, const struct ear *l, const char *what) {
    struct slice in = sim_peer_in(l->conn);
    const struct ask *a = l->first < l->last ? &l->asks[l->first % ASKS] : NULL;
    sim_fail("listener %u: %s; version %u, listens to %x, waits for %u answers, the first one %d; got %.*s\n%s", (unsigned)(l - r->listen->v), what,
             l->version, l->on, l->last - l->first, a != NULL ? (int)a->what : -1, (int)(in.n < 300 ? in.n : 300), (const char *)in.p,
             world_log(r->world));
}

static enum got read_value(struct slice in, struct value *v) {
    struct reader rd = {.in = in};
    struct slice line;
    *v = (struct value){0};
    for (int64_t left = 1, n = 0; left > 0; left--) {
        if (!rnd_line(&rd, &line)) {
            return GOT_MORE;
        }
        char lead = (char)line.p[0];
        bool counts = strchr("*>~%$", lead) != NULL;
        if (line.n < 3 || strchr("*>~%$+-:_", lead) == NULL || v->n == LEAVES || (counts && !num_i64(slice(line.p + 1, line.n - 3), &n))) {
            return GOT_WRONG;
        }
        v->lead = v->lead == 0 ? lead : v->lead;
        if (lead == '$' && n >= 0) {
            if (rd.in.n < rd.pos + (size_t)n + 2) {
                return GOT_MORE;
            }
            v->leaf[v->n++] = slice(rd.in.p + rd.pos, (size_t)n);
            rd.pos += (size_t)n + 2;
        } else if (!counts || lead == '$') {
            v->leaf[v->n++] = lead == '$' || lead == '_' ? slice(NULL, 0) : slice(line.p + 1, line.n - 3);
        } else if (n > 0) {
            left += lead == '%' ? 2 * n : n;
        }
    }
    v->len = rd.pos;
    return GOT_GOOD;
}

/* ---- asking ---- */

static void send_text(struct ear *l, const char *text) {
    sim_peer_send(l->conn, slice_str(text));
}

static struct ask *add_ask(struct ear *l, enum ask_what what) {
    struct ask *a = &l->asks[l->last++ % ASKS];
    *a = (struct ask){.what = what};
    return a;
}

static void ask_names(struct ear *l, bool join) {
    char t[100];
    struct ask *a = add_ask(l, join ? ASK_JOIN : ASK_PART);
    a->pattern = sim_below(3) == 0;
    a->n = 1 + sim_below(3);
    size_t at = (size_t)snprintf(t, sizeof t, "%s%s", a->pattern ? "P" : "", join ? "SUBSCRIBE" : "UNSUBSCRIBE");
    for (uint32_t i = 0; i < a->n; i++) {
        a->names[i] = (uint8_t)(a->pattern ? MODEL_CHANNELS + sim_below(MODEL_NAMES - MODEL_CHANNELS) : sim_below(MODEL_CHANNELS));
        at += (size_t)snprintf(t + at, sizeof t - at, " %s", model_name(a->names[i]));
    }
    snprintf(t + at, sizeof t - at, "\r\n");
    send_text(l, t);
}

static void ask_get(struct rnd *r, struct ear *l) {
    char key[48], t[100];
    uint32_t id = r->next_id++;
    r->profiles[id] = BOTH_VERSIONS;
    add_ask(l, ASK_GET)->id = id;
    rnd_key(r, id, key, sizeof key);
    snprintf(t, sizeof t, "GET %s\r\n", key);
    send_text(l, t);
}

static void ask_hello(struct ear *l, uint32_t version) {
    char t[32];
    add_ask(l, ASK_HELLO)->id = version;
    snprintf(t, sizeof t, "HELLO %u\r\n", version);
    send_text(l, t);
}

static void ask(struct rnd *r, struct ear *l) {
    if (l->last - l->first + 2 > ASKS || r->next_id + 64 > RND_IDS) {
        return;
    }
    switch (sim_below(10)) {
    case 0:
    case 1:
    case 2:
    case 3:
        ask_names(l, true);
        break;
    case 4:
    case 5:
        ask_names(l, false);
        break;
    case 6:
        send_text(l, "PING\r\n");
        add_ask(l, ASK_PING);
        break;
    case 7:
        ask_get(r, l);
        break;
    case 8:
        ask_hello(l, 2 + sim_below(2));
        break;
    default:
        if (sim_below(2) == 0) {
            struct ask *a = add_ask(l, ASK_PART_ALL);
            a->pattern = sim_below(2) == 0;
            send_text(l, a->pattern ? "PUNSUBSCRIBE\r\n" : "UNSUBSCRIBE\r\n");
        } else if (r->password == NULL) {
            send_text(l, "RESET\r\n");
            add_ask(l, ASK_RESET);
        }
    }
}

static void open_listener(struct rnd *r, struct ear *l) {
    char t[64];
    l->conn = sim_connect(world_listen(r->world, NULL), (int)sim_below(r->workers));
    l->version = 2;
    if (l->conn != NULL && r->password != NULL) {
        snprintf(t, sizeof t, "AUTH %s\r\n", r->password);
        send_text(l, t);
        add_ask(l, ASK_AUTH);
    }
}

static void drop_listener(struct ear *l) {
    sim_peer_free(&l->conn);
    l->first = l->last = l->on = 0;
    l->slow = l->was_slow = false;
    memset(l->newest, 0, sizeof l->newest);
    memset(l->seen, 0, sizeof l->seen);
}

static uint32_t publish(struct rnd *r, struct rnd_client *c, uint32_t channel) {
    uint32_t id = rnd_ids(r, c, 1);
    r->listen->by[id] = (uint8_t)(c - r->clients);
    rnd_make_command(c, "PUBLISH", 2);
    rnd_make_arg(c, "%s", model_name(channel));
    rnd_make_arg(c, "m:%u", id);
    rnd_want(c, WANT_HEARD, id, 1);
    return id;
}

static void step_publisher(struct rnd *r) {
    struct rnd_client *c = &r->clients[sim_below(r->nclients)];
    for (uint32_t n = 1 + sim_below(6); n > 0; n--) {
        if (c->conn == NULL || c->doomed || c->last_sent || rnd_client_waiting(c) + 40 > RND_EXPECT || r->next_id + 64 > RND_IDS) {
            return;
        }
        publish(r, c, sim_below(MODEL_CHANNELS));
        r->sum.requests++;
    }
    rnd_client_send(r, c, sim_below(4) == 0 ? sim_below(100) : SIZE_MAX);
}

static void step_listener(struct rnd *r) {
    struct ear *l = &r->listen->v[sim_below(r->listen->n)];
    if (l->conn == NULL) {
        open_listener(r, l);
        return;
    }
    switch (sim_below(16)) {
    case 0:
        sim_below(2) == 0 ? sim_peer_reset(l->conn) : sim_peer_close(l->conn);
        drop_listener(l);
        return;
    case 1:
        l->slow = !l->slow;
        l->was_slow = true;
        sim_peer_window(l->conn, l->slow ? sim_below(500) : 1u << 20);
        return;
    default:
        for (uint32_t n = 1 + sim_below(4); n > 0; n--) {
            ask(r, l);
        }
    }
}

bool rnd_listen_step(struct rnd *r) {
    if (r->listen == NULL || sim_below(3) != 0) {
        return false;
    }
    sim_below(2) == 0 ? step_publisher(r) : step_listener(r);
    return true;
}

/* ---- servers ---- */

uint32_t rnd_listen_publish(void *ctx, struct model *m, struct slice channel, struct slice payload) {
    struct rnd *r = ctx;
    uint32_t told = 0;
    for (uint32_t i = 0; i < r->nservers; i++) {
        struct rnd_server *s = &r->servers[i];
        for (uint32_t k = 0; s->model == m && k < s->n; k++) {
            if (s->conns[k] != NULL && !s->broken[k] && !sim_peer_eof(s->conns[k])) {
                told += model_tell(&s->states[k], s->conns[k], channel, payload);
            }
        }
    }
    return told;
}

bool rnd_listen_refuses(void *ctx) {
    struct rnd *r = ctx;
    return r->listen != NULL && !r->healthy && sim_below(24) == 0;
}

/* ---- judging ---- */

enum got rnd_listen_judge(struct rnd *r, struct reader *rd, const struct want *w) {
    struct slice line;
    uint64_t n;
    if (!rnd_line(rd, &line)) {
        return GOT_MORE;
    }
    r->listen->heard[w->id] = true;
    return line.p[0] == ':' && line.n > 3 && num_u64(slice(line.p + 1, line.n - 3), &n) ? GOT_GOOD : GOT_WRONG;
}

static bool is_message(const struct value *v) {
    bool list = v->lead == '*' || v->lead == '>';
    return list && ((v->n == 3 && slice_is(v->leaf[0], "message")) || (v->n == 4 && slice_is(v->leaf[0], "pmessage")));
}

static void hear(struct rnd *r, struct ear *l, const struct value *v) {
    struct rnd_listeners *all = r->listen;
    struct slice channel = v->leaf[v->n - 2], payload = v->leaf[v->n - 1];
    uint32_t name = model_name_find(v->leaf[1]), ch = model_name_find(channel);
    uint64_t id;
    if (v->lead != (l->version == 3 ? '>' : '*')) {
        wrong(r, l, "a message in the form of another version");
    }
    if (name == MODEL_NAMES || ch >= MODEL_CHANNELS || !model_name_hears(name, channel) || !slice_starts(payload, "m:") ||
        !num_u64(slice(payload.p + 2, payload.n - 2), &id) || id >= r->next_id) {
        wrong(r, l, "a message that nobody sent");
    }
    if (!(l->on >> name & 1)) {
        wrong(r, l, "a message of a channel that it does not listen to");
    }
    if (l->seen[id] >> name & 1) {
        wrong(r, l, "a message twice");
    }
    l->seen[id] |= (uint8_t)(1u << name);
    uint32_t *newest = &l->newest[name][ch][all->by[id]];
    all->overtaken[id] |= id < *newest;
    *newest = id > *newest ? (uint32_t)id : *newest;
    all->messages++;
}

/* One answer "[subscribe, name, left]". */
static void take_confirmation(struct rnd *r, struct ear *l, const struct ask *a, const struct value *v) {
    char word[20], left[20];
    uint32_t name = v->n == 3 ? model_name_find(v->leaf[1]) : MODEL_NAMES;
    snprintf(word, sizeof word, "%s%s", a->pattern ? "p" : "", a->what == ASK_JOIN ? "subscribe" : "unsubscribe");
    bool none = a->what == ASK_PART_ALL && v->n == 3 && v->leaf[1].p == NULL;
    bool named = a->what == ASK_PART_ALL ? (name < MODEL_NAMES && (name >= MODEL_CHANNELS) == a->pattern && l->on >> name & 1) || none
                                         : name == a->names[a->at];
    if (v->lead != (l->version == 3 ? '>' : '*') || v->n != 3 || !slice_is(v->leaf[0], word) || !named) {
        wrong(r, l, "another answer");
    }
    if (!none) {
        l->on = a->what == ASK_JOIN ? l->on | 1u << name : l->on & ~(1u << name);
    }
    snprintf(left, sizeof left, "%d", __builtin_popcount(l->on));
    if (!slice_is(v->leaf[2], left)) {
        wrong(r, l, "another number of channels");
    }
}

/* Channels or patterns that it listens to. */
static uint32_t of_kind(const struct ear *l, bool pattern) {
    return pattern ? l->on >> MODEL_CHANNELS : l->on & ((1u << MODEL_CHANNELS) - 1);
}

static void take_error(struct rnd *r, struct ear *l, const struct ask *a) {
    bool only_listens = l->version == 2 && l->on != 0;
    bool may_fail = a->what == ASK_HELLO || a->what == ASK_GET || (a->what == ASK_JOIN && a->at == 0);
    bool must_fail = only_listens && (a->what == ASK_HELLO || a->what == ASK_GET);
    if (!may_fail || (r->healthy && !must_fail)) {
        wrong(r, l, "an error");
    }
    r->sum.errors += !must_fail;
    l->first++;
}

static void take_answer(struct rnd *r, struct ear *l, const struct value *v) {
    struct ask *a = &l->asks[l->first % ASKS];
    bool only_listens = l->version == 2 && l->on != 0;
    bool good = l->first < l->last;
    if (good && v->lead == '-') {
        take_error(r, l, a);
        return;
    }
    switch (good ? a->what : ASK_AUTH) {
    case ASK_AUTH:
        good = good && v->lead == '+' && slice_is(v->leaf[0], "OK");
        break;
    case ASK_HELLO:
        good = !only_listens && v->lead == (a->id == 3 ? '%' : '*') && slice_is(v->leaf[0], "server");
        l->version = a->id;
        break;
    case ASK_PING:
        good = only_listens ? v->lead == '*' && slice_is(v->leaf[0], "pong") : v->lead == '+' && slice_is(v->leaf[0], "PONG");
        break;
    case ASK_GET:
        good = !only_listens && v->lead == '$' && rnd_value_is(r, a->id, v->leaf[0]);
        break;
    case ASK_RESET:
        good = v->lead == '+' && slice_is(v->leaf[0], "RESET");
        l->on = 0;
        l->version = 2;
        break;
    default:
        take_confirmation(r, l, a, v);
        a->at++;
        l->first += a->what == ASK_PART_ALL ? of_kind(l, a->pattern) == 0 : a->at == a->n;
        return;
    }
    if (!good) {
        wrong(r, l, "another answer");
    }
    l->first++;
}

static void read_listener(struct rnd *r, struct ear *l) {
    struct slice in = sim_peer_in(l->conn);
    struct value v;
    size_t used = 0;
    enum got g;
    while (used < in.n && (g = read_value(slice(in.p + used, in.n - used), &v)) != GOT_MORE) {
        if (g == GOT_WRONG) {
            wrong(r, l, "no reply");
        }
        is_message(&v) ? hear(r, l, &v) : take_answer(r, l, &v);
        used += v.len;
    }
    sim_peer_take(l->conn, used);
    if (sim_peer_eof(l->conn)) {
        if (r->healthy || !(l->was_slow || r->tight)) {
            wrong(r, l, "closed without a reason");
        }
        drop_listener(l);
    }
}

void rnd_listen_read(struct rnd *r) {
    for (uint32_t i = 0; r->listen != NULL && i < r->listen->n; i++) {
        if (r->listen->v[i].conn != NULL && !r->listen->v[i].slow) {
            read_listener(r, &r->listen->v[i]);
        }
    }
}

/* ---- begin and end ---- */

void rnd_listen_begin(struct rnd *r, struct rng *g) {
    if (!r->memcached && !r->limits_clients && rng_below(g, 2) == 0) {
        r->listen = mem_zalloc(sizeof *r->listen);
        r->listen->n = 1 + rng_below(g, LISTENERS);
    }
}

void rnd_listen_heal(struct rnd *r) {
    for (uint32_t i = 0; r->listen != NULL && i < r->listen->n; i++) {
        r->listen->v[i].slow = false;
        if (r->listen->v[i].conn != NULL) {
            sim_peer_window(r->listen->v[i].conn, 1u << 30);
        }
    }
}

static void go_on(struct rnd *r) {
    world_advance(r->world, 5000000);
    rnd_listen_read(r);
    for (uint32_t i = 0; i < r->nclients; i++) {
        rnd_client_read(r, &r->clients[i]);
    }
}

void rnd_listen_check(struct rnd *r) {
    struct rnd_client *c = r->clients;
    while (c < r->clients + r->nclients && c->conn == NULL) {
        c++;
    }
    if (r->listen == NULL || c == r->clients + r->nclients || r->next_id + 64 > RND_IDS) {
        return;
    }
    for (uint32_t i = 0; i < r->listen->n; i++) {
        struct ear *l = &r->listen->v[i];
        if (l->conn == NULL) {
            open_listener(r, l);
        }
        send_text(l, "SUBSCRIBE c:0 c:1 c:2\r\n");
        *add_ask(l, ASK_JOIN) = (struct ask){.what = ASK_JOIN, .n = 3, .names = {0, 1, 2}};
    }
    go_on(r);
    go_on(r); /* feeds that were lost are back */
    uint32_t first = r->next_id;
    for (uint32_t ch = 0; ch < 3; ch++) {
        publish(r, c, ch);
        rnd_client_send(r, c, SIZE_MAX);
        go_on(r); /* one at a time: server_queue_limit may be small */
    }
    for (uint32_t i = 0; i < r->listen->n; i++) {
        struct ear *l = &r->listen->v[i];
        for (uint32_t ch = 0; ch < 3; ch++) {
            if (l->first != l->last || !(l->seen[first + ch] >> ch & 1)) {
                wrong(r, l, "it did not hear what was published");
            }
        }
    }
}

void rnd_listen_end(struct rnd *r) {
    static const char *const none[] = {"subscriptions", "channels"};
    if (r->listen == NULL) {
        return;
    }
    for (uint32_t i = 0; i < r->listen->n; i++) {
        drop_listener(&r->listen->v[i]);
    }
    world_advance(r->world, 70000000); /* also for one that does not read: client_write_timeout */
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        int64_t v = -1;
        if (!world_metric(r->world, "p", NULL, none[i], &v) || v != 0) {
            sim_fail("%lld %s are left\n%s", (long long)v, none[i], world_log(r->world));
        }
    }
    for (uint32_t id = 0; r->fixed && id < r->next_id; id++) {
        if (r->listen->overtaken[id] && r->listen->heard[id]) {
            sim_fail("message %u was overtaken by a later one of its publisher\n%s", id, world_log(r->world));
        }
    }
    mem_free(r->listen);
    r->listen = NULL;
}
