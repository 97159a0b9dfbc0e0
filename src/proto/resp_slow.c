/* resp_slow.c: SLOWLOG GET, LEN and RESET: the log of all workers (ROUTE_SURVEY with CMD_SLOWLOG).
 *
 * What a worker says to GET is, for each entry, its time (8 bytes), the length of a text (4), and the text: the entry as clients get
 * it. To LEN it says a byte for each. */
#include "proto/resp.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>

#define GET_DEFAULT 10
/* As Redis shortens a request: so many arguments, of so many bytes. */
#define ARGS_MAX 32
#define ARG_MAX 128

struct entry_head {
    int64_t wall_usec;
    uint32_t len;
};

/* How many are wanted; -1: all. False: that is no number of entries. */
static bool read_count(struct slice text, int64_t *n) {
    return resp_int(text, n) && *n >= -1;
}

void resp_slow_judge(struct msg *m) {
    int64_t n;
    if (m->cmd->id == RESP_SLOWLOG_GET && m->nargs > 2 && !read_count(msg_arg(m, 2), &n)) {
        resp_answer(m, "ERR count should be greater than or equal to -1");
    }
}

/* ---- one entry ---- */

struct words {
    char v[ARGS_MAX][ARG_MAX + 64];
    uint32_t len[ARGS_MAX];
    uint32_t n;
};

static void add_word(struct words *w, struct slice text, int64_t whole) {
    size_t n = min_size(text.n, ARG_MAX);
    char *to = w->v[w->n];
    memcpy(to, text.p, n);
    if (whole > (int64_t)n) {
        n += (size_t)snprintf(to + n, 64, "... (%lld more bytes)", (long long)whole - (long long)n);
    }
    w->len[w->n++] = (uint32_t)n;
}

/* The arguments that are in the beginning of a request, which is an array of strings. One place is left for what is not in it. */
static bool read_words(struct slice head, struct words *w) {
    int64_t nargs, len;
    struct slice rest;
    if (!resp_take_head(head, '*', &nargs, &rest)) {
        return false;
    }
    int64_t i = 0;
    for (; i < nargs && w->n < ARGS_MAX - 2 && resp_take_head(rest, '$', &len, &rest); i++) {
        size_t here = min_size(rest.n, len < 0 ? 0 : (size_t)len);
        add_word(w, slice(rest.p, here), len);
        rest = rest.n >= here + 2 ? slice(rest.p + here + 2, rest.n - here - 2) : slice(rest.p, 0);
    }
    if (i < nargs) {
        w->len[w->n] = (uint32_t)snprintf(w->v[w->n], ARG_MAX, "... (%lld more arguments)", (long long)(nargs - i));
        w->n++;
    }
    return i > 0;
}

/* A transaction begins with another command than the one that it is logged as. */
static bool is_of(const struct words *w, const struct cmd *c) {
    size_t n = strcspn(c->name, "|");
    return (c->flags & CMD_UNKNOWN) || slice_ieq(slice(w->v[0], w->len[0]), slice(c->name, n));
}

static void put_words(const struct slow *e, struct out *o) {
    struct words w = {.n = 0};
    if (!read_words(e->head, &w) || !is_of(&w, e->cmd)) {
        w.n = 0;
        add_word(&w, slice_str(e->cmd->name), (int64_t)strlen(e->cmd->name));
    }
    char before[24] = "", after[48] = "";
    if (e->receive_usec > 0) {
        snprintf(before, sizeof before, "receive %u, ", e->receive_usec);
    }
    if (e->order_usec > 0 || e->client_usec > 0) {
        snprintf(after, sizeof after, ", order %u, client %u", e->order_usec, e->client_usec);
    }
    w.len[w.n] = (uint32_t)snprintf(w.v[w.n], sizeof w.v[0], "... (%.64s: %squeue %u, server %u%s usec)", e->server, before, e->queue_usec, e->server_usec, after);
    w.n++;
    resp_put_head(o, '*', w.n);
    for (uint32_t i = 0; i < w.n; i++) {
        resp_put_bulk(o, slice(w.v[i], w.len[i]));
    }
}

