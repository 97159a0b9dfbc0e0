/* The command table: every row is found, says where its keys are, and is refused with a reason if it is refused; Redis'
 * own words for what it would refuse. */
#include "resp_test.h"

static void test_every_row_is_found(void **state) {
    for (uint32_t i = 0; i < RESP_COMMANDS; i++) {
        const struct cmd *c = &resp_cmds[i], *container = NULL;
        const char *bar = strchr(c->name, '|'), *part = bar != NULL ? bar + 1 : c->name;
        assert_int_equal(c->id, i);
        if (bar != NULL) {
            container = resp_find(NULL, slice(c->name, (size_t)(bar - c->name)));
            assert_non_null(container);
            assert_true(resp_is_container(container));
        }
        char upper[64];
        size_t n = strlen(part);
        for (size_t k = 0; k < n; k++) {
            upper[k] = (char)(part[k] >= 'a' && part[k] <= 'z' ? part[k] - 32 : part[k]);
        }
        assert_ptr_equal(resp_find(container, slice(part, n)), c);
        assert_ptr_equal(resp_find(container, slice(upper, n)), c);
        /* one bit off is another name: '@' is no '`', and a byte above 127 no letter */
        for (size_t k = 0; k < n; k++) {
            for (int bit = 0; bit < 8; bit++) {
                char other[64];
                memcpy(other, part, n);
                other[k] = (char)(other[k] ^ (1 << bit));
                const struct cmd *found = resp_find(container, slice(other, n));
                bool same = slice_ieq(slice(other, n), slice(part, n));
                assert_true(same ? found == c : found != c);
            }
        }
        assert_ptr_not_equal(resp_find(container, slice(part, n - 1)), c);
    }
    assert_null(resp_find(NULL, slice("", 0)));
    assert_null(resp_find(NULL, slice_str("encoding")));
    assert_null(resp_find(NULL, slice_str("object|encoding")));
    assert_null(resp_find(NULL, slice_str("geo_radiusbymember_ro")));
}

static void test_rows_make_sense(void **state) {
    for (uint32_t i = 0; i < RESP_COMMANDS; i++) {
        const struct cmd *c = &resp_cmds[i];
        assert_int_not_equal(c->arity, 0);
        uint32_t least = (uint32_t)(c->arity < 0 ? -c->arity : c->arity);
        if (c->keys == RESP_RANGE || c->keys == RESP_SINGLE) { /* the plain path reads the first key without looking */
            assert_true(c->first > 0 && c->step > 0 && (uint32_t)c->first <= least - (c->arity > 0));
            assert_true(c->why != NULL || c->keys == RESP_RANGE || (uint32_t)c->first < least);
        }
        if (c->why != NULL) {
            assert_int_equal(c->route, ROUTE_REPLY);
            continue;
        }
        assert_int_equal(c->merge != MERGE_NONE, c->route == ROUTE_SPLIT || c->route == ROUTE_ALL || c->route == ROUTE_GATHER ||
                                                     c->route == ROUTE_CURSOR || c->route == ROUTE_WRITTEN || c->route == ROUTE_SURVEY);
        assert_int_equal(c->merge == MERGE_SURVEY, c->route == ROUTE_SURVEY);
        assert_int_equal(c->merge == MERGE_GATHER, c->route == ROUTE_GATHER);
        bool txn = c->route == ROUTE_UNWATCH || c->route == ROUTE_TXN_BEGIN || c->route == ROUTE_TXN_RUN || c->route == ROUTE_TXN_DROP;
        if (c->route == ROUTE_JOIN || c->route == ROUTE_PART) { /* names of channels are no keys, but those of shards */
            assert_true((c->flags & CMD_STATE) && (c->flags & CMD_LISTENS));
            assert_int_equal(c->keys == RESP_NOKEYS, !(c->flags & CMD_SHARD));
            continue;
        }
        bool keyless = c->keys == RESP_NOKEYS || c->keys == RESP_SETTINGS || (c->keys == RESP_OTHER_DB && c->first == 0);
        assert_int_equal(keyless, txn || c->route == ROUTE_SURVEY || c->route == ROUTE_ANY || c->route == ROUTE_ALL || c->route == ROUTE_LOCAL ||
                                      c->route == ROUTE_CURSOR || c->route == ROUTE_WRITTEN);
        assert_true(!(c->flags & (CMD_APART | CMD_LENIENT)) || c->route == ROUTE_ALL);
        /* a body or a digest is the first argument behind the name, which must be there */
        uint32_t words = strchr(c->name, '|') != NULL ? 2 : 1;
        assert_true(!(c->flags & (CMD_BODY | CMD_DIGEST)) || least > words);
        /* what would change a shared connection never reaches one; containers are answered before they are routed */
        assert_true(!(c->flags & CMD_STATE) || c->route == ROUTE_LOCAL || c->route == ROUTE_SURVEY ||
                    resp_is_container(c));
        assert_true(!(c->flags & CMD_LEAVES) || c->route == ROUTE_LOCAL);
        if (c->route == ROUTE_SPLIT) {
            assert_int_equal(c->first, 1);
            assert_int_equal(c->last, -1);
        }
        if (c->route == ROUTE_ONE) {
            assert_true(c->keys == RESP_SINGLE);
        }
    }
}

