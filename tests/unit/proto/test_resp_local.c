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
    for (size_t i = 0; i < SESSION_TEXTS; i++) {
        mem_free(t->session.texts[i]);
    }
    sink_fini(&t->sink);
    msg_fini(&t->msg);
}

static struct slice ask(struct talk *t, const char *line) {
    sink_reset(&t->sink);
    parse_line(&t->msg, line);
    assert_int_equal(t->msg.route, ROUTE_LOCAL);
    struct session next = t->session; /* as core does it */
    bool closes = proto_resp.local(&t->msg, &next, &t->facts, &t->sink.out);
    for (size_t i = 0; i < SESSION_TEXTS; i++) {
        if (next.texts[i] != t->session.texts[i]) {
            mem_free(t->session.texts[i]);
        }
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
        {"acl whoami", "$7\r\ndefault\r\n"},
        {"role", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n"},
        {"client tracking off", "+OK\r\n"},
        {"client tracking on", "-ERR 'client|tracking' is refused by kvmux: servers would tell connections that clients share which "
                               "keys changed; use the client without client-side caching\r\n"},
        {"client tracking foo", "-ERR syntax error\r\n"},
        {"client trackinginfo", "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n"},
        {"client getredir", ":-1\r\n"},
        {"client caching yes", "-ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
                               "enabled\r\n"},
        {"client capa redirect", "+OK\r\n"},
        {"client reply foo", "-ERR syntax error\r\n"},
        {"client reply on", "+OK\r\n"},
        {"config get requirepass", "*0\r\n"},
        {"latency latest", "*0\r\n"},
        {"latency history foo", "*0\r\n"},
        {"latency histogram foo", "*0\r\n"},
        {"latency reset", ":0\r\n"},
        {"latency graph foo", "-ERR No samples available for event 'foo'\r\n"},
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
    assert_true(slice_starts(ask(&t, "hello 3"), "%7"));
    assert_slice(ask(&t, "client trackinginfo"), "%3\r\n$5\r\nflags\r\n~1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n");
    assert_slice(ask(&t, "config get requirepass"), "%0\r\n");
    assert_slice(ask(&t, "latency histogram"), "%0\r\n");
    assert_slice(ask(&t, "info nosuch"), "=4\r\ntxt:\r\n");
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

/* Users beside the pool's own, and beside nothing. */
static void test_users(void **state) {
    struct user users[] = {{.id = 1, .name = (char *)"app", .password = (char *)"one"}, {.id = 2, .name = (char *)"web", .password = (char *)"two"}};
    static const struct {
        const char *line, *answer, *who; /* who: NULL: not logged in */
    } rows[] = {
        {"auth app one", "+OK\r\n", "app"},          {"auth app two", WRONGPASS, NULL},
        {"auth web two", "+OK\r\n", "web"},          {"auth nobody two", WRONGPASS, NULL},
        {"auth default secret", "+OK\r\n", "default"}, {"auth web", WRONGPASS, NULL},
        {"auth secret", "+OK\r\n", "default"},       {"auth App one", WRONGPASS, NULL},
        {"auth app ''", WRONGPASS, NULL},             {"auth '' ''", WRONGPASS, NULL},
        {"hello 2 auth web one", WRONGPASS, NULL},
    };
    struct talk t;
    talk_init(&t, "secret");
    t.facts.users = users;
    t.facts.nusers = 2;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_slice(ask(&t, rows[i].line), rows[i].answer);
        assert_int_equal(t.session.authed, rows[i].who != NULL);
        char who[64];
        snprintf(who, sizeof who, "$%zu\r\n%s\r\n", rows[i].who != NULL ? strlen(rows[i].who) : 0, rows[i].who != NULL ? rows[i].who : "");
        if (rows[i].who != NULL) {
            assert_slice(ask(&t, "acl whoami"), who);
        }
    }
    assert_true(slice_starts(ask(&t, "hello 3 auth web two setname x"), "%7"));
    assert_int_equal(session_profile(&t.session), (uint64_t)3 << 56 | (uint64_t)2 << 32);
    assert_slice(ask(&t, "client setinfo lib-name l"), "+OK\r\n");
    assert_slice(ask(&t, "reset"), "+RESET\r\n");
    assert_false(t.session.authed);
    assert_int_equal(session_profile(&t.session), 3);
    assert_null(t.session.texts[SESSION_NAME]);
    assert_string_equal(t.session.texts[SESSION_LIB], "l ");
    assert_slice(ask(&t, "auth app one"), "+OK\r\n");
    assert_slice(ask(&t, "client setinfo lib-ver 1"), "+OK\r\n");
    assert_string_equal(t.session.texts[SESSION_LIB], "l 1");
    assert_slice(ask(&t, "client setinfo lib-name ''"), "+OK\r\n");
    assert_string_equal(t.session.texts[SESSION_LIB], " 1");
    assert_slice(ask(&t, "client setinfo lib-ver ''"), "+OK\r\n");
    assert_null(t.session.texts[SESSION_LIB]);
    t.facts.password = NULL;
    assert_slice(ask(&t, "auth secret"), WRONGPASS);
    assert_slice(ask(&t, "auth default secret"), WRONGPASS);
    assert_slice(ask(&t, "auth app one"), "+OK\r\n");
    users[1].name = (char *)"default";
    assert_slice(ask(&t, "auth two"), "+OK\r\n");
    assert_int_equal(t.session.user, 2);
    talk_fini(&t);
}

static void test_reply(void **state) {
    static const struct {
        const char *word;
        enum hush before, after;
        const char *answer;
    } rows[] = {
        {"on", HUSH_ALL, HUSH_NONE, "+OK\r\n"}, {"on", HUSH_THIS, HUSH_NONE, "+OK\r\n"}, {"off", HUSH_NONE, HUSH_ALL, ""},
        {"OFF", HUSH_ALL, HUSH_ALL, ""},        {"skip", HUSH_NONE, HUSH_NEXT, ""},      {"skip", HUSH_THIS, HUSH_NEXT, ""},
        {"skip", HUSH_ALL, HUSH_ALL, ""},
    };
    struct sink s;
    struct msg m;
    sink_init(&s);
    msg_init(&m);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char line[64];
        struct session session = {.authed = true, .hush = rows[i].before & 3};
        const struct facts facts = {0};
        sink_reset(&s);
        snprintf(line, sizeof line, "client reply %s", rows[i].word);
        parse_line(&m, line);
        assert_false(proto_resp.local(&m, &session, &facts, &s.out));
        assert_int_equal(session.hush, rows[i].after);
        assert_slice(sink_bytes(&s), rows[i].answer);
    }
    sink_fini(&s);
    msg_fini(&m);
}

static void test_info(void **state) {
    static const struct {
        const char *line, *has, *lacks;
    } rows[] = {
        {"info", "# Server\r\nredis_version:7.0.0\r\nredis_mode:standalone\r\n", "# Keyspace"},
        {"info", "role:master\r\n", NULL},
        {"info", "loading:0\r\n", NULL},
        {"info", "maxmemory_policy:noeviction\r\n", NULL},
        {"info", "cluster_enabled:0\r\n", NULL},
        {"info all", "# kvmux\r\n", NULL},
        {"info default", "tcp_port:7\r\n", NULL},
        {"info everything", "connected_clients:5\r\n", NULL},
        {"info Memory", "# Memory\r\nused_memory:1024\r\n", "# Server"},
        {"info server clients", "\r\n\r\n# Clients\r\n", "# Stats"},
        {"info clients nosuch SERVER", "redis_version", "# Memory"},
    };
    struct talk t;
    talk_init(&t, NULL);
    t.facts.clients = 5;
    t.facts.buffer_bytes = 1024;
    t.facts.port = 7;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice got = ask(&t, rows[i].line);
        assert_non_null(memmem(got.p, got.n, rows[i].has, strlen(rows[i].has)));
        assert_true(rows[i].lacks == NULL || memmem(got.p, got.n, rows[i].lacks, strlen(rows[i].lacks)) == NULL);
    }
    t.facts.server_version = "8.2.1";
    struct slice got = ask(&t, "info server");
    assert_non_null(memmem(got.p, got.n, "redis_version:8.2.1\r\n", 21));
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
        cmocka_unit_test(test_users),
        cmocka_unit_test(test_reply),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_every_local_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
