/* mcb.h: what the mcb_*.c files share: memcached's binary protocol, for clients. Not for other folders.
 *
 * Servers are spoken to in text: a request becomes a meta command (mg, ms, md, ma), and mcb_merge makes the client's
 * answer of the server's line. A row of mcb_cmds has in cmd.id the command of mc_cmds that servers get, since their replies
 * are judged by mc_parse_rsp; which row it is, is its place in the table (mcb_rule). Answers are memcached 1.6.18's, byte for byte
 * (tests/real/test_binary.py).
 *
 *   0 magic  1 opcode  2 length of key  4 length of extras  5 data type  6 status  8 length of body  12 opaque  16 cas
 *   24 extras, key, value: the body. All numbers big end first.
 *
 * msg->args: header, extras, key, value; msg->tag: the opaque as it came. */
#ifndef KVMUX_PROTO_MCB_H
#define KVMUX_PROTO_MCB_H

#include "proto/mc.h"

#define MCB_HEAD 24
#define MCB_ASKS 0x80 /* magic of a request */
#define MCB_TELLS 0x81

enum { MCB_ARG_HEAD, MCB_ARG_EXTRAS, MCB_ARG_KEY, MCB_ARG_VALUE, MCB_ARGS };

enum mcb_status {
    MCB_FINE = 0x00,
    MCB_MISS = 0x01,
    MCB_EXISTS = 0x02,
    MCB_TOO_LARGE = 0x03,
    MCB_INVALID = 0x04,
    MCB_NOT_STORED = 0x05,
    MCB_NO_NUMBER = 0x06,
    MCB_UNKNOWN = 0x81,
    MCB_NO_MEMORY = 0x82,
    MCB_REFUSED = 0x83, /* "not supported" */
    MCB_BROKEN = 0x84,  /* "internal error" */
    MCB_BUSY = 0x85,
};

enum mcb_does {
    MCB_READ,      /* key */
    MCB_TOUCH,     /* exptime; key */
    MCB_STORE,     /* flags, exptime; key; value */
    MCB_CONCAT,    /* key; value */
    MCB_DELETE,    /* key */
    MCB_DELTA,     /* delta, initial, exptime; key */
    MCB_FLUSH,     /* [exptime] */
    MCB_VERSION,   /* nothing */
    MCB_BARE,      /* nothing */
    MCB_STAT,      /* [key] */
    MCB_VERBOSITY, /* level */
    MCB_OTHER,     /* whatever */
};

enum mcb_says { MCB_SAYS_ALL, MCB_SAYS_HITS, MCB_SAYS_ERRORS };

enum mcb_id {
#define MCB(id, op, name, like_, to, does, mode, route, merge, says, flags) MCB_ID_##id,
#define MCB_NOT(id, op, name, why) MCB_ID_##id,
#include "proto/mcb_cmds.def"
#undef MCB
#undef MCB_NOT
    MCB_ID_UNKNOWN,
    MCB_IDS
};

/* What a row says beyond struct cmd. */
struct mcb_rule {
    uint8_t opcode;
    uint8_t like;       /* enum mc_id */
    uint8_t does, says; /* enum mcb_does, enum mcb_says */
    char mode;
};
extern const struct cmd mcb_cmds[MCB_IDS];
extern const struct mcb_rule mcb_rules[MCB_IDS];

static inline const struct mcb_rule *mcb_rule(const struct cmd *row) {
    ASSERT(row >= mcb_cmds && row < mcb_cmds + MCB_IDS);
    return &mcb_rules[row - mcb_cmds];
}

/* The row of an opcode; the last one, MCB_ID_UNKNOWN, when there is none. */
const struct cmd *mcb_find(uint8_t opcode);

extern const struct proto proto_mcb;

struct mcb_head {
    uint8_t magic, opcode, nextras;
    uint16_t nkey, status;
    uint32_t nbody, opaque;
    uint64_t cas;
};

struct mcb_head mcb_head_read(const uint8_t *p);            /* MCB_HEAD bytes */
void mcb_head_write(uint8_t *to, const struct mcb_head *); /* as many */

static inline uint64_t mcb_number(const uint8_t *p, size_t n) {
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        v = v << 8 | p[i];
    }
    return v;
}
static inline void mcb_number_write(uint8_t *to, size_t n, uint64_t v) {
    while (n-- > 0) {
        to[n] = (uint8_t)v;
        v >>= 8;
    }
}

/* memcached's own words for a status. */
const char *mcb_words(enum mcb_status);

/* Must the key travel in base64? Text cannot carry blanks and what ends lines. */
bool mcb_key_odd(struct slice key);

/* An answer without extras: to a request with this opcode and tag. */
void mcb_put(struct out *, uint8_t opcode, uint32_t tag, enum mcb_status, struct slice key, struct slice value);

enum parse_rc mcb_parse_req(struct parser *, struct slice in, struct msg *);
void mcb_build(const struct msg *, struct buf *, const uint32_t *keys, uint32_t nkeys, struct out *);
void mcb_merge(const struct fan_in *, struct out *);
bool mcb_local(const struct msg *, struct session *, const struct facts *, struct out *);
void mcb_error(enum reason, const struct cmd *, uint32_t tag, struct out *);

#endif
