/* What servers say of their commands. The strong test: the whole answer of redis-server 7.0.15 (tests/golden) is learned as if
 * our table had none of it, and the rows it makes must find the same keys, and go the same ways, as our own. */
#include "resp_test.h"

#include "proto/learn.h"
#include "proto/rules.h"

#include <stdlib.h>

/* ---- replies written by hand ---- */

/* "[a 1 +b]" as a reply: lists in brackets, numbers, simple strings with a plus sign, the rest as strings; '' is empty. */
static const char *encode(const char *text, char **to) {
    text += strspn(text, " ");
    if (*text == '[') {
        char body[8192], *end = body;
        int n = 0;
        text++;
        while (*(text += strspn(text, " ")) != ']') {
            text = encode(text, &end);
            n++;
        }
        *to += sprintf(*to, "*%d\r\n", n);
        memcpy(*to, body, (size_t)(end - body));
        *to += end - body;
        return text + 1;
    }
    size_t n = strcspn(text, " ]");
    bool number = strspn(text, "-0123456789") == n;
    if (number || *text == '+') {
        *to += sprintf(*to, "%s%.*s\r\n", number ? ":" : "", (int)n, text);
    } else {
        size_t len = strncmp(text, "''", 2) == 0 ? 0 : n;
        *to += sprintf(*to, "$%zu\r\n%.*s\r\n", len, (int)len, text);
    }
    return text + n;
}

struct taught {
    struct shelf shelf;
    struct rows rows;
    struct book *book;
    struct msg m;
};

static void teach(struct taught *t, struct slice reply, bool every) {
    *t = (struct taught){0};
    shelf_init(&t->shelf, LEARN_SHELF_MAX);
    assert_true((every ? resp_hear_every : resp_hear_what)(reply, &t->shelf, &t->rows));
    t->book = book_new(&t->rows);
    msg_init(&t->m);
    t->m.learned = t->book;
}

static void teach_text(struct taught *t, const char *text) {
    char reply[16384], *end = reply;
    encode(text, &end);
    teach(t, slice(reply, (size_t)(end - reply)), false);
}

static void forget(struct taught *t) {
    msg_fini(&t->m);
    book_unref(&t->book);
    rows_fini(&t->rows);
    shelf_fini(&t->shelf);
}

#define INDEX(n) "[flags [+RW] begin_search [type index spec [index " #n "]] find_keys "
#define WORD(w, n) "[flags [+RW] begin_search [type keyword spec [keyword " #w " startfrom " #n "]] find_keys "
#define RANGE(l, s, m) "[type range spec [lastkey " #l " keystep " #s " limit " #m "]]]"
#define KEYNUM(n, f, s) "[type keynum spec [keynumidx " #n " firstkey " #f " keystep " #s "]]]"
#define PLAIN(name, flags, f, l, s) "[" name " -1 [" flags "] " #f " " #l " " #s " [] [] [] []]"
#define SPECS(name, flags, specs) "[" name " -1 [" flags "] 0 0 0 [] [] [" specs "] []]"

