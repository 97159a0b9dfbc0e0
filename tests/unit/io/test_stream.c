#include "base/rng.h"
#include "io_test.h"

#include <netinet/in.h>

/* The messages of these tests: four bytes of length, big-endian, then as many bytes. Every byte of the whole flow is a
 * function of its place, so whatever is shown can be checked by where it must stand. */

#define HEAD 4

static uint8_t byte_at(size_t pos) {
    return (uint8_t)(pos * 131 + (pos >> 8) * 17 + (pos >> 16));
}

struct flow {
    uint8_t *bytes;
    size_t len, cap;
};

static void flow_add(struct flow *f, size_t payload) {
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

static void flow_fini(struct flow *f) {
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

static void side_keep(struct side *s, struct buf *b, struct slice in, size_t pos) {
    if (s->nkept < KEPT_MAX && in.n > 0) {
        s->kept[s->nkept].buf = buf_ref(b);
        s->kept[s->nkept].bytes = in;
        s->kept[s->nkept++].pos = pos;
    }
}

static size_t side_on_recv(struct stream *st, struct buf *b, struct slice in) {
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

static void side_on_eof(struct stream *st) {
    struct side *s = CONTAINER_OF(st, struct side, stream);
    assert_false(stream_paused(st));
    s->eofs++;
    if (s->close_in_eof) {
        stream_close(st);
    }
}

static void side_on_connect(struct stream *st) {
    struct side *s = CONTAINER_OF(st, struct side, stream);
    s->connects++;
    if (s->close_in_connect) {
        stream_close(st);
    }
}

static void side_on_room(struct stream *st) {
    struct side *s = CONTAINER_OF(st, struct side, stream);
    assert_int_equal(s->errors, 0);
    s->rooms++;
    if (s->close_in_room) {
        stream_close(st);
    }
}

static void side_on_error(struct stream *st, enum reason why) {
    struct side *s = CONTAINER_OF(st, struct side, stream);
    s->errors++;
    s->why = why;
    if (!s->keep_open_on_error) {
        stream_close(st);
    }
}

static const struct stream_ops side_ops = {side_on_recv, side_on_eof, side_on_connect, side_on_room, side_on_error};
static const struct connect_opts connect_opts = {.keepalive = true, .user_timeout_ms = 1000};

static void side_fini(struct side *s) {
    stream_close(&s->stream);
    for (unsigned i = 0; i < s->nkept; i++) {
        assert_memory_equal(s->kept[i].bytes.p, s->flow->bytes + s->kept[i].pos, s->kept[i].bytes.n);
        buf_unref(&s->kept[i].buf);
    }
    s->nkept = 0;
}

/* Connects `s` to the test, which holds the other end. */
static int side_open(struct net *t, struct side *s, const struct flow *f) {
    s->flow = f;
    assert_int_equal(stream_connect(t->loop, &s->stream, &side_ops, &t->at, &connect_opts), REASON_NONE);
    assert_int_equal(s->connects, 0); /* never inside the call */
    int peer = net_peer(t);
    UNTIL(t->loop, s->connects == 1);
    return peer;
}

/* ---- any cut, any whim: the same messages ---- */

static void test_every_cut(void **state) {
    struct flow f = {0};
    struct net t;
    static const size_t sizes[] = {3, 0, 9, 1, 0, 0, 17};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        flow_add(&f, sizes[i]);
    }
    net_init(&t, *(bool *)*state);
    for (size_t cut = 1; cut < f.len; cut++) {
        struct side s = {.need = true};
        int peer = side_open(&t, &s, &f);
        assert_int_equal(write(peer, f.bytes, cut), cut);
        UNTIL(t.loop, s.stream.received == cut);
        assert_true(s.seen == cut);
        assert_int_equal(write(peer, f.bytes + cut, f.len - cut), f.len - cut);
        close(peer); /* FIN together with data */
        UNTIL(t.loop, s.eofs == 1);
        assert_int_equal(s.taken, f.len);
        assert_null(s.stream.tail);
        side_fini(&s);
    }
    net_fini(&t);
    flow_fini(&f);
}

static void side_run(struct net *t, struct side *s, int peer, struct rng *r, size_t piece) {
    const struct flow *f = s->flow;
    size_t sent = 0;
    int64_t end = loop_now(t->loop) + DEADLINE_USEC;
    while (s->eofs == 0) {
        for (uint32_t n = rng_below(r, 3); n > 0 && sent < f->len; n--) {
            ssize_t got = write(peer, f->bytes + sent, min_size(f->len - sent, 1 + rng_below(r, (uint32_t)piece)));
            sent += got > 0 ? (size_t)got : 0;
            if (sent == f->len) {
                shutdown(peer, SHUT_WR);
                sent++;
            }
        }
        loop_turn(t->loop, 0);
        if (stream_paused(&s->stream) && rng_below(r, 2) == 0) {
            stream_resume(&s->stream);
        }
        if (s->nkept > 0 && rng_below(r, 4) == 0) {
            s->nkept--;
            assert_memory_equal(s->kept[s->nkept].bytes.p, f->bytes + s->kept[s->nkept].pos, s->kept[s->nkept].bytes.n);
            buf_unref(&s->kept[s->nkept].buf);
        }
        assert_true(loop_now(t->loop) < end);
    }
    assert_int_equal(s->taken, f->len);
    assert_int_equal(s->stream.received, f->len);
}

static void test_whims(void **state) {
    static const size_t sizes[] = {1, 100, 5000, 16000, 40000, 130000, 400000};
    struct net t;
    net_init(&t, *(bool *)*state);
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct flow f = {0};
        struct rng r;
        rng_seed(&r, seed);
        uint32_t most = 2 + rng_below(&r, ARRAY_LEN(sizes) - 1);
        for (int i = 0; i < 40 && f.len < 1500000; i++) {
            flow_add(&f, rng_below(&r, (uint32_t)sizes[rng_below(&r, most)]));
        }
        struct side s = {.whims = seed % 4 != 0, .need = seed % 3 != 0};
        rng_seed(&s.rng, seed);
        int peer = side_open(&t, &s, &f);
        side_run(&t, &s, peer, &r, f.len / 20 + 1);
        side_fini(&s);
        close(peer);
        flow_fini(&f);
    }
    net_fini(&t);
}

static void test_large(void **state) {
    static const size_t sizes[] = {1u << 20, 64u << 20};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct flow f = {0};
        struct net t;
        struct rng r;
        rng_seed(&r, 1);
        flow_add(&f, 10);
        flow_add(&f, sizes[i]);
        flow_add(&f, 10);
        net_init(&t, *(bool *)*state);
        struct side s = {.need = true};
        int peer = side_open(&t, &s, &f);
        side_run(&t, &s, peer, &r, 1u << 20);
        assert_in_range(s.shown, 1, 20); /* not shown for every piece of it */
        side_fini(&s);
        close(peer);
        assert_true(t.pool.peak < 3 * f.len + (1u << 20));
        net_fini(&t);
        flow_fini(&f);
    }
}

