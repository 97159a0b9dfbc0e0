/* What the configuration says of single commands. */
#include "resp_test.h"

#include "proto/rules.h"

extern const struct proto proto_mc;

#define DENY(n) {.name = n, .kind = RULE_DENY}
#define KEYS_AT(n, f, l, s, fl) {.name = n, .kind = RULE_ROW, .keys = RULE_RANGE, .first = f, .last = l, .step = s, .flags = fl}

static void test_redis(void **state) {
    static const struct rule v[] = {
        DENY("KEYS"),
        DENY("config"),
        DENY("object|freq"),
        DENY("my.secret"),
        DENY("exec"),
        DENY("quit"),
        KEYS_AT("keys", 1, 1, 1, CMD_READ), /* a denial counts, wherever it stands */
        KEYS_AT("my.set", 1, 1, 1, CMD_WRITE),
        KEYS_AT("my.range", 2, -2, 1, CMD_READ),
        KEYS_AT("my.pop", 1, -2, 1, CMD_WRITE | CMD_BLOCKING),
        {.name = "my.eval", .kind = RULE_ROW, .keys = RULE_COUNTED, .number = 2, .step = 1},
        {.name = "ft.search", .kind = RULE_ROW, .keys = RULE_NO_KEYS, .route = ROUTE_ANY},
        {.name = "ft.create", .kind = RULE_ROW, .keys = RULE_NO_KEYS, .route = ROUTE_ALL, .merge = MERGE_ALL_OK, .flags = CMD_WRITE},
        {.name = "pfdebug", .kind = RULE_ROW, .keys = RULE_RANGE, .first = 2, .last = 2, .step = 1},
        {.name = "my.box|get", .kind = RULE_ROW, .keys = RULE_RANGE, .first = 2, .last = 2, .step = 1},
        {.name = "object|age", .kind = RULE_ROW, .keys = RULE_RANGE, .first = 2, .last = 2, .step = 1},
        {.name = "mget", .kind = RULE_ROW, .keys = RULE_RANGE, .first = 1, .last = -1, .step = 1},
    };
    static const struct {
        const char *line, *want;
        enum route route;
    } rows[] = {
        {"get a", "a", ROUTE_ONE},
        {"keys *", "-ERR 'keys' is denied by the configuration of kvmux (deny_commands)", ROUTE_REPLY},
        {"KEYS", "-ERR 'keys' is denied by the configuration of kvmux (deny_commands)", ROUTE_REPLY},
        {"config get x", "-ERR 'config' is denied by the configuration of kvmux (deny_commands)", ROUTE_REPLY},
        {"object freq a", "-ERR 'object|freq' is denied by the configuration of kvmux (deny_commands)", ROUTE_REPLY},
        {"object encoding a", "a", ROUTE_ONE},
        {"my.secret a", "-ERR 'my.secret' is denied by the configuration of kvmux (deny_commands)", ROUTE_REPLY},
        {"exec", "-ERR 'exec' is denied by the configuration of kvmux (deny_commands)", ROUTE_REPLY},
        {"quit", "-ERR 'quit' is denied by the configuration of kvmux (deny_commands)", ROUTE_REPLY},
        {"MY.SET a b", "a", ROUTE_ONE},
        {"my.set", "", ROUTE_ANY},
        {"my.range x a b y", "a b", ROUTE_SAME},
        {"my.pop a b 0", "a b", ROUTE_LEASE},
        {"my.eval x 2 a b c", "a b", ROUTE_SAME},
        {"ft.search idx *", "", ROUTE_ANY},
        {"ft.create idx", "", ROUTE_ALL},
        {"pfdebug x a", "a", ROUTE_ONE},
        {"my.box get a", "a", ROUTE_ONE},
        {"my.box put a", "-ERR unknown subcommand 'put'. Try MY.BOX HELP.", ROUTE_REPLY},
        {"object age a", "a", ROUTE_ONE},
        {"mget a b", "a b", ROUTE_SAME},
        {"nobody.knows a", "-ERR unknown command 'nobody.knows', with args beginning with: 'a' ", ROUTE_REPLY},
    };
    struct rules *rules = rules_new(&proto_resp, v, ARRAY_LEN(v));
    struct msg m;
    msg_init(&m);
    m.rules = rules;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *got = judged(&m, rows[i].line);
        if (strcmp(got, rows[i].want) != 0 || m.route != rows[i].route) {
            fail_msg("%s: \"%s\" route %d, wanted \"%s\" route %d", rows[i].line, got, m.route, rows[i].want, rows[i].route);
        }
        if (m.route == ROUTE_REPLY) { /* it neither ends a transaction nor changes the connection */
            assert_false(m.cmd->flags & (CMD_STATE | CMD_LEAVES));
        }
    }
    msg_fini(&m);
    rules_unref(&rules);
    assert_null(rules_new(&proto_resp, v, 0));
}

