/* CONFIG GET: what is asked of a server. */
#include "resp_test.h"

#define ASKS(n, names) "*" #n "\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n" names
#define MEMORY "$9\r\nmaxmemory\r\n"
#define POLICY "$16\r\nmaxmemory-policy\r\n"

static void test_names(void **state) {
    static const struct {
        const char *line, *asked; /* NULL: nothing */
    } rows[] = {
        {"CONFIG GET maxmemory", ASKS(3, MEMORY)},
        {"CONFIG GET MAXMEMORY requirepass", ASKS(3, MEMORY)},
        {"CONFIG GET maxmemory maxmemory-policy", ASKS(4, MEMORY POLICY)},
        {"config get maxmemory*y", ASKS(4, "$27\r\nmaxmemory-eviction-tenacity\r\n" POLICY)},
        {"config get maxmemory-p*", ASKS(3, POLICY)},
        {"config get ?axmemor[w-y]", ASKS(3, MEMORY)},
        {"config get ?axmemor[^a-x]", ASKS(3, MEMORY)},
        {"config get m\\axmemory maxmemory m*xmemory", ASKS(3, MEMORY)},
        {"config get data*", ASKS(3, "$9\r\ndatabases\r\n")},
        {"config get requirepass", NULL},
        {"config get *pass*", NULL},
        {"config get masterauth masteruser dir dbfilename logfile bind tls-key-file-pass", NULL},
        {"config get ''", NULL},
        {"config get maxmemory[", NULL},
        {"config get [", NULL},
        {"config get maxmemory\\", NULL},
    };
    struct msg m;
    struct sink s;
    msg_init(&m);
    sink_init(&s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        sink_reset(&s);
        parse_line(&m, rows[i].line);
        if (rows[i].asked == NULL) {
            assert_int_equal(m.route, ROUTE_LOCAL);
            assert_true(m.cmd->flags & CMD_STATE); /* refused inside a transaction, where it would go to a server */
            continue;
        }
        assert_int_equal(m.route, ROUTE_ANY);
        proto_resp.build(&m, NULL, NULL, 0, &s.out);
        assert_slice(sink_bytes(&s), rows[i].asked);
    }
    sink_fini(&s);
    msg_fini(&m);
}

/* Whatever is asked for, no secret is. */
static void test_star(void **state) {
    struct msg m;
    msg_init(&m);
    assert_int_equal(parse_str(&m, "*3\r\n$6\r\nCONFIG\r\n$3\r\nGET\r\n$1\r\n*\r\n"), PARSE_DONE);
    assert_true(m.nargs > 40 && (m.flags & MSG_REWRITE));
    for (uint32_t i = 2; i < m.nargs; i++) {
        struct slice a = msg_arg(&m, i);
        assert_null(memmem(a.p, a.n, "pass", 4));
        assert_null(memmem(a.p, a.n, "auth", 4));
        assert_null(memmem(a.p, a.n, "file", 4));
    }
    msg_fini(&m);
}

static void test_many(void **state) {
    char line[1024] = "config get";
    struct msg m;
    msg_init(&m);
    for (int i = 0; i < 65; i++) {
        strcat(line, " a");
    }
    parse_line(&m, line);
    assert_int_equal(m.route, ROUTE_REPLY);
    line[strlen(line) - 2] = '\0';
    parse_line(&m, line);
    assert_int_equal(m.route, ROUTE_LOCAL);
    msg_fini(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_star),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