/* A message whose length nobody knows costs time in proportion to it, not to its square. */
static void test_large_unannounced(void **state) {
    struct flow f = {0};
    struct net t;
    struct rng r;
    rng_seed(&r, 1);
    flow_add(&f, 16u << 20);
    net_init(&t, *(bool *)*state);
    struct side s = {0};
    int peer = side_open(&t, &s, &f);
    side_run(&t, &s, peer, &r, 1u << 20);
    side_fini(&s);
    close(peer);
    net_fini(&t);
    flow_fini(&f);
}

/* ---- pause, resume, the end ---- */

static void test_pause(void **state) {
    struct flow f = {0};
    struct net t;
    for (int i = 0; i < 4; i++) {
        flow_add(&f, 100);
    }
    net_init(&t, *(bool *)*state);
    struct side s = {.deaf = true};
    int peer = side_open(&t, &s, &f);
    assert_int_equal(write(peer, f.bytes, 50), 50);
    UNTIL(t.loop, s.seen == 50);
    stream_pause(&s.stream);
    assert_int_equal(write(peer, f.bytes + 50, f.len - 50), f.len - 50);
    close(peer);
    for (int i = 0; i < 5; i++) {
        loop_turn(t.loop, 1000);
    }
    assert_int_equal(s.shown, 1);
    assert_int_equal(s.eofs, 0);
    s.deaf = false;
    stream_resume(&s.stream);
    assert_int_equal(s.shown, 1); /* never inside the call */
    UNTIL(t.loop, s.eofs == 1);
    assert_int_equal(s.taken, f.len);
    assert_int_equal(s.errors, 0);
    side_fini(&s);
    net_fini(&t);
    flow_fini(&f);
}

