/* Merges: whatever servers answer, the client gets exactly one reply that can be parsed. The first byte chooses the request,
 * the second how its keys lie; then come the servers' replies. */
#include "proto/resp.h"

#include "base/mem.h"

#include <stdio.h>

extern const struct proto proto_resp;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX 8

static const char *const requests[] = {
    "sunion a b c d e f g h", "sinter a b c d e f g h", "sdiff a b c d e f g h", "sintercard 8 a b c d e f g h limit 3",
    "zunion 8 a b c d e f g h withscores", "zunion 8 a b c d e f g h aggregate min", "zinter 8 a b c d e f g h weights 1 2 3 4 5 6 7 8 withscores",
    "zinter 8 a b c d e f g h aggregate max", "zdiff 8 a b c d e f g h withscores", "zintercard 8 a b c d e f g h", "pfcount a b c d e f g h",
    "mget a b c d e f g h", "del a b c d e f g h", "mset a b c d e f g h", "keys *", "randomkey", "dbsize", "scan 12345", "zunion 8 a b c d e f g h bogus",
    "wait 1 0", "waitaof 1 1 0", "script exists a b", "script kill", "script load x",
};

/* The replies at the front of the input, each in memory of its own. */
static uint32_t take_parts(struct slice in, struct part *parts) {
    uint32_t n = 0;
    while (n < MAX && in.n > 0) {
        struct parser ps = {0};
        struct rsp r = {0};
        if (proto_resp.parse_rsp(&ps, NULL, in, &r) != PARSE_DONE) {
            break;
        }
        uint8_t *copy = mem_alloc(r.len);
        memcpy(copy, in.p, r.len);
        parts[n++] = (struct part){.reply = slice(copy, r.len)};
        in = slice(in.p + r.len, in.n - r.len);
    }
    return n;
}

static void merge(const struct msg *m, const struct part *parts, uint32_t nparts, uint8_t layout) {
    struct bufpool pool;
    struct rope request = {0}, reply = {0};
    struct stage stage;
    struct buf *b;
    uint16_t owner[MAX];
    bufpool_init(&pool);
    stage_init(&stage, &pool);
    struct out to_request = {&request, &stage}, to_reply = {&reply, &stage};
    proto_resp.build(m, NULL, NULL, 0, &to_request);
    for (uint32_t i = 0; i < m->nkeys; i++) {
        owner[i] = (uint16_t)(i < nparts ? i : (i * layout) % nparts);
    }
    struct fan_in in = {
        .cmd = m->cmd, .parts = parts, .nparts = m->cmd->merge == MERGE_CURSOR ? 1 : nparts, .owner = owner, .nkeys = m->nkeys, .dice = layout, .lenient = m->cmd->flags & CMD_LENIENT};
    in.request = rope_flat(&request, &pool, &b);
    proto_resp.merge(&in, &to_reply);
    struct slice out = rope_flat(&reply, &pool, &b);
    struct parser ps = {0};
    struct rsp r = {0};
    ASSERT(proto_resp.parse_rsp(&ps, NULL, out, &r) == PARSE_DONE && r.len == out.n);
    rope_fini(&request);
    rope_fini(&reply);
    stage_release(&stage);
    bufpool_fini(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct part parts[MAX];
    if (size < 3) {
        return 0;
    }
    uint32_t nparts = take_parts(slice(data + 2, size - 2), parts);
    struct msg m;
    char line[128];
    msg_init(&m);
    size_t n = (size_t)snprintf(line, sizeof line, "%s\r\n", requests[data[0] % ARRAY_LEN(requests)]);
    struct parser ps = {0};
    enum parse_rc rc = proto_resp.parse_req(&ps, slice(line, n), &m);
    ASSERT(rc == PARSE_DONE && m.route != ROUTE_REPLY);
    if (nparts > 0 && (m.nkeys == 0 || nparts <= m.nkeys)) {
        merge(&m, parts, nparts, data[1]);
    }
    for (uint32_t i = 0; i < nparts; i++) {
        uint8_t *copy = (uint8_t *)(uintptr_t)parts[i].reply.p;
        mem_free(copy);
    }
    msg_fini(&m);
    return 0;
}
