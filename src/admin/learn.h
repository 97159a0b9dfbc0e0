/* learn.h: what servers say of themselves: their version, and the commands that our tables lack (proto/learn.h).
 *
 *   IDLE ──a worker's connection came up (MAIL_UP)──▶ ASKING ──answers──▶ IDLE
 *                         RESTING ◀── too soon after the last time, or no answer ──┘
 *
 * A server is asked when it is first of use and again when a connection to it was lost and the next one came up, at most every
 * ten seconds. It says who it is first; only another process or version is asked for its commands. Nothing is asked of servers
 * that nobody uses, and no request waits for it. Each pool has a shelf, on which rows stay until control ends: it outlives the
 * workers, whose requests point to them. Control thread. */
#ifndef KVMUX_ADMIN_LEARN_H
#define KVMUX_ADMIN_LEARN_H

#include "io/io.h"
#include "proto/learn.h"

struct control;

enum learn_state { LEARN_IDLE, LEARN_RESTING, LEARN_ASKING };

/* One server. */
struct learn {
    struct control *control;
    uint32_t pool, server;
    enum learn_state state;
    bool asked;             /* asked_at is set */
    bool again;             /* it was lost while it was asked */
    bool wants_what;        /* the question that is open: its commands, not who it is */
    uint32_t failures;      /* in a row */
    uint32_t next_addr;
    uint32_t greeting_left;
    int64_t asked_at;
    struct timer timer; /* RESTING: when to ask; ASKING: its time-out */
    struct stream stream;
    struct parser parser;
    uint8_t *unsent; /* of a question, if the socket was full */
    size_t nunsent;
    struct identity heard;    /* this time */
    struct identity identity; /* whose rows these are */
    struct rows rows;
};

/* One pool: what all its servers said, as workers have it. */
struct lore {
    struct shelf shelf;
    struct book *book; /* NULL: nothing was learned */
    char version[sizeof((struct identity *)0)->version]; /* the lowest */
};

void lore_init(struct lore *);
void lore_fini(struct lore *);
void learn_init(struct learn *, struct control *, uint32_t pool, uint32_t server);
void learn_fini(struct learn *);
/* A server of the pool went: so may what only it knew. */
void lore_tell(struct control *, uint32_t pool);
/* A connection to the server is of use again. */
void learn_up(struct learn *);

/* Orders versions by their numbers: below zero when a is the lower. Pure. */
int version_compare(const char *a, const char *b);

#endif
