/* A connection changes hands at every cut of what arrives: nothing is lost, and nothing is shown out of order. */
#include "stream_test.h"

static void hand_over(struct net *t, struct side *s) {
    uint8_t unread[64];
    size_t n = s->stream.tail != NULL ? s->stream.tail->len : 0;
    assert_true(n <= sizeof unread);
    if (n > 0) {
        memcpy(unread, s->stream.tail->data, n);
    }
    int fd = stream_detach(&s->stream);
    assert_true(fd >= 0);
    assert_int_equal(stream_detach(&s->stream), -1);
    stream_adopt(t->loop, fd, &s->stream, &side_ops, slice(unread, n));
}

static void test_every_cut(void **state) {
    struct flow f = {0};
    struct net t;
    for (size_t i = 0; i < 6; i++) {
        flow_add(&f, 7 * i % 17);
    }
    net_init(&t, *(bool *)*state);
    for (size_t cut = 1; cut < f.len; cut++) {
        for (int early = 0; early < 2; early++) { /* the rest arrives before, or after it changed hands */
            struct side s = {0};
            int peer = side_open(&t, &s, &f);
            assert_int_equal(write(peer, f.bytes, cut), cut);
            UNTIL(t.loop, s.stream.received == cut);
            if (early) {
                assert_int_equal(write(peer, f.bytes + cut, f.len - cut), f.len - cut);
            }
            hand_over(&t, &s);
            if (!early) {
                assert_int_equal(write(peer, f.bytes + cut, f.len - cut), f.len - cut);
            }
            UNTIL(t.loop, s.taken == f.len);
            close(peer);
            UNTIL(t.loop, s.eofs == 1);
            assert_int_equal(stream_detach(&s.stream), -1); /* it has ended */
            side_fini(&s);
        }
    }
    net_fini(&t);
    flow_fini(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {BOTH(test_every_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