/* The tail is shown again after resume although nothing new arrives. */
static void test_resume_shows_tail(void **state) {
    struct flow f = {0};
    struct net t;
    flow_add(&f, 100);
    net_init(&t, *(bool *)*state);
    struct side s = {.deaf = true};
    int peer = side_open(&t, &s, &f);
    assert_int_equal(write(peer, f.bytes, f.len), f.len);
    UNTIL(t.loop, s.seen == f.len);
    stream_pause(&s.stream);
    stream_resume(&s.stream);
    stream_pause(&s.stream); /* and again: only the last counts */
    loop_turn(t.loop, 0);
    loop_turn(t.loop, 0);
    assert_int_equal(s.shown, 1);
    s.deaf = false;
    stream_resume(&s.stream);
    UNTIL(t.loop, s.taken == f.len);
    assert_int_equal(s.shown, 2);
    side_fini(&s);
    close(peer);
    net_fini(&t);
    flow_fini(&f);
}

/* FIN behind a message that is cut off: all of it was shown, the tail is not taken. */
static void test_eof_with_tail(void **state) {
    struct flow f = {0};
    struct net t;
    flow_add(&f, 200000);
    net_init(&t, *(bool *)*state);
    for (size_t cut = 3; cut < f.len; cut += 33333) {
        struct side s = {.need = true};
        int peer = side_open(&t, &s, &f);
        size_t sent = 0;
        while (sent < cut) {
            ssize_t n = write(peer, f.bytes + sent, cut - sent);
            sent += n > 0 ? (size_t)n : 0;
            loop_turn(t.loop, 0);
        }
        shutdown(peer, SHUT_WR);
        UNTIL(t.loop, s.eofs == 1);
        assert_int_equal(s.seen, cut);
        struct iovec iov = {f.bytes, 10};
        assert_int_equal(stream_send(&s.stream, &iov, 1), 10); /* sending is still possible */
        uint8_t back[10];
        UNTIL(t.loop, read(peer, back, 10) == 10);
        for (int i = 0; i < 3; i++) {
            loop_turn(t.loop, 0);
        }
        assert_int_equal(s.eofs, 1);
        assert_int_equal(s.errors, 0);
        side_fini(&s);
        close(peer);
    }
    net_fini(&t);
    flow_fini(&f);
}

/* ---- sending ---- */

static void test_short_write(void **state) {
    struct flow f = {0};
    struct net t;
    flow_add(&f, 16u << 20);
    uint8_t *back = mem_alloc(f.len);
    net_init(&t, *(bool *)*state);
    struct side s = {0};
    struct flow none = {0};
    int peer = side_open(&t, &s, &none);
    size_t sent = 0, got = 0;
    unsigned shorts = 0;
    while (sent < f.len) {
        struct iovec iov[2] = {{f.bytes + sent, (f.len - sent) / 2}, {f.bytes + sent + (f.len - sent) / 2, 0}};
        iov[1].iov_len = f.len - sent - iov[0].iov_len;
        unsigned rooms = s.rooms;
        size_t n = stream_send(&s.stream, iov, 2);
        assert_int_equal(s.rooms, rooms); /* never inside the call */
        sent += n;
        if (sent == f.len) {
            break;
        }
        shorts++;
        int64_t end = loop_now(t.loop) + DEADLINE_USEC;
        while (s.rooms == rooms) {
            ssize_t m = read(peer, back + got, f.len - got);
            got += m > 0 ? (size_t)m : 0;
            loop_turn(t.loop, 1000);
            assert_true(loop_now(t.loop) < end);
        }
        assert_int_equal(s.rooms, rooms + 1);
    }
    assert_true(shorts > 0);
    stream_shutdown(&s.stream);
    ssize_t m;
    while ((m = read(peer, back + got, f.len - got + 1)) != 0) {
        got += m > 0 ? (size_t)m : 0;
        loop_turn(t.loop, 0);
    }
    assert_int_equal(got, f.len);
    assert_memory_equal(back, f.bytes, f.len);
    side_fini(&s);
    close(peer);
    mem_free(back);
    net_fini(&t);
    flow_fini(&f);
}

