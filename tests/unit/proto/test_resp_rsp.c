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

/* ---- replies that are taken while they arrive ---- */

/* As core does it: what may pass goes at once, as it comes, and the rest is shown again. `ends` are the cuts; each end is seen
 * with fresh memory, in which the bytes taken before do not exist. Returns how much was passed. */
static size_t pass_cuts(const struct want *w, const size_t *ends, size_t nends, uint32_t pass_min) {
    struct parser ps = {0};
    struct rsp r = {0};
    enum parse_rc rc = PARSE_MORE;
    size_t from = 0, passed = 0;
    uint64_t left = 0;
    for (size_t i = 0; i < nends && rc == PARSE_MORE; i++) {
        for (bool again = true; again && rc == PARSE_MORE;) {
            size_t n = ends[i] - from, step = left < n ? (size_t)left : n;
            from += step;
            left -= step;
            passed += step;
            n -= step;
            again = false;
            if (left > 0) {
                break;
            }
            uint8_t *copy = mem_alloc(n + (n == 0));
            memcpy(copy, w->in + from, n);
            rc = proto_resp.parse_rsp(&ps, NULL, slice(copy, n), &r);
            mem_free(copy);
            if (rc == PARSE_MORE && r.pass > 0) {
                assert_true(r.pass >= pass_min && r.need == 0);
                assert_true(w->in[0] != '!');
                left = r.pass;
                again = true;
            } else if (rc == PARSE_MORE) {
                ps.pass_min = pass_min;
            }
        }
    }
    assert_int_equal(rc, w->rc);
    if (rc == PARSE_DONE) {
        assert_int_equal(from + r.len, w->len);
        assert_int_equal(r.kind, w->kind);
        assert_true(ps.pos == 0 && ps.left == 0 && ps.phase == 0 && ps.mark == 0 && ps.pass_min == 0);
    }
    return passed;
}

static void test_pass_every_cut(void **state) {
    static const struct want more[] = {
        {ALL("*3\r\n$20\r\n01234567890123456789\r\n-NOSCRIPT x\r\n!11\r\nERR in here\r\n"), RSP_GOOD},
        {ALL("!31\r\nERR 5678901234567890123456789\n\r\r\n"), RSP_ERROR},
        {LIT("$20\r\n0123456789012345678\r\r\n$20"), PARSE_DONE, 27, RSP_GOOD},
        {BAD("$20\r\n01234567890123456789\rx")},
        {BAD("*2\r\n$20\r\n01234567890123456789\r\nx")},
    };
    struct rng rng;
    rng_seed(&rng, 3);
    size_t passed = 0;
    for (size_t i = 0; i < ARRAY_LEN(corpus) + ARRAY_LEN(more); i++) {
        const struct want *w = i < ARRAY_LEN(corpus) ? &corpus[i] : &more[i - ARRAY_LEN(corpus)];
        for (uint32_t min = 1; min <= 16; min *= 4) {
            size_t all[256];
            for (size_t n = 0; n <= w->n; n++) {
                passed += pass_cuts(w, (size_t[]){n, w->n}, 2, min);
                all[n] = n;
            }
            passed += pass_cuts(w, all, w->n + 1, min);
            for (int k = 0; k < 100; k++) {
                size_t a = rng_below(&rng, (uint32_t)w->n + 1), b = rng_below(&rng, (uint32_t)w->n + 1);
                passed += pass_cuts(w, (size_t[]){a < b ? a : b, a < b ? b : a, w->n}, 3, min);
            }
        }
    }
    assert_true(passed > 10000);
}

/* What passes is told as soon as it is known, and a mark made before is not lost. */
static void test_pass(void **state) {
    struct parser ps = {.pass_min = 100};
    struct rsp r = {0};
    assert_int_equal(proto_resp.parse_rsp(&ps, NULL, slice_str("$200\r\nabc"), &r), PARSE_MORE);
    assert_int_equal(r.pass, 206);
    assert_int_equal(proto_resp.parse_rsp(&ps, NULL, slice_str("\r"), &r), PARSE_MORE);
    assert_true(r.pass == 0 && r.need == 2);
    assert_int_equal(proto_resp.parse_rsp(&ps, NULL, slice_str("\r\n-ERR x"), &r), PARSE_DONE);
    assert_true(r.len == 2 && r.kind == RSP_GOOD);
    ps.pass_min = 100;
    assert_int_equal(proto_resp.parse_rsp(&ps, NULL, slice_str("$50\r\nabc"), &r), PARSE_MORE);
    assert_true(r.pass == 0 && r.need == 57); /* not worth it */
    ps = (struct parser){.pass_min = 1};
    assert_int_equal(proto_resp.parse_rsp(&ps, NULL, slice_str("*2\r\n-NOSCRIPT No matching script. Please use EVAL.\r\n$90\r\n"), &r), PARSE_MORE);
    assert_int_equal(r.pass, 4 + 48 + 5 + 90);
    assert_int_equal(proto_resp.parse_rsp(&ps, NULL, slice_str("\r\n"), &r), PARSE_DONE);
    assert_true(r.no_script);
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
        cmocka_unit_test(test_pass_every_cut),
        cmocka_unit_test(test_pass),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
