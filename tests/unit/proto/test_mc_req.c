/* Requests: what the parser makes of them beyond memcached's answers (test_mc_golden.c), limits, and every cut. */
#include "test_mc.h"

#include "sent.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static enum parse_rc parse(struct msg *m, const char *in) {
    struct parser p = {0};
    return mc_parse_req(&p, slice_str(in), m);
}

static void test_table(void **state) {
    for (uint32_t i = 0; i < MC_ID_UNKNOWN; i++) {
        const struct cmd *c = &mc_cmds[i];
        uint64_t word = 0;
        memcpy(&word, c->name, min_size(strlen(c->name), 8));
        assert_int_equal(word, mc_rules[i].word);
        assert_int_equal(c->id, i);
        assert_ptr_equal(mc_find(slice_str(c->name)), c);
        char other[32];
        snprintf(other, sizeof other, "%sx", c->name);
        assert_true(mc_find(slice_str(other)) != c);
        assert_true(mc_find(slice(other, strlen(c->name) - 1)) != c);
        assert_int_equal(mc_find(slice("get\0", 4))->id, MC_ID_UNKNOWN);
        assert_true((c->route == ROUTE_REPLY) == (c->why != NULL));
    }
}

static void test_fields(void **state) {
    static const struct {
        const char *in;
        int id, route;
        uint32_t flags, nargs, nkeys, first;
        const char *last; /* word */
    } rows[] = {
        {"get a\r\n", MC_ID_GET, ROUTE_ONE, 0, 2, 1, 1, "a"},
        {"gets  a  bb \r\n", MC_ID_GETS, ROUTE_SPLIT, 0, 3, 2, 1, "bb"},
        {" get a\r\n", MC_ID_GET, ROUTE_ONE, MSG_REWRITE, 2, 1, 1, "a"},
        {"get a\n", MC_ID_GET, ROUTE_ONE, MSG_REWRITE, 2, 1, 1, "a"},
        {"get a noreply\r\n", MC_ID_GET, ROUTE_SPLIT, 0, 3, 2, 1, "noreply"},
        {"gat -1 a b\r\n", MC_ID_GAT, ROUTE_SPLIT, 0, 4, 2, 2, "b"},
        {"set k 1 -1 3\r\na\nb\r\n", MC_ID_SET, ROUTE_ONE, 0, 6, 1, 1, "a\nb"},
        {"set k 1 2 0\r\n\r\n", MC_ID_SET, ROUTE_ONE, 0, 6, 1, 1, ""},
        {"set k 1 2 0 noreply\r\n\r\n", MC_ID_SET, ROUTE_ONE, MSG_REWRITE | MSG_NOREPLY, 6, 1, 1, ""},
        {"set k 1 2 0 junk\r\n\r\n", MC_ID_SET, ROUTE_ONE, MSG_REWRITE, 6, 1, 1, ""},
        {"set k +1 2 0\r\n\r\n", MC_ID_SET, ROUTE_ONE, MSG_REWRITE, 6, 1, 1, ""},
        {"set k 4294967296 2 0\r\n\r\n", MC_ID_SET, ROUTE_ONE, MSG_REWRITE, 6, 1, 1, ""},
        {"set k 4294967295 2147483647 0\r\n\r\n", MC_ID_SET, ROUTE_ONE, 0, 6, 1, 1, ""},
        {"set k 1 2147483648 0\r\n\r\n", MC_ID_SET, ROUTE_ONE, MSG_REWRITE, 6, 1, 1, ""},
        {"set k 1 2 4294967297\r\nx\r\n", MC_ID_SET, ROUTE_ONE, MSG_REWRITE, 6, 1, 1, "x"},
        {"cas k 1 2 1 18446744073709551615\r\nx\r\n", MC_ID_CAS, ROUTE_ONE, 0, 7, 1, 1, "x"},
        {"delete k 0 noreply\r\n", MC_ID_DELETE, ROUTE_ONE, MSG_REWRITE | MSG_NOREPLY, 2, 1, 1, "k"},
        {"delete noreply\r\n", MC_ID_DELETE, ROUTE_ONE, 0, 2, 1, 1, "noreply"},
        {"incr k 5\r\n", MC_ID_INCR, ROUTE_ONE, 0, 3, 1, 1, "5"},
        {"incr k 5 noreply\r\n", MC_ID_INCR, ROUTE_ONE, MSG_REWRITE | MSG_NOREPLY, 3, 1, 1, "5"},
        {"touch k 5\r\n", MC_ID_TOUCH, ROUTE_ONE, 0, 3, 1, 1, "5"},
        {"flush_all\r\n", MC_ID_FLUSH_ALL, ROUTE_ALL, 0, 1, 0, 0, "flush_all"},
        {"flush_all 5 noreply\r\n", MC_ID_FLUSH_ALL, ROUTE_ALL, MSG_REWRITE | MSG_NOREPLY, 2, 0, 0, "5"},
        {"flush_all noreply\r\n", MC_ID_FLUSH_ALL, ROUTE_ALL, MSG_REWRITE | MSG_NOREPLY, 1, 0, 0, "flush_all"},
        {"version junk\r\n", MC_ID_VERSION, ROUTE_ANY, MSG_REWRITE, 1, 0, 0, "version"},
        {"verbosity 1\r\n", MC_ID_VERBOSITY, ROUTE_LOCAL, 0, 2, 0, 0, "1"},
        {"verbosity 1 noreply\r\n", MC_ID_VERBOSITY, ROUTE_SKIP, MSG_REWRITE | MSG_NOREPLY, 3, 0, 0, "noreply"},
        {"stats items\r\n", MC_ID_STATS, ROUTE_LOCAL, 0, 2, 0, 0, "items"},
        {"quit\r\n", MC_ID_QUIT, ROUTE_LOCAL, 0, 1, 0, 0, "quit"},
        {"mg a v k Oxyz\r\n", MC_ID_MG, ROUTE_ONE, 0, 5, 1, 1, "Oxyz"},
        {"mg a what ever\r\n", MC_ID_MG, ROUTE_ONE, 0, 4, 1, 1, "ever"},
        {"mg a q v\r\n", MC_ID_MG, ROUTE_ONE, MSG_REWRITE | MSG_QUIET, 3, 1, 1, "v"},
        {"mg YQ== b v\r\n", MC_ID_MG, ROUTE_ONE, 0, 5, 1, 4, "a"},
        {"mg YWJj q b\r\n", MC_ID_MG, ROUTE_ONE, MSG_REWRITE | MSG_QUIET, 4, 1, 3, "abc"},
        {"mg YQpi b v\r\n", MC_ID_MG, ROUTE_ONE, 0, 5, 1, 4, "a\nb"},
        {"md YQpi b k\r\n", MC_ID_MD, ROUTE_ONE, 0, 5, 1, 4, "a\nb"},
        {"ms a 1 T0 F7\r\nx\r\n", MC_ID_MS, ROUTE_ONE, 0, 5, 1, 1, "F7"},
        {"ms a 01 F07\r\nx\r\n", MC_ID_MS, ROUTE_ONE, 0, 4, 1, 1, "F07"},
        {"ms a +1 F+7\r\nx\r\n", MC_ID_MS, ROUTE_ONE, MSG_REWRITE, 4, 1, 1, "F+7"},
        {"ms YQ== 1 k q b\r\nx\r\n", MC_ID_MS, ROUTE_ONE, MSG_REWRITE | MSG_QUIET, 6, 1, 5, "a"},
        {"ma a N0 q\r\n", MC_ID_MA, ROUTE_ONE, MSG_REWRITE | MSG_QUIET, 3, 1, 1, "N0"},
        {"me a b\r\n", MC_ID_ME, ROUTE_REPLY, 0, 3, 1, 1, "b"},
        {"me YQ== b\r\n", MC_ID_ME, ROUTE_ONE, 0, 4, 1, 3, "a"},
        {"me a q\r\n", MC_ID_ME, ROUTE_ONE, MSG_REWRITE, 2, 1, 1, "a"},
        {"mn\r\n", MC_ID_MN, ROUTE_LOCAL, 0, 1, 0, 0, "mn"},
        /* a bad line whose last word is noreply is answered by silence, as memcached does */
        {"incr k noreply\r\n", MC_ID_INCR, ROUTE_SKIP, MSG_REWRITE | MSG_NOREPLY, 3, 1, 1, "noreply"},
    };
    struct msg m;
    msg_init(&m);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        print_message("%s", rows[i].in);
        assert_int_equal(parse(&m, rows[i].in), PARSE_DONE);
        assert_int_equal(m.raw.n, strlen(rows[i].in));
        assert_int_equal(m.cmd->id, rows[i].id);
        assert_int_equal(m.route, rows[i].route);
        assert_int_equal(m.flags, rows[i].flags);
        assert_int_equal(m.nargs, rows[i].nargs);
        assert_int_equal(m.nkeys, rows[i].nkeys);
        assert_int_equal(m.first_key, rows[i].first);
        assert_true(slice_is(msg_arg(&m, m.nargs - 1), rows[i].last));
    }
    msg_fini(&m);
}

