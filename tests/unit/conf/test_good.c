/* Files that are taken, and what becomes of them: nutcracker's oddities, ordinary YAML, defaults, order, names. */
#include "common.h"

#include "proto/rules.h"

#define POOL "a:\n  listen: 127.0.0.1:22121\n  redis: true\n  servers:\n"

static void test_defaults(void **state) {
    struct conf *c = parse_good("a:\n  servers:\n   - 127.0.0.1:11211:1\n  listen: 127.0.0.1:22121\n");
    const struct conf_pool *p = &c->pools[0];
    assert_int_equal(c->npools, 1);
    assert_string_equal(p->name, "a");
    assert_int_equal(p->hash, HASH_FNV1A_64);
    assert_int_equal(p->distribution, DIST_KETAMA);
    assert_false(p->hash_tag.set);
    assert_int_equal(p->timeout, 0);
    assert_int_equal(p->backlog, 512);
    assert_int_equal(p->client_connections, 0);
    assert_false(p->redis);
    assert_null(p->redis_auth);
    assert_int_equal(p->server_connections, 1);
    assert_int_equal(p->server_retry_timeout, 30000);
    assert_int_equal(p->server_failure_limit, 2);
    assert_int_equal(p->multiget_failure, FAILURE_ERROR);
    assert_int_equal(p->client_proto, PROTO_MC);
    assert_int_equal(c->threads, 0);
    assert_int_equal(c->drain_timeout, 5000);
    assert_string_equal(c->file, "test.yml");
    struct conf *same = conf_ref(c);
    conf_unref(&c);
    assert_null(c);
    conf_unref(&same);
}

static void test_every_key(void **state) {
    struct conf *c = parse_good("\xef\xbb\xbf# a comment\r\n"
                                "beta:\r\n"
                                "  listen: /tmp/b.sock 0660\r\n"
                                "  hash: 'murmur'\r\n  hash_tag: \"{}\"\r\n  distribution: modula\r\n  timeout: \"400\"\r\n"
                                "  backlog: 0\r\n  client_connections: 2147483647\r\n  tcpkeepalive: true\r\n"
                                "  reuseport: true\r\n  redis: \"true\"\r\n  redis_auth: s3 cret\r\n  redis_db: 0003\r\n"
                                "  preconnect: true # yes\r\n  auto_eject_hosts: true\r\n  server_connections: 4\r\n"
                                "  server_retry_timeout: 0\r\n  server_failure_limit: 0\r\n  multiget_failure: miss\r\n"
                                "  servers: [\"h:1:1\", {host: x, port: 2}]\r\n"
                                "kvmux:\r\n  threads: 3\r\n  drain_timeout: 7\r\n");
    const struct conf_pool *p = &c->pools[0];
    assert_int_equal(p->hash, HASH_MURMUR);
    assert_true(p->hash_tag.set);
    assert_memory_equal(p->hash_tag.bytes, "{}", 2);
    assert_int_equal(p->distribution, DIST_MODULA);
    assert_int_equal(p->timeout, 400);
    assert_int_equal(p->backlog, 0);
    assert_int_equal(p->client_connections, 2147483647);
    assert_true(p->tcpkeepalive && p->reuseport && p->redis && p->preconnect && p->auto_eject_hosts);
    assert_string_equal(p->redis_auth, "s3 cret");
    assert_int_equal(p->redis_db, 3);
    assert_int_equal(p->server_connections, 4);
    assert_int_equal(p->server_retry_timeout, 0);
    assert_int_equal(p->server_failure_limit, 0);
    assert_int_equal(p->multiget_failure, FAILURE_MISS);
    assert_int_equal(p->client_proto, PROTO_RESP);
    assert_int_equal(p->server_proto, PROTO_RESP);
    assert_int_equal(p->nservers, 2);
    assert_int_equal(p->listens[0].unix_mode, 0660);
    assert_true(addr_is_unix(&p->listens[0].addr));
    assert_int_equal(c->threads, 3);
    assert_int_equal(c->drain_timeout, 7);
    conf_unref(&c);
}

