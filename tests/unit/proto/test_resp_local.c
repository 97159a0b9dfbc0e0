/* Requests that kvmux answers itself. */
#include "base/mem.h"
#include "resp_test.h"

struct talk {
    struct sink sink;
    struct msg msg;
    struct session session;
    struct facts facts;
};

static void talk_init(struct talk *t, const char *password) {
    *t = (struct talk){.session = {.authed = password == NULL, .id = 9},
                       .facts = {.password = password, .db = 3, .wall_usec = 1700000000000042, .total_connections = 9}};
    sink_init(&t->sink);
    msg_init(&t->msg);
}

static void talk_fini(struct talk *t) {
    mem_free(t->session.name);
    sink_fini(&t->sink);
    msg_fini(&t->msg);
}

static struct slice ask(struct talk *t, const char *line) {
    sink_reset(&t->sink);
    parse_line(&t->msg, line);
    assert_int_equal(t->msg.route, ROUTE_LOCAL);
    struct session next = t->session; /* as core does it */
    bool closes = proto_resp.local(&t->msg, &next, &t->facts, &t->sink.out);
    if (next.name != t->session.name) {
        mem_free(t->session.name);
    }
    t->session = next;
    assert_int_equal(closes, t->msg.cmd->id == RESP_QUIT);
    struct slice got = sink_bytes(&t->sink);
    struct parser ps = {0};
    struct rsp r;
    assert_int_equal(proto_resp.parse_rsp(&ps, NULL, got, &r), PARSE_DONE);
    assert_int_equal(r.len, got.n);
    return got;
}

#define HELLO_MAP "*14\r\n$6\r\nserver\r\n$5\r\nkvmux\r\n$7\r\nversion\r\n"
#define WRONGPASS "-WRONGPASS invalid username-password pair or user is disabled.\r\n"

static void test_answers(void **state) {
    static const char *const rows[][2] = {
        {"PING", "+PONG\r\n"},
        {"ping hi", "$2\r\nhi\r\n"},
        {"ping a b", "-ERR wrong number of arguments for 'ping' command\r\n"},
        {"echo ''", "$0\r\n\r\n"},
        {"quit", "+OK\r\n"},
        {"quit a", "+OK\r\n"},
        {"select 3", "+OK\r\n"},
        {"select 0", "+OK\r\n"}, /* the servers are asked by core */
        {"select -1", "-ERR DB index is out of range\r\n"},
        {"select 2147483648", "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"},
        {"select x", "-ERR value is not an integer or out of range\r\n"},
        {"time", "*2\r\n$10\r\n1700000000\r\n$2\r\n42\r\n"},
        {"auth x", "-ERR Client sent AUTH, but no password is set\r\n"},
        {"auth default x", "-ERR Client sent AUTH, but no password is set\r\n"},
        {"auth a b c", "-ERR syntax error\r\n"},
        {"reset", "+RESET\r\n"},
        {"hello 4", "-NOPROTO unsupported protocol version\r\n"},
        {"hello 4 AUTH a b", "-NOPROTO unsupported protocol version\r\n"},
        {"hello x", "-ERR Protocol version is not an integer or out of range\r\n"},
        {"hello 2 foo", "-ERR Syntax error in HELLO option 'foo'\r\n"},
        {"hello 2 auth a", "-ERR Syntax error in HELLO option 'auth'\r\n"},
        {"hello 2 setname 'a b'", "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
        {"client setname x", "+OK\r\n"},
        {"client setname 'a b'", "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
        {"client setinfo LIB-NAME redis-py", "+OK\r\n"},
        {"info nosuch", "$0\r\n\r\n"},
    };
    struct talk t;
    talk_init(&t, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_slice(ask(&t, rows[i][0]), rows[i][1]);
        assert_true(t.session.authed);
    }
    assert_true(slice_starts(ask(&t, "hello"), HELLO_MAP));
    assert_true(slice_starts(ask(&t, "hello 2 setname x"), HELLO_MAP));
    assert_slice(ask(&t, "client getname"), "$1\r\nx\r\n");
    assert_true(slice_starts(ask(&t, "hello 3 setname a setname b"), "%7\r\n$6\r\nserver\r\n"));
    assert_int_equal(t.session.version, 3);
    assert_slice(ask(&t, "client getname"), "$1\r\nb\r\n");
    assert_slice(ask(&t, "client setname ''"), "+OK\r\n");
    assert_slice(ask(&t, "client getname"), "_\r\n");
    assert_true(slice_starts(ask(&t, "info"), "=")); /* a verbatim string */
    assert_true(slice_starts(ask(&t, "hello 2"), HELLO_MAP));
    assert_slice(ask(&t, "client id"), ":9\r\n");
    struct slice info = ask(&t, "info");
    assert_non_null(memmem(info.p, info.n, "loading:0\r\n", 11));
    talk_fini(&t);
}

static void test_password(void **state) {
    static const struct {
        const char *line, *answer;
        bool authed;
    } rows[] = {
        {"auth x", "-ERR invalid password\r\n", false},
        {"auth secre", "-ERR invalid password\r\n", false},
        {"auth secretsecret", "-ERR invalid password\r\n", false},
        {"auth secret", "+OK\r\n", true},
        {"auth wrong1", "-ERR invalid password\r\n", false},
        {"auth default secret", "+OK\r\n", true},
        {"auth other secret", "-ERR invalid password\r\n", false},
        {"hello 2 auth default wrong", WRONGPASS, false},
        {"hello 2 auth x secret", WRONGPASS, false},
        {"auth secret", "+OK\r\n", true},
        {"reset", "+RESET\r\n", false},
    };
    struct talk t;
    talk_init(&t, "secret");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_slice(ask(&t, rows[i].line), rows[i].answer);
        assert_int_equal(t.session.authed, rows[i].authed);
    }
    assert_true(slice_starts(ask(&t, "hello"), "-NOAUTH HELLO must be called"));
    assert_true(slice_starts(ask(&t, "hello 2 AUTH default secret SETNAME x"), HELLO_MAP));
    assert_true(t.session.authed);
    assert_true(slice_starts(ask(&t, "hello"), HELLO_MAP));
    talk_fini(&t);
}

/* Every LOCAL row has an answer. */
static void test_every_local_row(void **state) {
    struct talk t;
    talk_init(&t, NULL);
    for (uint32_t i = 0; i < RESP_COMMANDS; i++) {
        const struct cmd *c = &resp_cmds[i];
        if (c->route != ROUTE_LOCAL) {
            continue;
        }
        char line[128];
        const char *bar = strchr(c->name, '|');
        size_t n = (size_t)sprintf(line, "%s", c->name);
        int least = c->arity < 0 ? -c->arity : c->arity;
        if (bar != NULL) {
            line[bar - c->name] = ' ';
        }
        for (int k = bar != NULL ? 2 : 1; k < least; k++) {
            n += (size_t)sprintf(line + n, " 1");
        }
        assert_true(ask(&t, line).n > 0);
    }
    talk_fini(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_password),
        cmocka_unit_test(test_every_local_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
