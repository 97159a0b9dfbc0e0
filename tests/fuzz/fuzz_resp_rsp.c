/* Replies: a stream parsed whole and the same stream as it arrives in pieces must give the same replies. The first byte
 * of the input chooses the pieces. */
#include "proto/proto.h"

#include "base/mem.h"
#include "base/rng.h"

extern const struct proto proto_resp;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum parse_rc parse_cut(struct slice in, struct rng *rng, struct rsp *r) {
    struct parser ps = {0};
    size_t n = 0;
    for (;;) {
        n = min_size(in.n, n + 1 + rng_below(rng, rng_below(rng, 8) == 0 ? 4096 : 4));
        uint8_t *copy = mem_alloc(n);
        memcpy(copy, in.p, n);
        enum parse_rc rc = proto_resp.parse_rsp(&ps, NULL, slice(copy, n), r);
        mem_free(copy);
        ASSERT(rc != PARSE_MORE || r->need == 0 || r->need > n);
        if (rc != PARSE_MORE || n == in.n) {
            return rc;
        }
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
