/* What plain streams do, streams over TLS do as well: whole messages however the records were cut, pauses, ends, short writes. */
#include "tls_test.h"

/* ---- receiving ---- */

static void test_byte_by_byte(void **state) {
    struct flow f = {0};
    struct pair p;
    struct far far;
    struct side s = {.need = true};
    flow_add(&f, 3);
    flow_add(&f, 500);
    pair_init(&p, NULL);
    pair_connect(&p, &s, &f, &far);
    SHAKE(&p, &far, 1); /* both ways */
    far_write(&far, f.bytes, f.len);
    while (far_push(&far, 1) == 1) {
        turns(&p, 2);
    }
    UNTIL(p.net.loop, s.taken == f.len);
    assert_int_equal(s.shown, 1); /* one record: nothing of it is shown before all of it is there */
    pair_end(&p, &s, &far, &f);
}

/* Three records, cut once, everywhere; close_notify and FIN are behind the last byte, in the same segment. */
static void test_every_cut(void **state) {
    struct flow f = {0};
    struct pair p;
    size_t len = SIZE_MAX;
    flow_add(&f, 5);
    flow_add(&f, 0);
    flow_add(&f, 11);
    pair_init(&p, NULL);
    for (size_t cut = 1; cut < len; cut++) {
        struct side s = {.need = cut % 2 == 0};
        struct far far;
        pair_open(&p, &s, &f, &far);
        far_write(&far, f.bytes, 9);
        far_write(&far, f.bytes + 9, 4);
        far_write(&far, f.bytes + 13, f.len - 13);
        SSL_shutdown(far.ssl);
        len = (size_t)BIO_pending(far.out);
        assert_int_equal(far_push(&far, cut), cut);
        turns(&p, 2);
        assert_int_equal(s.eofs, 0);
        assert_int_equal(far_push(&far, SIZE_MAX), len - cut);
        shutdown(far.fd, SHUT_WR);
        UNTIL(p.net.loop, s.eofs == 1);
        assert_int_equal(s.taken, f.len);
        side_fini(&s);
        far_close(&far);
    }
    pair_fini(&p);
    flow_fini(&f);
}

/* Whoever pauses in the middle of what arrived gets the rest after the resume, though nothing new comes. */
static void test_resume_without_news(void **state) {
    struct flow f = {0};
    struct pair p;
    struct far far;
    struct side s = {.deaf = true};
    for (int i = 0; i < 40; i++) {
        flow_add(&f, 1000);
    }
    pair_init(&p, NULL);
    pair_open(&p, &s, &f, &far);
    stream_pause(&s.stream);
    for (size_t at = 0; at < f.len; at += 1004) {
        far_write(&far, f.bytes + at, 1004);
    }
    assert_true(far_push(&far, SIZE_MAX) > f.len);
    turns(&p, 5);
    assert_int_equal(s.shown, 0);
    stream_resume(&s.stream);
    UNTIL(p.net.loop, s.seen == f.len); /* takes nothing */
    stream_pause(&s.stream);
    s.deaf = false;
    turns(&p, 5);
    assert_int_equal(s.taken, 0);
    stream_resume(&s.stream);
    UNTIL(p.net.loop, s.taken == f.len);
    pair_end(&p, &s, &far, &f);
}

/* Messages of all sizes, records of all sizes, pieces of all sizes, an owner with whims. */
static void test_whims(void **state) {
    static const size_t sizes[] = {1, 100, 5000, 16000, 40000, 130000, 400000};
    struct pair p;
    pair_init(&p, NULL);
    for (unsigned seed = 1; seed <= 40; seed++) {
        struct flow f = {0};
        struct far far;
        struct rng r;
        struct side s = {.whims = true, .need = true};
        size_t said = 0;
        rng_seed(&r, seed);
        rng_seed(&s.rng, seed);
        uint32_t most = 2 + rng_below(&r, ARRAY_LEN(sizes) - 1);
        for (int i = 0; i < 40 && f.len < 1000000; i++) {
            flow_add(&f, rng_below(&r, (uint32_t)sizes[rng_below(&r, most)]));
        }
        pair_open(&p, &s, &f, &far);
        int64_t end = loop_now(p.net.loop) + DEADLINE_USEC;
        while (s.eofs == 0) {
            if (said < f.len && BIO_pending(far.out) < 200000) {
                size_t n = min_size(f.len - said, 1 + rng_below(&r, 40000));
                far_write(&far, f.bytes + said, n);
                said += n;
            }
            far_push(&far, 1 + rng_below(&r, 100000));
            if (said == f.len && BIO_pending(far.out) == 0) {
                shutdown(far.fd, SHUT_WR); /* without close_notify */
            }
            loop_turn(p.net.loop, 0);
            if (stream_paused(&s.stream) && rng_below(&r, 2) == 0) {
                stream_resume(&s.stream);
            }
            assert_true(loop_now(p.net.loop) < end);
        }
        assert_int_equal(s.taken, f.len);
        assert_int_equal(s.stream.received, f.len);
        side_fini(&s);
        far_close(&far);
        flow_fini(&f);
    }
    pair_fini(&p);
}

/* ---- sending ---- */

/* Everything is sent, in pieces of all kinds, to somebody who reads now and then; the moment stream_send has taken all of it the
 * stream is closed, or shut down, and all of it arrives all the same; close_notify after it unless the socket is full when it closes. */