static void test_keys(void **state) {
    static const struct {
        const char *line, *keys;
        enum route route;
    } rows[] = {
        {"GET a", "a", ROUTE_ONE},
        {"set a b EX 10", "a", ROUTE_ONE},
        {"MGET a", "a", ROUTE_ONE},
        {"MGET a b a", "a b a", ROUTE_SPLIT},
        {"mset a 1", "a", ROUTE_ONE},
        {"mset a 1 b 2", "a b", ROUTE_SPLIT},
        {"mset a 1 b", "a", ROUTE_ONE}, /* its server says what is wrong */
        {"msetnx a 1 b", "a", ROUTE_ONE},
        {"DEL a b", "a b", ROUTE_SPLIT},
        {"exists a", "a", ROUTE_ONE},
        {"msetnx a 1 b 2", "a b", ROUTE_SAME},
        {"msetex 2 a 1 b 2 EX 10", "a b", ROUTE_SAME},
        {"rename a b", "a b", ROUTE_SAME},
        {"copy a b DB 3 REPLACE", "a b", ROUTE_SAME},
        {"bitop AND d a b", "d a b", ROUTE_SAME},
        {"sunion a", "a", ROUTE_ONE},
        {"object encoding k", "k", ROUTE_ONE},
        {"object help", "", ROUTE_ANY},
        {"xinfo stream k FULL", "k", ROUTE_ONE},
        {"xgroup create k g $ MKSTREAM", "k", ROUTE_ONE},
        {"memory usage k SAMPLES 5", "k", ROUTE_ONE},
        {"eval x 0", "", ROUTE_ANY},
        {"eval x 0 arg", "", ROUTE_ANY},
        {"eval x 1 a arg", "a", ROUTE_ONE},
        {"evalsha x 2 a b arg", "a b", ROUTE_SAME},
        {"fcall f 02 a b", "a b", ROUTE_SAME},
        {"eval x 3 a b", "", ROUTE_ANY},
        {"eval x -1 a b", "", ROUTE_ANY},
        {"eval x 99999999999999999999999 a b", "", ROUTE_ANY},
        {"zunion 2 a b WITHSCORES", "a b", ROUTE_GATHER},
        {"sunion a b", "a b", ROUTE_GATHER},
        {"pfcount a b c", "a b c", ROUTE_GATHER},
        {"scan 0 MATCH x", "", ROUTE_CURSOR},
        {"keys *", "", ROUTE_ALL},
        {"zdiff 1 a", "a", ROUTE_ONE},
        {"sintercard 2 a b LIMIT 1", "a b", ROUTE_GATHER},
        {"lmpop 2 a b LEFT", "a b", ROUTE_SAME},
        {"zunionstore d 2 a b WEIGHTS 1 2", "d a b", ROUTE_SAME},
        {"zinterstore d 3 a b c", "d a b c", ROUTE_SAME},
        {"zdiffstore d 9 a", "d", ROUTE_ONE},
        {"zdiffstore d x a", "d", ROUTE_ONE},
        {"xread STREAMS a b 0 0", "a b", ROUTE_SAME},
        {"xread count 2 streams a 0", "a", ROUTE_ONE},
        {"xread count streams streams a 0", "a", ROUTE_ONE},
        {"xread streams a b 0", "", ROUTE_ANY},
        {"xread count 2 nostreams a 0", "", ROUTE_ANY},
        {"xreadgroup GROUP g c COUNT 1 NOACK STREAMS a b > >", "a b", ROUTE_SAME},
        {"xreadgroup GROUP streams block STREAMS a >", "a", ROUTE_ONE},
        {"xreadgroup GROUP g c CLAIM 5 STREAMS a >", "a", ROUTE_ONE},
        {"xread BLOCK 0 STREAMS a 0", "a", ROUTE_LEASE},
        {"xread COUNT 1 BLOCK 0 STREAMS a b 0 0", "a b", ROUTE_LEASE},
        {"blpop a b 0", "a b", ROUTE_LEASE},
        {"blmpop 0 2 a b LEFT", "a b", ROUTE_LEASE},
        {"watch a b", "a b", ROUTE_WATCH},
        {"sort a", "a", ROUTE_ONE},
        {"sort a BY w_* GET store LIMIT 0 5 STORE d", "a d", ROUTE_SAME},
        {"sort a STORE x STORE d", "a d", ROUTE_SAME},
        {"sort a STORE", "a", ROUTE_ONE},
        {"sort a LIMIT store", "a", ROUTE_ONE},
        {"sort_ro a BY nosort", "a", ROUTE_ONE},
        {"georadius g 1 2 3 m STORE d", "g d", ROUTE_SAME},
        {"georadius g 1 2 3 m WITHCOORD", "g", ROUTE_ONE},
        {"georadiusbymember g m 3 km STOREDIST d", "g d", ROUTE_SAME},
        {"geosearchstore d g FROMMEMBER m BYRADIUS 1 m", "d g", ROUTE_SAME},
        {"migrate h 1 k 0 9", "k", ROUTE_ONE},
        {"migrate h 1 \"\" 0 9 COPY AUTH keys KEYS a b", "a b", ROUTE_SAME},
        {"migrate h 1 k 0 9 KEYS a b", "k", ROUTE_ONE},
        {"lcs a b", "a b", ROUTE_SAME},
        {"pfmerge d a", "d a", ROUTE_SAME},
        {"persist a", "a", ROUTE_ONE},
        {"command docs get", "", ROUTE_ANY},
        {"command", "", ROUTE_ANY},
        {"dbsize", "", ROUTE_ALL},
        {"script load x", "", ROUTE_ALL},
        {"ping", "", ROUTE_LOCAL},
        {"client setinfo lib-name x", "", ROUTE_LOCAL},
        {"hexpire k 10 FIELDS 1 f", "k", ROUTE_ONE},
        {"delifeq k v", "k", ROUTE_ONE},
        {"move k 3", "k", ROUTE_ONE},
        {"copy a b", "a b", ROUTE_SAME},
        {"swapdb 0 1", "", ROUTE_ANY},
        {"client info", "", ROUTE_SURVEY},
        {"client list", "", ROUTE_SURVEY},
        {"client list type normal", "", ROUTE_SURVEY},
        {"client list id 1 -2 3", "", ROUTE_SURVEY},
        {"client kill 1.2.3.4:5", "", ROUTE_SURVEY},
        {"client kill id 4 addr a laddr b type NORMAL user u skipme No maxage 9", "", ROUTE_SURVEY},
        {"config get maxmemory", "", ROUTE_ANY},
        {"config get requirepass", "", ROUTE_LOCAL},
        {"memory purge", "", ROUTE_ALL},
        {"module list", "", ROUTE_ANY},
    };
    struct msg m;
    msg_init(&m);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        parse_line(&m, rows[i].line);
        char keys[256] = "";
        size_t n = 0;
        for (uint32_t k = 0; k < m.nkeys; k++) {
            struct slice key = msg_key(&m, k);
            n += (size_t)snprintf(keys + n, sizeof keys - n, "%s%.*s", k > 0 ? " " : "", (int)key.n, (const char *)key.p);
        }
        if (strcmp(keys, rows[i].keys) != 0 || m.route != rows[i].route) {
            print_error("%s: keys \"%s\" route %d\n", rows[i].line, keys, (int)m.route);
            fail();
        }
    }
    msg_fini(&m);
}

