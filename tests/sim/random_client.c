/* random_client.c: clients that know what every reply must be: values are made of the request's own id. */
#include "base/mem.h"
#include "base/num.h"
#include "random_int.h"
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void wrong(struct rnd *r, const struct rnd_client *c, const char *what, struct slice got) {
    const char *log = world_log(r->world);
    size_t n = strlen(log);
    fprintf(stderr, "log:\n%s", n > 5000 ? log + n - 5000 : log);
    fprintf(stderr, "kinds:");
    for (uint32_t i = c->last > 40 ? c->last - 40 : 0; i < c->last; i++) {
        fprintf(stderr, "%s%d", i == c->first ? " |" : " ", (int)c->wants[i % RND_EXPECT].kind);
    }
    fprintf(stderr, "%s%s%s\n", c->fin ? ", half-closed" : "", c->doomed ? ", doomed" : "", c->was_slow ? ", slow" : "");
    const struct want *w = rnd_client_waiting(c) > 0 ? &c->wants[c->first % RND_EXPECT] : NULL;
    sim_fail("client %u: %s; waits for %u, first kind %d id %u n %u; got %zu bytes: %.*s", c->serial, what,
             rnd_client_waiting(c), w ? (int)w->kind : -1, w ? w->id : 0, w ? w->n : 0, got.n,
             (int)(got.n < 300 ? got.n : 300), (const char *)got.p);
}

static size_t length_of(const struct rnd *r, uint32_t id) {
    uint32_t h = id * 2654435761u;
    if (h % 61 == 0) {
        return h / 61 % 30000;
    }
    if (h % 11 == 0) {
        return h / 11 % 1500;
    }
    return h % 7 == 0 ? 0 : h % 90;
}

size_t rnd_key(const struct rnd *r, uint32_t id, char *to, size_t room) {
    if (r->tag[id] != 0) {
        return (size_t)snprintf(to, room, "u:%u:{%u}:%zu", id, r->tag[id], length_of(r, id));
    }
    return (size_t)snprintf(to, room, "u:%u:%zu", id, length_of(r, id));
}

void rnd_client_drop(struct rnd_client *c) {
    sim_peer_free(&c->conn);
    for (; c->first < c->last; c->first++) {
        rnd_more_failed(c, &c->wants[c->first % RND_EXPECT]);
    }
    mem_free(c->out);
    c->first = c->last = 0;
    c->seq = c->seq_ok = 0;
    memset(c->seq_failed, 0, sizeof(c->seq_failed));
    c->out = NULL;
    c->out_len = c->out_off = 0;
    c->slow = c->was_slow = c->fin = c->last_sent = c->doomed = false;
    c->profile = 0;
    c->profiles = 1;
    c->changing = 0;
    c->watching = c->changed = c->unsure = false;
    snprintf(c->cursor, sizeof(c->cursor), "0");
}

/* ---- asking ---- */

void rnd_make_bytes(struct rnd_client *c, struct slice s) {
    c->out = mem_realloc(c->out, c->out_len + s.n + 1);
    memcpy(c->out + c->out_len, s.n > 0 ? s.p : (const uint8_t *)"", s.n);
    c->out_len += s.n;
}

static void make_str(struct rnd_client *c, const char *s) {
    rnd_make_bytes(c, slice_str(s));
}

static void make_arg(struct rnd_client *c, struct slice s) {
    char t[32];
    snprintf(t, sizeof(t), "$%zu\r\n", s.n);
    make_str(c, t);
    rnd_make_bytes(c, s);
    make_str(c, "\r\n");
}

void rnd_make(struct rnd_client *c, const char *fmt, ...) {
    char t[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t, sizeof(t), fmt, ap);
    va_end(ap);
    make_str(c, t);
}

