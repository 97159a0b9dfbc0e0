/* Requests of binary clients: the table, what servers get, what is answered here, and every cut. What a real memcached
 * answers is compared in tests/real/test_binary.py. */
#include "test_mcb.h"

#include "base/rng.h"
#include "proto/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define K50 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define K250 K50 K50 K50 K50 K50

static void test_table(void **state) {
    uint32_t known = 0;
    for (uint32_t i = 0; i < MCB_ID_UNKNOWN; i++) {
        const struct cmd *c = &mcb_cmds[i];
        assert_ptr_equal(mcb_find(mcb_rules[i].opcode), c);
        assert_ptr_equal(mcb_rule(c), &mcb_rules[i]);
        assert_true((c->route == ROUTE_REPLY) == (c->why != NULL));
        bool sent = c->route == ROUTE_TRANSLATE || c->route == ROUTE_ALL;
        assert_true(sent == (c->merge == MERGE_TRANSLATE));
        assert_true(!sent || mc_rules[c->id].replies != 0);
        /* a name that ends in q is quiet */
        bool q = c->name[strlen(c->name) - 1] == 'q';
        assert_true(q == (mcb_rules[i].says != MCB_SAYS_ALL));
    }
    for (uint32_t op = 0; op < 256; op++) {
        known += mcb_find((uint8_t)op) != &mcb_cmds[MCB_ID_UNKNOWN];
    }
    assert_int_equal(known, MCB_ID_UNKNOWN);
    assert_ptr_equal(proto_mc.other, &proto_mcb);
}

#define NEVER 0xffffffffu

/* Request, and what the server gets. */
static const struct {
    struct ask ask;
    const char *line;
} builds[] = {
    {{.opcode = 0x00, .key = "a"}, "mg a f c v\r\n"},
    {{.opcode = 0x09, .key = "a"}, "mg a f c v\r\n"},
    {{.opcode = 0x0c, .key = "a", .cas = 5}, "mg a f c v\r\n"},
    {{.opcode = 0x0d, .key = "a b"}, "mg YSBi b f c v\r\n"},
    {{.opcode = 0x00, .key = "a\n"}, "mg YQo= b f c v\r\n"},
    {{.opcode = 0x00, .key = "\0\xff\xfe\x3e", .key_len = 4}, "mg AP/+Pg== b f c v\r\n"},
    {{.opcode = 0x00, .key = "\t\x01\x7f\xff"}, "mg \t\x01\x7f\xff f c v\r\n"},
    {{.opcode = 0x00, .key = K250}, "mg " K250 " f c v\r\n"},
    {{.opcode = 0x1c, .key = "a", .exptime = 100}, "mg a f c T100\r\n"},
    {{.opcode = 0x1d, .key = "a", .exptime = 0}, "mg a f c v T0\r\n"},
    {{.opcode = 0x24, .key = "a", .exptime = NEVER}, "mg a f c v T2147483647\r\n"},
    {{.opcode = 0x01, .key = "a", .value = "xy"}, "ms a 2 T0 F0 c\r\nxy\r\n"},
    {{.opcode = 0x11, .key = "a", .value = "xy", .flags = NEVER, .exptime = 0x7fffffff}, "ms a 2 T2147483647 F4294967295\r\nxy\r\n"},
    {{.opcode = 0x01, .key = "a", .value = "xy", .cas = UINT64_MAX, .exptime = 0x80000000}, "ms a 2 T2147483647 F0 C18446744073709551615 c\r\nxy\r\n"},
    {{.opcode = 0x01, .key = "a b", .value = ""}, "ms YSBi 0 b T0 F0 c\r\n\r\n"},
    {{.opcode = 0x02, .key = "a", .value = "1"}, "ms a 1 T0 F0 ME c\r\n1\r\n"},
    {{.opcode = 0x12, .key = "a", .value = "1"}, "ms a 1 T0 F0 ME\r\n1\r\n"},
    {{.opcode = 0x02, .key = "a", .value = "1", .cas = 7}, "ms a 1 T0 F0 C7 c\r\n1\r\n"},
    {{.opcode = 0x03, .key = "a", .value = "1"}, "ms a 1 T0 F0 MR c\r\n1\r\n"},
    {{.opcode = 0x13, .key = "a", .value = "1", .cas = 7}, "ms a 1 T0 F0 C7\r\n1\r\n"},
    {{.opcode = 0x0e, .key = "a", .value = "\r\n"}, "ms a 2 MA c\r\n\r\n\r\n"},
    {{.opcode = 0x1a, .key = "a", .value = "1", .cas = 7}, "ms a 1 C7 MP\r\n1\r\n"},
    {{.opcode = 0x04, .key = "a"}, "md a\r\n"},
    {{.opcode = 0x14, .key = "a b", .cas = 9}, "md YSBi b C9\r\n"},
    {{.opcode = 0x05, .key = "n", .delta = 1, .exptime = NEVER, .initial = 5}, "ma n MI D1 v c\r\n"},
    {{.opcode = 0x06, .key = "n", .delta = UINT64_MAX, .exptime = 10, .initial = UINT64_MAX}, "ma n MD D18446744073709551615 N10 J18446744073709551615 v c\r\n"},
    {{.opcode = 0x15, .key = "n", .delta = 1, .exptime = 0, .cas = 3}, "ma n MI D1 N0 J0 C3\r\n"},
    {{.opcode = 0x16, .key = " ", .delta = 0, .exptime = NEVER - 1}, "ma IA== b MD D0 N2147483647 J0\r\n"},
    {{.opcode = 0x08}, "flush_all\r\n"},
    {{.opcode = 0x18, .exptime = 60}, "flush_all 60\r\n"},
    {{.opcode = 0x08, .exptime = NEVER}, "flush_all 2147483647\r\n"},
    {{.opcode = 0x0b}, "version\r\n"},
};

