/* resp_gather.h: commands that are computed from the answers of several servers, for resp_gather*.c. */
#ifndef KVMUX_PROTO_RESP_GATHER_H
#define KVMUX_PROTO_RESP_GATHER_H

#include "proto/resp.h"

enum gather_op {
    GATHER_UNION,
    GATHER_INTER,
    GATHER_DIFF,   /* of the part that has the first key, all others taken away */
    GATHER_SKETCH, /* HyperLogLogs */
};

enum gather_sum { GATHER_SUM, GATHER_MIN, GATHER_MAX };

/* What a server is asked so that its answer is a part of the whole. */
struct gather_rule {
    uint16_t id;
    uint8_t op;
    bool scored;   /* a sorted set: the answer is in the order of scores */
    bool counted;  /* the answer is how many there are */
    bool numbered; /* `ask` and `rest` want the number of keys first */
    bool early;    /* Redis judges its options before it looks at the keys */
    const char *ask;  /* the command for a server */
    const char *rest; /* GATHER_DIFF: for servers that do not have the first key */
};

/* A request's options. */
struct gather {
    const struct gather_rule *rule;
    uint32_t weights; /* argument that has the first one; 0: none */
    enum gather_sum sum;
    bool with_scores;
    uint64_t limit;    /* 0: none */
    const char *wrong; /* Redis' error for them; NULL: they are right */
};

const struct gather_rule *resp_gather_rule(const struct cmd *);
void resp_gather_read(const struct msg *, struct gather *);
/* The number that a server reads here; false: it is none (nan is none, too). */
bool resp_gather_double(struct slice, double *out);

#endif
