/* channel.h: channels that clients of a worker listen to.
 *
 *   client ── subscriber ──< subscription >── channel ── channels (of a pool and a user) ──< feed ── uplink (one per server)
 *
 * However many clients listen to a channel, each server is asked for it once per worker: over its feed (feed.h), a connection of
 * its own. Messages are copied once and referred to by every client. Servers are all asked, since a message may be published
 * on any of them: by a script, a transaction, or as a keyspace event. One worker. */
#ifndef KVMUX_CORE_CHANNEL_H
#define KVMUX_CORE_CHANNEL_H

#include "base/list.h"
#include "base/strmap.h"
#include "core/feed.h"
#include "io/io.h"
#include "proto/proto.h"

struct client;
struct pool;

struct channel {
    struct strmap_entry entry; /* in its set's map of its kind; the name is part of this allocation */
    struct channels *set;
    enum channel_kind kind;
    struct list listeners; /* subscription.of_channel */
    uint32_t nlisteners;
    struct channel_at {
        uint32_t asked; /* answers still to come */
        bool on;        /* the server sends its messages, and nothing else was asked since */
    } *at;              /* per server of the pool */
};

/* A client listens to a channel: the link between both. */
struct subscription {
    struct client *client;
    struct channel *channel;
    struct list of_client, of_channel;
    bool joining; /* the request that made it is not answered yet */
};

struct channels {
    struct list link; /* of pool->channel_sets */
    struct pool *pool;
    uint64_t profile; /* of its feeds */
    struct strmap maps[CHANNEL_KINDS];
    struct feed **feeds; /* per server of the pool */
    uint32_t nsubscriptions;
    struct timer retry; /* feeds that were lost are opened again */
    struct stage stage; /* messages, once for all clients */
    bool idle;          /* had no channel at the last upkeep */
};

/* The set that clients with this profile listen through; made when it is first asked for. */
struct channels *channels_of(struct pool *, uint64_t profile);
/* Closes everything that no client needs any more. Returns true while there is something that it would close one day. */
bool channels_upkeep(struct pool *);
void channels_fini(struct pool *); /* no client is left */
/* The pool has other servers: `now[i]` is the new place of server i, UINT32_MAX: none. Feeds of those that went close, those of
 * new ones open. Called when pool->servers is the new list. */
void channels_move(struct pool *, const uint32_t *now, uint32_t n);

/* The channel, made when there is none: it has to get a listener now. */
struct channel *channel_get(struct channels *, enum channel_kind, struct slice name);
/* What links the client, which has these subscriptions, to a channel; NULL: it does not listen to it, or there is none. */
struct subscription *channel_subscription(const struct channel *, const struct client *, const struct list *subscriptions);
struct channel *channel_find(struct channels *, enum channel_kind, struct slice name);
/* The client, which does not yet, listens from now on. */
void channel_add(struct channel *, struct client *, struct list *subscriptions);
/* ... and no more. The last listener takes the channel along. */
void channel_drop(struct subscription *);
/* A message of a server to everybody who listens to the channel that it names. */
void channel_publish(struct feed *, const struct push *, struct buf *, struct slice message);
/* Nobody listens and nothing is asked: it goes. */
void channel_settle(struct channel *);

#endif