static void test_build(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
        struct text in = {0}, line = {0};
        struct built b;
        struct msg m, again;
        struct parser p = {0};
        msg_init(&m);
        msg_init(&again);
        built_init(&b);
        text_str(&line, "");
        ask_add(&in, &builds[i].ask);
        assert_int_equal(mcb_parse_req(&p, text_slice(&in), &m), PARSE_DONE);
        assert_int_equal(m.raw.n, in.n);
        assert_int_equal(m.tag, ASK_OPAQUE);
        assert_true(m.flags & MSG_REWRITE);
        mcb_build(&m, NULL, NULL, 0, &b.out);
        built_take(&b, &line);
        assert_string_equal(line.p, builds[i].line);
        /* our own reader of text takes it for one plain request with the same key */
        assert_int_equal(mc_parse_req(&p, text_slice(&line), &again), PARSE_DONE);
        assert_int_equal(again.raw.n, line.n);
        assert_int_equal(again.flags, 0);
        assert_int_equal(again.cmd->id, m.cmd->id);
        assert_int_equal(again.nkeys, m.nkeys);
        assert_true(m.nkeys == 0 || slice_eq(msg_key(&again, 0), msg_key(&m, 0)));
        text_fini(&in);
        text_fini(&line);
        built_fini(&b);
        msg_fini(&m);
        msg_fini(&again);
    }
}

/* A request with extras `extras` and so many bytes in each part. */
static void add_raw(struct text *t, uint8_t opcode, uint32_t nextras, uint32_t nkey, uint32_t nbody, size_t follow) {
    uint8_t head[MCB_HEAD];
    struct mcb_head h = {.magic = MCB_ASKS, .opcode = opcode, .nextras = (uint8_t)nextras, .nkey = (uint16_t)nkey, .nbody = nbody, .opaque = ASK_OPAQUE};
    mcb_head_write(head, &h);
    text_add(t, slice(head, sizeof head));
    for (size_t i = 0; i < follow; i++) {
        text_str(t, "z");
    }
}

