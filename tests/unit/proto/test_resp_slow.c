/* SLOWLOG: how an entry is shown, whatever of its request is known, and what is made of what all workers said. */
#include "resp_test.h"

#include <stdlib.h>

static struct slow slow_of(uint16_t cmd, struct slice head) {
    return (struct slow){.id = 7, .wall_usec = 1700000000999999, .usec = 12000, .queue_usec = 1000, .server_usec = 11000, .cmd = &resp_cmds[cmd],
                         .head = head, .addr = "1.2.3.4:5", .name = "n", .server = "s1"};
}

/* What `line` says about an entry, and the answer made of that alone. */
static enum verdict show(const char *line, const struct slow *e, uint32_t nth, struct sink *s) {
    struct msg m;
    struct sink said;
    msg_init(&m);
    parse_line(&m, line);
    assert_int_equal(m.route, ROUTE_SURVEY);
    sink_init(&said);
    enum verdict v = proto_resp.slow(&m, e, nth, &said.out);
    const struct part part = {.reply = sink_bytes(&said)};
    sink_reset(s);
    proto_resp.merge(&(struct fan_in){.cmd = m.cmd, .parts = &part, .nparts = 1, .request = slice("", 0)}, &s->out);
    sink_fini(&said);
    msg_fini(&m);
    return v;
}

static void test_entries(void **state) {
    static const struct {
        uint16_t cmd;
        const char *head, *want; /* the arguments */
    } rows[] = {
        {RESP_GET, "*2\r\n$3\r\nGeT\r\n$1\r\nk\r\n", "*3\r\n$3\r\nGeT\r\n$1\r\nk\r\n"},
        {RESP_GET, "", "*2\r\n$3\r\nget\r\n"},
        {RESP_GET, "*2\r\n$3\r\nGET\r\n$1000\r\nkey", "*3\r\n$3\r\nGET\r\n$23\r\nkey... (997 more bytes)\r\n"},
        {RESP_SET, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9", "*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$22\r\n... (1 more arguments)\r\n"},
        {RESP_EXEC, "*1\r\n$5\r\nMULTI\r\n", "*2\r\n$4\r\nexec\r\n"}, /* a transaction begins with something else */
        {RESP_OBJECT_ENCODING, "*3\r\n$6\r\nOBJECT\r\n$8\r\nENCODING\r\n$1\r\nk\r\n", "*4\r\n$6\r\nOBJECT\r\n$8\r\nENCODING\r\n$1\r\nk\r\n"},
    };
    struct sink s;
    sink_init(&s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char want[512];
        struct slow e = slow_of(rows[i].cmd, slice_str(rows[i].head));
        snprintf(want, sizeof want, "*1\r\n*6\r\n:7\r\n:1700000000\r\n:12000\r\n%s$39\r\n... (s1: queue 1000, server 11000 usec)\r\n$9\r\n1.2.3.4:5\r\n$1\r\nn\r\n",
                 rows[i].want);
        assert_int_equal(show("slowlog get", &e, 0, &s), VERDICT_SAID);
        assert_slice(sink_bytes(&s), want);
    }
    sink_fini(&s);
}

/* However a request is cut: an array of 32 at most, each of at most 128 bytes and what is said of the rest, and nothing behind the end is
 * looked at. */
static void test_cuts(void **state) {
    char text[2048];
    size_t n = (size_t)snprintf(text, sizeof text, "*42\r\n$4\r\nMGET\r\n$200\r\n%0200d\r\n", 1);
    for (int i = 0; i < 40; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "$2\r\nk%d\r\n", i % 10);
    }
    struct sink s;
    sink_init(&s);
    for (size_t cut = 0; cut <= n; cut++) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, text, cut);
        struct slow e = slow_of(RESP_MGET, slice(copy, cut));
        assert_int_equal(show("slowlog get", &e, 0, &s), VERDICT_SAID);
        struct slice got = sink_bytes(&s);
        assert_int_equal(resp_value_len(got), got.n);
        int64_t nargs;
        struct slice rest;
        assert_true(resp_take_head(slice(got.p + 4 + 4 + 4 + 13 + 8, got.n - 33), '*', &nargs, &rest));
        assert_in_range(nargs, 2, 32);
        free(copy);
    }
    sink_fini(&s);
}

static void test_which(void **state) {
    struct slow e = slow_of(RESP_GET, slice("", 0));
    struct sink s;
    sink_init(&s);
    static const struct {
        const char *line;
        uint32_t nth;
        enum verdict want;
    } rows[] = {
        {"slowlog get", 9, VERDICT_SAID},    {"slowlog get", 10, VERDICT_PASS},   {"slowlog get 0", 0, VERDICT_PASS},
        {"slowlog get 3", 2, VERDICT_SAID},  {"slowlog get 3", 3, VERDICT_PASS},  {"slowlog get -1", 1000, VERDICT_SAID},
        {"slowlog len", 1000, VERDICT_SAID}, {"slowlog reset", 0, VERDICT_CLOSE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(show(rows[i].line, &e, rows[i].nth, &s), rows[i].want);
    }
    sink_fini(&s);
}

/* Entries of all workers: the latest first, so many as were asked for. */
static void test_answers(void **state) {
    struct sink said, s;
    struct msg m;
    sink_init(&said);
    sink_init(&s);
    msg_init(&m);
    parse_line(&m, "slowlog get -1");
    static const int64_t times[] = {3, 9, 5};
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        struct slow e = slow_of(RESP_GET, slice("", 0));
        e.wall_usec = times[i] * 1000000;
        proto_resp.slow(&m, &e, 0, &said.out);
    }
    static const struct {
        const char *request, *heads[3];
    } rows[] = {{"*2\r\n$7\r\nslowlog\r\n$3\r\nget\r\n", {":9", ":5", ":3\r\n"}},
                {"*3\r\n$7\r\nslowlog\r\n$3\r\nget\r\n$1\r\n2\r\n", {":9", ":5"}},
                {"*3\r\n$7\r\nslowlog\r\n$3\r\nget\r\n$1\r\n0\r\n", {NULL}}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct part part = {.reply = sink_bytes(&said)};
        sink_reset(&s);
        proto_resp.merge(&(struct fan_in){.cmd = m.cmd, .parts = &part, .nparts = 1, .request = slice_str(rows[i].request)}, &s.out);
        struct slice got = sink_bytes(&s), rest;
        int64_t n;
        assert_true(resp_take_head(got, '*', &n, &rest));
        for (int64_t k = 0; k < n; k++) {
            assert_true(slice_starts(slice(rest.p + 8, rest.n - 8), rows[i].heads[k]));
            size_t len = resp_value_len(rest);
            rest = slice(rest.p + len, rest.n - len);
        }
        assert_int_equal(rest.n, 0);
        assert_true(n == 3 || rows[i].heads[n] == NULL);
    }
    const struct part none = {.reply = slice("\0\0\0", 3)};
    sink_reset(&s);
    proto_resp.merge(&(struct fan_in){.cmd = &resp_cmds[RESP_SLOWLOG_LEN], .parts = &none, .nparts = 1}, &s.out);
    assert_slice(sink_bytes(&s), ":3\r\n");
    sink_reset(&s);
    proto_resp.merge(&(struct fan_in){.cmd = &resp_cmds[RESP_SLOWLOG_RESET], .parts = &none, .nparts = 1, .deeds = 3}, &s.out);
    assert_slice(sink_bytes(&s), "+OK\r\n");
    msg_fini(&m);
    sink_fini(&said);
    sink_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_which),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