static const struct {
    const char *row, *line, *want;
    enum route route;
} ways[] = {
    /* where keys are */
    {PLAIN("my.get", "+readonly", 1, 1, 1), "MY.GET a b", "a", ROUTE_ONE},
    {PLAIN("my.get", "+readonly", 1, 1, 1), "my.get", "", ROUTE_ANY}, /* its arity promises no key: a server says so */
    {"[my.get 2 [+readonly] 1 1 1 [] [] [] []]", "my.get a", "a", ROUTE_ONE},
    {"[my.get 2 [+readonly] 1 1 1 [] [] [] []]", "my.get a b", "-ERR wrong number of arguments for 'my.get' command", ROUTE_REPLY},
    {"[MY.Get 2 [+readonly] 1 1 1]", "my.gEt a", "a", ROUTE_ONE}, /* as servers before 7.0 say it */
    {PLAIN("my.pairs", "+write", 1, -1, 2), "my.pairs a 1 b 2 c", "a b c", ROUTE_SAME},
    {PLAIN("my.two", "+write", 2, 3, 1), "my.two x a b y", "a b", ROUTE_SAME},
    {PLAIN("my.pop", "+write +blocking", 1, -2, 1), "my.pop a b 0", "a b", ROUTE_LEASE},
    {SPECS("my.eval", "+movablekeys", INDEX(2) KEYNUM(0, 1, 1)), "my.eval x 2 a b c", "a b", ROUTE_SAME},
    {SPECS("my.eval", "+movablekeys", INDEX(2) KEYNUM(0, 1, 1)), "my.eval x 0", "", ROUTE_ANY},
    {SPECS("my.eval", "+movablekeys", INDEX(2) KEYNUM(0, 1, 1)), "my.eval x 9 a", "", ROUTE_ANY},
    {SPECS("my.eval", "+movablekeys", INDEX(2) KEYNUM(0, 1, 1)), "my.eval x -1 a", "", ROUTE_ANY},
    {SPECS("my.store", "+write +movablekeys", INDEX(1) RANGE(0, 1, 0) INDEX(2) KEYNUM(0, 1, 1)), "my.store d 2 a b", "d a b", ROUTE_SAME},
    {SPECS("my.read", "+readonly +movablekeys", WORD(STREAMS, 1) RANGE(-1, 1, 2)), "my.read COUNT 1 streams a b 1 2", "a b", ROUTE_SAME},
    {SPECS("my.read", "+readonly +movablekeys +blocking", WORD(STREAMS, 1) RANGE(-1, 1, 2)), "my.read streams a 1", "a", ROUTE_LEASE},
    {SPECS("my.read", "+readonly +movablekeys", WORD(STREAMS, 1) RANGE(-1, 1, 2)), "my.read a b streams", "", ROUTE_ANY},
    {SPECS("my.geo", "+write +movablekeys", INDEX(1) RANGE(0, 1, 0) WORD(STORE, 2) RANGE(0, 1, 0)), "my.geo a x store b", "a b", ROUTE_SAME},
    {SPECS("my.geo", "+write +movablekeys", INDEX(1) RANGE(0, 1, 0) WORD(STORE, 2) RANGE(0, 1, 0)), "my.geo a x", "a", ROUTE_ONE},
    {SPECS("my.move", "+write +movablekeys", WORD(KEYS, -2) RANGE(-1, 1, 0)), "my.move h keys keys a b", "a b", ROUTE_SAME},
    {SPECS("my.last", "+write", INDEX(1) RANGE(-3, 1, 0)), "my.last a b x y", "a b", ROUTE_SAME},
    {SPECS("my.third", "+write", INDEX(1) RANGE(-1, 1, 3)), "my.third a b 1 2 3 4", "a b", ROUTE_SAME},
    /* specifications that are not understood: first, last and step if they tell all */
    {"[my.odd -2 [+write] 1 1 1 [] [] [[begin_search [type unknown spec []] find_keys [type unknown spec []]]] []]", "my.odd a b", "a", ROUTE_ONE},
    {"[my.odd -2 [+write +movablekeys] 1 1 1 [] [] [[begin_search [type unknown spec []] find_keys [type unknown spec []]]] []]", "my.odd a b",
     "-ERR 'my.odd' is refused by kvmux: the servers do not say where its keys are; add it to commands: in the configuration", ROUTE_REPLY},
    {"[my.odd -2 [+write +movablekeys] 1 1 1 [] [] [[flags [+incomplete] begin_search [type index spec [index 1]] find_keys " RANGE(0, 1, 0) "] []]",
     "my.odd a b", "-ERR 'my.odd' is refused by kvmux: the servers do not say where its keys are; add it to commands: in the configuration", ROUTE_REPLY},
    {"[my.odd -2 [+readonly] 0 0 0 [] [] [[begin_search [type unknown spec []] find_keys [type unknown spec []]]] []]", "my.odd a b",
     "-ERR 'my.odd' is refused by kvmux: the servers do not say where its keys are; add it to commands: in the configuration", ROUTE_REPLY},
    /* no keys */
    {PLAIN("my.time", "+readonly", 0, 0, 0), "my.time x", "", ROUTE_ANY},
    {PLAIN("my.log", "+fast +loading", 0, 0, 0), "my.log x", "", ROUTE_ANY},
    {PLAIN("my.init", "+write", 0, 0, 0), "my.init x",
     "-ERR 'my.init' is refused by kvmux: it changes data and has no key that says on which server; add it to commands: in the configuration "
     "with route: any or all", ROUTE_REPLY},
    {PLAIN("my.wait", "+blocking", 0, 0, 0), "my.wait",
     "-ERR 'my.wait' is refused by kvmux: it may wait at the server, and has no key that says at which", ROUTE_REPLY},
    /* what must not reach a connection that others share */
    {PLAIN("my.sub", "+pubsub +readonly", 1, 1, 1), "my.sub a",
     "-ERR 'my.sub' is refused by kvmux: the servers say that it belongs to publish and subscribe, which would take over a connection that "
     "others share", ROUTE_REPLY},
    {PLAIN("my.admin", "+admin", 0, 0, 0), "my.admin",
     "-ERR 'my.admin' is refused by kvmux: the servers call it a command for administrators; connect to that server, or add it to commands: in "
     "the configuration", ROUTE_REPLY},
    {PLAIN("my.login", "+no_auth", 0, 0, 0), "my.login",
     "-ERR 'my.login' is refused by kvmux: the servers say that it may change the state of its connection, which others share", ROUTE_REPLY},
    {PLAIN("my.begin", "+no_multi", 1, 1, 1), "my.begin a",
     "-ERR 'my.begin' is refused by kvmux: the servers say that it may change the state of its connection, which others share", ROUTE_REPLY},
    {"[my.mode -1 [+fast] 0 0 0 [+@fast +@connection] [] [] []]", "my.mode",
     "-ERR 'my.mode' is refused by kvmux: the servers say that it may change the state of its connection, which others share", ROUTE_REPLY},
    {"[client -2 [] 0 0 0 [] [] [] [[client|mode -2 [] 0 0 0 [+@connection] [] [] []]]]", "client mode x",
     "-ERR 'client|mode' is refused by kvmux: the servers say that it may change the state of its connection, which others share", ROUTE_REPLY},
    /* tips */
    {"[my.mget -2 [+readonly] 1 -1 1 [] [request_policy:multi_shard] [" INDEX(1) RANGE(-1, 1, 0) "] []]", "my.mget a b", "a b", ROUTE_SPLIT},
    {"[my.mget -2 [+readonly] 1 -1 1 [] [request_policy:multi_shard] [" INDEX(1) RANGE(-1, 1, 0) "] []]", "my.mget a", "a", ROUTE_ONE},
    {"[my.del -2 [+write] 1 -1 1 [] [request_policy:multi_shard response_policy:agg_sum] [" INDEX(1) RANGE(-1, 1, 0) "] []]", "my.del a b", "a b", ROUTE_SPLIT},
    {"[my.max -2 [+write] 1 -1 1 [] [request_policy:multi_shard response_policy:agg_max] [" INDEX(1) RANGE(-1, 1, 0) "] []]", "my.max a b", "a b", ROUTE_SAME},
    {"[my.set -3 [+write] 1 -1 2 [] [request_policy:multi_shard] [" INDEX(1) RANGE(-1, 2, 0) "] []]", "my.set a 1 b 2", "a b", ROUTE_SAME},
    {"[my.set -3 [+write] 1 -1 2 [] [request_policy:multi_shard response_policy:all_succeeded] [" INDEX(1) RANGE(-1, 2, 0) "] []]", "my.set a 1 b 2", "a b", ROUTE_SPLIT},
    {"[my.size 1 [+readonly] 0 0 0 [] [request_policy:all_shards response_policy:agg_sum] [] []]", "my.size", "", ROUTE_ALL},
    {"[my.init 1 [+write] 0 0 0 [] [request_policy:all_shards response_policy:all_succeeded] [] []]", "my.init", "", ROUTE_ALL},
    {"[my.min 1 [+readonly] 0 0 0 [] [request_policy:all_shards response_policy:agg_min] [] []]", "my.min",
     "-ERR 'my.min' is refused by kvmux: it concerns all servers and nobody says how their answers become one; add it to commands: in the "
     "configuration", ROUTE_REPLY},
    {"[my.scan 1 [+readonly] 0 0 0 [] [request_policy:special] [] []]", "my.scan",
     "-ERR 'my.scan' is refused by kvmux: it concerns all servers and nobody says how their answers become one; add it to commands: in the "
     "configuration", ROUTE_REPLY},
    /* subcommands */
    {"[my.box -2 [] 0 0 0 [] [] [] [[my.box|get 3 [+readonly] 2 2 1 [] [] [] []]]]", "MY.BOX Get a", "a", ROUTE_ONE},
    {"[my.box -2 [] 0 0 0 [] [] [] [[my.box|get 3 [+readonly] 2 2 1 [] [] [] []]]]", "my.box put a",
     "-ERR unknown subcommand 'put'. Try MY.BOX HELP.", ROUTE_REPLY},
    {"[my.box -2 [] 0 0 0 [] [] [] [[my.box|get 3 [+readonly] 2 2 1 [] [] [] []]]]", "my.box", "-ERR wrong number of arguments for 'my.box' command", ROUTE_REPLY},
    {"[my.box -2 [] 0 0 0 [] [] [] [[my.box|get 3 [+readonly] 2 2 1 [] [] [] []]]]", "my.box|get a b",
     "-ERR unknown command 'my.box|get', with args beginning with: 'a' 'b' ", ROUTE_REPLY},
    {"[object -2 [] 0 0 0 [] [] [] [[object|age 3 [+readonly] 2 2 1 [] [] [] []]]]", "object age a", "a", ROUTE_ONE},
    {"[object -2 [] 0 0 0 [] [] [] [[object|freq 3 [+readonly] 1 1 1 [] [] [] []]]]", "object freq a", "a", ROUTE_ONE}, /* ours counts */
    {"[get 2 [+readonly +admin] 0 0 0 [] [] [] []]", "get a", "a", ROUTE_ONE},
};

