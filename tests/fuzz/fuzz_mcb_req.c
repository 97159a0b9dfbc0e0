/* Requests of binary clients: the first byte says where to cut, the rest is the stream. Any cut gives the same transcript, and
 * what is built for a server parses as one plain text request for the same key. */
#include "../unit/proto/test_mcb.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_built(const struct msg *m) {
    struct built b;
    struct text t = {0};
    struct msg again;
    struct parser parser = {0};
    built_init(&b);
    msg_init(&again);
    mcb_build(m, NULL, NULL, 0, &b.out);
    built_take(&b, &t);
    ASSERT(mc_parse_req(&parser, text_slice(&t), &again) == PARSE_DONE);
    ASSERT(again.raw.n == t.n && again.cmd->id == m->cmd->id && again.nkeys == m->nkeys && again.flags == 0);
    ASSERT(m->nkeys == 0 || slice_eq(msg_key(&again, 0), msg_key(m, 0)));
    text_fini(&t);
    msg_fini(&again);
    built_fini(&b);
}

static void check_local(const struct msg *m) {
    struct session s = {.authed = true};
    struct facts f = {.pool = "p"};
    struct built b;
    struct text t = {0}, said = {0};
    built_init(&b);
    mcb_local(m, &s, &f, &b.out);
    built_take(&b, &t);
    for (struct slice left = text_slice(&t); left.n > 0;) {
        tell_read(&left, &said);
    }
    text_fini(&t);
    text_fini(&said);
    built_fini(&b);
}

static void check_all(struct slice in) {
    struct msg m;
    struct parser p = {0};
    struct text said = {0};
    enum parse_rc rc = PARSE_MORE;
    msg_init(&m);
    while (in.n > 0 && (rc = mcb_parse_req(&p, in, &m)) == PARSE_DONE) {
        if (m.route == ROUTE_LOCAL) {
            check_local(&m);
        } else if (m.route == ROUTE_REPLY) {
            struct slice answer = slice(m.answer, m.answer_len);
            tell_read(&answer, &said);
            ASSERT(answer.n == 0);
        } else {
            check_built(&m);
        }
        in = slice(in.p + m.raw.n, in.n - m.raw.n);
    }
    if (in.n > 0 && rc == PARSE_BAD) {
        struct slice answer = slice(m.answer, m.answer_len);
        tell_read(&answer, &said);
    }
    text_fini(&said);
    msg_fini(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    if (n < 2) {
        return 0;
    }
    struct slice in = slice(p + 1, n - 1);
    check_pieces(&proto_mcb, in, 1 + p[0] % 32);
    check_all(in);
    return 0;
}
