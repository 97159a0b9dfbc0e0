/* Requests: the first byte says where to cut, the rest is the stream. Any cut gives the same transcript, and what is built for a
 * server parses as one plain request. */
#include "../unit/proto/sent.h"
#include "../unit/proto/test_mc.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_built(const struct msg *m) {
    struct built b;
    struct text t = {0};
    struct msg again;
    struct parser parser = {0};
    built_init(&b);
    msg_init(&again);
    mc_build(m, NULL, NULL, 0, &b.out);
    built_take(&b, &t);
    ASSERT(mc_parse_req(&parser, text_slice(&t), &again) == PARSE_DONE);
    ASSERT(again.raw.n == t.n && again.cmd == m->cmd && again.route == m->route && again.nkeys == m->nkeys);
    ASSERT(again.flags == 0 && again.nargs == m->nargs);
    for (uint32_t i = 0; i < m->nkeys; i++) {
        ASSERT(slice_eq(msg_key(&again, i), msg_key(m, i)));
    }
    text_fini(&t);
    msg_fini(&again);
    built_fini(&b);
}

static void check_all_built(struct slice in) {
    struct msg m;
    struct parser p = {0};
    msg_init(&m);
    while (in.n > 0 && mc_parse_req(&p, in, &m) == PARSE_DONE) {
        if (m.route != ROUTE_REPLY && m.route != ROUTE_SKIP && m.route != ROUTE_LOCAL) {
            check_built(&m);
        }
        in = slice(in.p + m.raw.n, in.n - m.raw.n);
    }
    msg_fini(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    if (n < 2) {
        return 0;
    }
    struct slice in = slice(p + 1, n - 1);
    check_pieces(&proto_mc, in, 1 + p[0] % 32);
    check_all_built(in);
    /* the same with requests that go on while they arrive */
    size_t a = p[0] % (in.n + 1), b = a + p[1] % (in.n - a + 1);
    sent_check(&proto_mc, in, (size_t[]){a, b, in.n}, 3, 1 + p[0] % 7);
    return 0;
}
