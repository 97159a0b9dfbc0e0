/* Requests: every cut of every input gives the same message; broken frames and limits. */
#include "resp_test.h"
#include "sent.h"

struct want {
    const char *in;
    size_t n; /* 0: strlen */
    enum parse_rc rc;
    size_t used;
    uint32_t nargs;
    const char *answer; /* of BAD; NULL: none */
};

#define LIT(s) s, sizeof(s) - 1
#define P_ERR  "-ERR Protocol error: "

static const struct want corpus[] = {
    {LIT("*2\r\n$3\r\nGET\r\n$1\r\na\r\n"), PARSE_DONE, 20, 2, NULL},
    {LIT("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*1\r\n"), PARSE_DONE, 20, 2, NULL},
    {LIT("*2\r\n$3\r\nGET\r\n$0\r\n\r\n"), PARSE_DONE, 19, 2, NULL},
    {LIT("*3\r\n$3\r\nSET\r\n$4\r\n\r\n\r\n\r\n$12\r\n*1\r\n$4\r\nPING\r\n"), PARSE_DONE, 42, 3, NULL},
    {LIT("*3\r\n$3\r\nset\r\n$1\r\n\0\r\n$1\r\n$\r\n"), PARSE_DONE, 27, 3, NULL},
    {LIT("*11\r\n$4\r\nmget\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n"
         "$1\r\na\r\n"), PARSE_DONE, 85, 11, NULL},
    {LIT("PING\r\n"), PARSE_DONE, 6, 1, NULL},
    {LIT("ping\nGET a\n"), PARSE_DONE, 5, 1, NULL},
    {LIT("  set a  \"x y\"\t'z'\r\n"), PARSE_DONE, 20, 4, NULL},
    {LIT("\r\nPING\r\n"), PARSE_DONE, 2, 0, NULL},
    {LIT("\n"), PARSE_DONE, 1, 0, NULL},
    {LIT("   \r\n"), PARSE_DONE, 5, 0, NULL},
    {LIT("*0\r\nPING\r\n"), PARSE_DONE, 4, 0, NULL},
    {LIT("*-1\r\n"), PARSE_DONE, 5, 0, NULL},
    {LIT("*-12\r\n"), PARSE_DONE, 6, 0, NULL},
    {LIT("*1\r\n$4\r\nPIN"), PARSE_MORE, 0, 0, NULL},
    {LIT("*"), PARSE_MORE, 0, 0, NULL},
    {LIT("PING\r"), PARSE_MORE, 0, 0, NULL},
    {LIT("*x\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid multibulk length\r\n"},
    {LIT("*\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid multibulk length\r\n"},
    {LIT("*01\r\n$4\r\nPING\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid multibulk length\r\n"},
    {LIT("*+1\r\n$4\r\nPING\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid multibulk length\r\n"},
    {LIT("* 1\r\n$4\r\nPING\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid multibulk length\r\n"},
    {LIT("*-0\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid multibulk length\r\n"},
    {LIT("*1048577\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid multibulk length\r\n"},
    {LIT("*99999999999999999999\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid multibulk length\r\n"},
    {LIT("*4294967297\r\n$4\r\nPING\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid multibulk length\r\n"},
    {LIT("*1\r$4\r\nPING\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid multibulk length\r\n"},
    {LIT("*1\r\n$\r\n\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid bulk length\r\n"},
    {LIT("*1\r\n$-1\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid bulk length\r\n"},
    {LIT("*1\r\n$04\r\nPING\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid bulk length\r\n"},
    {LIT("*1\r\n$536870913\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid bulk length\r\n"},
    {LIT("*1\r\n$4294967300\r\nPING\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid bulk length\r\n"},
    {LIT("*1\r\n$4\rxPING\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid bulk length\r\n"},
    {LIT("*1\r\n$4\r\nPINGxx"), PARSE_BAD, 0, 0, P_ERR "invalid bulk length\r\n"},
    {LIT("*1\r\n$4\r\nPING\n\n"), PARSE_BAD, 0, 0, P_ERR "invalid bulk length\r\n"},
    {LIT("*1\r\nfoo\r\n"), PARSE_BAD, 0, 0, P_ERR "expected '$', got 'f'\r\n"},
    {LIT("*1\r\n\r\n"), PARSE_BAD, 0, 0, P_ERR "expected '$', got ' '\r\n"},
    {LIT("*2\r\n$3\r\nGET\r\n:1\r\n"), PARSE_BAD, 0, 0, P_ERR "expected '$', got ':'\r\n"},
    {LIT("get \"a\r\n"), PARSE_BAD, 0, 0, P_ERR "unbalanced quotes in request\r\n"},
    {LIT("get 'a'b\r\n"), PARSE_BAD, 0, 0, P_ERR "unbalanced quotes in request\r\n"},
};

/* What one row says, of a message that was parsed somehow. */
static void check(const struct want *w, enum parse_rc rc, const struct msg *m) {
    assert_int_equal(rc, w->rc);
    if (rc == PARSE_DONE) {
        assert_int_equal(m->raw.n, w->used);
        assert_int_equal(m->route == ROUTE_SKIP, w->nargs == 0);
        assert_int_equal(m->nargs, w->nargs);
    }
    if (w->answer != NULL) {
        assert_slice(slice(m->answer, m->answer_len), w->answer);
    }
}

/* Shows the input up to each of these ends in turn, in memory of exactly that size. */
static void parse_cuts(const struct want *w, struct msg *m, const size_t *ends, size_t nends) {
    struct parser ps = {0};
    enum parse_rc rc = PARSE_MORE;
    uint8_t *copy = NULL;
    for (size_t i = 0; i < nends && rc == PARSE_MORE; i++) {
        mem_free(copy);
        copy = mem_alloc(ends[i] + (ends[i] == 0));
        memcpy(copy, w->in, ends[i]);
        rc = proto_resp.parse_req(&ps, slice(copy, ends[i]), m);
        assert_true(rc != PARSE_MORE || m->need == 0 || m->need > ends[i]);
    }
    check(w, rc, m);
    mem_free(copy);
}

static void test_every_cut(void **state) {
    struct msg m;
    msg_init(&m);
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < ARRAY_LEN(corpus); i++) {
        const struct want *w = &corpus[i];
        size_t all[256];
        for (size_t n = 0; n <= w->n; n++) {
            size_t two[] = {n, w->n};
            parse_cuts(w, &m, two, 2);
            all[n] = n;
        }
        parse_cuts(w, &m, all, w->n + 1);
        for (int k = 0; k < 200; k++) {
            size_t a = rng_below(&rng, (uint32_t)w->n + 1), b = rng_below(&rng, (uint32_t)w->n + 1);
            size_t three[] = {a < b ? a : b, a < b ? b : a, w->n};
            parse_cuts(w, &m, three, 3);
        }
    }
    msg_fini(&m);
}

/* A line that never ends is broken at the same place however it arrives. */
static void test_long_lines(void **state) {
    static const struct {
        const char *head, *answer;
        char fill;
    } rows[] = {
        {"", P_ERR "too big inline request\r\n", 'x'},
        {"*", P_ERR "too big mbulk count string\r\n", '1'},
        {"*1\r\n$", P_ERR "too big bulk count string\r\n", '1'},
    };
    struct msg m;
    msg_init(&m);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t head = strlen(rows[i].head), start = head == 5 ? 4 : 0, n = start + RESP_LINE_MAX + 1;
        uint8_t *in = mem_alloc(n);
        memset(in, rows[i].fill, n);
        memcpy(in, rows[i].head, head);
        struct parser ps = {0};
        for (size_t k = n - 3000; k < n; k++) {
            assert_int_equal(proto_resp.parse_req(&ps, slice(in, k), &m), PARSE_MORE);
        }
        assert_int_equal(proto_resp.parse_req(&ps, slice(in, n), &m), PARSE_BAD);
        assert_slice(slice(m.answer, m.answer_len), rows[i].answer);
        assert_int_equal(proto_resp.parse_req(&ps, slice(in, n), &m), PARSE_BAD);
        mem_free(in);
    }
    msg_fini(&m);
}

static void test_need(void **state) {
    struct msg m;
    msg_init(&m);
    struct parser ps = {0};
    static const char in[] = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\nx";
    assert_int_equal(proto_resp.parse_req(&ps, slice_str(in), &m), PARSE_MORE);
    assert_int_equal(m.need, sizeof in - 2 + 536870912 + 2);
    assert_int_equal(proto_resp.parse_req(&ps, slice_str(in), &m), PARSE_MORE);
    assert_int_equal(m.need, sizeof in - 2 + 536870912 + 2);
    msg_fini(&m);
}

/* As many arguments as are allowed; the array they needed goes back with the next request. */
static void test_many_args(void **state) {
    struct msg m;
    msg_init(&m);
    size_t n = 64 + (size_t)RESP_ARGS_MAX * 7;
    char *in = mem_alloc(n + 1);
    size_t at = (size_t)sprintf(in, "*%u\r\n", RESP_ARGS_MAX);
    memcpy(in + at, "$3\r\ndel\r\n", 9);
    at += 9;
    for (uint32_t i = 1; i < RESP_ARGS_MAX; i++, at += 7) {
        memcpy(in + at, "$1\r\na\r\n", 7);
    }
    struct parser ps = {0};
    assert_int_equal(proto_resp.parse_req(&ps, slice(in, at), &m), PARSE_DONE);
    assert_int_equal(m.nkeys, RESP_ARGS_MAX - 1);
    assert_int_equal(m.route, ROUTE_SPLIT);
    for (size_t cut = 0; cut <= at; cut += 999983) {
        enum parse_rc rc = proto_resp.parse_req(&ps, slice(in, cut), &m);
        assert_int_equal(rc, PARSE_MORE);
    }
    assert_int_equal(proto_resp.parse_req(&ps, slice(in, at), &m), PARSE_DONE);
    assert_int_equal(m.nargs, RESP_ARGS_MAX);
    assert_int_equal(parse_str(&m, "*1\r\n$4\r\nPING\r\n"), PARSE_DONE);
    assert_true(m.args_cap < 1000);
    mem_free(in);
    msg_fini(&m);
}

/* ---- requests that go on while they arrive ---- */

#define TENS(x) x x x x x x x x x x
#define V30 TENS("abc")

static const struct {
    struct want want;
    bool passes;
} pass_corpus[] = {
    {{LIT("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$30\r\n" V30 "\r\n*1\r\n"), PARSE_DONE, 59, 3, NULL}, true},
    {{LIT("*5\r\n$3\r\nset\r\n$1\r\na\r\n$30\r\n" V30 "\r\n$2\r\nEX\r\n$2\r\n10\r\n"), PARSE_DONE, 75, 5, NULL}, true},
    {{LIT("*5\r\n$5\r\nRPUSH\r\n$1\r\na\r\n$30\r\n" V30 "\r\n$0\r\n\r\n$30\r\n" V30 "\r\n"), PARSE_DONE, 104, 5, NULL}, true},
    {{LIT("*5\r\n$5\r\nFCALL\r\n$1\r\nf\r\n$1\r\n1\r\n$1\r\nk\r\n$30\r\n" V30 "\r\n"), PARSE_DONE, 75, 5, NULL}, true},
    {{LIT("*4\r\n$3\r\nSET\r\n$1\r\na\r\n$30\r\n" V30 "\r\n$536870913\r\n"), PARSE_BAD, 0, 0, P_ERR "invalid bulk length\r\n"}, true},
    {{LIT("*4\r\n$3\r\nSET\r\n$1\r\na\r\n$30\r\n" V30 "\r\n:1\r\n"), PARSE_BAD, 0, 0, P_ERR "expected '$', got ':'\r\n"}, true},
    {{LIT("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$30\r\n" V30 "xx"), PARSE_BAD, 0, 0, P_ERR "invalid bulk length\r\n"}, true},
    {{LIT("*5\r\n$3\r\nSET\r\n$1\r\na\r\n$30\r\n" V30 "\r\n$2\r\nEX\r\n$2\r\n1"), PARSE_MORE, 0, 0, NULL}, true},
    /* the key is large, or behind it; one key of several is; unknown; wrong in its arity; has a body; kept by name; listens */
    {{LIT("*3\r\n$3\r\nSET\r\n$30\r\n" V30 "\r\n$1\r\na\r\n"), PARSE_DONE, 59, 3, NULL}, false},
    {{LIT("*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$30\r\n" V30 "\r\n$1\r\nb\r\n$1\r\nx\r\n"), PARSE_DONE, 74, 5, NULL}, false},
    {{LIT("*6\r\n$5\r\nFCALL\r\n$1\r\nf\r\n$1\r\n2\r\n$1\r\nk\r\n$30\r\n" V30 "\r\n$1\r\na\r\n"), PARSE_DONE, 82, 6, NULL}, false},
    {{LIT("*3\r\n$3\r\nNOT\r\n$1\r\na\r\n$30\r\n" V30 "\r\n"), PARSE_DONE, 59, 3, NULL}, false},
    {{LIT("*4\r\n$6\r\nAPPEND\r\n$1\r\na\r\n$30\r\n" V30 "\r\n$1\r\nb\r\n"), PARSE_DONE, 69, 4, NULL}, false},
    {{LIT("*4\r\n$4\r\nEVAL\r\n$1\r\ns\r\n$1\r\n0\r\n$30\r\n" V30 "\r\n"), PARSE_DONE, 67, 4, NULL}, false},
    {{LIT("*3\r\n$30\r\n" V30 "\r\n$1\r\na\r\n$1\r\na\r\n"), PARSE_DONE, 55, 3, NULL}, false},
};

static void test_pass_every_cut(void **state) {
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < ARRAY_LEN(pass_corpus) + ARRAY_LEN(corpus); i++) {
        bool large = i < ARRAY_LEN(pass_corpus);
        const struct want *w = large ? &pass_corpus[i].want : &corpus[i - ARRAY_LEN(pass_corpus)];
        struct slice in = slice(w->in, w->n);
        size_t all[256], passed = 0;
        for (uint32_t min = 1; min <= 29; min += 7) {
            for (size_t n = 0; n <= w->n; n++) {
                passed += sent_check(&proto_resp, in, (size_t[]){n, w->n}, 2, min);
                all[n] = n;
            }
            passed += sent_check(&proto_resp, in, all, w->n + 1, min);
            for (int k = 0; k < 100; k++) {
                size_t a = rng_below(&rng, (uint32_t)w->n + 1), b = rng_below(&rng, (uint32_t)w->n + 1);
                passed += sent_check(&proto_resp, in, (size_t[]){a < b ? a : b, a < b ? b : a, w->n}, 3, min);
            }
        }
        assert_true(!large || (passed > 1000) == pass_corpus[i].passes);
    }
}

/* A request may not be larger than client_request_limit, which is 4 GiB at most, however little of it is ever shown at a time. */
static void test_pass_limit(void **state) {
    struct msg m;
    struct parser ps = {0};
    char head[] = "*10\r\n$5\r\nRPUSH\r\n$1\r\na\r\n$536870912\r\n", next[] = "\r\n$536870912\r\n";
    msg_init(&m);
    assert_int_equal(proto_resp.parse_req(&ps, slice_str(head), &m), PARSE_MORE);
    ps.pass_min = 65536;
    assert_int_equal(proto_resp.parse_req(&ps, slice_str(head), &m), PARSE_MORE);
    assert_true(m.route == ROUTE_LARGE && m.raw.n == strlen(head) && m.pass == 536870912);
    for (int i = 1; i < 7; i++) {
        assert_int_equal(proto_resp.parse_req(&ps, slice_str(next), &m), PARSE_MORE);
        assert_int_equal(m.pass, strlen(next) + 536870912);
    }
    assert_int_equal(proto_resp.parse_req(&ps, slice_str(next), &m), PARSE_BAD);
    assert_slice(slice(m.answer, m.answer_len), P_ERR "request is larger than client_request_limit\r\n");
    msg_fini(&m);
}

static void test_inline_words(void **state) {
    static const struct {
        const char *line, *word;
    } rows[] = {
        {"ping \"a\\x41\\n\\r\\t\\b\\a\\z\\\"\\\\\"", "aA\n\r\t\b\az\"\\"},
        {"ping \"\\xzz\\x4\"", "xzzx4"},
        {"ping 'a\\'b\\n'", "a'b\\n"},
        {"ping a\"b c\"", "ab c"},
        {"ping ''", ""},
        {"ping \"\\x00\" x", ""},
    };
    struct msg m;
    msg_init(&m);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        parse_line(&m, rows[i].line);
        assert_true(m.flags & MSG_REWRITE);
        if (m.nargs == 2) {
            assert_slice(msg_arg(&m, 1), rows[i].word);
        } else {
            assert_true(slice_eq(msg_arg(&m, 1), slice("\0", 1)));
        }
    }
    msg_fini(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pass_every_cut), cmocka_unit_test(test_pass_limit),
        cmocka_unit_test(test_every_cut), cmocka_unit_test(test_long_lines),   cmocka_unit_test(test_need),
        cmocka_unit_test(test_many_args), cmocka_unit_test(test_inline_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
