/* learn.h: what servers say of themselves: who they are, and which commands they have. Pure. */
#ifndef KVMUX_PROTO_LEARN_H
#define KVMUX_PROTO_LEARN_H

#include "proto/book.h"

#define LEARN_ROWS_MAX 2048            /* that one reply may bring */
#define LEARN_REPLY_MAX (8u << 20)     /* bytes of a reply; Redis 7 with its own commands: 70 KiB */
#define LEARN_SHELF_MAX 8192           /* different rows of a pool, as long as the process lives */

struct identity {
    char version[32]; /* by which clients choose features: "7.2.4" */
    char product[64]; /* for people: "valkey 8.0.1" */
    char run_id[48];  /* of the process: another one may have other modules */
};

/* The two questions of a protocol and what is understood of the answers. */
struct lessons {
    void (*who)(struct out *); /* one request with one reply */
    bool (*hear_who)(struct slice reply, struct identity *); /* false: that is no answer to it */
    void (*what)(struct out *);
    /* Appends the rows that the codec's own table lacks. False: that is no answer to it. */
    bool (*hear_what)(struct slice reply, struct shelf *, struct rows *);
};

#endif