static void test_ways(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct taught t;
        char list[4096];
        snprintf(list, sizeof list, "[%s]", ways[i].row);
        teach_text(&t, list);
        const char *got = judged(&t.m, ways[i].line);
        if (strcmp(got, ways[i].want) != 0 || t.m.route != ways[i].route) {
            fail_msg("%s: %s: \"%s\" route %d, wanted \"%s\" route %d", ways[i].row, ways[i].line, got, t.m.route, ways[i].want, ways[i].route);
        }
        forget(&t);
    }
}

static void test_flags_are_kept(void **state) {
    struct taught t;
    teach_text(&t, "[" PLAIN("my.get", "+readonly", 1, 1, 1) PLAIN("my.set", "+write", 1, 1, 1) PLAIN("my.pop", "+write +blocking", 1, 1, 1) "]");
    static const struct {
        const char *line;
        uint32_t flags;
    } rows[] = {{"my.get a", CMD_READ}, {"my.set a", CMD_WRITE}, {"my.pop a", CMD_WRITE | CMD_BLOCKING}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        parse_line(&t.m, rows[i].line);
        assert_int_equal(t.m.cmd->flags, rows[i].flags);
    }
    forget(&t);
}

/* Keys that lie behind the arguments stay where they are when the arguments do not fit any more, and are not sent. */
static void test_many_keys(void **state) {
    struct taught t;
    struct sink s;
    char line[8192];
    teach_text(&t, "[" SPECS("my.eval", "+movablekeys", INDEX(1) KEYNUM(0, 1, 1)) "]");
    for (uint32_t n = 1; n < 300; n++) {
        size_t len = (size_t)sprintf(line, "*%u\r\n$7\r\nMY.EVAL\r\n$3\r\n%03u\r\n", n + 2, n);
        for (uint32_t i = 0; i < n; i++) {
            len += (size_t)sprintf(line + len, "$3\r\n%03u\r\n", i);
        }
        struct parser ps = {0};
        assert_int_equal(proto_resp.parse_req(&ps, slice(line, len), &t.m), PARSE_DONE);
        assert_int_equal(t.m.nkeys, n);
        for (uint32_t i = 0; i < n; i++) {
            char want[8];
            snprintf(want, sizeof want, "%03u", i);
            assert_slice(msg_key(&t.m, i), want);
        }
        assert_int_equal(t.m.nargs, n + 2);
        sink_init(&s);
        resp_build(&t.m, NULL, NULL, 0, &s.out);
        assert_true(slice_eq(sink_bytes(&s), slice(line, len)));
        sink_fini(&s);
    }
    forget(&t);
}

