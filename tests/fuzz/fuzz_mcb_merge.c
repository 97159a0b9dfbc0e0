/* Merges for binary clients: whatever servers say, the client gets nothing or exactly one well-formed answer. The first byte is
 * the opcode, the second says what fails; then come the servers' replies. */
#include "../unit/proto/test_mcb.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

#define MAX 4

/* The replies at the front of the input, each in memory of its own. */
static uint32_t take_parts(const struct cmd *cmd, struct slice in, uint8_t fails, struct part *parts) {
    uint32_t n = 0, most = cmd->route == ROUTE_ALL ? MAX : 1;
    while (n < most && in.n > 0) {
        struct parser ps = {0};
        struct rsp r;
        if (fails & 1u << n) {
            parts[n++].failed = (enum reason)(1 + fails % (REASON_COUNT - 1));
            continue;
        }
        if (mc_parse_rsp(&ps, cmd, in, &r) != PARSE_DONE) {
            break;
        }
        uint8_t *copy = malloc(r.len);
        memcpy(copy, in.p, r.len);
        parts[n++].reply = slice(copy, r.len);
        in = slice(in.p + r.len, in.n - r.len);
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    struct part parts[MAX] = {{0}};
    if (n < 3 || mcb_find(p[0])->merge != MERGE_TRANSLATE) {
        return 0;
    }
    const struct cmd *cmd = mcb_find(p[0]);
    uint32_t nparts = take_parts(cmd, slice(p + 2, n - 2), p[1] & 0x0f, parts);
    if (nparts > 0) {
        const struct fan_in in = {.cmd = cmd, .parts = parts, .nparts = nparts, .miss_on_failure = (p[1] & 0x80) != 0, .request = slice_str("key"), .tag = ASK_OPAQUE};
        struct built b;
        struct text out = {0}, said = {0};
        built_init(&b);
        mcb_merge(&in, &b.out);
        built_take(&b, &out);
        struct slice left = text_slice(&out);
        if (left.n > 0) {
            ASSERT(mcb_head_read(left.p).opaque == ASK_OPAQUE && mcb_head_read(left.p).opcode == p[0]);
            tell_read(&left, &said);
        } else {
            ASSERT(mcb_rule(cmd)->says != MCB_SAYS_ALL);
        }
        ASSERT(left.n == 0);
        text_fini(&out);
        text_fini(&said);
        built_fini(&b);
    }
    for (uint32_t i = 0; i < nparts; i++) {
        free((uint8_t *)(uintptr_t)parts[i].reply.p);
    }
    return 0;
}
