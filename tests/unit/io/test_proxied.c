/* Streams that begin with a load balancer's header, in plain and in TLS: however it is cut, on_connect comes once and before any byte,
 * and what is behind the header is seen from its first byte on. */
#include "tls_test.h"

#define HEADER "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\x0a\x01\x02\x03\x7f\0\0\x01\x04\x01\x58\x49\xee\0\0"
#define HEADER_LEN (sizeof HEADER - 1)

static struct side *next_side;

static void on_accept(struct listener *l, int fd) {
    assert_true(addr_is_local(listener_peer(l)));
    stream_accept(l, fd, &next_side->stream, &side_ops, &(struct accept_opts){.proxied = true});
    next_side = NULL;
}

static const struct listener_ops proxied_ops = {on_accept, pair_on_paused};

static int begin(struct pair *p, struct side *s, const struct flow *f) {
    s->flow = f;
    next_side = s;
    p->listener.ops = &proxied_ops;
    int fd = net_raw(&p->net);
    UNTIL(p->net.loop, next_side == NULL);
    return fd;
}

static void check_peer(const struct side *s) {
    char text[ADDR_TEXT_MAX];
    assert_string_equal(stream_peer(&s->stream, text, sizeof text), "10.1.2.3:1025");
    assert_int_equal(s->connects, 1);
}

/* Header and flow in two pieces, cut at every place. */
static void test_plain(void **state) {
    struct flow f = {0};
    struct pair p;
    flow_add(&f, 40);
    pair_init(&p, NULL);
    p.listener.tls = NULL;
    uint8_t all[HEADER_LEN + 44];
    memcpy(all, HEADER, HEADER_LEN);
    memcpy(all + HEADER_LEN, f.bytes, f.len);
    for (size_t cut = 1; cut < sizeof all; cut++) {
        struct side s = {0};
        int fd = begin(&p, &s, &f);
        assert_int_equal(write(fd, all, cut), cut);
        turns(&p, 3);
        assert_int_equal(s.connects, cut >= HEADER_LEN);
        assert_int_equal(s.seen, cut > HEADER_LEN ? cut - HEADER_LEN : 0);
        assert_int_equal(write(fd, all + cut, sizeof all - cut), sizeof all - cut);
        UNTIL(p.net.loop, s.taken == f.len);
        check_peer(&s);
        close(fd);
        UNTIL(p.net.loop, s.eofs == 1);
        side_fini(&s);
    }
    pair_fini(&p);
    flow_fini(&f);
}

/* The handshake begins behind the header, whose last byte may come with its first ones. */
static void test_tls(void **state) {
    struct flow f = {0};
    struct pair p;
    flow_add(&f, 4000);
    pair_init(&p, NULL);
    for (size_t cut = 0; cut <= HEADER_LEN; cut++) {
        struct side s = {0};
        struct far far;
        int fd = begin(&p, &s, &f);
        far_init(&far, fd, p.far, false);
        if (cut > 0) {
            assert_int_equal(write(fd, HEADER, cut), cut);
            turns(&p, 3);
        }
        assert_int_equal(s.connects, cut == HEADER_LEN);
        BIO_write(far.out, &HEADER[cut], (int)(HEADER_LEN - cut));
        UNTIL(p.net.loop, far_shake(&far, SIZE_MAX));
        far_write(&far, f.bytes, f.len);
        far_push(&far, SIZE_MAX);
        UNTIL(p.net.loop, s.taken == f.len);
        check_peer(&s);
        side_fini(&s);
        far_close(&far);
    }
    pair_fini(&p);
    flow_fini(&f);
}

/* No header, half of one, none at all, a reset; and an owner who closes as soon as it knows whom it has. */
static void test_ends(void **state) {
    struct flow f = {0};
    struct pair p;
    flow_add(&f, 40);
    pair_init(&p, NULL);
    p.listener.tls = NULL;
    struct side a = {0}, b = {0}, c = {0}, d = {0}, e = {.close_in_connect = true};
    int fd = begin(&p, &a, &f);
    assert_int_equal(write(fd, "PING\r\n", 6), 6);
    UNTIL(p.net.loop, a.errors == 1);
    assert_int_equal(a.why, REASON_PROXY);
    close(fd);
    fd = begin(&p, &b, &f);
    assert_int_equal(write(fd, HEADER, HEADER_LEN - 1), HEADER_LEN - 1);
    close(fd);
    UNTIL(p.net.loop, b.errors == 1);
    assert_int_equal(b.why, REASON_PROXY);
    fd = begin(&p, &c, &f);
    close(fd);
    UNTIL(p.net.loop, c.errors == 1);
    assert_int_equal(c.why, REASON_EOF);
    fd = begin(&p, &d, &f);
    net_reset(fd);
    UNTIL(p.net.loop, d.errors == 1);
    assert_int_equal(d.why, REASON_RESET);
    fd = begin(&p, &e, &f);
    assert_int_equal(write(fd, HEADER, HEADER_LEN), HEADER_LEN);
    assert_int_equal(write(fd, f.bytes, f.len), f.len);
    UNTIL(p.net.loop, e.connects == 1);
    turns(&p, 3);
    assert_int_equal(e.shown + e.errors, 0);
    assert_int_equal(a.connects + b.connects + c.connects + d.connects, 0);
    close(fd);
    side_fini(&a);
    side_fini(&b);
    side_fini(&c);
    side_fini(&d);
    side_fini(&e);
    pair_fini(&p);
    flow_fini(&f);
}

/* Paused while the header comes: it is read, and what is behind it waits. */
static void test_paused(void **state) {
    struct flow f = {0};
    struct pair p;
    struct side s = {0};
    flow_add(&f, 40);
    pair_init(&p, NULL);
    p.listener.tls = NULL;
    int fd = begin(&p, &s, &f);
    stream_pause(&s.stream);
    assert_int_equal(write(fd, HEADER, HEADER_LEN), HEADER_LEN);
    assert_int_equal(write(fd, f.bytes, f.len), f.len);
    UNTIL(p.net.loop, s.connects == 1);
    turns(&p, 3);
    assert_int_equal(s.shown, 0);
    stream_resume(&s.stream);
    UNTIL(p.net.loop, s.taken == f.len);
    assert_int_equal(stream_detach(&s.stream) >= 0, 1);
    close(fd);
    side_fini(&s);
    pair_fini(&p);
    flow_fini(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_paused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