/* ---- the table of a real server ---- */

static struct slice golden(void) {
    FILE *f = fopen(GOLDEN_DIR "/command_redis_7.0.15.resp", "rb");
    assert_non_null(f);
    char *text = mem_alloc(1 << 20);
    size_t n = fread(text, 1, 1 << 20, f);
    fclose(f);
    return slice(text, n);
}

static int by_place(const void *a, const void *b) {
    const uint8_t *const *x = a, *const *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The places of a request's keys, sorted. */
static uint32_t places(const struct msg *m, const uint8_t **to, uint32_t max) {
    uint32_t n = m->nkeys < max ? m->nkeys : max;
    for (uint32_t i = 0; i < n; i++) {
        to[i] = msg_key(m, i).p;
    }
    qsort(to, n, sizeof *to, by_place);
    return n;
}

/* Judges one request by our row and by the learned one. */
static void compare_keys(struct msg *m, struct rules *rules, const struct cmd *learned, uint16_t id, struct slice frame) {
    const uint8_t *ours[64], *theirs[64];
    struct parser ps = {0};
    m->rules = NULL;
    assert_int_equal(proto_resp.parse_req(&ps, frame, m), PARSE_DONE);
    bool reply = m->route == ROUTE_REPLY;
    uint32_t n = places(m, ours, 64);
    enum route route = m->route;
    rules->by_id[id] = learned;
    m->rules = rules;
    assert_int_equal(proto_resp.parse_req(&ps, frame, m), PARSE_DONE);
    rules->by_id[id] = NULL;
    uint32_t k = places(m, theirs, 64);
    if (reply || ((id == RESP_MSET || id == RESP_MSETNX) && m->nargs % 2 == 0)) {
        return; /* refused by us before it was looked at, or without its last value; a server says so itself */
    }
    if (n != k || memcmp(ours, theirs, n * sizeof *ours) != 0) {
        fail_msg("%s: %u keys, learned: %u, in %.*s", learned->name, n, k, (int)frame.n, (const char *)frame.p);
    }
    bool gather = route == ROUTE_GATHER; /* ours alone */
    if (route != m->route && !(gather && m->route == ROUTE_SAME)) {
        fail_msg("%s: route %d, learned: %d", learned->name, route, m->route);
    }
}

/* A frame of the command with `nargs` arguments; numbers that count keys are right. */
static size_t sample(char *to, const struct cmd *c, uint32_t nargs) {
    const char *bar = strchr(c->name, '|');
    size_t n = (size_t)sprintf(to, "*%u\r\n", nargs);
    uint32_t have = bar != NULL ? 2 : 1;
    if (bar != NULL) {
        n += (size_t)sprintf(to + n, "$%d\r\n%.*s\r\n$%zu\r\n%s\r\n", (int)(bar - c->name), (int)(bar - c->name), c->name, strlen(bar + 1), bar + 1);
    } else {
        n += (size_t)sprintf(to + n, "$%zu\r\n%s\r\n", strlen(c->name), c->name);
    }
    for (uint32_t i = have; i < nargs; i++) {
        bool counts = c->keys == RESP_COUNTED ? i == (uint32_t)c->first : c->keys == RESP_DEST_COUNTED && i == 2;
        if (counts) {
            uint32_t left = nargs - i - 1, step = c->step > 0 ? (uint32_t)c->step : 1;
            n += (size_t)sprintf(to + n, "$1\r\n%u\r\n", left / step % 10);
        } else {
            n += (size_t)sprintf(to + n, "$1\r\n%c\r\n", 'a' + (int)i % 20);
        }
    }
    return n;
}

static const char *const moving[] = {
    "xread streams a b 1 2",
    "xread count 5 streams a 1",
    "xreadgroup group g c streams a b > >",
    "xreadgroup group g c count 1 noack streams a >",
    "georadius a 1 2 3 km",
    "georadius a 1 2 3 km store b",
    "georadius a 1 2 3 km withdist storedist b",
    "georadiusbymember a m 3 km",
    "georadiusbymember a m 3 km store b",
};

static size_t frame_of(char *to, const char *line) {
    char copy[256], body[512], *save = NULL;
    size_t n = 0;
    int words = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
        n += (size_t)sprintf(body + n, "$%zu\r\n%s\r\n", strlen(w), w);
        words++;
    }
    return (size_t)sprintf(to, "*%d\r\n%.*s", words, (int)n, body);
}

