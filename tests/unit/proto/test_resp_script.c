/* Scripts: what requests say about them, what servers say about them, and the replies of several servers as one. */
#include "resp_test.h"

#define ABC "a9993e364706816aba3e25717850c26c9cd0d89d" /* of the body "abc" */

static void test_requests(void **state) {
    static const struct {
        const char *line, *body;
        bool digest, script;
    } rows[] = {
        {"eval abc 0", "abc", false, true},
        {"EVAL_RO abc 1 k", "abc", false, true},
        {"script load abc", "abc", false, true},
        {"evalsha " ABC " 0", NULL, true, true},
        {"evalsha A9993E364706816ABA3E25717850C26C9CD0D89D 2 k l", NULL, true, true},
        {"evalsha_ro " ABC " 1 k", NULL, true, true},
        {"script flush", NULL, false, true},
        {"script flush async", NULL, false, true},
        {"evalsha " ABC "0 0", NULL, false, false},
        {"evalsha abc 0", NULL, false, false},
        {"evalsha x9993e364706816aba3e25717850c26c9cd0d89d 0", NULL, false, false},
        {"script exists " ABC, NULL, false, false},
        {"script kill", NULL, false, false},
        {"fcall " ABC " 0", NULL, false, false},
        {"set abc x", NULL, false, false},
    };
    struct msg m;
    msg_init(&m);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t abc[SCRIPT_DIGEST];
        assert_true(proto_resp.script.digest(slice_str("abc"), abc));
        parse_line(&m, rows[i].line);
        assert_int_equal((m.flags & MSG_SCRIPT) != 0, rows[i].script);
        assert_int_equal(rows[i].body != NULL, rows[i].script && (m.cmd->flags & CMD_BODY));
        if (rows[i].body != NULL) {
            assert_slice(m.script, rows[i].body);
        }
        assert_int_equal(rows[i].digest, rows[i].script && (m.cmd->flags & CMD_DIGEST));
        if (rows[i].digest) {
            assert_memory_equal(m.digest, abc, sizeof abc);
        }
    }
    parse_line(&m, "eval");
    assert_int_equal(m.route, ROUTE_REPLY);
    assert_false(m.flags & MSG_SCRIPT);
    msg_fini(&m);
}

static void test_load(void **state) {
    struct sink s;
    sink_init(&s);
    proto_resp.script.load(slice_str("return 1"), &s.out);
    assert_slice(sink_bytes(&s), "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$8\r\nreturn 1\r\n");
    sink_fini(&s);
}

/* At the top and inside; the same however it was cut. */
static void test_missing(void **state) {
    static const struct {
        const char *reply;
        bool missing;
    } rows[] = {
        {"-NOSCRIPT No matching script. Please use EVAL.\r\n", true},
        {"-NOSCRIPT No matching script.\r\n", true},
        {"*2\r\n:1\r\n-NOSCRIPT No matching script. Please use EVAL.\r\n", true},
        {"*2\r\n-NOSCRIPT No matching script. Please use EVAL.\r\n$1\r\na\r\n", true},
        {"-NOSCRIPT mine\r\n", false},
        {"-ERR NOSCRIPT No matching script. Please use EVAL.\r\n", false},
        {"+NOSCRIPT No matching script. Please use EVAL.\r\n", false},
        {"$30\r\n-NOSCRIPT No matching script..\r\n", false},
        {"*2\r\n:1\r\n$-1\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = strlen(rows[i].reply);
        for (size_t cut = 0; cut <= n; cut++) {
            struct parser ps = {0};
            struct rsp r = {0};
            if (cut < n) {
                assert_int_equal(proto_resp.parse_rsp(&ps, NULL, slice(rows[i].reply, cut), &r), PARSE_MORE);
            }
            assert_int_equal(proto_resp.parse_rsp(&ps, NULL, slice(rows[i].reply, n), &r), PARSE_DONE);
            assert_int_equal(r.len, n);
            assert_int_equal(r.no_script, rows[i].missing);
            assert_int_equal(ps.mark, 0);
        }
    }
}

#define PART(s)  {.reply = {(const uint8_t *)(s), sizeof(s) - 1}}
#define GONE     {.failed = REASON_REFUSED}
#define MIXED(...) (const struct part[]){__VA_ARGS__}, sizeof((const struct part[]){__VA_ARGS__}) / sizeof(struct part)

struct row {
    uint16_t id;
    bool lenient;
    const struct part *parts;
    size_t n;
    const char *want;
};

static void check_rows(const struct row *rows, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct sink s;
        sink_init(&s);
        const struct fan_in in = {.cmd = &resp_cmds[rows[i].id], .parts = rows[i].parts, .nparts = (uint32_t)rows[i].n, .lenient = rows[i].lenient};
        proto_resp.merge(&in, &s.out);
        assert_slice(sink_bytes(&s), rows[i].want);
        sink_fini(&s);
    }
}

