/* Replies: every cut of every input gives the same frame. */
#include "resp_test.h"

struct want {
    const char *in;
    size_t n;
    enum parse_rc rc;
    size_t len;
    enum rsp_kind kind;
};

#define LIT(s)  s, sizeof(s) - 1
#define ALL(s)  s, sizeof(s) - 1, PARSE_DONE, sizeof(s) - 1
#define BAD(s)  s, sizeof(s) - 1, PARSE_BAD, 0, RSP_GOOD
#define MORE(s) s, sizeof(s) - 1, PARSE_MORE, 0, RSP_GOOD

static const struct want corpus[] = {
    {ALL("+OK\r\n"), RSP_GOOD},
    {ALL("+\r\n"), RSP_GOOD},
    {LIT("+OK\r\n+OK\r\n"), PARSE_DONE, 5, RSP_GOOD},
    {ALL("-ERR what\r\n"), RSP_ERROR},
    {ALL("-LOADING Redis is loading the dataset in memory\r\n"), RSP_LOADING},
    {ALL("-BUSY x\r\n"), RSP_ERROR},
    {ALL(":0\r\n"), RSP_GOOD},
    {ALL(":-9223372036854775808\r\n"), RSP_GOOD},
    {ALL("$5\r\nhello\r\n"), RSP_GOOD},
    {ALL("$0\r\n\r\n"), RSP_GOOD},
    {ALL("$-1\r\n"), RSP_GOOD},
    {ALL("$7\r\n\r\n$1\r\na\r\n"), RSP_GOOD},
    {ALL("*0\r\n"), RSP_GOOD},
    {ALL("*-1\r\n"), RSP_GOOD},
    {ALL("*3\r\n$1\r\na\r\n$-1\r\n-ERR x\r\n"), RSP_GOOD},
    {ALL("*2\r\n*2\r\n:1\r\n*0\r\n*1\r\n*1\r\n*1\r\n$1\r\na\r\n"), RSP_GOOD},
    {ALL("%1\r\n+a\r\n*2\r\n#t\r\n#f\r\n"), RSP_GOOD},
    {ALL("~2\r\n_\r\n,-1.5e3\r\n"), RSP_GOOD},
    {ALL("(-123456789012345678901234567890\r\n"), RSP_GOOD},
    {ALL("=7\r\ntxt:abc\r\n"), RSP_GOOD},
    {ALL("!5\r\nERR x\r\n"), RSP_ERROR},
    {ALL("|1\r\n+k\r\n%1\r\n:1\r\n:2\r\n+v\r\n"), RSP_GOOD},
    {ALL(">2\r\n+m\r\n+n\r\n"), RSP_GOOD},
    {MORE("*2\r\n:1\r\n")},
    {MORE("$3\r\nabc\r")},
    {MORE("|1\r\n+k\r\n+v\r\n")},
    {BAD("HTTP/1.1 200 OK\r\n")},
    {BAD("\r\n")},
    {BAD(":\r\n")},
    {BAD(":1x\r\n")},
    {BAD("$01\r\na\r\n")},
    {BAD("$-2\r\n")},
    {BAD("*-2\r\n")},
    {BAD("!-1\r\n")},
    {BAD("$1\r\nabc")},
    {BAD("+OK\rx")},
    {BAD("$4294967295\r\n")},
    {BAD("*4294967295\r\n")},
    {BAD("%2147483648\r\n")},
    {BAD("#x\r\n")},
    {BAD("_x\r\n")},
    {BAD("*1\r\nx")},
    {BAD(":111111111111111111111111111111111")},
};

static void parse_cuts(const struct want *w, const size_t *ends, size_t nends) {
    struct parser ps = {0};
    struct rsp r = {0};
    enum parse_rc rc = PARSE_MORE;
    for (size_t i = 0; i < nends && rc == PARSE_MORE; i++) {
        uint8_t *copy = mem_alloc(ends[i] + (ends[i] == 0));
        memcpy(copy, w->in, ends[i]);
        rc = proto_resp.parse_rsp(&ps, NULL, slice(copy, ends[i]), &r);
        assert_true(rc != PARSE_MORE || r.need == 0 || r.need > ends[i]);
        mem_free(copy);
    }
    assert_int_equal(rc, w->rc);
    if (rc == PARSE_DONE) {
        assert_int_equal(r.len, w->len);
        assert_int_equal(r.kind, w->kind);
    }
}

static void test_every_cut(void **state) {
    struct rng rng;
    rng_seed(&rng, 2);
    for (size_t i = 0; i < ARRAY_LEN(corpus); i++) {
        const struct want *w = &corpus[i];
        size_t all[256];
        for (size_t n = 0; n <= w->n; n++) {
            size_t two[] = {n, w->n};
            parse_cuts(w, two, 2);
            all[n] = n;
        }
        parse_cuts(w, all, w->n + 1);
        for (int k = 0; k < 200; k++) {
            size_t a = rng_below(&rng, (uint32_t)w->n + 1), b = rng_below(&rng, (uint32_t)w->n + 1);
            size_t three[] = {a < b ? a : b, a < b ? b : a, w->n};
            parse_cuts(w, three, 3);
        }
    }
}

/* Depth is a count: a million brackets cost no memory. */
static void test_depth(void **state) {
    size_t depth = 1000000, n = depth * 4;
    char *in = mem_alloc(n + 4);
    for (size_t i = 0; i < depth; i++) {
        memcpy(in + i * 4, "*1\r\n", 4);
    }
    memcpy(in + n, ":1\r\n", 4);
    struct parser ps = {0};
    struct rsp r;
    assert_int_equal(proto_resp.parse_rsp(&ps, NULL, slice(in, n / 2), &r), PARSE_MORE);
    assert_int_equal(proto_resp.parse_rsp(&ps, NULL, slice(in, n + 4), &r), PARSE_DONE);
    assert_int_equal(r.len, n + 4);
    mem_free(in);
}

static void test_need(void **state) {
    struct parser ps = {0};
    struct rsp r;
    static const char in[] = "*2\r\n$1073741824\r\nabc";
    assert_int_equal(proto_resp.parse_rsp(&ps, NULL, slice_str(in), &r), PARSE_MORE);
    assert_int_equal(r.need, 17 + 1073741824 + 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
