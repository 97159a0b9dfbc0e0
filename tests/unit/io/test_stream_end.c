/* How streams end: errors once, closing inside callbacks, stale events. */
#include "stream_test.h"

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
    static const struct stream_ops ops = {couple_on_recv, side_on_eof, side_on_connect, side_on_room, side_on_error, NULL, NULL};
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reset),  BOTH(test_send_to_the_dead),   cmocka_unit_test(test_reset_after_eof),
        BOTH(test_refused),            BOTH(test_close_inside),       BOTH(test_close_inside_large),
        BOTH(test_stale_event),        BOTH(test_bounded),            BOTH(test_peer_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
