/* What servers say becomes what a binary client is told. The lines are memcached 1.6.18's; that the answers are what it
 * says to binary clients itself is compared in tests/real/test_binary.py. */
#include "test_mcb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* The answer to a request whose parts got these replies; a NULL among them: it failed for `why`. */
static void merge(const struct cmd *cmd, const char *const *replies, uint32_t nparts, enum reason why, bool miss, struct text *said) {
    struct part parts[4] = {{0}};
    struct built b;
    struct text out = {0};
    for (uint32_t i = 0; i < nparts; i++) {
        if (replies[i] == NULL) {
            parts[i].failed = why;
            continue;
        }
        struct parser p = {0};
        struct rsp r;
        assert_int_equal(mc_parse_rsp(&p, cmd, slice_str(replies[i]), &r), PARSE_DONE);
        assert_int_equal(r.len, strlen(replies[i]));
        parts[i].reply = slice_str(replies[i]);
    }
    const struct fan_in in = {.cmd = cmd, .parts = parts, .nparts = nparts, .miss_on_failure = miss, .request = slice_str("key"), .tag = ASK_OPAQUE};
    built_init(&b);
    text_str(said, "");
    mcb_merge(&in, &b.out);
    built_take(&b, &out);
    for (struct slice left = text_slice(&out); left.n > 0;) {
        tell_read(&left, said);
    }
    text_fini(&out);
    built_fini(&b);
}

static const struct {
    uint8_t opcode;
    const char *reply, *said;
} rows[] = {
    /* hits and misses */
    {0x00, "VA 2 f7 c11\r\nab\r\n", "00 0 cas=11 extras=7 ab\n"},
    {0x09, "VA 2 f7 c11\r\nab\r\n", "09 0 cas=11 extras=7 ab\n"},
    {0x0c, "VA 2 f7 c11\r\nab\r\n", "0c 0 cas=11 extras=7 key|ab\n"},
    {0x0d, "VA 0 f4294967295 c18446744073709551615\r\n\r\n", "0d 0 cas=18446744073709551615 extras=4294967295 key|\n"},
    {0x00, "VA 6 f0 c1\r\n\r\nHD\r\n\r\n", "00 0 cas=1 extras=0 \\x0d\\x0aHD\\x0d\\x0a\n"},
    {0x00, "VA 1 f3 c1 W X Z s1 xf9\r\n1\r\n", "00 0 cas=1 extras=3 1\n"},
    {0x00, "VA 1\r\n1\r\n", "00 0 cas=0 extras=0 1\n"},
    {0x00, "EN\r\n", "00 1 cas=0 Not found\n"},
    {0x0c, "EN\r\n", "0c 1 cas=0 key|\n"},
    {0x09, "EN\r\n", ""},
    {0x0d, "EN\r\n", ""},
    {0x1c, "HD f7 c11\r\n", "1c 0 cas=11 extras=7 \n"},
    {0x1c, "EN\r\n", "1c 1 cas=0 Not found\n"},
    {0x1d, "VA 1 f7 c11\r\n1\r\n", "1d 0 cas=11 extras=7 1\n"},
    {0x1e, "EN\r\n", ""},
    {0x23, "VA 1 f7 c11\r\n1\r\n", "23 0 cas=11 extras=7 key|1\n"},
    {0x24, "EN\r\n", ""},
    /* storage */
    {0x01, "HD c12\r\n", "01 0 cas=12 \n"},
    {0x01, "OK\r\n", "01 0 cas=0 \n"},
    {0x11, "HD\r\n", ""},
    {0x01, "EX c0\r\n", "01 2 cas=0 Data exists for key.\n"},
    {0x11, "EX\r\n", "11 2 cas=0 Data exists for key.\n"},
    {0x01, "NF c0\r\n", "01 1 cas=0 Not found\n"},
    {0x02, "NS c0\r\n", "02 2 cas=0 Data exists for key.\n"},
    {0x12, "NS\r\n", "12 2 cas=0 Data exists for key.\n"},
    {0x03, "NS c0\r\n", "03 1 cas=0 Not found\n"},
    {0x0e, "NS c0\r\n", "0e 5 cas=0 Not stored.\n"},
    {0x1a, "NS\r\n", "1a 5 cas=0 Not stored.\n"},
    {0x01, "SERVER_ERROR object too large for cache\r\n", "01 3 cas=0 Too large.\n"},
    {0x11, "SERVER_ERROR out of memory storing object\r\n", "11 82 cas=0 Out of memory\n"},
    {0x04, "HD\r\n", "04 0 cas=0 \n"},
    {0x04, "NF\r\n", "04 1 cas=0 Not found\n"},
    {0x04, "EX\r\n", "04 2 cas=0 Data exists for key.\n"},
    {0x14, "HD\r\n", ""},
    {0x14, "NF\r\n", "14 1 cas=0 Not found\n"},
    /* arithmetic */
    {0x05, "VA 2 c5\r\n13\r\n", "05 0 cas=5 \\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x0d\n"},
    {0x06, "VA 3 c5\r\n7  \r\n", "06 0 cas=5 \\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x07\n"},
    {0x05, "VA 20 c5\r\n18446744073709551615\r\n", "05 0 cas=5 \\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\n"},
    {0x05, "VA 1 c5\r\nx\r\n", "05 84 cas=0 Invalid argument\n"},
    {0x15, "HD\r\n", ""},
    {0x15, "NF\r\n", "15 1 cas=0 Not found\n"},
    {0x05, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
     "05 6 cas=0 Non-numeric server-side value for incr or decr\n"},
    /* the rest */
    {0x0b, "VERSION 1.6.18\r\n", "0b 0 cas=0 1.6.18\n"},
    {0x00, "ERROR\r\n", "00 84 cas=0 the server does not know meta commands: binary clients need memcached 1.6 or later\n"},
    {0x09, "SERVER_ERROR something\r\n", "09 84 cas=0 SERVER_ERROR something\n"},
};