static void test_answered(void **state) {
    static const struct {
        uint32_t opcode, nextras, nkey, nbody, follow;
        enum parse_rc rc;
        uint32_t flags;
        const char *said;
    } rows[] = {
        {0x99, 0, 0, 0, 0, PARSE_DONE, MSG_REWRITE, "99 81 cas=0 Unknown command\n"},
        {0x1f, 3, 3, 9, 9, PARSE_DONE, MSG_REWRITE, "1f 81 cas=0 Unknown command\n"},
        {0x20, 0, 0, 0, 0, PARSE_DONE, MSG_REWRITE, "20 81 cas=0 SASL is not supported by kvmux\n"},
        {0x21, 0, 5, 15, 15, PARSE_DONE, MSG_REWRITE, "21 81 cas=0 SASL is not supported by kvmux\n"},
        {0x01, 8, 1, (1u << 30) + 9, 0, PARSE_DONE, MSG_REWRITE, NULL},
        {0x01, 8, 1, (1u << 30) + 10, 0, PARSE_DONE, MSG_CLOSE, "01 3 cas=0 Too large.\n"},
        {0x99, 0, 0, 0xffffffff, 0, PARSE_DONE, MSG_CLOSE, "99 3 cas=0 Too large.\n"},
        {0x00, 0, 5, 4, 0, PARSE_BAD, 0, "00 81 cas=0 Unknown command\n"},
        {0x00, 255, 65535, 65535, 0, PARSE_BAD, 0, "00 81 cas=0 Unknown command\n"},
        {0x00, 0, 251, 251, 0, PARSE_BAD, 0, "00 4 cas=0 Invalid arguments\n"},
        {0x99, 0, 251, 251, 0, PARSE_BAD, 0, "99 4 cas=0 Invalid arguments\n"},
        {0x00, 0, 0, 0, 0, PARSE_BAD, 0, "00 4 cas=0 Invalid arguments\n"},
        {0x09, 0, 1, 2, 0, PARSE_BAD, 0, "09 4 cas=0 Invalid arguments\n"},
        {0x01, 8, 0, 9, 0, PARSE_BAD, 0, "01 4 cas=0 Invalid arguments\n"},
        {0x01, 7, 1, 9, 0, PARSE_BAD, 0, "01 4 cas=0 Invalid arguments\n"},
        {0x05, 20, 1, 22, 0, PARSE_BAD, 0, "05 4 cas=0 Invalid arguments\n"},
        {0x08, 3, 0, 3, 0, PARSE_BAD, 0, "08 4 cas=0 Invalid arguments\n"},
        {0x0a, 0, 1, 1, 0, PARSE_BAD, 0, "0a 4 cas=0 Invalid arguments\n"},
        {0x1b, 0, 0, 0, 0, PARSE_BAD, 0, "1b 4 cas=0 Invalid arguments\n"},
        {0x1c, 4, 1, 6, 0, PARSE_BAD, 0, "1c 4 cas=0 Invalid arguments\n"},
    };
    struct msg m;
    msg_init(&m);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct text in = {0}, said = {0};
        struct parser p = {0};
        add_raw(&in, (uint8_t)rows[i].opcode, rows[i].nextras, rows[i].nkey, rows[i].nbody, rows[i].follow);
        enum parse_rc rc = mcb_parse_req(&p, text_slice(&in), &m);
        if (rows[i].said == NULL) {
            assert_int_equal(rc, PARSE_MORE);
            assert_int_equal(m.need, MCB_HEAD + (uint64_t)rows[i].nbody);
        } else {
            struct slice answer = slice(m.answer, m.answer_len);
            assert_int_equal(rc, rows[i].rc);
            assert_int_equal(m.flags & (rc == PARSE_DONE ? ~0u : 0), rows[i].flags);
            assert_int_equal(m.route, ROUTE_REPLY);
            tell_read(&answer, &said);
            assert_string_equal(said.p, rows[i].said);
            assert_int_equal(answer.n, 0);
        }
        text_fini(&in);
        text_fini(&said);
    }
    struct parser p = {0};
    assert_int_equal(mcb_parse_req(&p, slice("\x81", 1), &m), PARSE_BAD);
    assert_int_equal(m.answer_len, MCB_HEAD + strlen("Invalid magic: a request begins with the byte 0x80"));
    msg_fini(&m);
}

