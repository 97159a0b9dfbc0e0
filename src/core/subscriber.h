/* subscriber.h: a client's side of channels: what it listens to, the request that waits for servers, and messages on
 * their way to it.
 *
 * SUBSCRIBE is answered when every server of the pool that can be reached has agreed, so what is published after the answer
 * arrives. The client is not read meanwhile. One worker. */
#ifndef KVMUX_CORE_SUBSCRIBER_H
#define KVMUX_CORE_SUBSCRIBER_H

#include "base/buf.h"
#include "base/list.h"
#include "base/reason.h"
#include "base/slice.h"
#include "io/io.h"
#include "proto/proto.h"

struct channels;
struct client;
struct msg;
struct req;
struct subscription;

struct subscriber {
    struct client *client;
    struct list subscriptions; /* subscription.of_client, in the order in which they came */
    uint32_t n[CHANNEL_KINDS];
    /* the request that waits (NULL: none) */
    struct req *join;
    struct channels *set;
    uint32_t join_new;    /* subscriptions that came with it: the last ones */
    uint32_t join_left;   /* answers still to come */
    bool join_agreed;     /* some server sends the messages */
    enum reason join_why; /* a server that does not: why */
    struct rope join_refusal; /* what a server said who refused */
    struct timer join_timer;
    /* messages in the FIFO: first those that overtook what the client still waits for */
    uint32_t nqueued, nahead;
    struct req *last_ahead;
};

/* A request of ROUTE_JOIN or ROUTE_PART. */
void subscriber_join(struct client *, struct req *, const struct msg *);
void subscriber_part(struct client *, struct req *, const struct msg *);
/* A server has answered (feed.h): it could not be asked (`failed`), or refused with these words (refusal.n > 0), or agreed. */
void subscriber_answered(struct subscriber *, enum reason failed, struct slice refusal);
/* A message for the client: refers to the bytes of `form`. May close the client, and the subscription with it. */
void subscriber_tell(const struct subscription *, struct rope *form);
/* A request with REQ_PUSH was written. */
void subscriber_told(struct client *);
bool subscriber_listens(const struct client *, enum channel_kind, struct slice name);
/* The client listens to nothing any more; fine when it never did. */
void subscriber_leave(struct client *);
void subscriber_free(struct client *); /* it closes */

#endif
