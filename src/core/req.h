/* req.h: one request, or one part of a request that was split.
 *
 * A request is linked to its client (the FIFO of answers) and to its uplink (the send queue, then the wait queue). The
 * second unlink frees it: a client that leaves unlinks, and the late reply is read and dropped. Client and uplink never
 * point to each other; they meet here. A part (`fan` set, REQ_PART) has no client of its own: its reply goes to the fan.
 *
 * `bytes` are the request's until it is written, then the reply's. All of one worker. Two cache lines. */
#ifndef KVMUX_CORE_REQ_H
#define KVMUX_CORE_REQ_H

#include "base/buf.h"
#include "base/list.h"
#include "base/reason.h"

struct client;
struct cmd;
struct fan;
struct pool;
struct uplink;

enum req_state {
    REQ_NEW,
    REQ_QUEUED, /* in the send queue of its uplink; `bytes`: the request */
    REQ_SENT,   /* written whole; in the wait queue of its uplink */
    REQ_STREAMING, /* its reply arrives, and goes on piece by piece; `bytes`: what the client has not got yet of what is here */
    REQ_DONE,   /* left its uplink; `bytes`: the reply; waits for its turn in the client's FIFO */
};

enum {
    REQ_PART = 1u << 0,    /* a part of a fan */
    REQ_SILENT = 1u << 1,  /* the client wants no answer */
    REQ_RETRIED = 1u << 2, /* sent again once already */
    REQ_EXPIRED = 1u << 3, /* got its error already; still in the wait queue for its late reply */
    REQ_GHOST = 1u << 4,   /* the unsent rest of a request that is answered already: bytes only, no reply follows */
    REQ_QUIET = 1u << 5,   /* the client wants no answer that says what it expects: errors are shown */
    REQ_ERROR = 1u << 6,   /* REQ_PART, REQ_TRACED: one of its replies was an error */
    REQ_LEASE = 1u << 7,   /* on a leased uplink; its client is not read until it ends (lease.h) */
    REQ_PUSH = 1u << 8,    /* a message of a channel, or an answer that counts as one (subscriber.h) */
    REQ_SCRIPT = 1u << 9,  /* counts on a script that was given to the server over the same uplink (heal.h) */
    REQ_NO_SCRIPT = 1u << 10, /* ... and the server did not have it */
    REQ_UNSURE = 1u << 11, /* a reply that was passed over was an error */
    REQ_EARLY = 1u << 12,  /* REQ_PUSH: a message of a channel whose SUBSCRIBE is not answered yet */
    REQ_WAITS = 1u << 13,  /* may wait at a server: blocking_failure says what its client gets when that is lost */
    REQ_BEGUN = 1u << 14,  /* the client has a part of the reply, which is in `bytes` no more */
    REQ_TRACED = 1u << 15, /* the access log wants a line of it (trace.h) */
};

struct req {
    struct queue_link client_link;
    struct queue_link uplink_link;
    struct pool *pool;
    struct client *client; /* NULL: nobody waits for it */
    struct uplink *uplink; /* NULL: in no queue */
    struct fan *fan;       /* of a part: the whole; of the whole: its parts; else NULL */
    const struct cmd *cmd;
    uint64_t profile; /* of its client when it was sent (proto.h) */
    int64_t deadline; /* usec; INT64_MAX: none */
    struct rope bytes;
    uint32_t size; /* of the request, in bytes */
    uint32_t skip; /* replies that come before the one that counts (txn.h) */
    union {
        uint32_t tag;  /* msg.tag */
        uint16_t part; /* REQ_PART: which one */
    };
    uint32_t born, since; /* times.h */
    uint16_t flags;
    uint8_t state;
    bool slow; /* an entry of the log of slow requests waits for its end (slowlog.h) */
};

struct req *req_new(struct pool *, const struct cmd *, struct client *); /* its client may be NULL */
void req_start_clock(struct req *); /* its time runs from now: the deadline of its pool, if there is one */
/* The same for one that may wait at the server for `usec`: that long, and then the deadline of its pool. */
void req_start_wait(struct req *, int64_t usec);
/* Tells how it ended, to the client or the fan; the request must be in no uplink queue, or be marked to stay there. */
void req_done(struct req *);                   /* `bytes` hold the reply */
void req_gather(struct req *);                 /* STREAMING no more: `bytes` are counted with what is added to them, when it is done */
void req_fail(struct req *, enum reason);      /* the reply is an error made here; its client goes if it has a part of another one */
void req_written(struct req *, size_t n);      /* STREAMING: the client took the first n bytes */
void req_unlink_client(struct req *);          /* the client left; frees the request if no uplink has it */
void req_unlink_uplink(struct req *);          /* left the uplink's queue; frees it if nobody waits for it */
/* Where the bytes of its reply are to be staged; NULL: nobody waits, drop them. */
struct stage *req_stage(struct req *);
void req_expire(struct req *, enum reason); /* a sent request gets its error before its reply came; it stays in the wait queue */
bool req_is_wanted(const struct req *); /* somebody still waits for its reply */

#endif