static void test_rows_of_a_real_server(void **state) {
    static const char no_keys_told[] = " sort sort_ro migrate ";
    struct slice reply = golden();
    struct taught t;
    struct rules *rules = mem_zalloc(sizeof *rules + RESP_COMMANDS * sizeof(struct cmd *));
    char frame[2048];
    uint32_t compared = 0, refused = 0;
    teach(&t, reply, true);
    rules->n = RESP_COMMANDS;
    rules->book = t.book;
    assert_true(book_size(t.book) > 350);
    for (uint32_t i = 0; i < RESP_COMMANDS; i++) {
        const struct cmd *c = &resp_cmds[i];
        const char *bar = strchr(c->name, '|');
        struct slice container = bar != NULL ? slice(c->name, (size_t)(bar - c->name)) : slice(NULL, 0);
        const struct cmd *learned = book_find(t.book, container, slice_str(bar != NULL ? bar + 1 : c->name));
        if (learned == NULL) {
            continue; /* newer than that server */
        }
        assert_int_equal(learned->arity, c->arity);
        if (learned->why != NULL) {
            char spaced[80];
            snprintf(spaced, sizeof spaced, " %s ", c->name);
            bool untold = strstr(learned->why, "where its keys are") != NULL;
            assert_int_equal(untold, strstr(no_keys_told, spaced) != NULL);
            refused++;
            continue;
        }
        assert_int_equal(learned->flags & (CMD_READ | CMD_WRITE), c->flags & (CMD_READ | CMD_WRITE));
        /* what our table refuses or keeps for itself must not be routed by what a server says; a few are harmless */
        if (c->why != NULL || c->route == ROUTE_LOCAL || c->keys == RESP_STREAMS || c->keys == RESP_GEO_STORE || resp_is_container(c) ||
            c->route == ROUTE_CURSOR || c->route == ROUTE_ALL || c->keys == RESP_NOKEYS) {
            assert_false(c->flags & CMD_STATE && !resp_is_container(c) && learned->route != ROUTE_ANY);
            continue;
        }
        uint32_t least = (uint32_t)(c->arity < 0 ? -c->arity : c->arity), most = c->arity < 0 ? least + 7 : least;
        for (uint32_t n = least; n <= most; n++) {
            compare_keys(&t.m, rules, learned, c->id, slice(frame, sample(frame, c, n)));
        }
        if (c->merge != MERGE_GATHER) {
            assert_int_equal(learned->merge, c->merge);
        }
        compared++;
    }
    for (size_t i = 0; i < ARRAY_LEN(moving); i++) {
        size_t n = strcspn(moving[i], " ");
        const struct cmd *c = resp_find(NULL, slice(moving[i], n)), *learned = book_find(t.book, slice(NULL, 0), slice(moving[i], n));
        assert_non_null(c);
        assert_non_null(learned);
        /* Redis calls XREAD blocking as a whole; we look for BLOCK */
        struct cmd *as = (struct cmd *)(uintptr_t)learned;
        as->route = as->route == ROUTE_LEASE ? ROUTE_SAME : as->route;
        compare_keys(&t.m, rules, learned, c->id, slice(frame, frame_of(frame, moving[i])));
    }
    print_message("%u rows compared, %u refused\n", compared, refused);
    assert_true(compared > 170);
    /* nothing of it is new */
    struct rows none = {0};
    assert_true(resp_hear_what(reply, &t.shelf, &none));
    assert_int_equal(none.n, 0);
    rows_fini(&none);
    mem_free(rules);
    mem_free((void *)(uintptr_t)reply.p);
    forget(&t);
}

