/* Replies: a stream parsed whole and the same stream as it arrives in pieces must give the same replies. The first byte
 * of the input chooses the pieces. */
#include "proto/proto.h"

#include "base/mem.h"
#include "base/rng.h"

extern const struct proto proto_resp;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum parse_rc parse_cut(struct slice in, struct rng *rng, struct rsp *r) {
    struct parser ps = {0};
    size_t n = 0, taken = 0;
    uint32_t pass_min = rng_below(rng, 2) == 0 ? 0 : 1 + rng_below(rng, 100); /* what passes is not shown again */
    for (;;) {
        n = min_size(in.n, n + 1 + rng_below(rng, rng_below(rng, 8) == 0 ? 4096 : 4));
        if (n <= taken) {
            if (n == in.n) {
                return PARSE_MORE;
            }
            continue;
        }
        uint8_t *copy = mem_alloc(n - taken);
        memcpy(copy, in.p + taken, n - taken);
        enum parse_rc rc = proto_resp.parse_rsp(&ps, NULL, slice(copy, n - taken), r);
        mem_free(copy);
        ASSERT(rc != PARSE_MORE || r->need == 0 || r->need > n - taken);
        if (rc == PARSE_MORE && r->pass > 0) {
            ASSERT(r->pass >= pass_min && in.p[0] != '!' && in.p[0] != '-');
            taken += (size_t)r->pass;
        } else if (rc != PARSE_MORE || n == in.n) {
            r->len += taken;
            return rc;
        }
        ps.pass_min = pass_min;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    struct rng rng;
    rng_seed(&rng, data[0]);
    struct slice in = slice(data + 1, size - 1);
    while (in.n > 0) {
        struct parser ps = {0};
        struct rsp whole = {0}, cut = {0};
        enum parse_rc rc = proto_resp.parse_rsp(&ps, NULL, in, &whole);
        ASSERT(parse_cut(in, &rng, &cut) == rc);
        if (rc != PARSE_DONE) {
            break;
        }
        ASSERT(whole.len == cut.len && whole.kind == cut.kind && whole.len > 0 && whole.len <= in.n);
        in = slice(in.p + whole.len, in.n - whole.len);
    }
    return 0;
}
