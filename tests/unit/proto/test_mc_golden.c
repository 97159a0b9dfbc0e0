/* The codec in front of a server with an empty store answers as memcached 1.6.18 answers. The table is recorded. */
#include "test_mc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define K50 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define K250 K50 K50 K50 K50 K50
#define K251 K250 "k"

static const struct golden {
    const char *in;
    size_t n;
    const char *out;
} table[] = {
#define GOLDEN(in, out) {in, sizeof(in) - 1, out},
#include "test_mc_golden.def"
#undef GOLDEN
};

/* What an empty memcached says to a request that reached it. */
static const char *server_says(enum mc_id id) {
    switch (id) {
    case MC_ID_GET:
    case MC_ID_GETS:
    case MC_ID_GAT:
    case MC_ID_GATS:
        return "END\r\n";
    case MC_ID_SET:
    case MC_ID_ADD:
        return "STORED\r\n";
    case MC_ID_REPLACE:
    case MC_ID_APPEND:
    case MC_ID_PREPEND:
        return "NOT_STORED\r\n";
    case MC_ID_FLUSH_ALL:
        return "OK\r\n";
    case MC_ID_VERSION:
        return "VERSION 1.6.18\r\n";
    case MC_ID_MG:
    case MC_ID_ME:
        return "EN\r\n";
    case MC_ID_MS:
        return "HD\r\n";
    case MC_ID_MD:
    case MC_ID_MA:
        return "NF\r\n";
    default:
        return "NOT_FOUND\r\n";
    }
}

/* What the client reads of it. */
static const char *client_reads(const struct msg *m) {
    const char *reply = server_says((enum mc_id)m->cmd->id);
    struct parser p = {0};
    struct rsp r;
    assert_int_equal(mc_parse_rsp(&p, m->cmd, slice_str(reply), &r), PARSE_DONE);
    return (m->flags & MSG_NOREPLY) || ((m->flags & MSG_QUIET) && r.quiet_ok) ? "" : reply;
}

/* Does the built form of a request parse as one plain request for the same thing? */
static void check_built(const struct msg *m) {
    struct built b;
    struct text t = {0};
    struct msg again;
    struct parser p = {0};
    built_init(&b);
    msg_init(&again);
    mc_build(m, NULL, NULL, 0, &b.out);
    built_take(&b, &t);
    assert_int_equal(mc_parse_req(&p, text_slice(&t), &again), PARSE_DONE);
    assert_int_equal(again.raw.n, t.n);
    assert_ptr_equal(again.cmd, m->cmd);
    assert_int_equal(again.route, m->route);
    assert_int_equal(again.flags, 0);
    assert_int_equal(again.nargs, m->nargs);
    assert_int_equal(again.nkeys, m->nkeys);
    for (uint32_t i = 0; i < m->nkeys; i++) {
        assert_true(slice_eq(msg_key(&again, i), msg_key(m, i)));
    }
    msg_fini(&again);
    text_fini(&t);
    built_fini(&b);
}

static void answers(struct slice in, struct text *to) {
    struct msg m;
    struct parser p = {0};
    struct built b;
    struct session s = {.authed = true};
    struct facts f = {.pool = "p"};
    bool closed = false;
    msg_init(&m);
    built_init(&b);
    while (in.n > 0 && !closed && mc_parse_req(&p, in, &m) == PARSE_DONE) {
        closed = (m.flags & MSG_CLOSE) != 0;
        if (m.route == ROUTE_REPLY) {
            text_add(to, slice(m.answer, m.answer_len));
        } else if (m.route == ROUTE_LOCAL) {
            closed = mc_local(&m, &s, &f, &b.out) || closed;
            built_take(&b, to);
        } else if (m.route != ROUTE_SKIP) {
            check_built(&m);
            text_str(to, client_reads(&m));
        }
        in = slice(in.p + m.raw.n, in.n - m.raw.n);
    }
    built_fini(&b);
    msg_fini(&m);
}

static void test_golden(void **state) {
    assert_true(ARRAY_LEN(table) > 200);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct text t = {0};
        text_str(&t, "");
        answers(slice(table[i].in, table[i].n), &t);
        if (strcmp((char *)t.p, table[i].out) != 0) {
            fail_msg("%s\nmemcached: %s\nours: %s", table[i].in, table[i].out, (char *)t.p);
        }
        text_fini(&t);
    }
}

static void test_cuts(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct slice in = slice(table[i].in, table[i].n);
        struct text whole = {0};
        transcript_req(&whole, in, (struct cuts){0});
        for (size_t at = 1; at < in.n; at++) {
            struct text cut = {0};
            transcript_req(&cut, in, (struct cuts){&at, 1});
            assert_true(slice_eq(text_slice(&whole), text_slice(&cut)));
            text_fini(&cut);
        }
        text_fini(&whole);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