/* 186 bytes is what base64 can carry within a key of text. */
static void test_long_odd_keys(void **state) {
    char key[251];
    struct msg m;
    msg_init(&m);
    memset(key, ' ', sizeof key);
    for (size_t n = 1; n <= 250; n++) {
        struct ask ask = {.opcode = 0x01, .key = key, .value = "v", .key_len = n};
        struct text in = {0};
        struct parser p = {0};
        ask_add(&in, &ask);
        assert_int_equal(mcb_parse_req(&p, text_slice(&in), &m), PARSE_DONE);
        assert_int_equal(m.route, n <= 186 ? ROUTE_TRANSLATE : ROUTE_REPLY);
        assert_int_equal(m.raw.n, in.n);
        text_fini(&in);
    }
    msg_fini(&m);
}

/* A denial holds for the binary form of a command too. */
static void test_denied(void **state) {
    static const struct {
        struct ask ask;
        const char *said; /* NULL: not denied */
    } rows[] = {
        {{.opcode = 0x05, .key = "n"}, "05 83 cas=0 'incr' is denied by the configuration of kvmux (deny_commands)\n"},
        {{.opcode = 0x15, .key = "n"}, "15 83 cas=0 'incr' is denied by the configuration of kvmux (deny_commands)\n"},
        {{.opcode = 0x06, .key = "n"}, NULL},
        {{.opcode = 0x18}, "18 83 cas=0 'flush_all' is denied by the configuration of kvmux (deny_commands)\n"},
        {{.opcode = 0x01, .key = "a", .value = "b"}, NULL},
        {{.opcode = 0x01, .key = "a", .value = "b", .cas = 3}, "01 83 cas=0 'cas' is denied by the configuration of kvmux (deny_commands)\n"},
        {{.opcode = 0x0e, .key = "a", .value = "b", .cas = 3}, NULL},
        {{.opcode = 0x00, .key = "a"}, NULL}, /* mg is, but that is our own */
    };
    const struct rule denials[] = {{.name = "incr", .kind = RULE_DENY}, {.name = "flush_all", .kind = RULE_DENY},
                                   {.name = "cas", .kind = RULE_DENY}, {.name = "mg", .kind = RULE_DENY}};
    struct rules *rules = rules_new(&proto_mc, denials, ARRAY_LEN(denials));
    struct msg m;
    msg_init(&m);
    m.rules = rules;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct text in = {0}, said = {0};
        struct parser p = {0};
        ask_add(&in, &rows[i].ask);
        assert_int_equal(mcb_parse_req(&p, text_slice(&in), &m), PARSE_DONE);
        assert_int_equal(m.route == ROUTE_REPLY, rows[i].said != NULL);
        if (rows[i].said != NULL) {
            struct slice answer = slice(m.answer, m.answer_len);
            tell_read(&answer, &said);
            assert_string_equal(said.p, rows[i].said);
        }
        text_fini(&in);
        text_fini(&said);
    }
    msg_fini(&m);
    rules_unref(&rules);
}

static void local(const struct ask *ask, bool closes, struct text *said) {
    struct text in = {0}, out = {0};
    struct msg m;
    struct parser p = {0};
    struct built b;
    struct session s = {.authed = true};
    struct facts f = {.wall_usec = 1700000000999999, .uptime_sec = 12, .pid = 34, .threads = 2, .pool = "alpha"};
    msg_init(&m);
    built_init(&b);
    text_str(&out, "");
    text_str(said, "");
    ask_add(&in, ask);
    assert_int_equal(mcb_parse_req(&p, text_slice(&in), &m), PARSE_DONE);
    assert_int_equal(m.route, ROUTE_LOCAL);
    assert_int_equal(mcb_local(&m, &s, &f, &b.out), closes);
    built_take(&b, &out);
    for (struct slice left = text_slice(&out); left.n > 0;) {
        tell_read(&left, said);
    }
    text_fini(&in);
    text_fini(&out);
    built_fini(&b);
    msg_fini(&m);
}

