/* stream_test.h: messages in a flow of known bytes, and a stream's owner that checks whatever it is shown. */
#ifndef KVMUX_TESTS_STREAM_TEST_H
#define KVMUX_TESTS_STREAM_TEST_H

#include "base/rng.h"
#include "io_test.h"

/* The messages of these tests: four bytes of length, big-endian, then as many bytes. Every byte of the whole flow is a
 * function of its place, so whatever is shown can be checked by where it must stand. */

#define HEAD 4

static inline uint8_t byte_at(size_t pos) {
    return (uint8_t)(pos * 131 + (pos >> 8) * 17 + (pos >> 16));
}

struct flow {
    uint8_t *bytes;
    size_t len, cap;
};

static inline void flow_add(struct flow *f, size_t payload) {
    if (f->cap < f->len + HEAD + payload) {
        f->cap = 2 * (f->len + HEAD + payload);
        f->bytes = mem_realloc(f->bytes, f->cap);
    }
    for (int i = 0; i < HEAD; i++) {
        f->bytes[f->len++] = (uint8_t)(payload >> (8 * (HEAD - 1 - i)));
    }
    for (size_t i = 0; i < payload; i++, f->len++) {
        f->bytes[f->len] = byte_at(f->len);
    }
}

static inline void flow_fini(struct flow *f) {
    mem_free(f->bytes);
    *f = (struct flow){0};
}

#define KEPT_MAX 32

/* The receiving end, as its owner. */
struct side {
    struct stream stream;
    const struct flow *flow;
    size_t taken;          /* bytes of the flow */
    size_t seen;           /* the farthest byte of the flow that was shown */
    unsigned shown;        /* calls of on_recv */
    struct rng rng;
    bool whims;            /* takes, needs, pauses and references as the dice say */
    bool need;             /* says stream_need */
    bool deaf;             /* takes nothing */
    bool close_in_recv, close_in_eof, close_in_connect, close_in_room;
    bool keep_open_on_error;
    unsigned connects, eofs, errors, rooms;
    enum reason why;
    struct {
        struct buf *buf;
        struct slice bytes;
        size_t pos;
    } kept[KEPT_MAX]; /* references, looked at again at the end */
    unsigned nkept;
};

static inline void side_keep(struct side *s, struct buf *b, struct slice in, size_t pos) {
    if (s->nkept < KEPT_MAX && in.n > 0) {
        s->kept[s->nkept].buf = buf_ref(b);
        s->kept[s->nkept].bytes = in;
        s->kept[s->nkept++].pos = pos;
    }
}

static inline size_t side_on_recv(struct stream *st, struct buf *b, struct slice in) {
    struct side *s = CONTAINER_OF(st, struct side, stream);
    size_t used = 0;
    assert_int_equal(s->eofs + s->errors, 0);
    assert_false(stream_paused(st));
    assert_true(in.n > 0);
    assert_ptr_equal(in.p >= b->data && in.p + in.n <= b->data + b->len ? b : NULL, b);
    assert_true(s->taken + in.n <= s->flow->len);
    assert_memory_equal(in.p, s->flow->bytes + s->taken, in.n);
    s->shown++;
    s->seen = max_size(s->seen, s->taken + in.n);
    while (!s->deaf && in.n - used >= HEAD) {
        const uint8_t *p = in.p + used;
        size_t whole = HEAD + ((size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
        if (whole > in.n - used) {
            if (s->need && !(s->whims && rng_below(&s->rng, 4) == 0)) {
                stream_need(st, whole);
            }
            break;
        }
        if (s->whims && rng_below(&s->rng, 8) == 0) {
            stream_pause(st);
            if (rng_below(&s->rng, 4) == 0) {
                stream_resume(st); /* inside on_recv: what is not taken comes again all the same */
            }
            break;
        }
        used += whole;
    }
    if (s->whims && rng_below(&s->rng, 4) == 0) {
        side_keep(s, b, slice(in.p, rng_below(&s->rng, 2) == 0 ? used : in.n), s->taken);
    }
    s->taken += used;
    if (s->close_in_recv) {
        stream_close(st);
    }
    return used;
}

static inline void side_on_eof(struct stream *st) {
    struct side *s = CONTAINER_OF(st, struct side, stream);
    assert_false(stream_paused(st));
    s->eofs++;
    if (s->close_in_eof) {
        stream_close(st);
    }
}

static inline void side_on_connect(struct stream *st) {
    struct side *s = CONTAINER_OF(st, struct side, stream);
    s->connects++;
    if (s->close_in_connect) {
        stream_close(st);
    }
}

static inline void side_on_room(struct stream *st) {
    struct side *s = CONTAINER_OF(st, struct side, stream);
    assert_int_equal(s->errors, 0);
    s->rooms++;
    if (s->close_in_room) {
        stream_close(st);
    }
}

static inline void side_on_error(struct stream *st, enum reason why) {
    struct side *s = CONTAINER_OF(st, struct side, stream);
    s->errors++;
    s->why = why;
    if (!s->keep_open_on_error) {
        stream_close(st);
    }
}

static const struct stream_ops side_ops = {side_on_recv, side_on_eof, side_on_connect, side_on_room, side_on_error, NULL, NULL};
static const struct connect_opts connect_opts = {.keepalive = true, .user_timeout_ms = 1000};

static inline void side_fini(struct side *s) {
    stream_close(&s->stream);
    for (unsigned i = 0; i < s->nkept; i++) {
        assert_memory_equal(s->kept[i].bytes.p, s->flow->bytes + s->kept[i].pos, s->kept[i].bytes.n);
        buf_unref(&s->kept[i].buf);
    }
    s->nkept = 0;
}

/* Connects `s` to the test, which holds the other end. */
static inline int side_open(struct net *t, struct side *s, const struct flow *f) {
    s->flow = f;
    assert_int_equal(stream_connect(t->loop, &s->stream, &side_ops, &t->at, &connect_opts), REASON_NONE);
    assert_int_equal(s->connects, 0); /* never inside the call */
    int peer = net_peer(t);
    UNTIL(t->loop, s->connects == 1);
    return peer;
}

static __attribute__((unused)) bool tcp = false, local = true;

#define BOTH(f) cmocka_unit_test_prestate(f, &tcp), cmocka_unit_test_prestate(f, &local)

#endif