static size_t put_entry(const struct slow *e, struct rope *rope, struct stage *stage) {
    struct out o = {rope, stage};
    size_t before = rope_len(rope);
    resp_put_head(&o, '*', 6);
    resp_put_head(&o, ':', (int64_t)e->id);
    resp_put_head(&o, ':', e->wall_usec / 1000000);
    resp_put_head(&o, ':', e->usec);
    put_words(e, &o);
    resp_put_str(&o, e->addr);
    resp_put_str(&o, e->name);
    return rope_len(rope) - before;
}

enum verdict resp_slow(const struct msg *m, const struct slow *e, uint32_t nth, struct out *o) {
    int64_t n = GET_DEFAULT;
    if (m->cmd->id == RESP_SLOWLOG_RESET) {
        return VERDICT_CLOSE;
    }
    if (m->cmd->id == RESP_SLOWLOG_LEN) {
        out_put(o, slice("", 1));
        return VERDICT_SAID;
    }
    if (m->nargs > 2 && !read_count(msg_arg(m, 2), &n)) {
        return VERDICT_PASS;
    }
    if (n >= 0 && nth >= n) {
        return VERDICT_PASS;
    }
    struct rope text = {0};
    struct entry_head head = {.wall_usec = e->wall_usec};
    head.len = (uint32_t)put_entry(e, &text, o->stage);
    out_put(o, slice(&head, sizeof head));
    rope_add_all(o->rope, &text);
    rope_fini(&text);
    return VERDICT_SAID;
}

size_t resp_show(struct slice head, uint8_t *to, size_t room) {
    struct words w = {.n = 0};
    size_t n = 0;
    read_words(head, &w);
    for (uint32_t i = 0; i < w.n && n < room; i++) {
        if (i > 0) {
            to[n++] = ' ';
        }
        size_t here = min_size(w.len[i], room - n);
        memcpy(to + n, w.v[i], here);
        n += here;
    }
    return n;
}

/* ---- all of them ---- */

struct found {
    int64_t wall_usec;
    struct slice text;
};

static int by_time(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    return x->wall_usec < y->wall_usec ? 1 : x->wall_usec > y->wall_usec ? -1 : 0;
}

static void merge_get(struct slice said, int64_t want, struct out *o) {
    struct found *v = mem_alloc((said.n / sizeof(struct entry_head) + 1) * sizeof *v);
    struct entry_head head;
    uint32_t n = 0;
    while (said.n >= sizeof head) {
        memcpy(&head, said.p, sizeof head);
        ASSERT(said.n - sizeof head >= head.len);
        v[n++] = (struct found){head.wall_usec, slice(said.p + sizeof head, head.len)};
        said = slice(said.p + sizeof head + head.len, said.n - sizeof head - head.len);
    }
    qsort(v, n, sizeof *v, by_time);
    uint32_t shown = want >= 0 && want < n ? (uint32_t)want : n;
    resp_put_head(o, '*', shown);
    for (uint32_t i = 0; i < shown; i++) {
        out_put(o, v[i].text);
    }
    mem_free(v);
}

void resp_slow_merge(const struct fan_in *in, struct out *o) {
    struct slice said = in->parts[0].reply, rest, word;
    int64_t nargs, want = GET_DEFAULT;
    switch (in->cmd->id) {
    case RESP_SLOWLOG_RESET:
        out_str(o, "+OK\r\n");
        break;
    case RESP_SLOWLOG_LEN:
        resp_put_head(o, ':', (int64_t)said.n);
        break;
    default:
        if (resp_take_head(in->request, '*', &nargs, &rest) && resp_take_bulk(&rest, &word) && resp_take_bulk(&rest, &word) &&
            resp_take_bulk(&rest, &word)) {
            read_count(word, &want);
        }
        merge_get(said, want, o);
    }
}
