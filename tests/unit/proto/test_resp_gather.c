/* Sets and sorted sets over several servers: a model of Redis answers each server's part, and what is merged is what the same
 * model says with all keys in one place; RESP2 and RESP3. Members are m00 .. m19, keys one letter each. */
#include "resp_test.h"

#include <math.h>
#include <stdlib.h>

enum { MEMBERS = 20, KEYS = 12, SERVERS = 4, ROOM = 8192 };

struct zset {
    bool has[MEMBERS];
    double score[MEMBERS];
};

struct model {
    struct zset keys[KEYS];
    bool typed; /* RESP3 */
};

/* ---- the model ---- */

static uint32_t find_word(const struct msg *m, const char *word) {
    for (uint32_t i = m->first_key + m->nkeys; i < m->nargs; i++) {
        if (slice_ieq(msg_arg(m, i), slice_str(word))) {
            return i;
        }
    }
    return 0;
}

static double number(struct slice s) {
    char text[32];
    snprintf(text, sizeof text, "%.*s", (int)s.n, (const char *)s.p);
    return strtod(text, NULL);
}

static double combine(const struct msg *m, uint32_t aggregate, double a, double b) {
    if (aggregate != 0 && slice_ieq(msg_arg(m, aggregate + 1), slice_str("min"))) {
        return b < a ? b : a;
    }
    if (aggregate != 0 && slice_ieq(msg_arg(m, aggregate + 1), slice_str("max"))) {
        return b > a ? b : a;
    }
    return isnan(a + b) ? 0 : a + b;
}

static struct zset compute(const struct model *md, const struct msg *m) {
    bool inter = strstr(m->cmd->name, "inter") != NULL, diff = strstr(m->cmd->name, "diff") != NULL;
    uint32_t weights = find_word(m, "weights"), aggregate = find_word(m, "aggregate");
    struct zset out = {0};
    for (uint32_t k = 0; k < m->nkeys; k++) {
        const struct zset *z = &md->keys[msg_key(m, k).p[0] - 'a'];
        double w = weights != 0 ? number(msg_arg(m, weights + 1 + k)) : 1;
        for (int i = 0; i < MEMBERS; i++) {
            double s = z->score[i] * w;
            s = isnan(s) ? 0 : s;
            if (diff && k > 0) {
                out.has[i] = out.has[i] && !z->has[i];
            } else if (inter && k > 0) {
                out.has[i] = out.has[i] && z->has[i];
                out.score[i] = combine(m, aggregate, out.score[i], s);
            } else if (z->has[i]) {
                out.score[i] = out.has[i] ? combine(m, aggregate, out.score[i], s) : s;
                out.has[i] = true;
            }
        }
    }
    return out;
}

static size_t put_score(char *to, double s, bool typed) {
    char text[40];
    size_t n = (size_t)(isinf(s) ? sprintf(text, s > 0 ? "inf" : "-inf") : sprintf(text, "%.17g", s));
    return (size_t)(typed ? sprintf(to, ",%s\r\n", text) : sprintf(to, "$%zu\r\n%s\r\n", n, text));
}