static void test_replies(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct text said = {0};
        merge(mcb_find(rows[i].opcode), &rows[i].reply, 1, REASON_NONE, false, &said);
        if (strcmp((char *)said.p, rows[i].said) != 0) {
            fail_msg("%02x %s: %s", rows[i].opcode, rows[i].reply, (char *)said.p);
        }
        text_fini(&said);
    }
}

static void test_failures(void **state) {
    static const struct {
        uint8_t opcode;
        enum reason why;
        bool miss;
        const char *said;
    } fails[] = {
        {0x00, REASON_REFUSED, false, "00 84 cas=0 Connection refused\n"},
        {0x00, REASON_REFUSED, true, "00 84 cas=0 Connection refused\n"},
        {0x0d, REASON_TIMEDOUT, false, "0d 84 cas=0 Connection timed out\n"},
        {0x0d, REASON_TIMEDOUT, true, ""},
        {0x24, REASON_TIMEDOUT, true, ""},
        {0x11, REASON_TIMEDOUT, true, "11 84 cas=0 Connection timed out\n"},
        {0x11, REASON_QUEUE_FULL, false, "11 85 cas=0 too many requests are waiting for this server\n"},
        {0x0b, REASON_REFUSED, false, "0b 0 cas=0 " KVMUX_VERSION "\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(fails); i++) {
        struct text said = {0};
        const char *none = NULL;
        merge(mcb_find(fails[i].opcode), &none, 1, fails[i].why, fails[i].miss, &said);
        assert_string_equal(said.p, fails[i].said);
        text_fini(&said);
    }
}

static void test_flush(void **state) {
    static const struct {
        uint8_t opcode;
        const char *replies[3], *said;
    } flushes[] = {
        {0x08, {"OK\r\n", "OK\r\n", "OK\r\n"}, "08 0 cas=0 \n"},
        {0x18, {"OK\r\n", "OK\r\n", "OK\r\n"}, ""},
        {0x18, {"OK\r\n", NULL, "OK\r\n"}, "18 84 cas=0 Connection refused\n"},
        {0x08, {"OK\r\n", "CLIENT_ERROR flush_all not allowed\r\n", NULL}, "08 84 cas=0 CLIENT_ERROR flush_all not allowed\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(flushes); i++) {
        struct text said = {0};
        merge(mcb_find(flushes[i].opcode), flushes[i].replies, 3, REASON_REFUSED, false, &said);
        assert_string_equal(said.p, flushes[i].said);
        text_fini(&said);
    }
}

static void test_errors(void **state) {
    static const struct {
        enum reason why;
        const struct cmd *cmd;
        const char *said;
    } errors[] = {
        {REASON_FLUSH_DENIED, &mcb_cmds[MCB_ID_FLUSHQ], "18 83 cas=0 flush: deny is set for this pool\n"},
        {REASON_MEMORY_LIMIT, &mcb_cmds[MCB_ID_SET], "01 85 cas=0 kvmux is at its memory limit\n"},
        {REASON_EJECTED, NULL, "00 84 cas=0 Connection refused\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct built b;
        struct text out = {0}, said = {0};
        built_init(&b);
        proto_mcb.error(errors[i].why, errors[i].cmd, ASK_OPAQUE, &b.out);
        built_take(&b, &out);
        struct slice left = text_slice(&out);
        tell_read(&left, &said);
        assert_int_equal(left.n, 0);
        assert_string_equal(said.p, errors[i].said);
        text_fini(&out);
        text_fini(&said);
        built_fini(&b);
    }
}

/* A server's line that refuses a set has not taken its data: the connection must go. */
static void test_refused_data(void **state) {
    struct parser p = {0};
    struct rsp r;
    for (uint32_t i = 0; i < MCB_ID_UNKNOWN; i++) {
        bool data = mcb_cmds[i].id == MC_ID_MS, sent = mcb_cmds[i].merge == MERGE_TRANSLATE;
        assert_int_equal(mc_parse_rsp(&p, &mcb_cmds[i], slice_str("ERROR\r\n"), &r), data ? PARSE_BAD : PARSE_DONE);
        assert_int_equal(mc_parse_rsp(&p, &mcb_cmds[i], slice_str("STORED\r\n"), &r), PARSE_BAD);
        assert_true(!sent || mc_parse_rsp(&p, &mcb_cmds[i], slice_str("VA 1 s"), &r) != PARSE_DONE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies), cmocka_unit_test(test_failures), cmocka_unit_test(test_flush),
        cmocka_unit_test(test_errors),  cmocka_unit_test(test_refused_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
