/* What is different in another file, what keeps its id, and what needs a restart. */
#include "common.h"

#include "conf/diff.h"

#define TEXT_MAX 4096

static void put(void *ctx, const struct diff *d) {
    char *to = ctx;
    size_t n = strlen(to);
    snprintf(to + n, TEXT_MAX - n, "%s|%s|%s|%s|%s|%s%s\n", d->pool != NULL ? d->pool : "-", d->what, d->name != NULL ? d->name : "-",
             diff_word(d->kind), d->from != NULL ? d->from : "-", d->to != NULL ? d->to : "-", d->restart ? "|restart" : "");
}

static void check(const char *old, const char *now, const char *want) {
    char got[TEXT_MAX] = "";
    struct conf *a = parse_good(old), *b = parse_good(now);
    uint32_t n = conf_diff(a, b, put, got), lines = 0;
    for (const char *p = want; (p = strchr(p, '\n')) != NULL; p++) {
        lines++;
    }
    assert_string_equal(got, want);
    assert_int_equal(n, lines - (strstr(want, "|moved|") != NULL)); /* what moves is no difference of its own */
    conf_unref(&a);
    conf_unref(&b);
}

#define P "p:\n  listen: 127.0.0.1:1\n  redis: true\n"
#define S2 "  servers: [h:1:1 a, h:2:1 b]\n"

static void test_rows(void **state) {
    check(P S2, P S2, "");
    check(P S2, P "  servers: [h:2:1 b, h:1:1 a]\n", ""); /* the order in the file says nothing */
    check(P S2, P "  timeout: 400\n" S2, "p|timeout|-|changed|0|400\n");
    check(P "  hash_tag: '{}'\n  flush: deny\n" S2, P S2, "p|hash_tag|-|changed|{}|not set\np|flush|-|changed|deny|allow\n"
                                                       "p|keys|-|moved|-|0.00 % of the keys move (exact), and keys with a hash_tag\n");
    check(P S2, P "  backlog: 1\n" S2 "kvmux: {threads: 2}\n", "-|threads|-|changed|0|2|restart\np|backlog|-|changed|512|1|restart\n");
    check(P S2, P "  servers: [h:9:1 a, h:2:1 b]\n", "p|server|a|changed|h:1 weight 1|h:9 weight 1\n");
    check(P "  servers: [h:1:1 a]\n", P "  distribution: random\n  servers: [h:1:1 a]\n",
          "p|distribution|-|changed|ketama|random\np|keys|-|moved|-|keys have no owners (distribution: random)\n");
    check(P "  redis_auth: one\n" S2, P "  redis_auth: two\n" S2, "p|redis_auth|-|changed|hidden|hidden\n");
    check(P "  users: [{name: u, password: x}, {name: v, password: y}]\n" S2, P "  users: [{name: u, password: z}, {name: w, password: y}]\n" S2,
          "p|password of user|u|changed|hidden|hidden\np|user|v|removed|known|-\np|user|w|added|-|known\n");
    check(P S2, P S2 "  deny_commands: [keys]\n", "p|commands or deny_commands|-|changed|-|-\n");
    check("p:\n  listen: [127.0.0.1:1, 127.0.0.1:2]\n" S2, "p:\n  listen: [127.0.0.1:1, 127.0.0.1:3]\n" S2,
          "p|listen|127.0.0.1:2|removed|127.0.0.1:2|-\np|listen|127.0.0.1:3|added|-|127.0.0.1:3\n");
    check(P S2, "q:\n  listen: 127.0.0.1:1\n" S2, "p|pool|-|removed|redis, 2 servers, listens on 127.0.0.1:1|-\n"
                                                  "q|pool|-|added|-|memcached, 2 servers, listens on 127.0.0.1:1\n");
}

#define SHARE(share) "p|keys|-|moved|-|" share "\n"

static void test_share(void **state) {
    check(P "  distribution: modula\n  servers: [h:1:1 a, h:2:1 b]\n", P "  distribution: modula\n  servers: [h:1:1 a, h:2:1 b, h:3:1 c]\n",
          "p|server|c|added|-|h:3 weight 1\n" SHARE("66.67 % of the keys move (exact)"));
    check(P "  distribution: modula\n  servers: [h:1:1 a, h:2:1 b]\n", P "  distribution: modula\n  servers: [h:1:1 a, h:2:3 b]\n",
          "p|server|b|changed|h:2 weight 1|h:2 weight 3\n" SHARE("25.00 % of the keys move (exact)"));
    check(P "  servers: [h:1:1 a]\n", P "  servers: [h:1:1 b]\n",
          "p|server|a|removed|h:1 weight 1|-\np|server|b|added|-|h:1 weight 1\n" SHARE("100.00 % of the keys move (exact)"));
    check(P "  hash: crc16\n  servers: [h:1:1 a]\n", P "  hash: crc16\n  servers: [h:1:1 b]\n",
          "p|server|a|removed|h:1 weight 1|-\np|server|b|added|-|h:1 weight 1\n" SHARE("100.00 % of the keys move (of a sample of 100000)"));
}

static uint32_t server_id(const struct conf *c, const char *name) {
    for (uint32_t s = 0; s < c->pools[0].nservers; s++) {
        if (strcmp(c->pools[0].servers[s].name, name) == 0) {
            return c->pools[0].servers[s].id;
        }
    }
    return 0;
}

static void test_inherit(void **state) {
    struct conf *a = parse_good("kvmux: {threads: 2, buffer_limit: 2000000}\n" P
                                "  backlog: 7\n  users: [{name: u, password: x}, {name: v, password: y}, {name: w, password: z}]\n" S2);
    struct conf *b = parse_good("kvmux: {threads: 3, buffer_limit: 3000000}\n" P
                                "  backlog: 8\n  users: [{name: w, password: z}, {name: v, password: other}]\n"
                                "  servers: [h:9:1 c, h:5:4 b]\n");
    conf_inherit(b, a);
    assert_int_equal(b->threads, 2);
    assert_int_equal(b->buffer_limit, 3000000);
    assert_int_equal(b->pools[0].backlog, 7);
    assert_int_equal(b->pools[0].id, a->pools[0].id);
    assert_int_equal(server_id(b, "b"), server_id(a, "b"));
    assert_true(server_id(b, "c") > a->last_id);
    assert_int_equal(b->pools[0].users[0].id, 3);
    assert_int_equal(b->pools[0].users[1].id, 4); /* it logs in in another way: another one */
    assert_false(conf_has_user(&b->pools[0], 2));
    struct conf *c = parse_good("p:\n  listen: 127.0.0.1:1\n" S2);
    conf_inherit(c, b);
    assert_true(c->pools[0].id > b->last_id); /* another protocol: another pool */
    assert_true(server_id(c, "b") > b->last_id);
    conf_unref(&a);
    conf_unref(&b);
    conf_unref(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_inherit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