void rnd_make_arg(struct rnd_client *c, const char *fmt, ...) {
    char t[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(t, sizeof(t), fmt, ap);
    va_end(ap);
    make_arg(c, slice_str(t));
}

void rnd_make_command(struct rnd_client *c, const char *name, uint32_t args) {
    rnd_make(c, "*%u\r\n", args + 1);
    make_arg(c, slice_str(name));
}

uint32_t rnd_ids(struct rnd *r, struct rnd_client *c, uint32_t n) {
    uint32_t id = r->next_id;
    r->next_id += n;
    memset(r->profiles + id, c->profiles, n);
    return id;
}

struct want *rnd_want(struct rnd_client *c, enum want_kind kind, uint32_t id, uint32_t n) {
    struct want *w = &c->wants[c->last++ % RND_EXPECT];
    *w = (struct want){.kind = kind, .id = id, .n = n};
    return w;
}

static void want_text(struct rnd_client *c, const char *text) {
    rnd_want(c, WANT_TEXT, 0, 0)->text = text;
}

void rnd_client_open(struct rnd *r, struct rnd_client *c) {
    c->conn = sim_connect(world_listen(r->world, NULL), (int)sim_below(r->workers));
    c->serial++;
    c->binary = r->binary && sim_below(2) == 0;
    if (c->conn != NULL && r->password != NULL) {
        rnd_make_command(c, "auth", 1);
        make_arg(c, slice_str(r->password));
        want_text(c, "+OK\r\n");
    }
}

static void key_arg(struct rnd *r, struct rnd_client *c, uint32_t id) {
    char key[48];
    make_arg(c, slice(key, rnd_key(r, id, key, sizeof(key))));
}

static void ask_keys(struct rnd *r, struct rnd_client *c, const char *name, enum want_kind kind, uint32_t n) {
    uint32_t id = rnd_ids(r, c, n);
    rnd_make_command(c, name, n);
    for (uint32_t i = 0; i < n; i++) {
        key_arg(r, c, id + i);
    }
    rnd_want(c, kind, id, n);
}

static void ask_set(struct rnd *r, struct rnd_client *c, const char *name, uint32_t n) {
    uint32_t id = rnd_ids(r, c, n);
    rnd_make_command(c, name, n * 2);
    for (uint32_t i = 0; i < n; i++) {
        size_t len = length_of(r, id + i);
        uint8_t *v = mem_zalloc(len + 1);
        key_arg(r, c, id + i);
        make_arg(c, slice(v, len));
        mem_free(v);
    }
    rnd_want(c, WANT_OK, id, n);
}

static void ask_incr(struct rnd *r, struct rnd_client *c) {
    uint32_t id = rnd_ids(r, c, 1);
    rnd_make_command(c, "INCR", 1);
    rnd_make_arg(c, "n:%u", id);
    rnd_want(c, WANT_ONE, id, 1);
}

static void ask_odd(struct rnd *r, struct rnd_client *c) {
    switch (sim_below(8)) {
    case 6:
    case 7:
        rnd_clients_ask(c);
        break;
    case 0:
        make_str(c, "PING\r\n");
        want_text(c, "+PONG\r\n");
        break;
    case 1:
        rnd_make_command(c, "nosuchcommand", 0);
        rnd_want(c, WANT_ERROR, 0, 0);
        break;
    case 2:
        rnd_make_command(c, "get", 0); /* wrong number of arguments */
        rnd_want(c, WANT_ERROR, 0, 0);
        break;
    case 3:
        rnd_make_command(c, "PING", 1);
        make_arg(c, slice_str("hello"));
        want_text(c, "$5\r\nhello\r\n");
        break;
    case 4:
        if (sim_below(8) == 0) {
            make_str(c, "*1\r\n$x\r\n"); /* a broken frame */
            rnd_want(c, WANT_ERROR, 0, 0)->closes = true;
            c->doomed = true;
        }
        break;
    default:
        if (sim_below(8) == 0) {
            rnd_make_command(c, "QUIT", 0);
            want_text(c, "+OK\r\n");
            c->wants[(c->last - 1) % RND_EXPECT].closes = true;
            c->doomed = true;
        }
    }
}

/* One key of its own that counts up: a client's requests for one key must be carried out in order. */
static void ask_seq(struct rnd *r, struct rnd_client *c) {
    char key[48], n[16];
    snprintf(key, sizeof(key), "x:%u:%u", (unsigned)(c - r->clients), c->serial);
    if (sim_below(2) == 0 && c->seq < 255) {
        snprintf(n, sizeof(n), "%u", ++c->seq);
        rnd_make_command(c, "SET", 2);
        make_arg(c, slice_str(key));
        make_arg(c, slice_str(n));
        rnd_want(c, WANT_SEQ_SET, c->seq, 1);
    } else {
        rnd_make_command(c, "GET", 1);
        make_arg(c, slice_str(key));
        rnd_want(c, WANT_SEQ_GET, c->seq, 1);
    }
}

static void ask_redis(struct rnd *r, struct rnd_client *c) {
    static const char *const counted[] = {"DEL", "UNLINK", "EXISTS", "touch"};
    if (r->fixed && c->profiles == 1 && sim_below(3) == 0) {
        ask_seq(r, c);
        return;
    }
    if (sim_below(3) == 0) {
        rnd_more_ask(r, c);
        return;
    }
    if (sim_below(4) == 0) {
        rnd_script_ask(r, c);
        return;
    }
    switch (sim_below(10)) {
    case 0:
    case 1:
    case 2:
        ask_keys(r, c, "GET", WANT_VALUE, 1);
        break;
    case 3:
    case 4:
        ask_keys(r, c, "mget", WANT_VALUES, 1 + sim_below(12));
        break;
    case 5:
        ask_keys(r, c, counted[sim_below(4)], WANT_COUNT, 1 + sim_below(6));
        break;
    case 6:
        ask_set(r, c, "set", 1);
        break;
    case 7:
        ask_set(r, c, "MSET", 1 + sim_below(5));
        break;
    case 8:
        ask_incr(r, c);
        break;
    default:
        ask_odd(r, c);
    }
}

static void mc_key(struct rnd *r, struct rnd_client *c, const char *before, uint32_t id, const char *after) {
    char key[48];
    rnd_key(r, id, key, sizeof(key));
    make_str(c, before);
    make_str(c, key);
    make_str(c, after);
}

static void mc_set(struct rnd *r, struct rnd_client *c, bool noreply) {
    char t[64];
    uint32_t id = rnd_ids(r, c, 1);
    size_t len = length_of(r, id);
    uint8_t *v = mem_zalloc(len + 1);
    mc_key(r, c, "set ", id, "");
    snprintf(t, sizeof(t), " 7 0 %zu%s\r\n", len, noreply ? " noreply" : "");
    make_str(c, t);
    rnd_make_bytes(c, slice(v, len));
    make_str(c, "\r\n");
    mem_free(v);
    if (!noreply) {
        rnd_want(c, WANT_OK, id, 1);
    }
}

static void ask_memcached(struct rnd *r, struct rnd_client *c) {
    uint32_t n = 1 + sim_below(10), id;
    switch (sim_below(9)) {
    case 0:
    case 1:
        id = rnd_ids(r, c, 1);
        mc_key(r, c, "get ", id, "\r\n");
        rnd_want(c, WANT_VALUE, id, 1);
        break;
    case 2:
    case 3:
        id = rnd_ids(r, c, n);
        make_str(c, "get");
        for (uint32_t i = 0; i < n; i++) {
            mc_key(r, c, " ", id + i, "");
        }
        make_str(c, "\r\n");
        rnd_want(c, n == 1 ? WANT_VALUE : WANT_VALUES, id, n);
        break;
    case 4:
        mc_set(r, c, false);
        break;
    case 5:
        mc_set(r, c, true);
        break;
    case 6:
        id = rnd_ids(r, c, 1);
        mc_key(r, c, "delete ", id, "\r\n");
        rnd_want(c, WANT_DELETED, id, 1);
        break;
    case 7:
        rnd_more_ask_quiet(r, c);
        break;
    default:
        make_str(c, "nosuchcommand\r\n");
        want_text(c, "ERROR\r\n");
    }
}

void rnd_client_ask(struct rnd *r, struct rnd_client *c) {
    if (c->doomed || c->last_sent || rnd_client_waiting(c) + 40 > RND_EXPECT || r->next_id + 64 > RND_IDS) {
        return;
    }
    c->binary ? rnd_binary_ask(r, c) : r->memcached ? ask_memcached(r, c) : ask_redis(r, c);
    r->sum.requests++;
}

void rnd_client_send(struct rnd *r, struct rnd_client *c, size_t n) {
    size_t left = c->out_len - c->out_off;
    n = n < left ? n : left;
    if (n == 0) {
        return;
    }
    sim_peer_send(c->conn, slice(c->out + c->out_off, n));
    c->out_off += n;
    if (c->out_off == c->out_len) {
        mem_free(c->out);
        c->out = NULL;
        c->out_len = c->out_off = 0;
    }
}

/* ---- judging ---- */

bool rnd_line(struct reader *rd, struct slice *line) {
    const uint8_t *p = rd->in.p + rd->pos;
    const uint8_t *lf = rd->pos < rd->in.n ? memchr(p, '\n', rd->in.n - rd->pos) : NULL;
    if (lf == NULL) {
        return false;
    }
    *line = slice(p, (size_t)(lf - p) + 1);
    rd->pos += line->n;
    return true;
}

bool rnd_value_is(struct rnd *r, uint32_t id, struct slice v) {
    char key[48];
    size_t len, kn = rnd_key(r, id, key, sizeof(key));
    uint8_t *should;
    if (!model_value(slice(key, kn), &should, &len)) {
        return false;
    }
    bool same = slice_eq(v, slice(should, len));
    mem_free(should);
    return same;
}

/* "$N\r\n...\r\n" with the value of this id. */
enum got rnd_bulk(struct rnd *r, struct reader *rd, uint32_t id) {
    struct slice line;
    uint64_t n;
    if (!rnd_line(rd, &line)) {
        return GOT_MORE;
    }
    if (line.p[0] != '$' || line.n < 4 || !num_u64(slice(line.p + 1, line.n - 3), &n)) {
        return GOT_WRONG;
    }
    if (rd->in.n < rd->pos + n + 2) {
        return GOT_MORE;
    }
    bool same = rnd_value_is(r, id, slice(rd->in.p + rd->pos, n));
    rd->pos += n + 2;
    return same ? GOT_GOOD : GOT_WRONG;
}

static enum got array(struct rnd *r, struct reader *rd, const struct want *w) {
    struct slice line;
    char t[32];
    if (w->n == 0 || !rnd_line(rd, &line)) {
        return GOT_MORE;
    }
    snprintf(t, sizeof(t), "*%u\r\n", w->n);
    if (!slice_is(line, t)) {
        return GOT_WRONG;
    }
    for (uint32_t i = 0; i < w->n; i++) {
        enum got g = rnd_bulk(r, rd, w->id + i);
        if (g != GOT_GOOD) {
            return g;
        }
    }
    return GOT_GOOD;
}

/* VALUE blocks in any order, each key once, then END. */
static enum got blocks(struct rnd *r, struct reader *rd, const struct want *w) {
    uint32_t seen = 0;
    for (;;) {
        struct slice line;
        if (!rnd_line(rd, &line)) {
            return GOT_MORE;
        }
        if (slice_is(line, "END\r\n")) {
            bool all = seen == (1u << w->n) - 1;
            return all || (r->miss && !r->healthy && w->n > 1) ? GOT_GOOD : GOT_WRONG;
        }
        unsigned id, len, len2, flags;
        char text[100];
        snprintf(text, sizeof(text), "%.*s", (int)line.n, (const char *)line.p);
        if (sscanf(text, "VALUE u:%u:%u %u %u\r\n", &id, &len, &flags, &len2) != 4 || len != len2 || id < w->id ||
            id >= w->id + w->n || (seen & (1u << (id - w->id)))) {
            return GOT_WRONG;
        }
        if (rd->in.n < rd->pos + len + 2) {
            return GOT_MORE;
        }
        if (!rnd_value_is(r, id, slice(rd->in.p + rd->pos, len))) {
            return GOT_WRONG;
        }
        rd->pos += len + 2;
        seen |= 1u << (id - w->id);
    }
}

enum got rnd_text(struct reader *rd, const char *want_line) {
    size_t n = strlen(want_line);
    size_t have = rd->in.n - rd->pos;
    if (memcmp(rd->in.p + rd->pos, want_line, have < n ? have : n) != 0) {
        return GOT_WRONG;
    }
    rd->pos += n;
    return have < n ? GOT_MORE : GOT_GOOD;
}

static bool is_error(const struct rnd *r, struct slice line) {
    return r->memcached ? slice_starts(line, "SERVER_ERROR ") : line.p[0] == '-';
}

/* "$N\r\n...\r\n": the last value that is known to be set, or one whose request failed. */
static enum got seq_value(const struct rnd_client *c, struct reader *rd, uint32_t asked) {
    struct slice line, value;
    uint64_t v;
    if (!rnd_line(rd, &line)) {
        return GOT_MORE;
    }
    if (slice_is(line, "$-1\r\n")) {
        return c->seq_ok == 0 ? GOT_GOOD : GOT_WRONG;
    }
    if (line.p[0] != '$') {
        return GOT_WRONG;
    }
    if (!rnd_line(rd, &value)) {
        return GOT_MORE;
    }
    if (value.n < 3 || !num_u64(slice(value.p, value.n - 2), &v) || v > asked) {
        return GOT_WRONG;
    }
    return v == c->seq_ok || c->seq_failed[v] ? GOT_GOOD : GOT_WRONG;
}

static enum got judge(struct rnd *r, struct rnd_client *c, struct reader *rd, const struct want *w) {
    char t[32];
    struct slice line;
    struct reader look = *rd;
    if (w->kind != WANT_TEXT && w->kind != WANT_QUIET) {
        if (!rnd_line(&look, &line)) {
            return GOT_MORE;
        }
        if (is_error(r, line)) {
            rd->pos = look.pos;
            r->sum.errors += w->kind != WANT_ERROR;
            if (w->kind == WANT_SEQ_SET) {
                c->seq_failed[w->id] = true;
            }
            rnd_more_failed(c, w);
            bool lost = w->by_digest && slice_starts(line, "-NOSCRIPT ");
            r->sum.no_script += lost;
            return w->kind == WANT_ERROR || lost || !r->healthy ? GOT_GOOD : GOT_WRONG;
        }
    }
    switch (w->kind) {
    case WANT_VALUE:
        return r->memcached ? blocks(r, rd, w) : rnd_bulk(r, rd, w->id);
    case WANT_VALUES:
        return r->memcached ? blocks(r, rd, w) : array(r, rd, w);
    case WANT_OK:
        return rnd_text(rd, r->memcached ? "STORED\r\n" : "+OK\r\n");
    case WANT_DELETED:
        return rnd_text(rd, "DELETED\r\n");
    case WANT_COUNT:
        snprintf(t, sizeof(t), ":%u\r\n", w->n);
        return rnd_text(rd, t);
    case WANT_ONE:
        return rnd_text(rd, ":1\r\n");
    case WANT_WAIT:
        return rnd_text(rd, ":0\r\n");
    case WANT_TEXT:
        return rnd_text(rd, w->text);
    case WANT_SEQ_GET:
        return seq_value(c, rd, w->id);
    case WANT_SEQ_SET:
        c->seq_ok = w->id;
        return rnd_text(rd, "+OK\r\n");
    case WANT_CLIENTS:
        return rnd_clients_judge(rd, w->n);
    case WANT_HEARD:
        return rnd_listen_judge(r, rd, w);
    case WANT_ERROR:
        return GOT_WRONG;
    default:
        return rnd_more_judge(r, c, rd, w);
    }
}

static const char *refusal(const struct rnd *r) {
    return r->memcached ? "SERVER_ERROR max number of clients reached\r\n" : "-ERR max number of clients reached\r\n";
}

/* Begins as the words for one client too many, as far as they have arrived. */
static bool may_be_refusal(const struct rnd *r, struct slice got) {
    size_t n = strlen(refusal(r));
    return r->limits_clients && got.n > 0 && memcmp(got.p, refusal(r), got.n < n ? got.n : n) == 0;
}

static bool waits_at_server(const struct rnd_client *c) {
    for (uint32_t i = c->first; i < c->last; i++) {
        enum want_kind kind = c->wants[i % RND_EXPECT].kind;
        if (kind == WANT_POPPED || kind == WANT_WAIT) {
            return true;
        }
    }
    return false;
}

/* The proxy closed: did it have to, or may it? */
static void closed(struct rnd *r, struct rnd_client *c, struct slice rest) {
    r->sum.closed++;
    bool refused = may_be_refusal(r, rest) && rest.n == strlen(refusal(r));
    bool answered = rnd_client_waiting(c) == 0 && rest.n == 0;
    if (c->fin && waits_at_server(c)) {
        answered = true; /* nobody waits at a server for somebody who half-closed */
    }
    bool cut_short = rest.n > 0 && r->cut_through > 0 && !r->healthy; /* there is no other way to say so */
    if (!refused && !cut_short && !(answered && (c->doomed || c->fin)) && !((c->was_slow || r->tight) && !r->healthy)) {
        wrong(r, c, c->doomed || c->fin ? "closed before everything was answered" : "closed without a reason", rest);
    }
    rnd_client_drop(c);
}

void rnd_client_read(struct rnd *r, struct rnd_client *c) {
    if (c->conn == NULL || c->slow) {
        return;
    }
    struct reader rd = {.in = sim_peer_in(c->conn)};
    size_t good = 0;
    while (rd.pos < rd.in.n && rnd_client_waiting(c) > 0) {
        const struct want *w = &c->wants[c->first % RND_EXPECT];
        if (may_be_refusal(r, slice(rd.in.p + rd.pos, rd.in.n - rd.pos))) {
            break;
        }
        enum got g = c->binary ? rnd_binary_judge(r, &rd, w) : judge(r, c, &rd, w);
        if (g == GOT_MORE) {
            break;
        }
        if (g == GOT_WRONG) {
            wrong(r, c, "a wrong reply", slice(rd.in.p + good, rd.in.n - good));
        }
        good = rd.pos;
        c->first++;
    }
    struct slice rest = slice(rd.in.p + good, rd.in.n - good);
    bool end = sim_peer_eof(c->conn);
    if (rnd_client_waiting(c) == 0 && rest.n > 0 && !may_be_refusal(r, rest)) {
        wrong(r, c, "bytes that answer nothing", rest);
    }
    if (end) {
        closed(r, c, rest);
        return;
    }
    sim_peer_take(c->conn, good);
}