#define X100 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
#define X28  "xxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static void test_refusals(void **state) {
    static const struct {
        const char *line, *answer;
    } rows[] = {
        {"GeT", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"get a b", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"exec now", "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n"},
        {"OBJECT", "-ERR wrong number of arguments for 'object' command\r\n"},
        {"OBJect enCoding", "-ERR wrong number of arguments for 'object|encoding' command\r\n"},
        {"object foo bar", "-ERR unknown subcommand 'foo'. Try OBJECT HELP.\r\n"},
        {"object \"fo\\no\"", "-ERR unknown subcommand 'fo o'. Try OBJECT HELP.\r\n"},
        {"object " X100 X100, "-ERR unknown subcommand '" X100 X28 "'. Try OBJECT HELP.\r\n"},
        {"foo", "-ERR unknown command 'foo', with args beginning with: \r\n"},
        {"foo a b \"c\\r\\nd\"", "-ERR unknown command 'foo', with args beginning with: 'a' 'b' 'c  d' \r\n"},
        {"foo " X100 " " X100 " c",
         "-ERR unknown command 'foo', with args beginning with: '" X100 "' 'xxxxxxxxxxxxxxxxxxxxxxxxx' \r\n"},
        {X100 X100 " a", "-ERR unknown command '" X100 X28 "', with args beginning with: 'a' \r\n"},
        {"\"\" a", "-ERR unknown command '', with args beginning with: 'a' \r\n"},
        {"\"f\\x00o\" \"a\\x00b\"", "-ERR unknown command 'f', with args beginning with: 'a' \r\n"},
        {"cluster info", "-ERR This instance has cluster support disabled\r\n"},
        {"client list id", "-ERR syntax error\r\n"},
        {"client list type", "-ERR syntax error\r\n"},
        {"client list type foo", "-ERR Unknown client type 'foo'\r\n"},
        {"client list id 1 x", "-ERR Invalid client ID\r\n"},
        {"client list foo bar", "-ERR syntax error\r\n"},
        {"client kill id 0", "-ERR client-id should be greater than 0\r\n"},
        {"client kill id x", "-ERR client-id should be greater than 0\r\n"},
        {"client kill id 1 addr", "-ERR syntax error\r\n"},
        {"client kill type foo", "-ERR Unknown client type 'foo'\r\n"},
        {"client kill skipme maybe", "-ERR syntax error\r\n"},
        {"client kill maxage x", "-ERR maxage is not an integer or out of range\r\n"},
        {"client kill maxage 0", "-ERR maxage should be greater than 0\r\n"},
        {"client kill foo bar", "-ERR syntax error\r\n"},
        {"client unblock 9", "-ERR 'client|unblock' is refused by kvmux: what the server gives away at that moment would be lost; give "
                             "the command a time-out, or close its connection with CLIENT KILL\r\n"},
        {"client pause 9", "-ERR 'client|pause' is refused by kvmux: clients of other proxies would not pause; ask the servers "
                           "themselves\r\n"},
        {"cluster foo", "-ERR unknown subcommand 'foo'. Try CLUSTER HELP.\r\n"},
        {"readonly", "-ERR This instance has cluster support disabled\r\n"},
        {"scan x", "-ERR invalid cursor\r\n"},
        {"scan -1", "-ERR invalid cursor\r\n"},
        {"scan 4096", "-ERR invalid cursor\r\n"},
        {"scan 99999999999999999999", "-ERR invalid cursor\r\n"},
        {"multi x", "-ERR wrong number of arguments for 'multi' command\r\n"},
        {"wait 1", "-ERR wrong number of arguments for 'wait' command\r\n"},
        {"shutdown", "-ERR 'shutdown' is refused by kvmux: it would stop a server that others use\r\n"},
        {"config set a b", "-ERR 'config|set' is refused by kvmux: it would administer one server of the pool; connect to "
                           "that server\r\n"},
    };
    struct msg m;
    msg_init(&m);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        parse_line(&m, rows[i].line);
        assert_int_equal(m.route, ROUTE_REPLY);
        assert_slice(slice(m.answer, m.answer_len), rows[i].answer);
        assert_false(m.flags & MSG_CLOSE);
        assert_non_null(m.cmd);
    }
    parse_line(&m, "POST / HTTP/1.1");
    assert_int_equal(m.route, ROUTE_REPLY);
    assert_true(m.flags & MSG_CLOSE);
    msg_fini(&m);
}

/* Databases named by number. */
static void test_other_db(void **state) {
    static const struct {
        const char *line;
        bool named;
    } rows[] = {
        {"move k 1", true},      {"copy a b", false},        {"copy a b replace", false}, {"copy a b db 1", true},
        {"copy db db", false},   {"copy a b REPLACE DB 1", true}, {"swapdb 0 1", true},   {"get db", false},
    };
    struct msg m;
    msg_init(&m);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        parse_line(&m, rows[i].line);
        assert_int_equal((m.flags & MSG_OTHER_DB) != 0, rows[i].named);
    }
    msg_fini(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_found),
        cmocka_unit_test(test_rows_make_sense),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_other_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
