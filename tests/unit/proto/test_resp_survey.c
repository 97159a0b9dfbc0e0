/* CLIENT LIST, INFO and KILL: which clients are meant, how they are shown, what is answered. */
#include "resp_test.h"

static struct session me = {.authed = true, .id = 7, .db = 3, .version = 3};
static const struct portrait plain = {
    .session = &me, .addr = "1.2.3.4:5", .here = "6.7.8.9:10", .fd = 12, .age_sec = 30, .idle_sec = 4, .txn = -1,
};

static enum verdict ask(const char *line, const struct portrait *p, struct sink *s) {
    struct msg m;
    msg_init(&m);
    sink_reset(s);
    parse_line(&m, line);
    assert_int_equal(m.route, ROUTE_SURVEY);
    enum verdict v = proto_resp.survey(&m, p, &s->out);
    msg_fini(&m);
    return v;
}

static void test_who_is_meant(void **state) {
    static const struct {
        const char *line;
        enum verdict want, want_blind; /* blind: before the addresses are known */
    } rows[] = {
        {"client list", VERDICT_SAID, VERDICT_LOOK},
        {"client list type normal", VERDICT_SAID, VERDICT_LOOK},
        {"client list type PUBSUB", VERDICT_PASS, VERDICT_PASS},
        {"client list type replica", VERDICT_PASS, VERDICT_PASS},
        {"client list id 1 2", VERDICT_PASS, VERDICT_PASS},
        {"client list id 1 7", VERDICT_SAID, VERDICT_LOOK},
        {"client list id -7", VERDICT_PASS, VERDICT_PASS},
        {"client kill 1.2.3.4:5", VERDICT_CLOSE, VERDICT_LOOK},
        {"client kill 1.2.3.4:6", VERDICT_PASS, VERDICT_LOOK},
        {"client kill id 7", VERDICT_CLOSE, VERDICT_CLOSE},
        {"client kill id 8", VERDICT_PASS, VERDICT_PASS},
        {"client kill addr 1.2.3.4:5", VERDICT_CLOSE, VERDICT_LOOK},
        {"client kill laddr 6.7.8.9:10", VERDICT_CLOSE, VERDICT_LOOK},
        {"client kill laddr 6.7.8.9:10 addr 1.1.1.1:1", VERDICT_PASS, VERDICT_LOOK},
        {"client kill type normal", VERDICT_CLOSE, VERDICT_CLOSE},
        {"client kill type pubsub", VERDICT_PASS, VERDICT_PASS},
        {"client kill user default", VERDICT_CLOSE, VERDICT_CLOSE},
        {"client kill user app", VERDICT_PASS, VERDICT_PASS},
        {"client kill maxage 30", VERDICT_CLOSE, VERDICT_CLOSE},
        {"client kill maxage 31", VERDICT_PASS, VERDICT_PASS},
        {"client kill maxage 30 id 8", VERDICT_PASS, VERDICT_PASS},
    };
    struct sink s;
    sink_init(&s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct portrait blind = plain;
        blind.addr = blind.here = NULL;
        if (ask(rows[i].line, &plain, &s) != rows[i].want || ask(rows[i].line, &blind, &s) != rows[i].want_blind) {
            fail_msg("%s", rows[i].line);
        }
    }
    sink_fini(&s);
}

static void test_oneself(void **state) {
    struct portrait p = plain;
    struct sink s;
    sink_init(&s);
    p.asks = true;
    p.user = "app";
    assert_int_equal(ask("client info", &plain, &s), VERDICT_SAID);
    assert_int_equal(ask("client kill id 7", &p, &s), VERDICT_PASS);
    assert_int_equal(ask("client kill id 7 skipme yes", &p, &s), VERDICT_PASS);
    assert_int_equal(ask("client kill id 7 skipme no", &p, &s), VERDICT_CLOSE);
    assert_int_equal(ask("client kill 1.2.3.4:5", &p, &s), VERDICT_CLOSE);
    assert_int_equal(ask("client kill user app skipme no", &p, &s), VERDICT_CLOSE);
    sink_fini(&s);
}