/* Whole commands of every server: their rows in our table and what the server says must agree about all servers being asked. */
static void test_tips_of_a_real_server(void **state) {
    static const struct {
        const char *name;
        enum route route;
        enum merge merge;
    } rows[] = {{"dbsize", ROUTE_ALL, MERGE_SUM}, {"flushall", ROUTE_ALL, MERGE_ALL_OK}, {"flushdb", ROUTE_ALL, MERGE_ALL_OK},
                {"keys", ROUTE_ALL, MERGE_CONCAT}, {"mget", ROUTE_SPLIT, MERGE_ARRAY}, {"del", ROUTE_SPLIT, MERGE_SUM},
                {"mset", ROUTE_SPLIT, MERGE_ALL_OK}};
    struct slice reply = golden();
    struct taught t;
    teach(&t, reply, true);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct cmd *c = book_find(t.book, slice(NULL, 0), slice_str(rows[i].name));
        assert_int_equal(c->route, rows[i].route);
        assert_int_equal(c->merge, rows[i].merge);
    }
    mem_free((void *)(uintptr_t)reply.p);
    forget(&t);
}

/* ---- limits and lies ---- */

static void test_limits(void **state) {
    struct taught t;
    char name[200];
    memset(name, 'x', sizeof name);
    char text[600];
    for (int n = 60; n < 70; n++) {
        snprintf(text, sizeof text, "[[%.*s -1 [+readonly] 1 1 1 [] [] [] []]]", n, name);
        teach_text(&t, text);
        assert_int_equal(t.rows.n, n <= ROW_NAME_MAX);
        assert_int_equal(t.rows.dropped, n > ROW_NAME_MAX);
        forget(&t);
    }
    /* more rows than are taken */
    char *reply = mem_alloc(1 << 20), *end = reply;
    end += sprintf(end, "*%u\r\n", LEARN_ROWS_MAX + 10);
    for (uint32_t i = 0; i < LEARN_ROWS_MAX + 10; i++) {
        char row[64];
        snprintf(row, sizeof row, "[m.%u -1 [] 1 1 1]", i);
        encode(row, &end);
    }
    teach(&t, slice(reply, (size_t)(end - reply)), false);
    assert_int_equal(t.rows.n, LEARN_ROWS_MAX);
    assert_int_equal(t.rows.dropped, 10);
    assert_int_equal(book_size(t.book), LEARN_ROWS_MAX);
    /* the same again stands on the shelf already */
    struct rows again = {0};
    assert_true(resp_hear_what(slice(reply, (size_t)(end - reply)), &t.shelf, &again));
    assert_int_equal(t.shelf.n, LEARN_ROWS_MAX);
    assert_ptr_equal(again.v[5], t.rows.v[5]);
    struct book *other = book_new(&again);
    assert_true(book_same(other, t.book));
    assert_false(book_same(other, NULL));
    assert_true(book_same(NULL, NULL));
    book_unref(&other);
    rows_fini(&again);
    /* a shelf that is full */
    t.shelf.max = t.shelf.n;
    char one[256];
    char *to = one;
    encode("[[new.one -1 [] 1 1 1]]", &to);
    assert_true(resp_hear_what(slice(one, (size_t)(to - one)), &t.shelf, &again));
    assert_int_equal(again.n, 0);
    assert_int_equal(again.dropped, 1);
    mem_free(reply);
    forget(&t);
}