static void test_local(void **state) {
    static const struct {
        struct ask ask;
        bool closes;
        const char *said;
    } rows[] = {
        {{.opcode = 0x0a}, false, "0a 0 cas=0 \n"},
        {{.opcode = 0x07}, true, "07 0 cas=0 \n"},
        {{.opcode = 0x17}, true, ""},
        {{.opcode = 0x1b, .exptime = 1}, false, "1b 0 cas=0 \n"},
        {{.opcode = 0x10, .key = "items"}, false, "10 0 cas=0 \n"},
        {{.opcode = 0x10, .key = "cachedump 1 1"}, false, "10 0 cas=0 \n"},
        {{.opcode = 0x10, .key = "nosuch"}, false, "10 1 cas=0 Not found\n"},
        {{.opcode = 0x10, .key = " "}, false, NULL},
        {{.opcode = 0x10, .key = "reset"}, false, "10 83 cas=0 stats reset is refused by kvmux: connect to the server itself\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct text said = {0};
        local(&rows[i].ask, rows[i].closes, &said);
        if (rows[i].said != NULL) {
            assert_string_equal(said.p, rows[i].said);
        }
        text_fini(&said);
    }
    struct text said = {0};
    local(&(struct ask){.opcode = 0x10}, false, &said);
    assert_non_null(strstr((char *)said.p, "10 0 cas=0 pid|34\n10 0 cas=0 uptime|12\n"));
    assert_non_null(strstr((char *)said.p, "10 0 cas=0 kvmux_pool|alpha\n"));
    assert_string_equal((char *)said.p + said.n - 12, "10 0 cas=0 \n");
    text_fini(&said);
}

/* Large values are referenced in the buf that they came in. */
static void test_referenced(void **state) {
    struct text in = {0};
    struct built b;
    struct msg m;
    struct parser p = {0};
    char *value = malloc(100001);
    memset(value, 'v', 100000);
    value[100000] = 0;
    built_init(&b);
    msg_init(&m);
    ask_add(&in, &(struct ask){.opcode = 0x01, .key = "k", .value = value});
    struct buf *buf = buf_new(&b.pool, in.n);
    memcpy(buf->data, in.p, in.n);
    buf->len = in.n;
    assert_int_equal(mcb_parse_req(&p, slice(buf->data, buf->len), &m), PARSE_DONE);
    mcb_build(&m, buf, NULL, 0, &b.out);
    assert_int_equal(buf->refs, 2);
    assert_int_equal(rope_len(&b.rope), strlen("ms k 100000 T0 F0 c\r\n") + 100002);
    buf_unref(&buf);
    free(value);
    text_fini(&in);
    msg_fini(&m);
    built_fini(&b);
}

static void same_cut(struct slice in, struct cuts cuts, const struct text *whole) {
    struct text cut = {0};
    transcript_of(&proto_mcb, &cut, in, cuts);
    assert_true(slice_eq(text_slice(whole), text_slice(&cut)));
    text_fini(&cut);
}

static void test_cuts(void **state) {
    struct text in = {0}, whole = {0};
    for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
        ask_add(&in, &builds[i].ask);
    }
    add_raw(&in, 0x99, 3, 3, 9, 9);
    add_raw(&in, 0x20, 0, 0, 0, 0);
    ask_add(&in, &(struct ask){.opcode = 0x0a});
    ask_add(&in, &(struct ask){.opcode = 0x10, .key = "items"});
    add_raw(&in, 0x00, 0, 0, 0, 0); /* broken: the end */
    ask_add(&in, &(struct ask){.opcode = 0x0a});
    transcript_of(&proto_mcb, &whole, text_slice(&in), (struct cuts){0});
    size_t at[64];
    for (at[0] = 1; at[0] < in.n; at[0]++) {
        same_cut(text_slice(&in), (struct cuts){at, 1}, &whole);
    }
    struct rng rng;
    rng_seed(&rng, 4);
    for (int i = 0; i < 2000; i++) {
        size_t n = 0;
        for (size_t pos = 0; n < ARRAY_LEN(at) && pos < in.n; n++) {
            at[n] = pos += 1 + rng_below(&rng, i % 2 ? 8 : 60);
        }
        same_cut(text_slice(&in), (struct cuts){at, n}, &whole);
    }
    text_fini(&in);
    text_fini(&whole);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),      cmocka_unit_test(test_build), cmocka_unit_test(test_answered),
        cmocka_unit_test(test_long_odd_keys), cmocka_unit_test(test_local), cmocka_unit_test(test_referenced),
        cmocka_unit_test(test_cuts),          cmocka_unit_test(test_denied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
