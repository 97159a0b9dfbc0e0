/* Requests that wait at the server: their limits, the same for some of their keys, and what replies to them say. */
#include "resp_test.h"

static int64_t limit_of(const char *line) {
    struct msg m;
    msg_init(&m);
    parse_line(&m, line);
    assert_true(m.route == ROUTE_LEASE || m.route == ROUTE_WRITTEN);
    int64_t limit = proto_resp.waits->limit(&m);
    msg_fini(&m);
    return limit;
}

static void test_limit(void **state) {
    static const struct {
        const char *line;
        int64_t usec;
    } rows[] = {
        {"blpop a 0", WAIT_EVER},
        {"blpop a b 1", 1000000},
        {"BRPOP a 1.5", 1500000},
        {"blpop a 0.001", 1000},
        {"blpop a 0.0001", 1000}, /* up to a whole millisecond */
        {"blpop a 1e-2", 10000},
        {"blpop a 1e300", WAIT_EVER},
        {"blpop a -1", WAIT_UNCLEAR},
        {"blpop a x", WAIT_UNCLEAR},
        {"blpop a nan", WAIT_UNCLEAR},
        {"blpop a \"\"", WAIT_UNCLEAR},
        {"blpop a inf", WAIT_EVER},
        {"bzpopmin a b 2", 2000000},
        {"bzpopmax a 2", 2000000},
        {"brpoplpush a b 3", 3000000},
        {"blmove a b left right 4", 4000000},
        {"blmpop 5 1 a left", 5000000},
        {"bzmpop 0 2 a b min count 3", WAIT_EVER},
        {"bzmpop x 2 a b min", WAIT_UNCLEAR},
        {"xread block 0 streams a 0", WAIT_EVER},
        {"xread count 5 block 250 streams a b 0 0", 250000},
        {"xread block 99999999999999 streams a 0", WAIT_EVER},
        {"xread block -1 streams a 0", WAIT_UNCLEAR},
        {"xread block 1.5 streams a 0", WAIT_UNCLEAR},
        {"xread block 5 streams a", WAIT_UNCLEAR},
        {"xreadgroup group block 7 block 20 streams block >", 20000},
        {"xreadgroup group g streams block 30 streams a >", 30000},
        {"wait 2 1500", 1500000},
        {"wait 2 0", WAIT_EVER},
        {"wait 2 -1", WAIT_UNCLEAR},
        {"wait 2 x", WAIT_UNCLEAR},
        {"waitaof 1 1 1500", 1500000},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (limit_of(rows[i].line) != rows[i].usec) {
            fail_msg("%s: %lld", rows[i].line, (long long)limit_of(rows[i].line));
        }
    }
}

/* A command of a module waits, but where it says how long nobody knows. */
static void test_limit_of_others(void **state) {
    struct msg m;
    msg_init(&m);
    parse_line(&m, "blpop a 5");
    struct cmd learned = *m.cmd;
    learned.id = RESP_COMMANDS;
    m.cmd = &learned;
    assert_int_equal(proto_resp.waits->limit(&m), WAIT_UNCLEAR);
    msg_fini(&m);
}

static void check_build(const char *line, uint32_t nkeys, const uint32_t *keys, int64_t usec, const char *want) {
    struct sink s;
    struct msg m, again;
    sink_init(&s);
    msg_init(&m);
    msg_init(&again);
    parse_line(&m, line);
    assert_true(m.cmd->flags & CMD_ROTATE);
    proto_resp.waits->build(&m, keys, nkeys, usec, &s.out);
    assert_slice(sink_bytes(&s), want);
    assert_int_equal(parse_str(&again, want), PARSE_DONE); /* it is a request of the same kind for these keys */
    assert_ptr_equal(again.cmd, m.cmd);
    assert_int_equal(again.nkeys, nkeys);
    for (uint32_t i = 0; i < nkeys; i++) {
        assert_true(slice_eq(msg_key(&again, i), msg_key(&m, keys[i])));
    }
    assert_int_equal(proto_resp.waits->limit(&again), usec == WAIT_UNCLEAR ? proto_resp.waits->limit(&m) : usec);
    sink_fini(&s);
    msg_fini(&m);
    msg_fini(&again);
}

static void test_build(void **state) {
    const uint32_t last[] = {2}, outer[] = {0, 2}, all[] = {0, 1, 2};
    check_build("blpop a bb ccc 7", 1, last, 160000, "*3\r\n$5\r\nblpop\r\n$3\r\nccc\r\n$5\r\n0.160\r\n");
    check_build("BRPOP a bb ccc 7.5", 2, outer, WAIT_UNCLEAR, "*4\r\n$5\r\nBRPOP\r\n$1\r\na\r\n$3\r\nccc\r\n$3\r\n7.5\r\n");
    check_build("bzpopmin a b c 0", 3, all, 12345000, "*5\r\n$8\r\nbzpopmin\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$6\r\n12.345\r\n");
    check_build("bzpopmax a b c 0", 1, last, 1000, "*3\r\n$8\r\nbzpopmax\r\n$1\r\nc\r\n$5\r\n0.001\r\n");
    check_build("blmpop 0 3 a b c LEFT COUNT 9", 2, outer, 20000,
                "*8\r\n$6\r\nblmpop\r\n$5\r\n0.020\r\n$1\r\n2\r\n$1\r\na\r\n$1\r\nc\r\n$4\r\nLEFT\r\n$5\r\nCOUNT\r\n$1\r\n9\r\n");
    check_build("bzmpop 3 3 a b c max", 1, last, WAIT_UNCLEAR,
                "*5\r\n$6\r\nbzmpop\r\n$1\r\n3\r\n$1\r\n1\r\n$1\r\nc\r\n$3\r\nmax\r\n");
}