/* What kvmux answers otherwise than memcached, and why, is in docs and mc_cmds.def. */
static void test_refused(void **state) {
    static const struct {
        const char *in, *answer;
        size_t raw; /* 0: all */
        uint32_t flags;
    } rows[] = {
        /* "a\nb": memcached may say such a key as it is, and its lines would be replies */
        {"mg YQpi b k\r\n", "CLIENT_ERROR mg with flag k is refused by kvmux for a key with a line feed: use flag O\r\n", 0, 0},
        {"mg YQpi k b q\r\n", "CLIENT_ERROR mg with flag k is refused by kvmux for a key with a line feed: use flag O\r\n", 0, 0},
        {"me YQpi b\r\n", "CLIENT_ERROR me is refused by kvmux for a key with a line feed\r\n", 0, 0},
        {"ms a 1073741825\r\n", "SERVER_ERROR object too large for cache\r\n", 0, MSG_CLOSE},
        {"ms a 2147483645 q\r\n", "SERVER_ERROR object too large for cache\r\n", 0, MSG_CLOSE},
        /* taken, since the server would take it too */
        {"ms a 3 z\r\nabc\r\nmn\r\n", "CLIENT_ERROR invalid flag\r\n", 15, 0},
        {"ms a 3 z\r\nabcdefg", "CLIENT_ERROR invalid flag\r\n", 15, 0},
        {"shutdown\r\n", "CLIENT_ERROR shutdown is refused by kvmux: it would stop a server that others use\r\n", 0, 0},
        {"watch fetchers\r\n",
         "CLIENT_ERROR watch is refused by kvmux: it would take over a connection that others share\r\n", 0, 0},
        {"slabs reassign 1 2\r\n", "CLIENT_ERROR slabs is refused by kvmux: connect to the server itself\r\n", 0, 0},
        {"cache_memlimit 5\r\n", "CLIENT_ERROR cache_memlimit is refused by kvmux: connect to the server itself\r\n", 0, 0},
        {"lru_crawler dump\r\n", "CLIENT_ERROR lru_crawler is refused by kvmux: connect to the server itself\r\n", 0, 0},
        {"GET / HTTP/1.1\r\nset a 0 0 1\r\n", "ERROR\r\n", 16, MSG_CLOSE},
        {"set a 0 0 1073741825\r\n", "SERVER_ERROR object too large for cache\r\n", 0, MSG_CLOSE},
        {"set a 0 0 2147483645 noreply\r\n", "SERVER_ERROR object too large for cache\r\n", 0, MSG_CLOSE},
        {"set a 0 0 2147483646\r\n", "CLIENT_ERROR bad command line format\r\n", 0, 0},
        {"set a 0 0 1\r\nxyzget a\r\n", "CLIENT_ERROR bad data chunk\r\n", 16, 0},
    };
    struct msg m;
    msg_init(&m);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        print_message("%s", rows[i].in);
        assert_int_equal(parse(&m, rows[i].in), PARSE_DONE);
        assert_int_equal(m.raw.n, rows[i].raw > 0 ? rows[i].raw : strlen(rows[i].in));
        assert_int_equal(m.route, ROUTE_REPLY);
        assert_int_equal(m.flags & MSG_CLOSE, rows[i].flags);
        assert_true(slice_is(slice(m.answer, m.answer_len), rows[i].answer));
    }
    assert_int_equal(parse(&m, "\x80\x0a"), PARSE_DONE); /* of a client whose first byte was another */
    assert_true(slice_is(slice(m.answer, m.answer_len), "ERROR\r\n"));
    msg_fini(&m);
}