static void test_lies(void **state) {
    static const char *const rows[] = {
        "[]", "[x]", "[x -1]", "[x 0 [] 1 1 1]", "[x -1 flags 1 1 1]", "[x -1 [] a b c]", "[[] -1 [] 1 1 1]", "['' -1 [] 1 1 1]", "[x 99999 [] 1 1 1]",
        "7", "word", "[x -1 [] 99999 1 1]",
    };
    static const char *const odd[] = {
        "[x.a -1 [] -1 1 1]", "[x.b -1 [] 1 1 0]", "[x.c -1 [] 3 1 1]", "[x.d -1 [[] 1 +write] 1 1 1 [[]] [[] 3] [[] [flags] [begin_search]] [[] x]]",
        "[x.e -1 [] 0 0 0 [] [] [[begin_search [type index spec [index 0]] find_keys " RANGE(0, 1, 0) "]]",
        "[x.f -1 [] 0 0 0 [] [] [[begin_search [type index spec [index 1]] find_keys " RANGE(0, 0, 0) "]]",
        "[x.g -1 [] 0 0 0 [] [] [[begin_search [type keyword spec [keyword '' startfrom 1]] find_keys " RANGE(0, 1, 0) "]]",
        "[x.h -1 [] 0 0 0 [] [] [[begin_search [type keyword spec [keyword w startfrom 0]] find_keys " RANGE(0, 1, 0) "]]",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256];
        struct taught t;
        snprintf(text, sizeof text, "[%s [my.get 2 [+readonly] 1 1 1]]", rows[i]);
        teach_text(&t, text);
        assert_int_equal(t.rows.n, 1); /* what stands behind nonsense is taken */
        forget(&t);
    }
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        char text[512];
        struct taught t;
        snprintf(text, sizeof text, "[%s]", odd[i]);
        teach_text(&t, text);
        assert_int_equal(t.rows.n, 1);
        const struct cmd *c = &t.rows.v[0]->cmd;
        const char *got = "";
        for (int n = 0; n < 3; n++) {
            static const char *const tails[] = {"", " a", " a b c d"};
            char line[64];
            snprintf(line, sizeof line, "%s%s", c->name, tails[n]);
            got = judged(&t.m, line);
        }
        assert_true(strncmp(got, "-ERR", 4) == 0 || i == 1 || i == 2 || i == 3);
        forget(&t);
    }
    struct shelf shelf;
    struct rows none = {0};
    shelf_init(&shelf, 10);
    static const char *const others[] = {"-ERR no\r\n", "$-1\r\n", "*-1\r\n", "+OK\r\n", ":1\r\n", "", "*1\r\n", "$3\r\nabc\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_false(resp_hear_what(slice_str(others[i]), &shelf, &none));
    }
    assert_true(resp_hear_what(slice_str("*0\r\n"), &shelf, &none));
    assert_int_equal(none.n, 0);
    shelf_fini(&shelf);
}

