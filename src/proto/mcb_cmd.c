#include "proto/mcb.h"

/* clang-format off */
const struct cmd mcb_cmds[MCB_IDS] = {
#define MCB(id_, op, name_, like_, to, does, mode, route_, merge_, says, flags_) \
    {.name = name_, .id = MC_ID_##to, .route = ROUTE_##route_, .merge = MERGE_##merge_, .flags = CMD_##flags_},
#define MCB_NOT(id_, op, name_, why_) \
    {.name = name_, .id = MC_ID_UNKNOWN, .route = ROUTE_REPLY, .why = why_},
#include "proto/mcb_cmds.def"
#undef MCB
#undef MCB_NOT
    {.name = "unknown", .id = MC_ID_UNKNOWN, .route = ROUTE_REPLY, .flags = CMD_UNKNOWN},
};

const struct mcb_rule mcb_rules[MCB_IDS] = {
#define MCB(id, op, name, like_, to, does_, mode_, route, merge, says_, flags) \
    {.opcode = op, .like = MC_ID_##like_, .does = MCB_##does_, .says = MCB_SAYS_##says_, .mode = mode_},
#define MCB_NOT(id, op, name, why) {.opcode = op, .does = MCB_OTHER},
#include "proto/mcb_cmds.def"
#undef MCB
#undef MCB_NOT
    {.does = MCB_OTHER},
};
/* clang-format on */

const struct cmd *mcb_find(uint8_t opcode) {
    static const uint8_t rows[256] = { /* one more than the place in the table */
#define MCB(id, op, name, like_, to, does, mode, route, merge, says, flags) [op] = MCB_ID_##id + 1,
#define MCB_NOT(id, op, name, why) [op] = MCB_ID_##id + 1,
#include "proto/mcb_cmds.def"
#undef MCB
#undef MCB_NOT
    };
    uint8_t row = rows[opcode];
    return &mcb_cmds[row > 0 ? row - 1 : MCB_ID_UNKNOWN];
}

struct mcb_head mcb_head_read(const uint8_t *p) {
    return (struct mcb_head){
        .magic = p[0],
        .opcode = p[1],
        .nkey = (uint16_t)mcb_number(p + 2, 2),
        .nextras = p[4],
        .status = (uint16_t)mcb_number(p + 6, 2),
        .nbody = (uint32_t)mcb_number(p + 8, 4),
        .opaque = (uint32_t)mcb_number(p + 12, 4),
        .cas = mcb_number(p + 16, 8),
    };
}

void mcb_head_write(uint8_t *to, const struct mcb_head *h) {
    to[0] = h->magic;
    to[1] = h->opcode;
    mcb_number_write(to + 2, 2, h->nkey);
    to[4] = h->nextras;
    to[5] = 0;
    mcb_number_write(to + 6, 2, h->status);
    mcb_number_write(to + 8, 4, h->nbody);
    mcb_number_write(to + 12, 4, h->opaque);
    mcb_number_write(to + 16, 8, h->cas);
}

const char *mcb_words(enum mcb_status s) {
    switch (s) {
    case MCB_FINE:
        return "";
    case MCB_MISS:
        return "Not found";
    case MCB_EXISTS:
        return "Data exists for key.";
    case MCB_TOO_LARGE:
        return "Too large.";
    case MCB_INVALID:
        return "Invalid arguments";
    case MCB_NOT_STORED:
        return "Not stored.";
    case MCB_NO_NUMBER:
        return "Non-numeric server-side value for incr or decr";
    case MCB_UNKNOWN:
        return "Unknown command";
    case MCB_NO_MEMORY:
        return "Out of memory";
    case MCB_REFUSED:
    case MCB_BROKEN:
    case MCB_BUSY:
        break; /* whoever says so has words of its own */
    }
    return "UNHANDLED ERROR";
}

bool mcb_key_odd(struct slice key) {
    for (size_t i = 0; i < key.n; i++) {
        uint8_t c = key.p[i];
        if (c == ' ' || c == '\n' || c == '\r' || c == 0) {
            return true;
        }
    }
    return false;
}

void mcb_put(struct out *o, uint8_t opcode, uint32_t tag, enum mcb_status status, struct slice key, struct slice value) {
    uint8_t head[MCB_HEAD];
    const struct mcb_head h = {
        .magic = MCB_TELLS,
        .opcode = opcode,
        .nkey = (uint16_t)key.n,
        .status = (uint16_t)status,
        .nbody = (uint32_t)(key.n + value.n),
        .opaque = tag,
    };
    mcb_head_write(head, &h);
    out_put(o, slice(head, sizeof head));
    out_put(o, key);
    out_put(o, value);
}

/* Which status tells a client what it can do about it. */
static enum mcb_status status_of(enum reason why) {
    switch (why) {
    case REASON_FLUSH_DENIED:
        return MCB_REFUSED;
    case REASON_QUEUE_FULL:
    case REASON_MEMORY_LIMIT:
        return MCB_BUSY;
    default:
        return MCB_BROKEN;
    }
}

void mcb_error(enum reason why, const struct cmd *cmd, uint32_t tag, struct out *o) {
    mcb_put(o, cmd != NULL ? mcb_rule(cmd)->opcode : 0, tag, status_of(why), slice(NULL, 0), slice_str(reason_text(why)));
}

/* Servers are spoken to in text. */
const struct proto proto_mcb = {
    .name = "memcached, binary",
    .cmds = mcb_cmds,
    .ncmds = MCB_IDS,
    .parse_req = mcb_parse_req,
    .build = mcb_build,
    .merge = mcb_merge,
    .local = mcb_local,
    .error = mcb_error,
};
