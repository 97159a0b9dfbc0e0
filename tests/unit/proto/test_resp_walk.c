/* Commands that ask every server: SCAN's cursors there and back, KEYS, RANDOMKEY. */
#include "resp_test.h"

static void check_build(const char *line, const char *want, uint32_t place) {
    struct sink s;
    struct msg m;
    sink_init(&s);
    msg_init(&m);
    parse_line(&m, line);
    assert_int_equal(m.route, ROUTE_CURSOR);
    assert_int_equal(m.walk.place, place);
    assert_true(m.flags & MSG_REWRITE);
    proto_resp.build(&m, NULL, NULL, 0, &s.out);
    assert_slice(sink_bytes(&s), want);
    sink_fini(&s);
    msg_fini(&m);
}

static void test_cursor_to_server(void **state) {
    check_build("scan 0", "*2\r\n$4\r\nscan\r\n$1\r\n0\r\n", 0);
    check_build("SCAN 7 COUNT 10", "*4\r\n$4\r\nSCAN\r\n$1\r\n0\r\n$5\r\nCOUNT\r\n$2\r\n10\r\n", 7);
    check_build("scan 40967", "*2\r\n$4\r\nscan\r\n$2\r\n10\r\n", 7);
    check_build("scan 9007199254740991", "*2\r\n$4\r\nscan\r\n$13\r\n2199023255551\r\n", 4095);
}

static void check_merge(uint16_t id, const struct fan_in *in, const char *want) {
    struct sink s;
    struct fan_in all = *in;
    sink_init(&s);
    all.cmd = &resp_cmds[id];
    proto_resp.merge(&all, &s.out);
    assert_slice(sink_bytes(&s), want);
    sink_fini(&s);
}

static void check_page(const char *reply, const char *want) {
    const struct part part = {.reply = slice_str(reply)};
    check_merge(RESP_SCAN, &(struct fan_in){.parts = &part, .nparts = 1, .walk = {7, 9}}, want);
}

static void test_cursor_to_client(void **state) {
    check_page("*2\r\n$2\r\n10\r\n*1\r\n$1\r\na\r\n", "*2\r\n$5\r\n40967\r\n*1\r\n$1\r\na\r\n");
    check_page("*2\r\n$1\r\n0\r\n*0\r\n", "*2\r\n$1\r\n9\r\n*0\r\n");
    check_page("*2\r\n$13\r\n2199023255551\r\n*0\r\n", "*2\r\n$16\r\n9007199254736903\r\n*0\r\n");
    check_page("-ERR syntax error\r\n", "-ERR syntax error\r\n");
    check_page("*0\r\n", "-ERR Invalid argument\r\n");
    check_page(":1\r\n", "-ERR Invalid argument\r\n");
    check_page("*2\r\n$1\r\nx\r\n*0\r\n", "-ERR Invalid argument\r\n");
    check_page("*2\r\n$-1\r\n*0\r\n", "-ERR Invalid argument\r\n");
    check_page("*2\r\n$1\r\n1\r\n:1\r\n", "-ERR Invalid argument\r\n");
    check_page("*2\r\n$20\r\n18446744073709551615\r\n*0\r\n", "-ERR Invalid argument\r\n");
    const struct part part = {.reply = slice_str("*2\r\n$1\r\n0\r\n*0\r\n")};
    check_merge(RESP_SCAN, &(struct fan_in){.parts = &part, .nparts = 1, .walk = {9, 0}}, "*2\r\n$1\r\n0\r\n*0\r\n");
}

#define PART(s) {.reply = {(const uint8_t *)(s), sizeof(s) - 1}}

static void test_concat(void **state) {
    const struct part good[] = {PART("*2\r\n$1\r\na\r\n$1\r\nb\r\n"), PART("*0\r\n"), PART("*1\r\n$1\r\nc\r\n")};
    const struct part odd[] = {PART("*0\r\n"), PART("$1\r\na\r\n")}, null[] = {PART("*-1\r\n"), PART("*0\r\n")};
    const struct part error[] = {PART("*0\r\n"), PART("-ERR x\r\n")};
    check_merge(RESP_KEYS, &(struct fan_in){.parts = good, .nparts = 3}, "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    check_merge(RESP_KEYS, &(struct fan_in){.parts = odd, .nparts = 2}, "-ERR Invalid argument\r\n");
    check_merge(RESP_KEYS, &(struct fan_in){.parts = null, .nparts = 2}, "-ERR Invalid argument\r\n");
    check_merge(RESP_KEYS, &(struct fan_in){.parts = error, .nparts = 2}, "-ERR x\r\n");
}

static void test_pick(void **state) {
    const struct part some[] = {PART("$-1\r\n"), PART("$1\r\na\r\n"), PART("_\r\n"), PART("$1\r\nb\r\n")}, none[] = {PART("_\r\n"), PART("_\r\n")};
    check_merge(RESP_RANDOMKEY, &(struct fan_in){.parts = some, .nparts = 4, .dice = 4}, "$1\r\na\r\n");
    check_merge(RESP_RANDOMKEY, &(struct fan_in){.parts = some, .nparts = 4, .dice = 7}, "$1\r\nb\r\n");
    check_merge(RESP_RANDOMKEY, &(struct fan_in){.parts = none, .nparts = 2, .dice = 7}, "_\r\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cursor_to_server),
        cmocka_unit_test(test_cursor_to_client),
        cmocka_unit_test(test_concat),
        cmocka_unit_test(test_pick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
