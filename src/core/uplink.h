/* uplink.h: one connection to a server. Requests of many clients go out in batches; replies come back in the same order.
 *
 *   RESOLVING ─▶ CONNECTING ─▶ GREETING ─▶ READY ──a request is late──▶ SUSPECT ─▶ CLOSED
 *
 * GREETING: AUTH and SELECT are sent and nothing else until the server agreed. SUSPECT: takes no new requests; late
 * replies are read and dropped; closed when it is empty, or silent for one more time-out.
 *
 * send queue: not written yet (the first may be in part), can be withdrawn or moved to another uplink
 * wait queue: written; order of replies = order of deadlines, so one timer serves all */
#ifndef KVMUX_CORE_UPLINK_H
#define KVMUX_CORE_UPLINK_H

#include "core/req.h"
#include "io/io.h"
#include "proto/proto.h"

struct profile;
struct server;
struct worker;

enum uplink_state {
    UPLINK_RESOLVING,
    UPLINK_CONNECTING,
    UPLINK_GREETING,
    UPLINK_READY,
    UPLINK_SUSPECT,
    UPLINK_CLOSED
};

struct uplink {
    struct stream stream;
    struct worker *worker; /* server->pool->worker */
    struct server *server;
    struct profile *profile;
    struct lease *lease;    /* who has it (lease.h); NULL: nobody, or it is shared */
    struct feed *feed;      /* it only listens (feed.h); NULL: it takes requests */
    struct list link;       /* of the server's suspects or leases; after close: of the worker's dead */
    struct list flush_link; /* of the uplinks to be written at the end of this turn */
    struct queue send, wait;
    struct timer timer; /* connect time-out, or the first deadline of both queues, or the end of a suspect */
    struct stage stage; /* small requests are copied here */
    struct parser parser;
    /* of the reply that goes on while it arrives (uplink_pass.c): bytes so far, and bytes to come that are passed on unseen */
    uint64_t passed, pass_left;
    int64_t patient_until; /* ... and usec: until then it may wait for the client though others wait on it */
    size_t whole;          /* bytes of a large reply that is received whole, or 0: nothing is asked for (uplink_whole.c) */
    uint32_t *loaded;      /* scripts that the server got over it: by their slot, the serial of the script (scripts.h) */
    uint32_t nloaded;
    size_t sent_off;       /* bytes of the first request in `send` that are written */
    int64_t opened_at;     /* usec */
    /* progress, looked at when the timer runs: bytes in and out at that time, and when they were last seen to move */
    uint64_t heard, told, told_seen;
    int64_t heard_at, told_at;
    int64_t free_at; /* leased: since when nobody has it; shared: since when it carried nothing, as server_upkeep saw it */
    uint64_t free_told; /* bytes sent by then */
    uint32_t nsend, nwait; /* lengths of the queues */
    uint32_t greeting_left; /* replies to the greeting still to come */
    uint32_t slot;         /* of profile->slots, when not SUSPECT */
    uint16_t tries;        /* addresses tried */
    uint8_t state;         /* enum uplink_state */
    uint8_t retired;       /* enum retire: another configuration replaces it (server.h) */
    bool blocked;          /* the socket is full: on_room follows */
    bool passing;          /* the first request of `wait` gets its reply piece by piece */
    bool aside;            /* out of its slot, since it carries a large reply: takes no new requests, but those of clients
                            * that have others on it */
    uint8_t leased;        /* enum lease_kind. For one client at a time; in no slot */
    bool proved;           /* leased: it took a transaction (rotation.h) */
};

/* Starts connecting. NULL: could not, and `*why` says why. It is in no slot yet. */
struct uplink *uplink_open(struct profile *, uint32_t slot, enum reason *why);
void uplink_resolved(struct uplink *); /* the server's addresses arrived, or there are none (naddrs == 0) */
/* Takes a request whose bytes are complete. */
void uplink_queue(struct uplink *, struct req *);
void uplink_flush(struct uplink *);
/* The client took some of the reply that its STREAMING request gets over this uplink. */
void uplink_taken(struct uplink *, struct req *);
void uplink_go_on(struct uplink *); /* nobody is waited for any more; fine when nobody was */
/* The connection is of no use any more: sent requests fail with `why`, unsent ones go to another uplink once. */
void uplink_close(struct uplink *, enum reason why);

#endif