/* A line of `n` bytes before its "\r\n". */
static char *line_of(const char *start, size_t n, bool crlf) {
    char *s = malloc(n + 3);
    size_t at = strlen(start);
    memcpy(s, start, at);
    for (; at < n; at++) {
        s[at] = at % 8 == 0 ? ' ' : 'k';
    }
    memcpy(s + n, crlf ? "\r\n" : "\0\0", 3);
    return s;
}

static void check_line(const char *start, size_t n, bool crlf, enum parse_rc want, int route) {
    struct msg m;
    msg_init(&m);
    char *s = line_of(start, n, crlf);
    assert_int_equal(parse(&m, s), want);
    if (want == PARSE_DONE) {
        assert_int_equal(m.route, route);
    } else if (want == PARSE_BAD) {
        assert_true(slice_is(slice(m.answer, m.answer_len), "CLIENT_ERROR line too long\r\n"));
    }
    free(s);
    msg_fini(&m);
}

static void test_long_lines(void **state) {
    check_line("foo ", 2047, true, PARSE_DONE, ROUTE_REPLY);
    check_line("foo ", 2048, true, PARSE_BAD, 0); /* memcached sees 2049 bytes and no newline when the cut is there */
    check_line("foo ", 2048, false, PARSE_MORE, 0);
    check_line("foo ", 2049, false, PARSE_BAD, 0);
    check_line("get ", 2049, false, PARSE_MORE, 0);
    check_line("get ", 100000, true, PARSE_DONE, ROUTE_SPLIT);
    check_line("gets ", (1 << 20) - 1, true, PARSE_DONE, ROUTE_SPLIT);
    check_line("get ", 1 << 20, true, PARSE_BAD, 0);
    check_line("get ", (1 << 20) + 1, false, PARSE_BAD, 0);
    check_line("get\t", 3000, true, PARSE_BAD, 0);
    check_line("gat 0 ", 2047, true, PARSE_DONE, ROUTE_SPLIT);
    check_line("gat 0 ", 3000, true, PARSE_DONE, ROUTE_REPLY); /* refused, but the client may go on */
    char blanks[128];
    snprintf(blanks, sizeof blanks, "%100sget ", "");
    check_line(blanks, 3000, true, PARSE_DONE, ROUTE_SPLIT);
    snprintf(blanks, sizeof blanks, "%101sget ", "");
    check_line(blanks, 3000, true, PARSE_BAD, 0);
}

