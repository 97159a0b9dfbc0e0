/* What RESP says of channels: requests to servers, what comes back, and what clients of both versions read. */
#include "resp_test.h"

static void check_push(const char *value, enum push_what what, enum channel_kind kind, const char *name) {
    struct push push;
    resp_channels.read(slice_str(value), &push);
    assert_int_equal(push.what, what);
    if (what != PUSH_OTHER) {
        assert_int_equal(push.kind, kind);
        assert_slice(push.name, name);
    }
}

static void test_read(void **state) {
    check_push("*3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$3\r\na\r\n\r\n", PUSH_MESSAGE, CHANNEL_NAME, "ch");
    check_push("*3\r\n$8\r\nsmessage\r\n$2\r\nch\r\n$0\r\n\r\n", PUSH_MESSAGE, CHANNEL_SHARD, "ch");
    check_push("*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$2\r\nch\r\n$1\r\nx\r\n", PUSH_MESSAGE, CHANNEL_PATTERN, "*");
    check_push("*3\r\n$9\r\nsubscribe\r\n$0\r\n\r\n:1\r\n", PUSH_JOINED, CHANNEL_NAME, "");
    check_push("*3\r\n$10\r\npsubscribe\r\n$1\r\na\r\n:1\r\n", PUSH_JOINED, CHANNEL_PATTERN, "a");
    check_push("*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n", PUSH_PARTED, CHANNEL_SHARD, "a");
    check_push("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:0\r\n", PUSH_PARTED, CHANNEL_NAME, "a");
    check_push("-NOPERM no\r\n", PUSH_OTHER, 0, NULL);
    check_push("+OK\r\n", PUSH_OTHER, 0, NULL);
    check_push("*0\r\n", PUSH_OTHER, 0, NULL);
    check_push("*3\r\n:1\r\n:2\r\n:3\r\n", PUSH_OTHER, 0, NULL);
    check_push("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n", PUSH_OTHER, 0, NULL);
    check_push("*3\r\n$8\r\npmessage\r\n$1\r\na\r\n$1\r\nb\r\n", PUSH_OTHER, 0, NULL); /* it has four */
    check_push("*4\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nb\r\n", PUSH_OTHER, 0, NULL);
}

static void test_ask(void **state) {
    static const char *const want[CHANNEL_KINDS][2] = {
        {"*2\r\n$11\r\nUNSUBSCRIBE\r\n$1\r\na\r\n", "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n"},
        {"*2\r\n$12\r\nPUNSUBSCRIBE\r\n$1\r\na\r\n", "*2\r\n$10\r\nPSUBSCRIBE\r\n$1\r\na\r\n"},
        {"*2\r\n$12\r\nSUNSUBSCRIBE\r\n$1\r\na\r\n", "*2\r\n$10\r\nSSUBSCRIBE\r\n$1\r\na\r\n"},
    };
    struct sink s;
    sink_init(&s);
    for (unsigned k = 0; k < CHANNEL_KINDS; k++) {
        for (unsigned on = 0; on < 2; on++) {
            resp_channels.ask((enum channel_kind)k, on != 0, slice_str("a"), &s.out);
            assert_slice(sink_bytes(&s), want[k][on]);
            sink_reset(&s);
        }
    }
    sink_fini(&s);
}

static void test_tell_and_confirm(void **state) {
    static const char message[] = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n";
    struct sink s;
    sink_init(&s);
    resp_channels.tell(0, NULL, slice_str(message), &s.out);
    assert_slice(sink_bytes(&s), message);
    sink_reset(&s);
    resp_channels.tell(3, NULL, slice_str(message), &s.out);
    assert_slice(sink_bytes(&s), ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n");
    sink_reset(&s);
    resp_channels.confirm(0, CHANNEL_NAME, true, slice_str("a"), 7, &s.out);
    resp_channels.confirm(3, CHANNEL_PATTERN, false, slice_str("b"), 0, &s.out);
    resp_channels.confirm(0, CHANNEL_SHARD, false, slice(NULL, 0), 0, &s.out);
    resp_channels.confirm(3, CHANNEL_NAME, false, slice(NULL, 0), 0, &s.out);
    assert_slice(sink_bytes(&s), "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:7\r\n>3\r\n$12\r\npunsubscribe\r\n$1\r\nb\r\n:0\r\n"
                                 "*3\r\n$12\r\nsunsubscribe\r\n$-1\r\n:0\r\n>3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n");
    sink_fini(&s);
}

static void test_lists_are_united(void **state) {
#define REPLY(s) {.reply = {(const uint8_t *)(s), sizeof(s) - 1}}
    const struct part parts[] = {REPLY("*2\r\n$1\r\nb\r\n$1\r\na\r\n"), REPLY("*0\r\n"), REPLY("*3\r\n$1\r\na\r\n$2\r\naa\r\n$1\r\nb\r\n")};
    const struct part odd[] = {REPLY("*0\r\n"), REPLY(":1\r\n")};
    struct sink s;
    sink_init(&s);
    proto_resp.merge(&(struct fan_in){.cmd = &resp_cmds[RESP_PUBSUB_CHANNELS], .parts = parts, .nparts = 3}, &s.out);
    assert_slice(sink_bytes(&s), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$2\r\naa\r\n");
    sink_reset(&s);
    proto_resp.merge(&(struct fan_in){.cmd = &resp_cmds[RESP_PUBSUB_CHANNELS], .parts = odd, .nparts = 2}, &s.out);
    assert_slice(sink_bytes(&s), "-ERR Invalid argument\r\n");
    sink_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_ask),
        cmocka_unit_test(test_tell_and_confirm),
        cmocka_unit_test(test_lists_are_united),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
