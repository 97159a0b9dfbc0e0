/* Requests: a stream parsed whole and the same stream as it arrives in pieces must give the same messages. The first
 * byte of the input chooses the pieces. */
#include "proto/proto.h"

#include "base/mem.h"
#include "base/rng.h"

#include "../unit/proto/sent.h"

extern const struct proto proto_resp;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_msg(const struct msg *m, struct slice in, enum parse_rc rc) {
    ASSERT(m->cmd != NULL && m->answer_len <= sizeof m->answer);
    if (rc == PARSE_BAD || m->route == ROUTE_REPLY) {
        ASSERT(m->answer_len > 3 && m->answer[0] == '-');
        ASSERT(memcmp(m->answer + m->answer_len - 2, "\r\n", 2) == 0);
        ASSERT(memchr(m->answer, '\r', m->answer_len - 2) == NULL);
    }
    if (rc == PARSE_DONE) {
        ASSERT(m->raw.p == in.p && m->raw.n > 0 && m->raw.n <= in.n);
        for (uint32_t i = 0; m->route != ROUTE_SKIP && i < m->nargs; i++) {
            struct slice a = msg_arg(m, i);
            volatile uint8_t sum = 0;
            for (size_t k = 0; k < a.n; k++) {
                sum = (uint8_t)(sum + a.p[k]); /* readable */
            }
        }
        for (uint32_t i = 0; m->route != ROUTE_REPLY && i < m->nkeys; i++) {
            (void)msg_key(m, i);
        }
    }
}

static void same_msg(const struct msg *a, const struct msg *b) {
    ASSERT(a->cmd == b->cmd && a->route == b->route && a->flags == b->flags && a->raw.n == b->raw.n);
    ASSERT(a->answer_len == b->answer_len && memcmp(a->answer, b->answer, a->answer_len) == 0);
    if (a->route == ROUTE_SKIP) {
        return;
    }
    ASSERT(a->nargs == b->nargs && a->nkeys == b->nkeys && a->first_key == b->first_key && a->key_step == b->key_step);
    for (uint32_t i = 0; i < a->nargs; i++) {
        ASSERT(slice_eq(msg_arg(a, i), msg_arg(b, i)));
    }
}

/* What is built from a message must parse as that message again. */
static void check_build(const struct msg *m, struct bufpool *pool) {
    struct rope r = {0};
    struct stage st;
    stage_init(&st, pool);
    struct out o = {&r, &st};
    proto_resp.build(m, NULL, NULL, 0, &o);
    struct buf *b;
    struct slice built = rope_flat(&r, pool, &b);
    struct msg again;
    msg_init(&again);
    struct parser ps = {0};
    ASSERT(proto_resp.parse_req(&ps, built, &again) == PARSE_DONE && again.raw.n == built.n);
    ASSERT(again.nargs == m->nargs && again.cmd == m->cmd);
    for (uint32_t i = 0; i < m->nargs; i++) {
        ASSERT(slice_eq(msg_arg(m, i), msg_arg(&again, i)));
    }
    msg_fini(&again);
    rope_fini(&r);
    stage_release(&st);
}

/* Shows a growing prefix until the parser is done. The bytes move each time. */
static enum parse_rc parse_cut(struct slice in, struct rng *rng, struct msg *m) {
    struct parser ps = {0};
    size_t n = 0;
    for (;;) {
        n = min_size(in.n, n + 1 + rng_below(rng, rng_below(rng, 8) == 0 ? 4096 : 4));
        uint8_t *copy = mem_alloc(n);
        memcpy(copy, in.p, n);
        enum parse_rc rc = proto_resp.parse_req(&ps, slice(copy, n), m);
        ASSERT(rc != PARSE_MORE || m->need == 0 || m->need > n);
        if (rc != PARSE_MORE || n == in.n) {
            struct parser zero = {0};
            ASSERT(rc == PARSE_MORE || memcmp(&ps, &zero, sizeof ps) == 0);
            /* args count from base: let it point to bytes that stay */
            m->base = m->base == copy ? in.p : m->base;
            m->raw.p = in.p;
            mem_free(copy);
            return rc;
        }
        mem_free(copy);
    }
}

/* The same with requests that go on while they arrive. */
static void check_passing(struct rng *rng, struct slice in) {
    size_t ends[8], n = 0;
    for (size_t at = 0; n < ARRAY_LEN(ends) - 1; n++) {
        at = min_size(in.n, at + 1 + rng_below(rng, 1 + (uint32_t)in.n / 3));
        ends[n] = at;
    }
    ends[n++] = in.n;
    sent_check(&proto_resp, in, ends, n, 1 + rng_below(rng, 100));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    struct rng rng;
    rng_seed(&rng, data[0]);
    struct slice in = slice(data + 1, size - 1);
    struct msg whole, cut;
    struct bufpool pool;
    msg_init(&whole);
    msg_init(&cut);
    bufpool_init(&pool);
    while (in.n > 0) {
        struct parser ps = {0};
        enum parse_rc rc = proto_resp.parse_req(&ps, in, &whole);
        ASSERT(parse_cut(in, &rng, &cut) == rc);
        if (rc == PARSE_MORE) {
            break;
        }
        check_msg(&whole, in, rc);
        same_msg(&whole, &cut);
        if (rc == PARSE_BAD) {
            break;
        }
        if (whole.route != ROUTE_SKIP) {
            check_build(&whole, &pool);
        }
        in = slice(in.p + whole.raw.n, in.n - whole.raw.n);
    }
    check_passing(&rng, slice(data + 1, size - 1));
    msg_fini(&whole);
    msg_fini(&cut);
    bufpool_fini(&pool);
    return 0;
}