/* However a line or a data block dribbles in, no byte is looked at twice. */
static void test_linear(void **state) {
    struct msg m;
    struct parser p = {0};
    msg_init(&m);
    char *s = line_of("get ", 1 << 19, true);
    for (size_t n = 1; n < (1 << 19) + 2; n++) {
        assert_int_equal(mc_parse_req(&p, slice(s, n), &m), PARSE_MORE);
        assert_int_equal(p.pos, n);
        s[n - 1] = 'x'; /* it may not look back, but for the first word */
        if (n <= 5) {
            s[n - 1] = "get k"[n - 1];
        }
    }
    assert_int_equal(mc_parse_req(&p, slice(s, (1 << 19) + 2), &m), PARSE_DONE);
    free(s);
    const char *set = "set k 0 0 10\r\n0123456789\r\n";
    for (size_t n = 1; n < strlen(set); n++) {
        assert_int_equal(mc_parse_req(&p, slice(set, n), &m), PARSE_MORE);
        assert_int_equal(m.need, n < 14 ? 0 : strlen(set));
    }
    assert_int_equal(mc_parse_req(&p, slice_str(set), &m), PARSE_DONE);
    msg_fini(&m);
}

static const char stream[] = "get a\r\n gets b  c\nset k 1 2 5\r\nab\r\nc\r\nfoo\r\n\r\nset k 0 0 3 noreply\r\nabc\r\nincr k x\r\n"
                             "cas k 0 0 1 99\r\nzz\r\ndelete k noreply\r\ngat 5 x y z\r\nms q 4\r\nget \r\r\nflush_all 5\r\n"
                             "set k 0 0 -1\r\nversion\r\nverbosity 1\r\nquit\r\nGET / HTTP/1.0\r\n\x80\x00";

