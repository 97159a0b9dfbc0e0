/* Replies: which are understood for which command, and every cut. */
#include "test_mc.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define GOOD PARSE_DONE, RSP_GOOD
#define ERR PARSE_DONE, RSP_ERROR
#define BAD PARSE_BAD, 0
#define MORE PARSE_MORE, 0

static void test_lines(void **state) {
    static const struct {
        int id; /* -1: no command */
        const char *in;
        int rc, kind;
        size_t len; /* 0: all */
    } rows[] = {
        {MC_ID_SET, "STORED\r\n", GOOD, 0},
        {MC_ID_SET, "STORED\r\nSTORED\r\n", GOOD, 8},
        {MC_ID_SET, "NOT_STORED\r\n", GOOD, 0},
        {MC_ID_CAS, "EXISTS\r\n", GOOD, 0},
        {MC_ID_CAS, "NOT_FOUND\r\n", GOOD, 0},
        {MC_ID_SET, "DELETED\r\n", BAD, 0},
        {MC_ID_SET, "END\r\n", BAD, 0},
        {MC_ID_SET, "5\r\n", BAD, 0},
        {MC_ID_SET, "STORED\n", BAD, 0},
        {MC_ID_SET, "STORED \r\n", BAD, 0},
        {MC_ID_SET, "stored\r\n", BAD, 0},
        {MC_ID_SET, "\r\n", BAD, 0},
        {MC_ID_SET, "\n", BAD, 0},
        {MC_ID_SET, "STORED\r", MORE, 0},
        {MC_ID_SET, "", MORE, 0},
        {MC_ID_SET, "SERVER_ERROR object too large for cache\r\n", ERR, 0},
        {MC_ID_SET, "SERVER_ERROR out of memory storing object\r\n", ERR, 0},
        /* the data block behind such a line is about to be read as commands */
        {MC_ID_SET, "ERROR\r\n", BAD, 0},
        {MC_ID_SET, "CLIENT_ERROR bad command line format\r\n", BAD, 0},
        {MC_ID_SET, "CLIENT_ERROR bad data chunk\r\n", ERR, 0},
        {MC_ID_DELETE, "DELETED\r\n", GOOD, 0},
        {MC_ID_DELETE, "NOT_FOUND\r\n", GOOD, 0},
        {MC_ID_DELETE, "STORED\r\n", BAD, 0},
        {MC_ID_INCR, "18446744073709551615\r\n", GOOD, 0},
        {MC_ID_INCR, "NOT_FOUND\r\n", GOOD, 0},
        {MC_ID_INCR, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n", ERR, 0},
        {MC_ID_INCR, "-1\r\n", BAD, 0},
        {MC_ID_INCR, "1x\r\n", BAD, 0},
        {MC_ID_TOUCH, "TOUCHED\r\n", GOOD, 0},
        {MC_ID_FLUSH_ALL, "OK\r\n", GOOD, 0},
        {MC_ID_VERSION, "VERSION 1.6.18\r\n", GOOD, 0},
        {MC_ID_VERSION, "VERSION\r\n", BAD, 0},
        {MC_ID_VERSION, "ERROR: no\r\n", ERR, 0},
        {MC_ID_VERSION, "ERROR no\r\n", ERR, 0},
        {MC_ID_VERSION, "ERRORS\r\n", BAD, 0},
        {-1, "VERSION 1.6.18\r\n", GOOD, 0},
        {-1, "RESET\r\n", GOOD, 0},
        {-1, "VALUE a 0 1\r\nx\r\nEND\r\n", BAD, 0},
        {-1, "STAT a b\r\n", BAD, 0},
        {MC_ID_MG, "EN\r\n", GOOD, 0},
        {MC_ID_MG, "HD\r\n", GOOD, 0},
        {MC_ID_MG, "HD k\001\002 W Z\r\nHD\r\n", GOOD, 12},
        {MC_ID_MG, "OK t1\r\n", GOOD, 0},
        {MC_ID_MG, "HDx\r\n", BAD, 0},
        {MC_ID_MG, "H\r\n", BAD, 0},
        {MC_ID_MG, "HD\n", BAD, 0},
        {MC_ID_MG, "HD", MORE, 0},
        {MC_ID_MG, "NF\r\n", BAD, 0},
        {MC_ID_MG, "MN\r\n", BAD, 0},
        {MC_ID_MG, "END\r\n", BAD, 0},
        {MC_ID_MG, "VALUE a 0 1\r\nx\r\nEND\r\n", BAD, 0},
        {MC_ID_MG, "VA 0\r\n\r\n", GOOD, 0},
        {MC_ID_MG, "VA 2 s2 t-1 ka b Oxy\r\n\r\n\r\nEN\r\n", GOOD, 26},
        {MC_ID_MG, "VA 2\r\nEN\r\n", GOOD, 0},
        {MC_ID_MG, "VA 2\r\nENx\r\n", BAD, 0},
        {MC_ID_MG, "VA 2\r\nEN\r", MORE, 0},
        {MC_ID_MG, "VA 2\r\n", MORE, 0},
        {MC_ID_MG, "VA\r\n", BAD, 0},
        {MC_ID_MG, "VA \r\n", BAD, 0},
        {MC_ID_MG, "VA x\r\n", BAD, 0},
        {MC_ID_MG, "VA 1x\r\n", BAD, 0},
        {MC_ID_MG, "VA -1\r\n", BAD, 0},
        {MC_ID_MG, "VA 1073741825\r\n", BAD, 0},
        {MC_ID_MG, "VA 99999999999999999999\r\n", BAD, 0},
        {MC_ID_MG, "CLIENT_ERROR invalid flag\r\n", ERR, 0},
        {MC_ID_MG, "ERROR\r\n", ERR, 0},
        {MC_ID_MS, "HD kYQ== b Ox c5\r\n", GOOD, 0},
        {MC_ID_MS, "NS\r\n", GOOD, 0},
        {MC_ID_MS, "EX \r\n", GOOD, 0},
        {MC_ID_MS, "NF\r\n", GOOD, 0},
        {MC_ID_MS, "EN\r\n", BAD, 0},
        {MC_ID_MS, "VA 0\r\n\r\n", BAD, 0},
        {MC_ID_MS, "STORED\r\n", BAD, 0},
        {MC_ID_MS, "SERVER_ERROR object too large for cache\r\n", ERR, 0},
        {MC_ID_MS, "CLIENT_ERROR bad token in command line format\r\n", ERR, 0},
        {MC_ID_MS, "CLIENT_ERROR bad data chunk\r\n", ERR, 0},
        /* the data block behind such a line is about to be read as commands */
        {MC_ID_MS, "CLIENT_ERROR bad command line format\r\n", BAD, 0},
        {MC_ID_MS, "CLIENT_ERROR invalid flag\r\n", BAD, 0},
        {MC_ID_MS, "ERROR\r\n", BAD, 0},
        {MC_ID_MD, "HD \r\n", GOOD, 0},
        {MC_ID_MD, "NF ka\r\n", GOOD, 0},
        {MC_ID_MD, "EX\r\n", GOOD, 0},
        {MC_ID_MD, "NS\r\n", BAD, 0},
        {MC_ID_MA, "VA 20 t-1\r\n18446744073709551615\r\n", GOOD, 0},
        {MC_ID_MA, "HD\r\n", GOOD, 0},
        {MC_ID_MA, "NS\r\n", GOOD, 0},
        {MC_ID_MA, "5\r\n", BAD, 0},
        {MC_ID_ME, "ME a exp=-1 la=0 cas=6 fetch=no cls=1 size=66\r\n", GOOD, 0},
        {MC_ID_ME, "EN\r\n", GOOD, 0},
        {MC_ID_ME, "HD\r\n", BAD, 0},
        {MC_ID_SET, "HD\r\n", BAD, 0},
        {-1, "HD\r\n", BAD, 0},
        {MC_ID_GET, "END\r\n", GOOD, 0},
        {MC_ID_GET, "VALUE a 0 1\r\nx\r\nEND\r\n", GOOD, 0},
        {MC_ID_GET, "VALUE a\r 0 0\r\n\r\nEND\r\n", GOOD, 0},
        {MC_ID_GETS, "VALUE a 0 5 99\r\nEND\r\n\r\nVALUE b 4294967295 0 18446744073709551615\r\n\r\nEND\r\nEND\r\n", GOOD, 73},
        {MC_ID_GAT, "VALUE a 0 1\r\nx\r\nSERVER_ERROR out of memory writing get response\r\n", ERR, 0},
        {MC_ID_GET, "SERVER_ERROR out of memory\r\n", ERR, 0},
        {MC_ID_GET, "ERROR\r\n", ERR, 0},
        {MC_ID_GET, "CLIENT_ERROR bad command line format\r\n", ERR, 0},
        {MC_ID_GET, "VALUE a 0 1\r\nxy\r\nEND\r\n", BAD, 0},
        {MC_ID_GET, "VALUE a 0 1\r\nx\r\nSTORED\r\n", BAD, 0},
        {MC_ID_GET, "VALUE a 0 1\r\nx\r\n", MORE, 0},
        {MC_ID_GET, "VALUE a 0 1\r\n", MORE, 0},
        {MC_ID_GET, "VALUE a 0 -1\r\n", BAD, 0},
        {MC_ID_GET, "VALUE a 0 1x\r\n", BAD, 0},
        {MC_ID_GET, "VALUE a 0\r\n", BAD, 0},
        {MC_ID_GET, "VALUE a 0 1 2 3\r\n", BAD, 0},
        {MC_ID_GET, "VALUE a  0 1\r\n", BAD, 0},
        {MC_ID_GET, "VALUE  0 1\r\n", BAD, 0},
        {MC_ID_GET, "VALUE a 0 1 \r\n", BAD, 0},
        {MC_ID_GET, "VALUE a 0 1073741824\r\n", MORE, 0},
        {MC_ID_GET, "VALUE a 0 1073741825\r\n", BAD, 0},
        {MC_ID_GET, "VALUE a 0 18446744073709551617\r\n", BAD, 0},
        {MC_ID_GET, "STORED\r\n", BAD, 0},
        {MC_ID_GET, "5\r\n", BAD, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct parser p = {0};
        struct rsp r;
        print_message("%s", rows[i].in);
        const struct cmd *c = rows[i].id < 0 ? NULL : &mc_cmds[rows[i].id];
        assert_int_equal(mc_parse_rsp(&p, c, slice_str(rows[i].in), &r), rows[i].rc);
        if (rows[i].rc == PARSE_DONE) {
            assert_int_equal(r.kind, rows[i].kind);
            assert_int_equal(r.len, rows[i].len > 0 ? rows[i].len : strlen(rows[i].in));
        }
    }
}

static void test_long(void **state) {
    char line[MC_REPLY_LINE_MAX + 8];
    struct parser p = {0};
    struct rsp r;
    memset(line, 'x', sizeof line);
    memcpy(line, "SERVER_ERROR ", 13);
    assert_int_equal(mc_parse_rsp(&p, NULL, slice(line, MC_REPLY_LINE_MAX), &r), PARSE_MORE);
    assert_int_equal(mc_parse_rsp(&p, NULL, slice(line, MC_REPLY_LINE_MAX + 1), &r), PARSE_BAD);
    memcpy(line + MC_REPLY_LINE_MAX - 1, "\r\n", 2);
    assert_int_equal(mc_parse_rsp(&p, NULL, slice(line, MC_REPLY_LINE_MAX + 1), &r), PARSE_DONE);
}

/* Progress is kept between calls: what lies before it may change without being noticed, so nothing is read twice. */
static void test_linear(void **state) {
    struct text t = {0};
    for (int i = 0; i < 2000; i++) {
        char block[64];
        snprintf(block, sizeof block, "VALUE key%d 0 4\r\n%04d\r\n", i, i);
        text_str(&t, block);
    }
    text_str(&t, "END\r\n");
    struct parser p = {0};
    struct rsp r;
    size_t done = 0;
    for (size_t n = 1; n < t.n; n++) {
        assert_int_equal(mc_parse_rsp(&p, &mc_cmds[MC_ID_GET], slice(t.p, n), &r), PARSE_MORE);
        if (p.phase == 0) {
            assert_int_equal(p.pos + p.left, n);
            memset(t.p + done, '?', p.pos - done);
            done = p.pos;
        }
    }
    assert_int_equal(mc_parse_rsp(&p, &mc_cmds[MC_ID_GET], text_slice(&t), &r), PARSE_DONE);
    assert_int_equal(r.len, t.n);
    text_fini(&t);
}

static void check_cuts(int id, const char *stream, size_t n) {
    struct text whole = {0};
    const struct cmd *c = id < 0 ? NULL : &mc_cmds[id];
    struct rng rng;
    rng_seed(&rng, 8);
    size_t passed = 0;
    transcript_rsp(&whole, c, slice(stream, n), (struct cuts){0}, 0);
    for (size_t i = 0; i < n * n + 2000; i++) {
        size_t c3[3], every[512];
        for (size_t k = 0; k < n; k++) {
            every[k] = k + 1;
        }
        c3[0] = 1 + (i < n * n ? i / n : rng_below(&rng, (uint32_t)n));
        c3[1] = max_size(c3[0], 1 + i % n);
        c3[2] = max_size(c3[1], i < n * n ? 0 : rng_below(&rng, (uint32_t)n));
        for (uint32_t pass_min = 0; pass_min < 17; pass_min += 8) { /* nothing passes, and two more sizes */
            struct text t = {0};
            passed += transcript_rsp(&t, c, slice(stream, n), i == 0 ? (struct cuts){every, n} : (struct cuts){c3, 3}, pass_min);
            assert_true(slice_eq(text_slice(&t), text_slice(&whole)));
            text_fini(&t);
        }
    }
    assert_true(passed > 0 || (id != MC_ID_GET && id != MC_ID_MG)); /* replies with data */
    text_fini(&whole);
}

static void test_cuts(void **state) {
    static const char gets[] = "END\r\nVALUE a 0 5 99\r\nEND\r\n\r\nVALUE b 1 0\r\n\r\nEND\r\nSERVER_ERROR x\r\nVALUE c 0 1\r\nx\r\n"
                               "ERROR\r\nVALUE d 0 1\r\nxyz\r\nEND\r\n";
    static const char sets[] = "STORED\r\nNOT_STORED\r\nEXISTS\r\nSERVER_ERROR a b\r\nSTORED\nSTORED\r\n";
    static const char any[] = "VERSION 1\r\n17\r\nOK\r\nCLIENT_ERROR\r\nhuh\r\n";
    static const char metas[] = "EN\r\nHD\r\nVA 2 kab b\r\n\r\n\r\nVA 0\r\n\r\nHD c5\r\nCLIENT_ERROR x\r\nVA 4 W\r\nEN\r\n\r\nVA 1\r\nxyz\r\n";
    check_cuts(MC_ID_MG, metas, sizeof metas - 1);
    check_cuts(MC_ID_MA, metas + 4, sizeof metas - 5);
    check_cuts(MC_ID_GETS, gets, sizeof gets - 1);
    check_cuts(MC_ID_SET, sets, sizeof sets - 1);
    check_cuts(-1, any, sizeof any - 1);
}

/* What memcached 1.6.18 does not say to a request with flag q. */
static void test_quiet(void **state) {
    static const struct {
        int id;
        const char *in;
        bool quiet_ok;
    } rows[] = {
        {MC_ID_MG, "EN\r\n", true},   {MC_ID_MG, "HD k\r\n", false}, {MC_ID_MG, "VA 1\r\nx\r\n", false},
        {MC_ID_MS, "HD\r\n", true},   {MC_ID_MS, "NS\r\n", false},   {MC_ID_MS, "EX\r\n", false},
        {MC_ID_MS, "NF\r\n", false},  {MC_ID_MD, "HD O1\r\n", true}, {MC_ID_MD, "NF\r\n", false},
        {MC_ID_MD, "EX\r\n", false},  {MC_ID_MA, "HD\r\n", true},    {MC_ID_MA, "VA 1\r\n5\r\n", true},
        {MC_ID_MA, "NF\r\n", false},  {MC_ID_MA, "EX\r\n", false},   {MC_ID_ME, "EN\r\n", false},
        {MC_ID_MG, "ERROR\r\n", false}, {MC_ID_MS, "SERVER_ERROR out of memory storing object\r\n", false},
        {MC_ID_GET, "END\r\n", false}, {MC_ID_SET, "STORED\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct parser p = {0};
        struct rsp r;
        print_message("%s", rows[i].in);
        assert_int_equal(mc_parse_rsp(&p, &mc_cmds[rows[i].id], slice_str(rows[i].in), &r), PARSE_DONE);
        assert_int_equal(r.quiet_ok, rows[i].quiet_ok);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
