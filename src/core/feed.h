/* feed.h: a connection to a server over which messages of channels come. It carries nothing else.
 *
 * What it is asked for (a channel, or no more) is answered in that order, with messages in between; an answer that does
 * not fit closes it. When it is lost, it is opened again for as long as anybody listens, with the back-off of its server, and
 * asked for all channels anew: messages that are published meanwhile are lost, as when a client's own connection is. One worker. */
#ifndef KVMUX_CORE_FEED_H
#define KVMUX_CORE_FEED_H

#include "base/list.h"
#include "base/reason.h"
#include "base/slice.h"

struct buf;
struct channel;
struct channels;
struct server;
struct subscriber;
struct timer;
struct uplink;

struct feed {
    struct channels *set;
    struct server *server;
    struct uplink *uplink; /* NULL: not open */
    struct queue asks;     /* waiting for their answers */
    bool refused;          /* a channel that clients listen to: it is asked for again */
};

struct feed *feed_new(struct channels *, struct server *);
void feed_free(struct feed **); /* closes it */
/* Opens it, if it is not, and asks for all channels of the set. NONE, or why it cannot be. */
enum reason feed_open(struct feed *);
void feed_close(struct feed *); /* nobody needs it */
void feed_upkeep(struct feed *); /* closes it when it owes an answer for too long; it is opened again */
void feed_resolved(struct feed *); /* the addresses of its server arrived, or there are none */
/* Asks for the channel, or for no more of it. `waits` is told when the answer is there; NULL: nobody. The feed must be open, or
 * nothing happens. */
void feed_ask(struct feed *, struct channel *, bool on, struct subscriber *waits);
/* The subscriber does not wait any more. */
void feed_forget(struct feed *, const struct subscriber *);
/* Whether it owes the subscriber an answer. */
bool feed_owes(const struct feed *, const struct subscriber *);

/* For the uplink: bytes came (returns how many were taken); it is closing. */
size_t feed_on_recv(struct uplink *, struct buf *, struct slice in);
void feed_lost(struct uplink *, enum reason why);
/* The retry timer of a set. */
void feeds_on_retry(struct timer *);

#endif