/* Room again and bytes to read come in one event, and the stream is paused: neither is lost. */
static void test_room_with_data(void **state) {
    struct flow f = {0};
    struct net t;
    flow_add(&f, 100);
    net_init(&t, *(bool *)*state);
    struct side s = {0};
    int peer = side_open(&t, &s, &f);
    static uint8_t block[1 << 20];
    struct iovec iov = {block, sizeof block};
    while (stream_send(&s.stream, &iov, 1) == sizeof block) {
    }
    stream_pause(&s.stream);
    assert_int_equal(write(peer, f.bytes, f.len), f.len);
    static uint8_t sink[1 << 20];
    int64_t end = loop_now(t.loop) + DEADLINE_USEC;
    while (s.rooms == 0) {
        while (read(peer, sink, sizeof sink) > 0) {
        }
        loop_turn(t.loop, 1000);
        assert_true(loop_now(t.loop) < end);
    }
    assert_int_equal(s.shown, 0);
    stream_resume(&s.stream);
    UNTIL(t.loop, s.taken == f.len);
    assert_int_equal(s.rooms, 1);
    side_fini(&s);
    close(peer);
    net_fini(&t);
    flow_fini(&f);
}

/* ---- errors ---- */

static void turns(struct net *t, int n) {
    while (n-- > 0) {
        loop_turn(t->loop, 0);
    }
}

static void test_reset(void **state) {
    struct flow f = {0};
    struct net t;
    flow_add(&f, 100);
    net_init(&t, false);
    for (int paused = 0; paused < 2; paused++) {
        for (int open = 0; open < 2; open++) {
            struct side s = {.keep_open_on_error = open != 0};
            int peer = side_open(&t, &s, &f);
            if (paused) {
                stream_pause(&s.stream);
            }
            net_reset(peer);
            UNTIL(t.loop, s.errors == 1);
            assert_int_equal(s.why, REASON_RESET);
            turns(&t, 3);
            if (open) { /* on_error was the last callback, whatever the owner still does */
                struct iovec iov = {f.bytes, 10};
                assert_int_equal(stream_send(&s.stream, &iov, 1), 0);
                stream_pause(&s.stream);
                stream_resume(&s.stream);
                turns(&t, 3);
            }
            assert_int_equal(s.errors, 1);
            assert_int_equal(s.eofs, 0);
            side_fini(&s);
        }
    }
    net_fini(&t);
    flow_fini(&f);
}

/* The peer closes with our bytes unread: what it had sent is shown, then the failure; and once. */
static void test_send_to_the_dead(void **state) {
    struct flow f = {0};
    struct net t;
    flow_add(&f, 100);
    net_init(&t, *(bool *)*state);
    struct iovec iov = {f.bytes, 10};
    struct side s = {0};
    int peer = side_open(&t, &s, &f);
    assert_int_equal(stream_send(&s.stream, &iov, 1), 10);
    assert_int_equal(write(peer, f.bytes, f.len), f.len);
    close(peer);
    int64_t end = loop_now(t.loop) + DEADLINE_USEC;
    while (s.errors == 0) {
        if (s.eofs > 0) {
            stream_send(&s.stream, &iov, 1);
            assert_int_equal(s.errors, 0); /* never inside the call */
        }
        loop_turn(t.loop, 1000);
        assert_true(loop_now(t.loop) < end);
    }
    turns(&t, 3);
    assert_int_equal(s.errors, 1);
    side_fini(&s);
    net_fini(&t);
    flow_fini(&f);
}