/* What the configuration says counts before what servers say. */
static void test_before_servers(void **state) {
    static const struct rule v[] = {DENY("my.a"), KEYS_AT("my.b", 2, 2, 1, CMD_READ)};
    struct shelf shelf;
    struct rows said = {0};
    shelf_init(&shelf, 10);
    static const char *const names[] = {"my.a", "my.b", "my.c"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct row row = {.cmd = {.id = RESP_ROW, .arity = -2, .route = ROUTE_ONE, .keys = RESP_SINGLE, .first = 1, .last = 1, .step = 1}};
        assert_true(row_set_name(&row, slice(NULL, 0), slice_str(names[i])));
        rows_add(&said, shelf_keep(&shelf, &row));
    }
    struct book *learned = book_new(&said);
    struct rules *rules = rules_new(&proto_resp, v, ARRAY_LEN(v));
    struct msg m;
    msg_init(&m);
    m.rules = rules;
    m.learned = learned;
    assert_string_equal(judged(&m, "my.a x y"), "-ERR 'my.a' is denied by the configuration of kvmux (deny_commands)");
    assert_string_equal(judged(&m, "my.b x y"), "y");
    assert_string_equal(judged(&m, "my.c x y"), "x");
    msg_fini(&m);
    rules_unref(&rules);
    book_unref(&learned);
    rows_fini(&said);
    shelf_fini(&shelf);
}

/* Every row: what may change a shared connection, or wait on one, cannot be made ordinary. */
static void test_objections(void **state) {
    const struct rule plain = KEYS_AT("x", 1, 1, 1, CMD_WRITE), waits = KEYS_AT("x", 1, 1, 1, CMD_WRITE | CMD_BLOCKING);
    for (uint32_t i = 0; i < RESP_COMMANDS; i++) {
        const struct cmd *c = &resp_cmds[i];
        const char *no = rules_objection(c, &plain, rules_is_container(&proto_resp, c->name));
        assert_int_equal(rules_is_container(&proto_resp, c->name), resp_is_container(c));
        if ((c->flags & (CMD_STATE | CMD_BLOCKING)) || c->route == ROUTE_LOCAL || resp_is_container(c)) {
            assert_non_null(no);
        } else if (c->route == ROUTE_ONE) {
            assert_null(no);
        }
        assert_ptr_equal(rules_known(&proto_resp, c->name), c);
    }
    assert_null(rules_objection(rules_known(&proto_resp, "blpop"), &waits, false));
    assert_non_null(rules_objection(rules_known(&proto_resp, "multi"), &waits, false));
    assert_non_null(rules_objection(rules_known(&proto_resp, "SUBSCRIBE"), &waits, false));
    assert_null(rules_known(&proto_resp, "ft.search"));
    assert_null(rules_known(&proto_mc, "GET"));
    assert_null(rules_known(&proto_mc, "unknown"));
    assert_non_null(rules_known(&proto_mc, "get"));
}

/* A denied command of memcached: one answer, its data block is taken, what follows is read as ever. */
static void test_memcached(void **state) {
    static const struct rule v[] = {DENY("flush_all"), DENY("set"), DENY("mg"), DENY("nothing")};
    static const char in[] = "set a 0 0 3\r\nabc\r\nflush_all\r\nget a\r\nmg a v\r\nset a 0 0 1 noreply\r\nx\r\nFLUSH_ALL\r\nset a 0 0 x\r\nadd a 0 0 1\r\nx\r\n";
    static const char *const want[] = {
        "CLIENT_ERROR 'set' is denied by the configuration of kvmux (deny_commands)\r\n",
        "CLIENT_ERROR 'flush_all' is denied by the configuration of kvmux (deny_commands)\r\n",
        NULL,
        "CLIENT_ERROR 'mg' is denied by the configuration of kvmux (deny_commands)\r\n",
        "",
        "ERROR\r\n",
        "CLIENT_ERROR bad command line format\r\n",
        NULL,
    };
    struct rules *rules = rules_new(&proto_mc, v, ARRAY_LEN(v));
    struct msg m;
    msg_init(&m);
    m.rules = rules;
    for (size_t cut = 0; cut < sizeof in; cut++) { /* at every place */
        struct parser ps = {0};
        size_t used = 0, seen = cut;
        for (size_t i = 0; i < ARRAY_LEN(want);) {
            enum parse_rc rc = proto_mc.parse_req(&ps, slice(in + used, seen - used), &m);
            if (rc == PARSE_MORE) {
                assert_true(seen < sizeof in - 1);
                seen = sizeof in - 1;
                continue;
            }
            assert_int_equal(rc, PARSE_DONE);
            used += m.raw.n;
            if (want[i] == NULL) {
                assert_true(m.route == ROUTE_SPLIT || m.route == ROUTE_ONE);
            } else if (want[i][0] == '\0') {
                assert_int_equal(m.route, ROUTE_SKIP);
            } else {
                assert_int_equal(m.route, ROUTE_REPLY);
                assert_slice(slice(m.answer, m.answer_len), want[i]);
            }
            i++;
        }
        assert_int_equal(used, sizeof in - 1);
    }
    msg_fini(&m);
    rules_unref(&rules);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis),
        cmocka_unit_test(test_before_servers),
        cmocka_unit_test(test_objections),
        cmocka_unit_test(test_memcached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