/* A real reply with bytes changed: whatever comes of it, every row can be used. */
static void test_changed_replies(void **state) {
    struct slice reply = golden();
    struct rng g;
    rng_seed(&g, 7);
    for (int round = 0; round < 300; round++) {
        uint8_t *copy = mem_alloc(reply.n);
        memcpy(copy, reply.p, reply.n);
        for (int k = 0; k < 40; k++) {
            copy[rng_u32(&g) % reply.n] = (uint8_t)"0123456789-+*$:[|x\r\n"[rng_u32(&g) % 20];
        }
        struct shelf shelf;
        struct rows rows = {0};
        shelf_init(&shelf, LEARN_SHELF_MAX);
        struct parser ps = {0};
        struct rsp rsp = {0};
        if (proto_resp.parse_rsp(&ps, NULL, slice(copy, reply.n), &rsp) == PARSE_DONE) {
            resp_hear_every(slice(copy, rsp.len), &shelf, &rows);
        }
        struct msg m;
        msg_init(&m);
        struct book *book = book_new(&rows);
        m.learned = book;
        for (uint32_t i = 0; i < rows.n; i++) {
            char line[256];
            snprintf(line, sizeof line, "%s 1 2 store a b", rows.v[i]->name);
            if (strpbrk(rows.v[i]->name, "\r\n\"' ") == NULL) {
                parse_line(&m, line);
            }
        }
        msg_fini(&m);
        book_unref(&book);
        rows_fini(&rows);
        shelf_fini(&shelf);
        mem_free(copy);
    }
    mem_free((void *)(uintptr_t)reply.p);
}

static void test_who(void **state) {
    static const struct {
        const char *info, *version, *product, *run_id;
    } rows[] = {
        {"# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n", "7.0.15", "redis 7.0.15", "abc"},
        {"# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\nrun_id:abc\r\n", "7.2.4", "valkey 8.0.1", "abc"},
        {"redis_version:7.0", "7.0", "redis 7.0", ""},
        {"redis_version:1\"2\r\n", "1\"2", "redis 1\"2", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char reply[512];
        struct identity id;
        snprintf(reply, sizeof reply, "$%zu\r\n%s\r\n", strlen(rows[i].info), rows[i].info);
        assert_true(resp_hear_who(slice_str(reply), &id));
        assert_string_equal(id.version, rows[i].version);
        assert_string_equal(id.product, rows[i].product);
        assert_string_equal(id.run_id, rows[i].run_id);
    }
    char reply[1024];
    struct identity id;
    char longer[300];
    memset(longer, '9', sizeof longer);
    snprintf(reply, sizeof reply, "$%d\r\nredis_version:%.200s\r\n", 14 + 200, longer);
    assert_true(resp_hear_who(slice_str(reply), &id));
    assert_int_equal(strlen(id.version), sizeof id.version - 1);
    static const char *const others[] = {"-NOPERM no\r\n", "$-1\r\n", "$0\r\n\r\n", "$15\r\nredis_version:\n\r\n", "*0\r\n", "", "$5\r\nab"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        assert_false(resp_hear_who(slice_str(others[i]), &id));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_flags_are_kept),
        cmocka_unit_test(test_many_keys),
        cmocka_unit_test(test_rows_of_a_real_server),
        cmocka_unit_test(test_tips_of_a_real_server),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_changed_replies),
        cmocka_unit_test(test_who),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