/* A reset after the FIN: recv has no more to say, the event has. */
static void test_reset_after_eof(void **state) {
    struct flow f = {0};
    struct net t;
    net_init(&t, false);
    struct side s = {0};
    int peer = side_open(&t, &s, &f);
    shutdown(peer, SHUT_WR);
    UNTIL(t.loop, s.eofs == 1);
    net_reset(peer);
    UNTIL(t.loop, s.errors == 1);
    side_fini(&s);
    net_fini(&t);
}

static void test_refused(void **state) {
    struct flow f = {0};
    struct net t;
    bool is_unix = *(bool *)*state;
    net_init(&t, is_unix);
    close(t.fd);
    t.fd = -1;
    struct side s = {.flow = &f};
    enum reason why = stream_connect(t.loop, &s.stream, &side_ops, &t.at, &connect_opts);
    if (why == REASON_NONE) {
        assert_int_equal(s.errors, 0);
        UNTIL(t.loop, s.errors == 1);
        why = s.why;
    }
    assert_int_equal(why, REASON_REFUSED);
    assert_int_equal(s.connects, 0);
    assert_int_equal(s.stream.state, STREAM_CLOSED);
    if (is_unix) {
        unlink(t.path);
        why = stream_connect(t.loop, &s.stream, &side_ops, &t.at, &connect_opts);
        assert_int_equal(why, REASON_NO_ENTRY);
    }
    side_fini(&s);
    net_fini(&t);
}

/* ---- close and begin again inside callbacks ---- */

static void test_close_inside(void **state) {
    struct flow f = {0};
    struct net t;
    flow_add(&f, 100);
    flow_add(&f, 300000);
    net_init(&t, *(bool *)*state);
    for (int where = 0; where < 4; where++) {
        struct side s = {.flow = &f, .need = true, .close_in_recv = where == 1, .close_in_eof = where == 2};
        s.close_in_connect = where == 0;
        s.close_in_room = where == 3;
        assert_int_equal(stream_connect(t.loop, &s.stream, &side_ops, &t.at, &connect_opts), REASON_NONE);
        int peer = net_peer(&t);
        assert_int_equal(write(peer, f.bytes, 60), 60); /* with the connect, or right behind it */
        UNTIL(t.loop, where == 0 ? s.connects == 1 : s.shown == 1);
        if (where == 2) {
            close(peer);
            peer = -1;
            UNTIL(t.loop, s.eofs == 1);
        } else if (where == 3) {
            static uint8_t block[1 << 20];
            struct iovec iov = {block, sizeof block};
            while (stream_send(&s.stream, &iov, 1) == sizeof block) {
            }
            assert_int_equal(write(peer, f.bytes + 60, 60), 60);
            int64_t end = loop_now(t.loop) + DEADLINE_USEC;
            while (s.rooms == 0) {
                while (read(peer, block, sizeof block) > 0) {
                }
                loop_turn(t.loop, 1000);
                assert_true(loop_now(t.loop) < end);
            }
        }
        assert_int_equal(s.stream.state, STREAM_CLOSED);
        unsigned shown = s.shown;
        turns(&t, 3);
        assert_int_equal(s.shown, shown);
        assert_int_equal(s.errors, 0);
        side_fini(&s);
        if (peer >= 0) {
            close(peer);
        }
    }
    net_fini(&t);
    flow_fini(&f);
}

/* Closed inside the show of a large message, with bytes behind it. */
static void test_close_inside_large(void **state) {
    struct flow f = {0};
    struct net t;
    struct rng r;
    flow_add(&f, 100000);
    flow_add(&f, 10);
    net_init(&t, *(bool *)*state);
    struct side s = {.need = true};
    int peer = side_open(&t, &s, &f);
    size_t sent = 0;
    rng_seed(&r, 1);
    while (s.stream.state == STREAM_OPEN) {
        ssize_t n = write(peer, f.bytes + sent, min_size(f.len - sent, s.shown == 0 ? 1000 : f.len));
        sent += n > 0 ? (size_t)n : 0;
        loop_turn(t.loop, 0);
        s.close_in_recv = s.stream.need > 0;
    }
    assert_int_equal(s.taken, HEAD + 100000);
    turns(&t, 2);
    side_fini(&s);
    close(peer);
    net_fini(&t);
    flow_fini(&f);
}