#define REFUSED  "-ERR Connection refused\r\n"
#define ODD      "-ERR Invalid argument\r\n"
#define NOTBUSY  "-NOTBUSY No scripts in execution right now.\r\n"
#define STUCK    "-UNKILLABLE Sorry the script already executed write commands against the dataset.\r\n"

static void test_min(void **state) {
    const struct row rows[] = {
        {RESP_WAIT, false, MIXED(PART(":2\r\n")), ":2\r\n"},
        {RESP_WAIT, false, MIXED(PART(":2\r\n"), PART(":0\r\n"), PART(":1\r\n")), ":0\r\n"},
        {RESP_WAIT, false, MIXED(PART(":2\r\n"), GONE), REFUSED},
        {RESP_WAIT, true, MIXED(GONE, PART(":2\r\n"), PART(":3\r\n")), ":2\r\n"},
        {RESP_WAIT, true, MIXED(GONE, GONE), REFUSED},
        {RESP_WAIT, true, MIXED(PART(":2\r\n"), PART("-ERR x\r\n")), "-ERR x\r\n"},
        {RESP_WAIT, false, MIXED(PART(":2\r\n"), PART("+OK\r\n")), ODD},
        {RESP_WAIT, false, MIXED(PART(":2\r\n"), PART("*1\r\n:1\r\n")), ODD},
        {RESP_WAIT, false, MIXED(PART("*1\r\n:1\r\n"), PART(":1\r\n")), ODD},
        {RESP_WAITAOF, false, MIXED(PART("*2\r\n:1\r\n:0\r\n"), PART("*2\r\n:0\r\n:3\r\n")), "*2\r\n:0\r\n:0\r\n"},
        {RESP_WAITAOF, false, MIXED(PART("*2\r\n:1\r\n:0\r\n"), PART("*1\r\n:0\r\n")), ODD},
        {RESP_WAITAOF, false, MIXED(PART("*-1\r\n"), PART("*-1\r\n")), ODD},
        {RESP_SCRIPT_EXISTS, true, MIXED(PART("*3\r\n:1\r\n:1\r\n:0\r\n"), GONE, PART("*3\r\n:1\r\n:0\r\n:1\r\n")), "*3\r\n:1\r\n:0\r\n:0\r\n"},
        {RESP_SCRIPT_EXISTS, true, MIXED(PART("*1\r\n$1\r\na\r\n"), PART("*1\r\n:1\r\n")), ODD},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_any_ok(void **state) {
    const struct row rows[] = {
        {RESP_SCRIPT_KILL, false, MIXED(PART(NOTBUSY), PART("+OK\r\n"), GONE, PART(STUCK)), "+OK\r\n"},
        {RESP_SCRIPT_KILL, false, MIXED(PART(NOTBUSY), GONE, PART(STUCK)), STUCK},
        {RESP_SCRIPT_KILL, false, MIXED(PART(NOTBUSY), GONE), REFUSED},
        {RESP_FUNCTION_KILL, false, MIXED(PART(NOTBUSY), PART(NOTBUSY)), NOTBUSY},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_lenient(void **state) {
    const struct row rows[] = {
        {RESP_SCRIPT_LOAD, true, MIXED(GONE, PART("$3\r\nsha\r\n"), PART("$3\r\nsha\r\n")), "$3\r\nsha\r\n"},
        {RESP_SCRIPT_LOAD, true, MIXED(GONE, PART("$3\r\nsha\r\n"), PART("-ERR x\r\n")), "-ERR x\r\n"},
        {RESP_SCRIPT_LOAD, true, MIXED(GONE, GONE), REFUSED},
        {RESP_SCRIPT_FLUSH, false, MIXED(PART("+OK\r\n"), GONE), REFUSED},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_min),
        cmocka_unit_test(test_any_ok),
        cmocka_unit_test(test_lenient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
