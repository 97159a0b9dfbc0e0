/* What goes to servers, and what is answered here: build, greet, probe, error, local. */
#include "test_mc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void check_build(const char *in, size_t n, const uint32_t *keys, uint32_t nkeys, const char *want, size_t nwant) {
    struct msg m;
    struct parser p = {0};
    struct built b;
    struct text t = {0};
    msg_init(&m);
    built_init(&b);
    assert_int_equal(mc_parse_req(&p, slice(in, n), &m), PARSE_DONE);
    assert_int_equal(m.raw.n, n);
    mc_build(&m, NULL, keys, nkeys, &b.out);
    built_take(&b, &t);
    if (!slice_eq(text_slice(&t), slice(want, nwant))) {
        fail_msg("%s became %s", in, (char *)t.p);
    }
    text_fini(&t);
    built_fini(&b);
    msg_fini(&m);
}

#define WHOLE(in, want) check_build(in, sizeof(in) - 1, NULL, 0, want, sizeof(want) - 1)
#define SAME(in) WHOLE(in, in)
#define SOME(in, want, ...)                                                                                            \
    check_build(in, sizeof(in) - 1, (uint32_t[]){__VA_ARGS__},                                                         \
                sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), want, sizeof(want) - 1)

static void test_identity(void **state) {
    SAME("get a\r\n");
    SAME("get a  b \r\n");
    SAME("gats -5 a b\r\n");
    SAME("set a 1 -2 3\r\n\r\n\0\r\n");
    SAME("append \x01\xff 1 2 0\r\n\r\n");
    SAME("cas a 1 2 1 18446744073709551615\r\nx\r\n");
    SAME("delete a\r\n");
    SAME("decr a 5\r\n");
    SAME("incr a \t5\r\n"); /* one line, one reply, whoever reads it */
    SAME("touch a -1\r\n");
    SAME("mg a v k Oxy\r\n");
    SAME("mg YQ== v b\r\n");
    SAME("ms a 2 F1 T5 C9\r\n\r\n\r\n");
    SAME("ms YQ== 2 b\r\n\r\n\r\n");
    SAME("md a\r\n");
    SAME("ma a MI N0 J13 v\r\n");
    SAME("me YQ== b\r\n");
    SAME("flush_all\r\n");
    SAME("flush_all 10\r\n");
    SAME("version\r\n");
}

static void test_rewrite(void **state) {
    WHOLE("get a\n", "get a\r\n");
    WHOLE("  gets  a b\r\n", "gets a b\r\n");
    WHOLE("get a b\0 c\r\n", "get a b\r\n");
    WHOLE("set a 1 2 3 noreply\r\n\r\nx\r\n", "set a 1 2 3\r\n\r\nx\r\n");
    WHOLE("set a 1 2 1 junk\r\nx\r\n", "set a 1 2 1\r\nx\r\n");
    WHOLE("add a \t1 -4294967295 +1\r\nx\r\n", "add a 1 1 1\r\nx\r\n");
    WHOLE("add a -18446744073709551615 0 4294967297\nx\r\n", "add a 1 0 1\r\nx\r\n");
    WHOLE("add a 4294967297 2147483648 1\tz\r\nx\r\n", "add a 1 -2147483648 1\r\nx\r\n");
    WHOLE("cas a 1 0 0 +5 noreply\r\n\r\n", "cas a 1 0 0 5\r\n\r\n");
    WHOLE("cas a 007 0 0 5 \r\n\r\n", "cas a 007 0 0 5 \r\n\r\n");
    WHOLE("delete a 0\r\n", "delete a\r\n");
    WHOLE("delete a noreply\r\n", "delete a\r\n");
    WHOLE("delete a 0 noreply\r\n", "delete a\r\n");
    WHOLE("incr a 5 noreply\r\n", "incr a 5\r\n");
    WHOLE("touch a 5 noreply\r\n", "touch a 5\r\n");
    WHOLE("flush_all noreply\r\n", "flush_all\r\n");
    WHOLE("flush_all 5 noreply\r\n", "flush_all 5\r\n");
    WHOLE("mg a q\r\n", "mg a\r\n");
    WHOLE("mg a v qx Oq k\r\n", "mg a v Oq k\r\n");
    WHOLE("mg YQ== q b v\n", "mg YQ== b v\r\n");
    WHOLE("ms a +2 q\r\n\r\n\r\n", "ms a 2\r\n\r\n\r\n");
    WHOLE("ms a 4294967297\r\nx\r\n", "ms a 1\r\nx\r\n");
    WHOLE("ms a 1 F4294967297 q T0\r\nx\r\n", "ms a 1 F1 T0\r\nx\r\n");
    WHOLE("ms YQ== 1 k F-18446744073709551615 b q\nx\r\n", "ms YQ== 1 k F1 b\r\nx\r\n");
    WHOLE("md a\0 k\r\n", "md a\r\n");
    WHOLE("  ma a q N5\r\n", "ma a N5\r\n");
    WHOLE("me YQ== b q\r\n", "me YQ== b\r\n");
    WHOLE("me a q b\r\n", "me a\r\n");
    WHOLE("version 1 2\r\n", "version\r\n");
}