/* Two streams have news in one turn; the first to be called closes the other and connects it anew. */
struct couple {
    struct side a, b;
    struct net *t;
    unsigned calls;
};

static struct couple couple;

static size_t couple_on_recv(struct stream *st, struct buf *b, struct slice in) {
    struct side *other = st == &couple.a.stream ? &couple.b : &couple.a;
    if (couple.calls++ == 0) {
        stream_close(&other->stream);
        assert_int_equal(stream_connect(couple.t->loop, &other->stream, &side_ops, &couple.t->at, &connect_opts), REASON_NONE);
    }
    return in.n;
}

static void test_stale_event(void **state) {
    static const struct stream_ops ops = {couple_on_recv, side_on_eof, side_on_connect, side_on_room, side_on_error};
    struct flow none = {0};
    struct net t;
    net_init(&t, *(bool *)*state);
    couple = (struct couple){.t = &t};
    int pa = side_open(&t, &couple.a, &none), pb = side_open(&t, &couple.b, &none);
    couple.a.stream.ops = couple.b.stream.ops = &ops;
    assert_int_equal(write(pa, "x", 1), 1);
    assert_int_equal(write(pb, "x", 1), 1);
    shutdown(pa, SHUT_WR); /* so that the stale event says HUP */
    shutdown(pb, SHUT_WR);
    UNTIL(t.loop, couple.calls > 0);
    int pc = net_peer(&t);
    UNTIL(t.loop, couple.a.connects + couple.b.connects == 3);
    turns(&t, 3);
    assert_int_equal(couple.a.errors + couple.b.errors, 0);
    assert_int_equal(couple.a.eofs + couple.b.eofs, 1);
    side_fini(&couple.a);
    side_fini(&couple.b);
    close(pa);
    close(pb);
    close(pc);
    net_fini(&t);
}

/* ---- fairness ---- */

/* A peer that sends without end does not keep a turn from ending. */
static void test_bounded(void **state) {
    struct flow f = {0};
    struct net t;
    flow_add(&f, 4u << 20);
    net_init(&t, *(bool *)*state);
    struct side s = {.need = true};
    int peer = side_open(&t, &s, &f);
    size_t sent = 0;
    while (sent < f.len) {
        ssize_t n;
        while ((n = write(peer, f.bytes + sent, f.len - sent)) > 0) {
            sent += (size_t)n;
        }
        uint64_t before = s.stream.received;
        loop_turn(t.loop, 0);
        assert_true(s.stream.received - before <= 8u << 20);
    }
    UNTIL(t.loop, s.taken == f.len);
    side_fini(&s);
    close(peer);
    net_fini(&t);
    flow_fini(&f);
}

static void test_peer_text(void **state) {
    struct flow f = {0};
    struct net t;
    char text[ADDR_TEXT_MAX], want[ADDR_TEXT_MAX];
    net_init(&t, *(bool *)*state);
    struct side s = {0};
    int peer = side_open(&t, &s, &f);
    assert_string_equal(stream_peer(&s.stream, text, sizeof text), addr_text(&t.at, want, sizeof want));
    side_fini(&s);
    assert_string_equal(stream_peer(&s.stream, text, sizeof text), "unknown");
    close(peer);
    net_fini(&t);
}

static bool tcp = false, local = true;

#define BOTH(f) cmocka_unit_test_prestate(f, &tcp), cmocka_unit_test_prestate(f, &local)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(test_every_cut),     BOTH(test_whims),
        BOTH(test_large),         BOTH(test_large_unannounced),
        BOTH(test_pause),         BOTH(test_resume_shows_tail),
        BOTH(test_eof_with_tail), BOTH(test_short_write),
        BOTH(test_room_with_data), cmocka_unit_test(test_reset),
        BOTH(test_send_to_the_dead), cmocka_unit_test(test_reset_after_eof),
        BOTH(test_refused),       BOTH(test_close_inside),
        BOTH(test_close_inside_large), BOTH(test_stale_event),
        BOTH(test_bounded),       BOTH(test_peer_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