static void compare(struct cuts cuts, const struct text *whole) {
    struct text t = {0};
    transcript_req(&t, slice(stream, sizeof stream - 1), cuts);
    assert_true(slice_eq(text_slice(&t), text_slice(whole)));
    text_fini(&t);
}

static void test_cuts(void **state) {
    struct text whole = {0};
    size_t n = sizeof stream - 1, every[sizeof stream];
    transcript_req(&whole, slice(stream, n), (struct cuts){0});
    for (size_t i = 0; i < n; i++) {
        every[i] = i + 1;
    }
    compare((struct cuts){every, n}, &whole);
    for (size_t a = 1; a < n; a++) {
        for (size_t b = a; b < n; b += 1 + a % 3) {
            compare((struct cuts){(size_t[]){a, b}, 2}, &whole);
        }
    }
    struct rng rng;
    rng_seed(&rng, 6);
    for (int i = 0; i < 3000; i++) {
        size_t c[3];
        c[0] = 1 + rng_below(&rng, (uint32_t)n - 1);
        c[1] = c[0] + rng_below(&rng, (uint32_t)(n - c[0]));
        c[2] = c[1] + rng_below(&rng, (uint32_t)(n - c[1]));
        compare((struct cuts){c, 3}, &whole);
    }
    text_fini(&whole);
}

/* ---- requests that go on while they arrive ---- */

#define TENS "0123456789"
static const struct {
    const char *in;
    bool passes;
} pass_corpus[] = {
    {"set k 1 2 30\r\n" TENS TENS TENS "\r\nget a\r\n", true},
    {"set k +1 2 30 noreply\n" TENS TENS TENS "\r\n", true},
    {"cas k 1 2 30 99\r\n" TENS TENS TENS "\r\n", true},
    {"ms k 30 q F+5\r\n" TENS TENS TENS "\r\nset k 1 2 30\r\n" TENS TENS TENS "\r\n", true},
    {"ms a2V5 30 b c\r\n" TENS TENS TENS "\r\n", true},
    {"set k 1 2 30\r\n" TENS TENS TENS "xxget a\r\n", true},
    {"set k 1 2 30 noreply\r\n" TENS TENS TENS "\rxget a\r\n", true},
    {"set k 1 2 30\r\n" TENS TENS TENS "\r", true},
    {"set k 1 2 0\r\n\r\n", false},
    {"ms k 30 z\r\n" TENS TENS TENS "\r\n", false},
    {"set k 1 2 -30\r\n" TENS TENS TENS "\r\n", false},
};

static void test_pass_every_cut(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(pass_corpus); i++) {
        struct slice in = slice_str(pass_corpus[i].in);
        size_t all[128], passed = 0;
        for (uint32_t min = 1; min <= 29; min += 7) {
            for (size_t a = 0; a <= in.n; a++) {
                all[a] = a;
                for (size_t b = a; b <= in.n; b += 1 + a % 3) {
                    passed += sent_check(&proto_mc, in, (size_t[]){a, b, in.n}, 3, min);
                }
            }
            passed += sent_check(&proto_mc, in, all, in.n + 1, min);
        }
        assert_int_equal(passed > 1000, pass_corpus[i].passes);
    }
    for (size_t n = 1; n < sizeof stream - 1; n++) {
        sent_check(&proto_mc, slice(stream, sizeof stream - 1), (size_t[]){n, sizeof stream - 1}, 2, 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),      cmocka_unit_test(test_fields), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_lines), cmocka_unit_test(test_linear), cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_pass_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
