/* client.h: one connection from an application. Reads requests, hands them to dispatch, writes replies in order.
 *
 *   OPEN ──FIN──▶ EOF ─────────┐
 *     │                        ├─ all answered ─▶ CLOSED
 *     └─QUIT, broken frame──▶ CLOSING ─ all written ─▶ LINGER ─ FIN or 1 s ─▶ CLOSED
 *     any of them ─ nothing that it could be sent would make sense ─▶ BROKEN ─ end of the turn ─▶ CLOSED
 *
 * How much it may ask for at a time: `window` requests. What their replies will hold is not known when they are sent on, so the
 * window is what the last ones say: as many as will probably fill client_buffer. It begins small, grows with each small reply
 * while the client has more to ask, and halves when replies turn out to be larger (client_learn).
 *
 * LINGER: our FIN is sent and what still arrives is thrown away, since closing with unread input would make the kernel
 * reset the connection and destroy replies that are on their way. */
#ifndef KVMUX_CORE_CLIENT_H
#define KVMUX_CORE_CLIENT_H

#include "core/req.h"
#include "io/io.h"
#include "proto/proto.h"

enum client_state { CLIENT_OPEN, CLIENT_EOF, CLIENT_CLOSING, CLIENT_LINGER, CLIENT_BROKEN, CLIENT_CLOSED };

struct client {
    struct stream stream;
    struct pool *pool;
    const struct proto *front; /* what it speaks; NULL: it has not said a byte */
    struct list link;       /* of the pool's clients; after close: of the worker's dead */
    struct queue_link flush_link; /* of the clients to be written at the end of this turn, when `woken` */
    struct queue fifo;      /* requests in the order in which they came = order of the answers */
    struct timer timer;     /* not one byte taken for client_write_timeout; the end of LINGER */
    struct stage stage;     /* small replies are copied here */
    struct parser parser;
    struct session session;
    struct txn *txn; /* NULL: not in a transaction (txn.h) */
    struct lease *lease; /* NULL: it has no uplink of its own (lease.h) */
    struct upload *upload; /* a large request that is on its way (upload.h); NULL: none */
    struct subscriber *sub; /* NULL: it never listened to a channel (subscriber.h) */
    size_t bytes;    /* of requests in flight and replies waiting */
    size_t owed;     /* of these: finished replies */
    size_t sent_off; /* bytes of the first reply that are written */
    const struct cmd *last; /* of its requests, as of the last time it was read; NULL: none */
    uint32_t since, read_at; /* client_clock: accepted, and last read */
    uint32_t half_since; /* times_now, when the first bytes came of a request that is not here whole; 0: none did */
    uint32_t stalled_at; /* times_now, when it last stopped to read; while blocked or roomy (times.h) */
    uint32_t nreqs;  /* in fifo */
    uint32_t window; /* so many may be: 1 .. client_max_requests */
    uint32_t wrote;  /* the servers that it wrote through: client_server_bit (apart.h) */
    uint8_t state;   /* enum client_state */
    bool woken : 1;
    bool blocked : 1; /* the socket is full: on_room follows */
    bool roomy : 1;   /* it was, until this turn */
    bool eof : 1;     /* the peer's FIN was seen */
    bool accepted : 1; /* counted so: its end is counted, too */
    bool refused : 1; /* turned away: one too many, or a stranger */
    bool waiting : 1; /* is not read until a request of it ends: greet.h, txn.h, lease.h, upload.h, subscriber.h, survey.h */
    bool unread : 1;  /* bytes came meanwhile */
    bool parked : 1;  /* a request of it waits on connections apart, perhaps for ever (apart.h) */
    bool halfway : 1; /* in the middle of a request when that was last noted (patience.h) */
    uint8_t large : 5; /* so many of its next requests ask for a connection of their own (lease_large) */
    uint8_t why;     /* enum reason. CLOSING, LINGER and BROKEN: for the statistics and the log */
};
/* With the header of malloc: an idle client costs no more than 320 bytes (docs/performance.md). */
_Static_assert(sizeof(struct client) <= 312, "a client has grown");

/* A clock for ages of minutes and years, in four bytes and without a division where clients are read. */
static inline uint32_t client_clock(int64_t usec) {
    return (uint32_t)(usec >> 20);
}
static inline int64_t client_seconds(uint32_t clock) {
    return ((int64_t)clock << 20) / 1000000;
}
struct conf_pool;
void client_accept(struct pool *, struct listener *, int fd);
/* One of another process (handover.h), whatever client_connections says: it was let in. Takes the texts of the session. */
struct client *client_adopt(struct pool *, int fd, const struct session *, struct slice unread);
/* In a pool of more servers a bit stands for several: then more are asked than need be. */
static inline uint32_t client_server_bit(uint32_t server) {
    return UINT32_C(1) << server % 32;
}
static inline void client_wrote(struct client *c, uint32_t server) {
    c->wrote |= client_server_bit(server);
}
/* It was this worker's nth client: spreads clients evenly where there is a choice. */
uint32_t client_nth(const struct client *);

/* Its socket is full. */
void client_block(struct client *);
/* Something at the head of the FIFO may be ready: write it at the end of this turn. */
void client_wake(struct client *);
void client_flush(struct client *);
/* It gets what it has asked for, and is closed; at once when a command of it waits at a server, perhaps for ever. */
void client_drain(struct client *, enum reason);
/* window.c: of one that has asked for nothing yet. */
uint32_t client_first_window(const struct conf_pool *);
/* `n` replies had `bytes` together; n == 0: so much of one that is longer. */
void client_learn(struct client *, size_t bytes, uint32_t n);
/* A reply is so large that nobody's request should stand behind the next one. */
void client_large(struct client *);
/* Answers what it has asked for and closes. */
void client_finish(struct client *, enum reason);
void client_close(struct client *, enum reason);
/* The same at the end of this turn: safe wherever its requests are being looked at. Nothing more is written. */
void client_break(struct client *, enum reason);

#endif
