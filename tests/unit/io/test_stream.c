/* Whole messages come out, however they came in; what is sent goes out whole. */
#include "stream_test.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(test_every_cut),     BOTH(test_whims),
        BOTH(test_large),         BOTH(test_large_unannounced),
        BOTH(test_pause),         BOTH(test_resume_shows_tail),
        BOTH(test_eof_with_tail), BOTH(test_short_write),
        BOTH(test_room_with_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