/* The number of keys swallows LEFT: a server must find the syntax wrong, not the arity. */
static void test_build_swallowed(void **state) {
    struct sink s;
    struct msg m;
    const uint32_t first[] = {0};
    sink_init(&s);
    msg_init(&m);
    parse_line(&m, "blmpop 0 3 a b left");
    assert_int_equal(m.nkeys, 3);
    proto_resp.waits->build(&m, first, 1, 10000, &s.out);
    assert_slice(sink_bytes(&s), "*5\r\n$6\r\nblmpop\r\n$5\r\n0.010\r\n$1\r\n1\r\n$1\r\na\r\n$0\r\n\r\n");
    sink_fini(&s);
    msg_fini(&m);
}

/* From a frame as from a line. */
static void test_build_framed(void **state) {
    struct sink s;
    struct msg m;
    const uint32_t second[] = {1};
    sink_init(&s);
    msg_init(&m);
    assert_int_equal(parse_str(&m, "*4\r\n$5\r\nBLPOP\r\n$1\r\na\r\n$2\r\n\r\n\r\n$1\r\n0\r\n"), PARSE_DONE);
    proto_resp.waits->build(&m, second, 1, 10000, &s.out);
    assert_slice(sink_bytes(&s), "*3\r\n$5\r\nBLPOP\r\n$2\r\n\r\n\r\n$5\r\n0.010\r\n");
    sink_fini(&s);
    msg_fini(&m);
}

static void test_judge(void **state) {
    static const struct {
        const char *reply;
        bool run;
        enum wait_rc rc;
        const char *answer;
    } rows[] = {
        {"*-1\r\n", false, WAIT_NOTHING, "*-1\r\n"},
        {"_\r\n", false, WAIT_NOTHING, "_\r\n"},
        {"$-1\r\n", false, WAIT_NOTHING, "$-1\r\n"},
        {"*1\r\n*-1\r\n", true, WAIT_NOTHING, "*-1\r\n"},
        {"*1\r\n_\r\n", true, WAIT_NOTHING, "_\r\n"},
        {"*2\r\n$1\r\nq\r\n$1\r\nv\r\n", false, WAIT_ANSWER, "*2\r\n$1\r\nq\r\n$1\r\nv\r\n"},
        {"*1\r\n*2\r\n$1\r\nq\r\n$1\r\nv\r\n", true, WAIT_ANSWER, "*2\r\n$1\r\nq\r\n$1\r\nv\r\n"},
        {"*1\r\n-WRONGTYPE x\r\n", true, WAIT_ANSWER, "-WRONGTYPE x\r\n"},
        {"-WRONGTYPE x\r\n", false, WAIT_ANSWER, "-WRONGTYPE x\r\n"},
        {"-EXECABORT x\r\n", true, WAIT_REFUSED, "-EXECABORT x\r\n"},
        {"-LOADING x\r\n", false, WAIT_LATER, "-LOADING x\r\n"},
        {"*1\r\n-LOADING x\r\n", true, WAIT_LATER, "-LOADING x\r\n"},
        {"*-1\r\n", true, WAIT_BAD, "*-1\r\n"}, /* a transaction that did not run: nothing here watches keys */
        {"_\r\n", true, WAIT_BAD, "_\r\n"},
        {":1\r\n", true, WAIT_BAD, ":1\r\n"},
        {"*2\r\n:1\r\n:2\r\n", true, WAIT_BAD, "*2\r\n:1\r\n:2\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice answer;
        assert_int_equal(proto_resp.waits->judge(slice_str(rows[i].reply), rows[i].run, &answer), rows[i].rc);
        assert_slice(answer, rows[i].answer);
    }
}

/* The rows: what rotates waits, and waits for any one of keys that follow each other. */
static void test_rows(void **state) {
    unsigned n = 0;
    for (unsigned i = 0; i < RESP_COMMANDS; i++) {
        const struct cmd *c = &resp_cmds[i];
        if (c->flags & CMD_ROTATE) {
            n++;
            assert_int_equal(c->route, ROUTE_LEASE);
            assert_true(c->flags & CMD_BLOCKING);
            assert_int_equal(c->step, 1);
            assert_true(c->keys == RESP_RANGE ? c->first == 1 && c->last == -2 : c->keys == RESP_COUNTED && c->first == 2);
        }
    }
    assert_int_equal(n, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit), cmocka_unit_test(test_limit_of_others), cmocka_unit_test(test_build), cmocka_unit_test(test_build_framed),
        cmocka_unit_test(test_build_swallowed),
        cmocka_unit_test(test_judge), cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