static void test_users(void **state) {
    setenv("KVMUX_TEST_SECRET", "from the environment", 1);
    struct conf *c = parse_good(POOL "  - h:1:1\n  redis_auth: own\n  server_user: proxy\n  server_password: {env: KVMUX_TEST_SECRET}\n"
                                     "  users:\n  - {name: app, password: one}\n"
                                     "  - {name: web, password: {env: KVMUX_TEST_SECRET}, server_user: reader, server_password: two}\n"
                                "b:\n  listen: 127.0.0.1:2\n  redis: true\n  redis_auth: own\n  servers: ['h:1:1']\n"
                                "c:\n  listen: 127.0.0.1:3\n  redis: true\n  redis_db: 2\n  nutcracker_db0: true\n  servers: ['/x:1']\n");
    static const struct {
        uint32_t pool, user;
        const char *name, *password;
    } rows[] = {
        {0, 0, "proxy", "from the environment"}, {0, 1, "app", "one"}, {0, 2, "reader", "two"}, {1, 0, NULL, "own"}, {2, 0, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct greeting g = conf_greeting(&c->pools[rows[i].pool], rows[i].user);
        assert_true(rows[i].name == NULL ? g.user == NULL : strcmp(g.user, rows[i].name) == 0);
        assert_true(rows[i].password == NULL ? g.password == NULL : strcmp(g.password, rows[i].password) == 0);
    }
    assert_int_equal(c->pools[0].nusers, 2);
    assert_string_equal(c->pools[0].users[1].password, "from the environment");
    assert_true(conf_must_log_in(&c->pools[0]) && conf_must_log_in(&c->pools[1]) && !conf_must_log_in(&c->pools[2]));
    assert_true(conf_plain_dbs(&c->pools[0]) && conf_plain_dbs(&c->pools[1]) && !conf_plain_dbs(&c->pools[2]));
    conf_unref(&c);
    c = parse_good(POOL "  - h:1:1\n  users: [{name: app, password: one}]\n");
    assert_true(conf_must_log_in(&c->pools[0]));
    assert_null(conf_greeting(&c->pools[0], 0).password);
    conf_unref(&c);
}

static void test_server_entries(void **state) {
    static const struct {
        const char *entry, *name, *address, *host;
        uint16_t port;
        uint32_t weight;
        bool ip;
    } rows[] = {
        {"127.0.0.1:6379:1", "127.0.0.1:6379", "127.0.0.1:6379", "127.0.0.1", 6379, 1, true},
        {"127.0.0.1:06379:1", "127.0.0.1:06379", "127.0.0.1:06379", "127.0.0.1", 6379, 1, true},
        {"host:11211:3", "host", "host:11211", "host", 11211, 3, false},
        {"host:011211:3", "host", "host:011211", "host", 11211, 3, false},
        {"host:11211:3 n", "n", "host:11211", "host", 11211, 3, false},
        {"Host.Example:1:2147483647 a:b", "a:b", "Host.Example:1", "Host.Example", 1, 2147483647, false},
        {"::1:6379:1", "::1:6379", "[::1]:6379", "::1", 6379, 1, true},
        {"'[::1]:6379:1'", "[::1]:6379", "[::1]:6379", "::1", 6379, 1, true},
        {"/tmp/redis.sock:1", "/tmp/redis.sock:", "/tmp/redis.sock", NULL, 0, 1, true},
        {"/tmp/redis.sock:007 x", "x", "/tmp/redis.sock", NULL, 0, 7, true},
        {"\"h:1:1 \"", "", "h:1", "h", 1, 1, false},
        {"\":1:1\"", ":1", ":1", "", 1, 1, false},
        {"h:65535:1 \xc3\xa9", "\xc3\xa9", "h:65535", "h", 65535, 1, false},
        {"{host: h, port: 6379, weight: 2, name: n m}", "n m", "h:6379", "h", 6379, 2, false},
        {"{host: '::1', port: 6379}", "::1:6379", "[::1]:6379", "::1", 6379, 1, true},
        {"{path: '/a:b', weight: 2}", "/a:b:", "/a:b", NULL, 0, 2, true},
        {"\n     host: h\n     port: 11211", "h", "h:11211", "h", 11211, 1, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256];
        snprintf(text, sizeof text, POOL "   - %s\n", rows[i].entry);
        struct conf *c = parse_good(text);
        const struct conf_server *s = &c->pools[0].servers[0];
        assert_int_equal(c->pools[0].nservers, 1);
        assert_string_equal(s->name, rows[i].name);
        assert_string_equal(s->address, rows[i].address);
        assert_int_equal(s->port, rows[i].port);
        assert_int_equal(s->weight, rows[i].weight);
        assert_true((s->host == NULL) == (rows[i].host == NULL));
        assert_true(s->host == NULL || strcmp(s->host, rows[i].host) == 0);
        assert_true((s->addr.len != 0) == rows[i].ip);
        conf_unref(&c);
    }
}

static void test_listens(void **state) {
    static const struct {
        const char *listen, *text;
        unsigned mode;
    } rows[] = {
        {"127.0.0.1:22121", "127.0.0.1:22121", 0},
        {"::1:22121", "[::1]:22121", 0},
        {"\"[::1]:22121\"", "[::1]:22121", 0},
        {"localhost:022121", "127.0.0.1:22121", 0},
        {"\"*:22121\"", "[::1]:22121", 0},
        {"/tmp/a", "/tmp/a", 0},
        {"/tmp/a b 0777", "/tmp/a b", 0777},
        {"/tmp/a rw", "/tmp/a", 0},
        {"/tmp/a 064x", "/tmp/a", 064},
        {"[127.0.0.1:22121]", "127.0.0.1:22121", 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256], addr[ADDR_TEXT_MAX];
        snprintf(text, sizeof text, "a:\n  listen: %s\n  servers:\n  - h:1:1\n", rows[i].listen);
        struct conf *c = parse_good(text);
        const struct conf_listen *l = &c->pools[0].listens[0];
        assert_int_equal(c->pools[0].nlistens, 1);
        assert_string_equal(addr_text(&l->addr, addr, sizeof addr), rows[i].text);
        assert_int_equal(l->unix_mode, rows[i].mode);
        conf_unref(&c);
    }
    struct conf *c = parse_good("a:\n  listen:\n  - 127.0.0.1:1\n  - '[::1]:1'\n  - /tmp/x\n  servers:\n  - h:1:1\n");
    assert_int_equal(c->pools[0].nlistens, 3);
    assert_string_equal(c->pools[0].listens[1].text, "[::1]:1");
    conf_unref(&c);
}

/* Shorter names first, then unsigned bytes: pools and servers. */
static void test_order(void **state) {
    struct conf *c = parse_good("---\n"
                                "zz: {listen: '127.0.0.1:1', servers: ['h:1:1 server10', 'h:2:1 server2', 'h:7000:1', "
                                "'10.0.0.9:11211:1', 'h:3:1 \xc3\xa9', 'h:4:1 aa', 'h:1:2 same']}\n"
                                "b: {listen: '127.0.0.1:2', servers: ['h:1:1']}\n"
                                "a: {listen: '127.0.0.1:3', servers: ['h:1:1']}\n...\n");
    static const char *const pools[] = {"a", "b", "zz"};
    static const char *const servers[] = {"aa", "\xc3\xa9", "same", "h:7000", "server2", "10.0.0.9", "server10"};
    for (uint32_t i = 0; i < c->npools; i++) {
        assert_string_equal(c->pools[i].name, pools[i]);
        assert_int_equal(conf_pool_by_name(c, pools[i]), i);
    }
    assert_int_equal(conf_pool_by_name(c, "c"), -1);
    assert_int_equal(c->pools[2].nservers, ARRAY_LEN(servers));
    for (uint32_t i = 0; i < ARRAY_LEN(servers); i++) {
        assert_string_equal(c->pools[2].servers[i].name, servers[i]);
    }
    conf_unref(&c);
}

static void test_kvmux_pool(void **state) {
    struct conf *c = parse_good("kvmux:\n  listen: 127.0.0.1:1\n  servers:\n  - h:1:1\n");
    assert_int_equal(c->npools, 1);
    assert_string_equal(c->pools[0].name, "kvmux");
    conf_unref(&c);
}

static void test_secrets(void **state) {
    char path[] = "/tmp/kvmux-secret-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    fputs("from file\r\n", f);
    fclose(f);
    setenv("KVMUX_TEST_SECRET", "from env", 1);
    char text[512];
    snprintf(text, sizeof text,
             "a: {listen: '127.0.0.1:1', redis: true, redis_auth: {file: %s}, servers: ['h:1:1']}\n"
             "b: {listen: '127.0.0.1:2', redis: true, redis_auth: {env: KVMUX_TEST_SECRET}, servers: ['h:1:1']}\n",
             path);
    struct conf *c = parse_good(text);
    assert_string_equal(c->pools[0].redis_auth, "from file");
    assert_string_equal(c->pools[1].redis_auth, "from env");
    conf_unref(&c);
    remove(path);
}

static void test_ring(void **state) {
    struct conf *c = parse_good(POOL "   - a:1:1\n   - b:1:1\n   - c:1:2\n  distribution: modula\n");
    struct ring *all = conf_ring(&c->pools[0], NULL);
    static const bool alive[] = {true, false, true};
    struct ring *some = conf_ring(&c->pools[0], alive);
    assert_int_equal(ring_points(all), 3);
    assert_int_equal(ring_points(some), 2);
    ring_unref(&all);
    ring_unref(&some);
    conf_unref(&c);
}

static const struct cmd *rule_of(const struct conf_pool *p, const char *name) {
    const struct cmd *known = rules_known(proto_by_id(p->client_proto), name);
    return known != NULL ? rules_row(p->rules, known) : book_find(p->rules->book, slice(NULL, 0), slice_str(name));
}

static void test_commands(void **state) {
    struct conf *c = parse_good(POOL "   - a:1:1\n"
                                "  commands:\n"
                                "    - {name: My.Set, first_key: 1, write: true}\n"
                                "    - {name: my.mset, first_key: 1, last_key: -1, key_step: 2, write: true}\n"
                                "    - {name: my.pop, first_key: 1, last_key: -2, write: true, blocking: true}\n"
                                "    - {name: my.eval, numkeys: 2}\n"
                                "    - {name: ft.search, keys: none, route: any}\n"
                                "    - {name: ft.create, keys: none, route: all}\n"
                                "    - {name: my.count, keys: none, route: all, merge: sum}\n"
                                "    - {name: pfdebug, first_key: 2}\n"
                                "  deny_commands: [keys, \"config|set\"]\n");
    const struct conf_pool *p = &c->pools[0];
    assert_int_equal(book_size(p->rules->book), 7);
    assert_int_equal(rule_of(p, "my.set")->flags, CMD_WRITE);
    assert_int_equal(rule_of(p, "my.set")->route, ROUTE_SAME);
    const struct row *r = row_of(rule_of(p, "my.mset"));
    assert_int_equal(r->specs[0].start, 1);
    assert_int_equal(r->specs[0].last, -1);
    assert_int_equal(r->specs[0].step, 2);
    assert_int_equal(rule_of(p, "my.pop")->route, ROUTE_LEASE);
    assert_true(row_of(rule_of(p, "my.eval"))->specs[0].counted);
    assert_int_equal(rule_of(p, "ft.search")->route, ROUTE_ANY);
    assert_int_equal(rule_of(p, "ft.create")->merge, MERGE_ALL_OK);
    assert_int_equal(rule_of(p, "my.count")->route, ROUTE_ALL);
    assert_int_equal(rule_of(p, "my.count")->merge, MERGE_SUM);
    assert_null(rule_of(p, "pfdebug")->why);
    assert_non_null(rule_of(p, "keys")->why);
    assert_non_null(rule_of(p, "config|set")->why);
    assert_null(rule_of(p, "get")->why);
    assert_true(p->learn_commands);
    conf_unref(&c);
    c = parse_good(POOL "   - a:1:1\n");
    assert_null(c->pools[0].rules);
    conf_unref(&c);
}

static void test_read(void **state) {
    struct conf_problems ps = {0};
    assert_null(conf_read("/nonexistent/kvmux.yml", NULL, &ps));
    assert_int_equal(ps.n, 1);
    assert_int_equal(ps.v[0].line, 0);
    assert_string_equal(ps.v[0].text, "cannot be opened: No such file or directory");
    assert_null(conf_read("/", NULL, &ps));
    assert_string_equal(ps.v[1].text, "cannot be read: Is a directory");
    conf_problems_fini(&ps);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),   cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_users), cmocka_unit_test(test_server_entries),
        cmocka_unit_test(test_listens),    cmocka_unit_test(test_order),     cmocka_unit_test(test_kvmux_pool),
        cmocka_unit_test(test_secrets),    cmocka_unit_test(test_ring),      cmocka_unit_test(test_read),
        cmocka_unit_test(test_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