static void test_line(void **state) {
    struct sink s;
    sink_init(&s);
    ask("client list", &plain, &s);
    assert_slice(sink_bytes(&s), "id=7 addr=1.2.3.4:5 laddr=6.7.8.9:10 fd=12 name= age=30 idle=4 flags=N db=3 sub=0 psub=0 ssub=0 multi=-1 "
                                 "qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 events=r cmd=NULL "
                                 "user=default redir=-1 resp=3 lib-name= lib-ver=\n");
    struct session other = {.id = 8, .texts = {(char *)"n", (char *)"l v"}};
    const struct portrait busy = {
        .session = &other, .user = "app", .addr = "unix", .here = "/s", .fd = 3, .unix_socket = true, .blocked = true, .txn = 2,
        .channels = {1, 2, 3}, .unread = 10, .unsent = 20, .waiting = 5, .last = &resp_cmds[RESP_CLIENT_LIST],
    };
    ask("client info", &busy, &s);
    assert_slice(sink_bytes(&s), "id=8 addr=/s:0 laddr=/s:0 fd=3 name=n age=0 idle=0 flags=PxbU db=0 sub=1 psub=2 ssub=3 multi=2 "
                                 "qbuf=10 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=5 omem=20 tot-mem=30 events=rw "
                                 "cmd=client|list user=app redir=-1 resp=2 lib-name=l lib-ver=v\n");
    assert_int_equal(ask("client kill /s:0", &busy, &s), VERDICT_CLOSE);
    assert_int_equal(ask("client list type pubsub", &busy, &s), VERDICT_SAID);
    assert_int_equal(ask("client list type normal", &busy, &s), VERDICT_PASS);
    sink_fini(&s);
}

static void test_answers(void **state) {
    static const struct {
        uint16_t id;
        const char *request, *said;
        uint64_t deeds;
        uint8_t version;
        const char *want;
    } rows[] = {
        {RESP_CLIENT_LIST, "*2\r\n", "", 0, 0, "$0\r\n\r\n"},
        {RESP_CLIENT_LIST, "*2\r\n", "", 0, 3, "=4\r\ntxt:\r\n"},
        {RESP_CLIENT_LIST, "*2\r\n", "id=1\n", 0, 0, "$5\r\nid=1\n\r\n"},
        {RESP_CLIENT_INFO, "*2\r\n", "id=1\n", 0, 3, "=9\r\ntxt:id=1\n\r\n"},
        {RESP_CLIENT_KILL, "*3\r\n", "", 0, 0, "-ERR No such client\r\n"},
        {RESP_CLIENT_KILL, "*3\r\n", "", 1, 3, "+OK\r\n"},
        {RESP_CLIENT_KILL, "*4\r\n", "", 0, 0, ":0\r\n"},
        {RESP_CLIENT_KILL, "*4\r\n", "", 12, 0, ":12\r\n"},
    };
    struct sink s;
    sink_init(&s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct part part = {.reply = slice_str(rows[i].said)};
        const struct fan_in in = {.cmd = &resp_cmds[rows[i].id], .parts = &part, .nparts = 1, .request = slice_str(rows[i].request),
                                  .version = rows[i].version, .deeds = rows[i].deeds};
        sink_reset(&s);
        proto_resp.merge(&in, &s.out);
        assert_slice(sink_bytes(&s), rows[i].want);
    }
    const struct part late = {.failed = REASON_SURVEY};
    sink_reset(&s);
    proto_resp.merge(&(struct fan_in){.cmd = &resp_cmds[RESP_CLIENT_LIST], .parts = &late, .nparts = 1}, &s.out);
    assert_slice(sink_bytes(&s), "-ERR not all workers answered in time\r\n");
    sink_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_is_meant),
        cmocka_unit_test(test_oneself),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