static void test_subset(void **state) {
    SOME("get a b c d\r\n", "get a\r\n", 0);
    SOME("get a b c d\r\n", "get b c\r\n", 1, 2);
    SOME("get a b c d\r\n", "get a c d\r\n", 0, 2, 3);
    SOME("  gets  a   b\n", "gets a b\r\n", 0, 1);
    SOME("gat 5 a b c\r\n", "gat 5 a c\r\n", 0, 2);
    SOME("gats  -1  a b c\r\n", "gats -1 c\r\n", 2);
}

/* A large value is referenced, not copied, whether the line is rewritten or not. */
static void test_large(void **state) {
    static const char *const heads[] = {"set k 0 0 100000\r\n", "set k 0 0 100000 noreply\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct built b;
        struct msg m;
        struct parser p = {0};
        built_init(&b);
        msg_init(&m);
        size_t head = strlen(heads[i]);
        struct buf *buf = buf_new(&b.pool, head + 100002);
        memcpy(buf->data, heads[i], head);
        memset(buf->data + head, 'v', 100000);
        memcpy(buf->data + head + 100000, "\r\n", 2);
        buf->len = head + 100002;
        assert_int_equal(mc_parse_req(&p, slice(buf->data, buf->len), &m), PARSE_DONE);
        mc_build(&m, buf, NULL, 0, &b.out);
        assert_int_equal(buf->refs, 2);
        assert_int_equal(rope_len(&b.rope), strlen(heads[0]) + 100002);
        buf_unref(&buf);
        msg_fini(&m);
        built_fini(&b);
    }
}

static void test_words(void **state) {
    struct built b;
    struct text t = {0};
    built_init(&b);
    text_str(&t, "");
    assert_int_equal(proto_mc.greet(&(struct greeting){.password = "x", .db = 3}, &b.out), 0);
    proto_mc.probe(&b.out);
    proto_mc.error(REASON_REFUSED, NULL, 0, &b.out);
    proto_mc.error(REASON_EOF, NULL, 0, &b.out);
    built_take(&b, &t);
    assert_string_equal(t.p, "version\r\nSERVER_ERROR Connection refused\r\nSERVER_ERROR unknown\r\n");
    text_fini(&t);
    built_fini(&b);
}

static void check_local(const char *in, bool closes, const char *want) {
    struct msg m;
    struct parser p = {0};
    struct built b;
    struct text t = {0};
    struct session s = {.authed = true};
    struct facts f = {.wall_usec = 1700000000999999, .uptime_sec = 12, .pid = 34, .threads = 2, .curr_connections = 5,
                      .total_connections = 67, .requests = 8, .pool = "alpha"};
    msg_init(&m);
    built_init(&b);
    text_str(&t, "");
    assert_int_equal(mc_parse_req(&p, slice_str(in), &m), PARSE_DONE);
    assert_int_equal(m.route, ROUTE_LOCAL);
    assert_int_equal(mc_local(&m, &s, &f, &b.out), closes);
    built_take(&b, &t);
    assert_string_equal(t.p, want);
    text_fini(&t);
    built_fini(&b);
    msg_fini(&m);
}

static void test_local(void **state) {
    check_local("quit\r\n", true, "");
    check_local("quit now\r\n", true, "");
    check_local("verbosity 3\r\n", false, "OK\r\n");
    check_local("stats items\r\n", false, "END\r\n");
    check_local("stats settings\r\n", false, "END\r\n");
    check_local("stats cachedump 1 2\r\n", false, "END\r\n");
    check_local("stats noreply\r\n", false, "ERROR\r\n");
    check_local("stats reset\r\n", false,
                "CLIENT_ERROR stats reset is refused by kvmux: connect to the server itself\r\n");
    char want[512];
    snprintf(want, sizeof want,
             "STAT pid 34\r\nSTAT uptime 12\r\nSTAT time 1700000000\r\nSTAT version " KVMUX_VERSION
             "\r\nSTAT pointer_size %d\r\nSTAT threads 2\r\nSTAT curr_connections 5\r\nSTAT total_connections 67\r\n"
             "STAT kvmux_pool alpha\r\nSTAT kvmux_requests 8\r\nEND\r\n",
             (int)(8 * sizeof(void *)));
    check_local("stats\r\n", false, want);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_identity), cmocka_unit_test(test_rewrite), cmocka_unit_test(test_subset),
        cmocka_unit_test(test_large),    cmocka_unit_test(test_words),   cmocka_unit_test(test_local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