static void test_send(void **state) {
    struct pair p;
    pair_init(&p, NULL);
    for (unsigned seed = 1; seed <= 30; seed++) {
        struct flow f = {0}, none = {0};
        struct far far;
        struct rng r;
        struct side s = {0};
        uint8_t bytes[65536];
        size_t sent = 0, got = 0, n;
        unsigned rooms = 0;
        bool blocked = false;
        rng_seed(&r, seed);
        flow_add(&f, seed % 3 == 0 ? 3000000 : rng_below(&r, 60000) + 1);
        pair_open(&p, &s, &none, &far);
        int small = 4096;
        setsockopt(s.stream.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        while (sent < f.len) {
            struct iovec iov[8];
            int niov = 0;
            size_t len = 0;
            for (; niov < 8 && sent + len < f.len; niov++) {
                iov[niov].iov_base = f.bytes + sent + len;
                iov[niov].iov_len = min_size(f.len - sent - len, 1 + rng_below(&r, seed % 2 ? 200 : 50000));
                len += iov[niov].iov_len;
            }
            if (!blocked) {
                n = stream_send(&s.stream, iov, niov);
                sent += n;
                blocked = n < len;
            }
            if (blocked && rng_below(&r, 3) == 0) {
                n = far_read(&far, bytes, sizeof bytes);
                assert_memory_equal(bytes, f.bytes + got, n);
                got += n;
            }
            loop_turn(p.net.loop, 0);
            blocked = blocked && s.rooms == rooms;
            rooms = s.rooms;
        }
        bool close = rng_below(&r, 2) == 0;
        if (close) {
            stream_close(&s.stream);
        } else {
            stream_shutdown(&s.stream);
        }
        int64_t end = clock_now() + DEADLINE_USEC;
        while (!far.fin && clock_now() < end) {
            loop_turn(p.net.loop, 0);
            n = far_read(&far, bytes, sizeof bytes);
            assert_memory_equal(bytes, f.bytes + got, n);
            got += n;
        }
        while ((n = far_read(&far, bytes, sizeof bytes)) > 0) {
            assert_memory_equal(bytes, f.bytes + got, n);
            got += n;
        }
        assert_int_equal(got, f.len);
        assert_true(close || (SSL_get_shutdown(far.ssl) & SSL_RECEIVED_SHUTDOWN));
        stream_close(&s.stream);
        assert_int_equal(p.net.pool.used, p.net.loop->shared != NULL ? p.net.loop->shared->cap : 0);
        far_close(&far);
        flow_fini(&f);
    }
    pair_fini(&p);
}

/* What is sent before the handshake is through goes out behind it. */
static void test_send_early(void **state) {
    struct flow none = {0};
    struct pair p;
    struct far far;
    struct side s = {0};
    struct iovec iov = {(char[]){"early"}, 5};
    uint8_t bytes[16];
    pair_init(&p, NULL);
    pair_connect(&p, &s, &none, &far);
    assert_int_equal(stream_send(&s.stream, &iov, 1), 0);
    SHAKE(&p, &far, SIZE_MAX);
    assert_int_equal(s.rooms, 1);
    assert_int_equal(stream_send(&s.stream, &iov, 1), 5);
    UNTIL(p.net.loop, far_read(&far, bytes, sizeof bytes) == 5);
    assert_false(stream_plain(&s.stream));
    pair_end(&p, &s, &far, NULL);
}

/* Much both ways at the same time, through small buffers, with new keys asked for in the middle. */
static void test_both_ways(void **state) {
    struct flow f = {0};
    struct pair p;
    struct far far;
    struct side s = {.need = true};
    size_t sent = 0, got = 0, said = 0;
    unsigned rooms = 0;
    bool blocked = false;
    for (int i = 0; i < 100; i++) {
        flow_add(&f, 20000);
    }
    pair_init(&p, NULL);
    pair_open(&p, &s, &f, &far);
    int64_t end = loop_now(p.net.loop) + DEADLINE_USEC;
    while (s.taken < f.len || got < f.len) {
        uint8_t bytes[16384];
        struct iovec iov = {f.bytes + sent, f.len - sent};
        if (!blocked && sent < f.len) {
            size_t n = stream_send(&s.stream, &iov, 1);
            sent += n;
            blocked = sent < f.len;
        }
        if (said < f.len && BIO_pending(far.out) < 100000) {
            size_t n = min_size(f.len - said, 30000);
            far_write(&far, f.bytes + said, n);
            said += n;
            assert_int_equal(SSL_key_update(far.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        }
        far_push(&far, 50000);
        size_t n = far_read(&far, bytes, sizeof bytes);
        assert_memory_equal(bytes, f.bytes + got, n);
        got += n;
        loop_turn(p.net.loop, 0);
        blocked = blocked && s.rooms == rooms;
        rooms = s.rooms;
        assert_true(loop_now(p.net.loop) < end);
    }
    pair_end(&p, &s, &far, &f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_by_byte), cmocka_unit_test(test_every_cut), cmocka_unit_test(test_resume_without_news),
        cmocka_unit_test(test_whims),        cmocka_unit_test(test_send),      cmocka_unit_test(test_send_early),
        cmocka_unit_test(test_both_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
