/* Replies: the first byte says for which command, the second where to cut, the rest is the stream. Any cut gives the same
 * transcript. Two good replies to a get are then merged as if they came from two servers: the merge is a good reply again. */
#include "../unit/proto/test_mc.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_merge(const struct cmd *cmd, struct slice in) {
    struct part parts[2] = {{0}};
    uint32_t nparts = 0;
    struct parser p = {0};
    struct rsp r;
    while (nparts < 2 && in.n > 0 && mc_parse_rsp(&p, cmd, in, &r) == PARSE_DONE) {
        parts[nparts++].reply = slice(in.p, r.len);
        in = slice(in.p + r.len, in.n - r.len);
    }
    if (nparts == 0 || (cmd->merge != MERGE_VALUES && cmd->merge != MERGE_ALL_OK)) {
        return;
    }
    static const uint16_t owner[] = {0, 1, 1, 0, 0, 0, 1}, alone[7];
    struct fan_in in2 = {.cmd = cmd, .parts = parts, .nparts = nparts, .owner = nparts > 1 ? owner : alone, .nkeys = 7};
    struct built b;
    struct text t = {0};
    built_init(&b);
    mc_merge(&in2, &b.out);
    built_take(&b, &t);
    p = (struct parser){0};
    ASSERT(mc_parse_rsp(&p, cmd, text_slice(&t), &r) == PARSE_DONE && r.len == t.n);
    text_fini(&t);
    built_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    if (n < 3) {
        return 0;
    }
    const struct cmd *cmd = p[0] % (MC_ID_MN + 1) == MC_ID_MN ? NULL : &mc_cmds[p[0] % (MC_ID_MN + 1)];
    struct slice in = slice(p + 2, n - 2);
    size_t at[64], step = 1 + p[1] % 32, ncuts = 0;
    for (size_t i = step; i < in.n && ncuts < ARRAY_LEN(at); i += step) {
        at[ncuts++] = i;
    }
    struct text whole = {0}, cut = {0};
    transcript_rsp(&whole, cmd, in, (struct cuts){0}, 0);
    transcript_rsp(&cut, cmd, in, (struct cuts){at, ncuts}, p[1] / 32);
    ASSERT(slice_eq(text_slice(&whole), text_slice(&cut)));
    if (cmd != NULL) {
        check_merge(cmd, in);
    }
    text_fini(&whole);
    text_fini(&cut);
    return 0;
}