static size_t answer(const struct model *md, const struct msg *m, char *to) {
    struct zset z = compute(md, m);
    bool sorted = m->cmd->name[0] == 'z', scores = find_word(m, "withscores") != 0;
    uint32_t limit = find_word(m, "limit");
    int order[MEMBERS], n = 0;
    for (int i = 0; i < MEMBERS; i++) {
        if (!z.has[i]) {
            continue;
        }
        int at = n++;
        for (; sorted && at > 0 && z.score[order[at - 1]] > z.score[i]; at--) {
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
    if (strstr(m->cmd->name, "card") != NULL) {
        int most = limit != 0 ? (int)number(msg_arg(m, limit + 1)) : 0;
        return (size_t)sprintf(to, ":%d\r\n", most > 0 && most < n ? most : n);
    }
    bool pairs = scores && md->typed;
    size_t len = (size_t)sprintf(to, "%c%d\r\n", sorted || !md->typed ? '*' : '~', scores && !pairs ? 2 * n : n);
    for (int i = 0; i < n; i++) {
        len += (size_t)sprintf(to + len, "%s$3\r\nm%02d\r\n", pairs ? "*2\r\n" : "", order[i]);
        len += scores ? put_score(to + len, z.score[order[i]], pairs) : 0;
    }
    ASSERT(len < ROOM);
    return len;
}

/* ---- the proxy ---- */

static void split_and_merge(const struct model *md, const struct msg *m, const uint32_t *server, struct sink *s, char *text) {
    uint32_t keys[KEYS], part_of[SERVERS], nparts = 0, nkeys;
    uint16_t owner[KEYS];
    bool each = (m->cmd->flags & CMD_EACH) != 0;
    static char replies[KEYS][ROOM], request[ROOM];
    struct part parts[KEYS] = {0};
    memset(part_of, 0xff, sizeof part_of);
    for (uint32_t i = 0; i < m->nkeys; i++) {
        uint32_t *p = &part_of[server[msg_key(m, i).p[0] - 'a']];
        if (each || *p == UINT32_MAX) {
            *p = nparts++;
        }
        owner[i] = (uint16_t)*p;
    }
    struct msg part;
    msg_init(&part);
    for (uint32_t p = 0; p < nparts; p++) {
        nkeys = 0;
        for (uint32_t i = 0; i < m->nkeys; i++) {
            keys[nkeys] = i;
            nkeys += owner[i] == p;
        }
        proto_resp.build(m, NULL, keys, nkeys, &s->out);
        struct parser ps = {0};
        assert_int_equal(proto_resp.parse_req(&ps, sink_bytes(s), &part), PARSE_DONE);
        assert_int_equal(part.nkeys, nkeys);
        parts[p].reply = slice(replies[p], answer(md, &part, replies[p]));
        sink_reset(s);
    }
    msg_fini(&part);
    proto_resp.build(m, NULL, NULL, 0, &s->out);
    struct slice all = sink_bytes(s);
    memcpy(request, all.p, all.n);
    sink_reset(s);
    struct fan_in in = {
        .cmd = m->cmd, .parts = parts, .nparts = nparts, .owner = owner, .nkeys = m->nkeys, .request = slice(request, all.n)};
    proto_resp.merge(&in, &s->out);
    struct slice merged = sink_bytes(s);
    assert_true(merged.n < ROOM);
    memcpy(text, merged.p, merged.n);
    text[merged.n] = '\0';
    sink_reset(s);
}

/* Members of a set in order, so that two replies can be compared. */
static void sort_members(char *reply) {
    char *first = strchr(reply, '\n') + 1;
    size_t n = strlen(first) / 9;
    assert_int_equal(strlen(first) % 9, 0);
    qsort(first, n, 9, (int (*)(const void *, const void *))strcmp);
}

/* Appends the options to a command line. */
static void put_options(struct rng *rng, char *line, const char *name, uint32_t nkeys) {
    static const char *const weights[] = {"1", "2", "-1", "0.5", "4"}, *const sums[] = {"sum", "MIN", "Max"};
    if (strstr(name, "card") != NULL) {
        strcat(line, rng_below(rng, 2) ? " LIMIT 3" : "");
        return;
    }
    if (name[0] != 'z') {
        return;
    }
    if (strcmp(name, "zdiff") != 0 && rng_below(rng, 2)) {
        strcat(line, " weights");
        for (uint32_t i = 0; i < nkeys; i++) {
            strcat(strcat(line, " "), weights[rng_below(rng, ARRAY_LEN(weights))]);
        }
    }
    if (strcmp(name, "zdiff") != 0 && rng_below(rng, 2)) {
        strcat(strcat(line, " AGGREGATE "), sums[rng_below(rng, 3)]);
    }
    strcat(line, rng_below(rng, 2) ? " withScores" : "");
}

static void test_split_reads_as_one(void **state) {
    static const char *const names[] = {"sunion", "sinter", "sdiff", "sintercard", "zunion", "zinter", "zdiff", "zintercard"};
    struct rng rng;
    struct sink s;
    struct msg m;
    rng_seed(&rng, 8);
    sink_init(&s);
    msg_init(&m);
    for (int round = 0; round < 6000; round++) {
        struct model md = {.typed = rng_below(&rng, 2)};
        uint32_t server[KEYS], dense = 1 + rng_below(&rng, 4);
        for (int k = 0; k < KEYS; k++) {
            server[k] = rng_below(&rng, SERVERS);
            for (int i = 0; i < MEMBERS; i++) {
                md.keys[k].has[i] = rng_below(&rng, dense) != 0 || rng_below(&rng, 3) == 0;
                /* sums are exact, products are not -0: nothing depends on an order */
                md.keys[k].score[i] = rng_below(&rng, 30) == 0 ? 1e9 : (double)rng_below(&rng, 64) / 4 - 4.125;
            }
        }
        const char *name = names[rng_below(&rng, ARRAY_LEN(names))];
        char line[512], want[ROOM], got[ROOM];
        uint32_t nkeys = 2 + rng_below(&rng, 6);
        bool numbered = name[0] == 'z' || strstr(name, "card") != NULL;
        size_t n = (size_t)(numbered ? sprintf(line, "%s %u", name, nkeys) : sprintf(line, "%s", name));
        for (uint32_t i = 0; i < nkeys; i++) {
            n += (size_t)sprintf(line + n, " %c", (int)('a' + rng_below(&rng, KEYS)));
        }
        put_options(&rng, line, name, nkeys);
        parse_line(&m, line);
        assert_int_equal(m.route, ROUTE_GATHER);
        want[answer(&md, &m, want)] = '\0';
        split_and_merge(&md, &m, server, &s, got);
        if (name[0] == 's' && !numbered) {
            sort_members(got);
        }
        /* an empty answer does not tell the version of its servers */
        if (strcmp(got, want) != 0 && !(strcmp(got, "*0\r\n") == 0 && strcmp(want, "~0\r\n") == 0)) {
            print_error("%s\ngot  %s\nwant %s\n", line, got, want);
            fail();
        }
    }
    sink_fini(&s);
    msg_fini(&m);
}

/* ---- what servers should not say ---- */

static void check(const char *line, const char *a, const char *b, const char *want) {
    static const uint16_t owner[] = {0, 1};
    struct sink s;
    struct msg m;
    char request[512];
    sink_init(&s);
    msg_init(&m);
    parse_line(&m, line);
    proto_resp.build(&m, NULL, NULL, 0, &s.out);
    struct slice all = sink_bytes(&s);
    memcpy(request, all.p, all.n);
    sink_reset(&s);
    const struct part parts[] = {{.reply = slice_str(a)}, {.reply = slice_str(b)}};
    struct fan_in in = {.cmd = m.cmd, .parts = parts, .nparts = 2, .owner = owner, .nkeys = 2, .request = slice(request, all.n)};
    proto_resp.merge(&in, &s.out);
    assert_slice(sink_bytes(&s), want);
    sink_fini(&s);
    msg_fini(&m);
}

#define BAD "-ERR Invalid argument\r\n"

static void test_odd_parts(void **state) {
    check("sunion a b", ":1\r\n", "*0\r\n", BAD);
    check("sunion a b", "*-1\r\n", "*0\r\n", BAD);
    check("sunion a b", "*0\r\n", "$1\r\nx\r\n", BAD);
    check("sunion a b", "*1\r\n:1\r\n", "*0\r\n", BAD);
    check("sunion a b", "*1\r\n$-1\r\n", "*0\r\n", BAD);
    check("sunion a b", "*1\r\n*1\r\n$1\r\nx\r\n", "*0\r\n", BAD);
    check("sunion a b", "*0\r\n", "-WRONGTYPE x\r\n", "-WRONGTYPE x\r\n");
    check("sinter a b", "*2\r\n$1\r\nx\r\n$1\r\nx\r\n", "*0\r\n", "*0\r\n"); /* twice by one is not once by both */
    check("zunion 2 a b", "*1\r\n$1\r\nx\r\n", "*0\r\n", BAD);
    check("zunion 2 a b", "*2\r\n$1\r\nx\r\n$3\r\nabc\r\n", "*0\r\n", BAD);
    check("zunion 2 a b", "*2\r\n$1\r\nx\r\n$3\r\nnan\r\n", "*0\r\n", BAD);
    check("zunion 2 a b", "*2\r\n$1\r\nx\r\n$0\r\n\r\n", "*0\r\n", BAD);
    check("zunion 2 a b", "*2\r\n$1\r\nx\r\n$1\r\n \r\n", "*0\r\n", BAD);
    check("zunion 2 a b", "*1\r\n*3\r\n$1\r\nx\r\n,1\r\n,2\r\n", "*0\r\n", BAD);
    check("zunion 2 a b", "*2\r\n*2\r\n$1\r\nx\r\n,1\r\n:1\r\n", "*0\r\n", BAD);
    check("zdiff 2 a b", "*2\r\n$1\r\nx\r\n$1\r\n1\r\n", "*2\r\n$1\r\nx\r\n:1\r\n", BAD);
    check("pfcount a b", "*0\r\n", "$-1\r\n", BAD);
    check("pfcount a b", "$-1\r\n", "_\r\n", ":0\r\n");
    check("pfcount a b", "$-1\r\n", "$1\r\nx\r\n", "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n");
}

static void test_texts_of_scores(void **state) {
    check("zunion 2 a b withscores", "*2\r\n$1\r\nx\r\n$3\r\n1e2\r\n", "*2\r\n$1\r\ny\r\n$19\r\n0.10000000000000001\r\n",
          "*4\r\n$1\r\ny\r\n$19\r\n0.10000000000000001\r\n$1\r\nx\r\n$3\r\n1e2\r\n");
    check("zunion 2 a b withscores", "*2\r\n$1\r\nx\r\n$3\r\n1e2\r\n", "*2\r\n$1\r\nx\r\n$19\r\n0.10000000000000001\r\n",
          "*2\r\n$1\r\nx\r\n$18\r\n100.09999999999999\r\n");
    check("zinter 2 a b withscores", "*2\r\n$1\r\nx\r\n$3\r\ninf\r\n", "*2\r\n$1\r\nx\r\n$4\r\n-inf\r\n", "*2\r\n$1\r\nx\r\n$1\r\n0\r\n");
    check("zinter 2 a b withscores", "*1\r\n*2\r\n$1\r\nx\r\n,inf\r\n", "*1\r\n*2\r\n$1\r\nx\r\n,1\r\n", "*1\r\n*2\r\n$1\r\nx\r\n,inf\r\n");
    check("zdiff 2 a b", "*2\r\n$1\r\nx\r\n$1\r\n1\r\n", "*1\r\n$1\r\ny\r\n", "*1\r\n$1\r\nx\r\n");
}

static void test_options(void **state) {
    static const char part[] = "*0\r\n";
    check("zunion 2 a b weights 1", part, part, "-ERR syntax error\r\n");
    check("zunion 2 a b weights 1 x", part, part, "-ERR weight value is not a float\r\n");
    check("zunion 2 a b aggregate", part, part, "-ERR syntax error\r\n");
    check("zunion 2 a b aggregate avg", part, part, "-ERR syntax error\r\n");
    check("zdiff 2 a b weights 1 1", part, part, "-ERR syntax error\r\n");
    check("zintercard 2 a b limit -1", part, part, "-ERR LIMIT can't be negative\r\n");
    check("zintercard 2 a b withscores", part, part, "-ERR syntax error\r\n");
    check("sintercard 2 a b limit", part, part, "-ERR syntax error\r\n");
    check("sintercard 2 a b bogus", part, "-WRONGTYPE x\r\n", "-ERR syntax error\r\n"); /* before it looks at the keys */
    check("sintercard 2 a b limit 1", part, "-WRONGTYPE x\r\n", "-WRONGTYPE x\r\n");
    check("pfcount a b", "$1\r\nx\r\n", "-WRONGTYPE x\r\n", "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n");
    check("pfcount a b", "-WRONGTYPE x\r\n", "$1\r\nx\r\n", "-WRONGTYPE x\r\n");
    check("pfcount a b", "$-1\r\n", "-WRONGTYPE x\r\n", "-WRONGTYPE x\r\n");
    check("zintercard 2 a b bogus", part, "-WRONGTYPE x\r\n", "-WRONGTYPE x\r\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_reads_as_one),
        cmocka_unit_test(test_odd_parts),
        cmocka_unit_test(test_texts_of_scores),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
