/* Building and merging: built requests parse as what they were built from; a split request, answered by several servers
 * and merged, reads as if one server had answered. */
#include "resp_test.h"

static void test_build_is_parse_again(void **state) {
    static const char *const rows[] = {"get a", "set \"a b\" ''", "*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "mget a b c", "eval x 0"};
    struct msg m, again;
    struct sink s;
    msg_init(&m);
    msg_init(&again);
    sink_init(&s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char in[128];
        snprintf(in, sizeof in, "%s\r\n", rows[i]);
        assert_int_equal(parse_str(&m, in), PARSE_DONE);
        proto_resp.build(&m, NULL, NULL, 0, &s.out);
        struct slice built = sink_bytes(&s);
        struct parser ps = {0};
        assert_int_equal(proto_resp.parse_req(&ps, built, &again), PARSE_DONE);
        assert_int_equal(again.raw.n, built.n);
        assert_int_equal(again.flags & MSG_REWRITE, 0);
        assert_int_equal(again.nargs, m.nargs);
        for (uint32_t k = 0; k < m.nargs; k++) {
            assert_true(slice_eq(msg_arg(&m, k), msg_arg(&again, k)));
        }
        sink_reset(&s);
    }
    sink_fini(&s);
    msg_fini(&m);
    msg_fini(&again);
}

static void check_subset(const char *in, const uint32_t *keys, uint32_t n, const char *want) {
    struct msg m;
    struct sink s;
    msg_init(&m);
    sink_init(&s);
    assert_int_equal(parse_str(&m, in), PARSE_DONE);
    proto_resp.build(&m, NULL, keys, n, &s.out);
    assert_slice(sink_bytes(&s), want);
    sink_fini(&s);
    msg_fini(&m);
}

static void test_subsets(void **state) {
    static const uint32_t ends[] = {0, 2}, two[] = {1, 2}, one[] = {1};
    static const char framed[] = "*4\r\n$4\r\nmget\r\n$10\r\naaaaaaaaaa\r\n$0\r\n\r\n$1\r\nc\r\n";
    check_subset(framed, ends, 2, "*3\r\n$4\r\nmget\r\n$10\r\naaaaaaaaaa\r\n$1\r\nc\r\n");
    check_subset(framed, two, 2, "*3\r\n$4\r\nmget\r\n$0\r\n\r\n$1\r\nc\r\n");
    check_subset("*5\r\n$4\r\nmset\r\n$1\r\na\r\n$2\r\n11\r\n$1\r\nb\r\n$0\r\n\r\n", one, 1, "*3\r\n$4\r\nmset\r\n$1\r\nb\r\n$0\r\n\r\n");
    check_subset("mset a 11 b ''\r\n", one, 1, "*3\r\n$4\r\nmset\r\n$1\r\nb\r\n$0\r\n\r\n");
    check_subset("del a bb c\r\n", two, 2, "*3\r\n$3\r\ndel\r\n$2\r\nbb\r\n$1\r\nc\r\n");
}

/* A value that lies in a buf is referenced, not copied. */
static void test_large_values(void **state) {
    struct sink s;
    struct msg m;
    sink_init(&s);
    msg_init(&m);
    struct buf *b = buf_new(&s.pool, 200000);
    b->len = (size_t)sprintf((char *)b->data, "*5\r\n$4\r\nMSET\r\n$1\r\na\r\n$1\r\nx\r\n$1\r\nb\r\n$100000\r\n");
    memset(b->data + b->len, 'v', 100000);
    memcpy(b->data + b->len + 100000, "\r\n", 2);
    b->len += 100002;
    struct parser ps = {0};
    assert_int_equal(proto_resp.parse_req(&ps, slice(b->data, b->len), &m), PARSE_DONE);
    uint32_t second = 1;
    proto_resp.build(&m, b, &second, 1, &s.out);
    assert_true(rope_len(&s.rope) > 100000);
    assert_ptr_equal(rope_span(&s.rope, s.rope.n - 1)->buf, b);
    buf_unref(&b);
    sink_fini(&s);
    msg_fini(&m);
}

/* A server of the model: which of the keys a .. p it has, and with which value. */
struct server {
    int value[16]; /* 0: none */
};

/* Answers a MGET, MSET, DEL, EXISTS of one-letter keys as Redis would. */
static size_t server_answer(struct server *sv, const struct msg *m, char *to) {
    size_t n = 0;
    int sum = 0;
    bool mget = m->cmd->id == RESP_MGET;
    for (uint32_t i = 0; i < m->nkeys; i++) {
        int *v = &sv->value[msg_key(m, i).p[0] - 'a'];
        if (mget) {
            n += (size_t)(i == 0 ? sprintf(to, "*%u\r\n", m->nkeys) : 0);
            n += (size_t)(*v == 0 ? sprintf(to + n, "$-1\r\n") : sprintf(to + n, "$%d\r\n%0*d\r\n", *v, *v, 7));
        } else if (m->cmd->id == RESP_MSET) {
            struct slice value = msg_arg(m, m->first_key + i * m->key_step + 1);
            *v = value.p[0] - '0';
        } else {
            sum += *v != 0;
            *v = m->cmd->id == RESP_DEL ? 0 : *v;
        }
    }
    return mget ? n : (size_t)(m->cmd->id == RESP_MSET ? sprintf(to, "+OK\r\n") : sprintf(to, ":%d\r\n", sum));
}

enum { SERVERS = 4, KEYS_MAX = 24 };

/* Splits m by its keys over `many`, lets each answer its part, merges. */
static void split_and_merge(const struct msg *m, struct server *many, struct sink *s, char *text, size_t room) {
    uint32_t keys[SERVERS][KEYS_MAX], n[SERVERS] = {0}, index[SERVERS], nparts = 0;
    uint16_t owner[KEYS_MAX];
    char replies[SERVERS][1024];
    struct part parts[SERVERS] = {0};
    for (uint32_t i = 0; i < m->nkeys; i++) {
        uint32_t to = msg_key(m, i).p[0] % SERVERS;
        if (n[to] == 0) {
            index[to] = nparts++;
        }
        keys[to][n[to]++] = i;
        owner[i] = (uint16_t)index[to];
    }
    struct msg part;
    msg_init(&part);
    for (uint32_t to = 0; to < SERVERS; to++) {
        if (n[to] == 0) {
            continue;
        }
        proto_resp.build(m, NULL, keys[to], n[to], &s->out);
        struct parser ps = {0};
        assert_int_equal(proto_resp.parse_req(&ps, sink_bytes(s), &part), PARSE_DONE);
        assert_int_equal(part.nkeys, n[to]);
        size_t len = server_answer(&many[to], &part, replies[index[to]]);
        parts[index[to]] = (struct part){.reply = slice(replies[index[to]], len)};
        sink_reset(s);
    }
    msg_fini(&part);
    struct fan_in in = {.cmd = m->cmd, .parts = parts, .nparts = nparts, .owner = owner, .nkeys = m->nkeys};
    proto_resp.merge(&in, &s->out);
    struct slice merged = sink_bytes(s);
    assert_true(merged.n < room);
    memcpy(text, merged.p, merged.n);
    text[merged.n] = '\0';
    sink_reset(s);
}

static void test_split_reads_as_one(void **state) {
    static const char *const names[] = {"MGET", "MSET", "DEL", "EXISTS"};
    struct server one = {0}, many[SERVERS] = {0};
    struct rng rng;
    rng_seed(&rng, 3);
    struct sink s;
    struct msg m;
    sink_init(&s);
    msg_init(&m);
    for (int round = 0; round < 3000; round++) {
        const char *name = names[rng_below(&rng, 4)];
        char line[256], want[2048], got[2048];
        size_t n = (size_t)sprintf(line, "%s", name);
        uint32_t nkeys = 1 + rng_below(&rng, KEYS_MAX - 1);
        for (uint32_t i = 0; i < nkeys; i++) {
            n += (size_t)sprintf(line + n, " %c", (int)('a' + rng_below(&rng, 16)));
            n += (size_t)(name[1] == 'S' ? sprintf(line + n, " %u", 1 + rng_below(&rng, 9)) : 0);
        }
        parse_line(&m, line);
        if ((round & 1) != 0) { /* half of them as frames: parts are cut out of those */
            proto_resp.build(&m, NULL, NULL, 0, &s.out);
            struct slice built = sink_bytes(&s);
            memcpy(want, built.p, built.n);
            sink_reset(&s);
            struct parser ps = {0};
            static char frame[2048];
            memcpy(frame, want, built.n);
            assert_int_equal(proto_resp.parse_req(&ps, slice(frame, built.n), &m), PARSE_DONE);
        }
        want[server_answer(&one, &m, want)] = '\0';
        split_and_merge(&m, many, &s, got, sizeof got);
        assert_string_equal(got, want);
    }
    sink_fini(&s);
    msg_fini(&m);
}

static void check_merge(uint16_t id, const struct part *parts, uint32_t n, const uint16_t *owner, uint32_t nkeys, bool misses,
                        const char *want) {
    struct sink s;
    sink_init(&s);
    struct fan_in in = {.cmd = &resp_cmds[id], .parts = parts, .nparts = n, .owner = owner, .nkeys = nkeys, .miss_on_failure = misses};
    proto_resp.merge(&in, &s.out);
    assert_slice(sink_bytes(&s), want);
    sink_fini(&s);
}

#define REPLY(s) {.reply = {(const uint8_t *)(s), sizeof(s) - 1}}
#define FAILED(r) {.failed = REASON_##r}

static void test_merge_failures(void **state) {
    static const uint16_t owner[] = {0, 1, 0};
    const struct part good[] = {REPLY("*2\r\n$1\r\na\r\n*1\r\n:1\r\n"), REPLY("*1\r\n_\r\n")};
    const struct part error[] = {REPLY("*2\r\n$1\r\na\r\n$-1\r\n"), REPLY("-LOADING x\r\n")};
    const struct part late[] = {FAILED(TIMEDOUT), REPLY("-ERR x\r\n")};
    const struct part gone[] = {REPLY("*2\r\n$1\r\na\r\n$-1\r\n"), FAILED(REFUSED)};
    const struct part few[] = {REPLY("*1\r\n$1\r\na\r\n"), REPLY("*1\r\n$1\r\na\r\n")};
    const struct part odd[] = {REPLY("+OK\r\n"), REPLY(":1\r\n")};
    const struct part sums[] = {REPLY(":40\r\n"), REPLY(":2\r\n")};
    const struct part oks[] = {REPLY("+OK\r\n"), REPLY("+OK\r\n")};
    const struct part denied[] = {REPLY("+OK\r\n"), REPLY("-READONLY y\r\n")};
    check_merge(RESP_MGET, good, 2, owner, 3, false, "*3\r\n$1\r\na\r\n_\r\n*1\r\n:1\r\n");
    check_merge(RESP_MGET, error, 2, owner, 3, false, "-LOADING x\r\n");
    check_merge(RESP_MGET, late, 2, owner, 3, false, "-ERR Connection timed out\r\n");
    check_merge(RESP_MGET, gone, 2, owner, 3, false, "-ERR Connection refused\r\n");
    check_merge(RESP_MGET, gone, 2, owner, 3, true, "*3\r\n$1\r\na\r\n$-1\r\n$-1\r\n");
    check_merge(RESP_MGET, few, 2, owner, 3, false, "-ERR Invalid argument\r\n");
    check_merge(RESP_MGET, odd, 2, owner, 3, false, "-ERR Invalid argument\r\n");
    check_merge(RESP_DEL, odd, 2, owner, 3, false, "-ERR Invalid argument\r\n");
    check_merge(RESP_DEL, sums, 2, owner, 3, false, ":42\r\n");
    check_merge(RESP_DBSIZE, sums, 2, NULL, 0, false, ":42\r\n");
    check_merge(RESP_MSET, oks, 2, owner, 3, false, "+OK\r\n");
    check_merge(RESP_FLUSHALL, denied, 2, NULL, 0, false, "-READONLY y\r\n");
}

static void test_greeting(void **state) {
    struct sink s;
    sink_init(&s);
    assert_int_equal(proto_resp.greet(&(struct greeting){0}, &s.out), 0);
    assert_int_equal(proto_resp.greet(&(struct greeting){.password = "pw", .db = 12}, &s.out), 2);
    assert_slice(sink_bytes(&s), "*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n");
    sink_reset(&s);
    assert_int_equal(proto_resp.greet(&(struct greeting){.user = "u", .password = "p"}, &s.out), 1);
    proto_resp.probe(&s.out);
    proto_resp.error(REASON_NO_AUTH, NULL, 0, &s.out);
    assert_slice(sink_bytes(&s), "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$1\r\np\r\n*1\r\n$4\r\nPING\r\n-NOAUTH Authentication required\r\n");
    sink_fini(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_build_is_parse_again), cmocka_unit_test(test_subsets),
        cmocka_unit_test(test_large_values),         cmocka_unit_test(test_split_reads_as_one),
        cmocka_unit_test(test_merge_failures),       cmocka_unit_test(test_greeting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
