/* lease.h: a connection of its own for a client, as long as it needs one: for a command that waits at the server, and from
 * WATCH to EXEC; for one part of a request that goes to several servers (apart.h), for a large request (upload.h), or for a reply that is
 * probably large, as its last ones were.
 *
 * The second mutual link between a client and an uplink, beside req: each side clears it when it goes. While a command waits,
 * the client is not read, as a server does not read a blocked client. A client that leaves has its leased uplink closed, so
 * that the server gives nothing to somebody who is gone. Leased uplinks are counted per server and kind (`server_leases`,
 * `server_uploads`, `server_downloads`), kept when they are free, and closed when nobody took them for a minute. One worker. */
#ifndef KVMUX_CORE_LEASE_H
#define KVMUX_CORE_LEASE_H

#include "core/req.h"
#include "core/server.h"

struct buf;
struct client;
struct msg;
struct uplink;
struct upload;

struct lease {
    struct client *client; /* NULL: a part or an upload has it */
    struct uplink *uplink; /* NULL: it died; the client has still to be told */
    struct upload *upload; /* a large request that it is for, or that the client sends meanwhile (upload.h); NULL: none */
    bool watching;         /* stays after the reply */
    bool blocked;          /* a command waits at the server, for as long as it says itself */
    bool vague;            /* `noted` does not have all of it */
    size_t nnoted;
    uint8_t *noted; /* the requests whose keys it holds on to, for lease_moved */
};

/* Takes a free leased uplink of the profile, or a new one; a client's becomes its lease. NULL, and why. */
struct lease *lease_new(struct client *, struct server *, uint64_t profile, enum lease_kind, enum reason *why);
/* For the only request of a client whose replies were large lately: a connection that can wait for it alone, while it does not read
 * (uplink_pass.c). Its lease until the request ends. False: it is to share, since it has parts or there is no connection for it. */
bool lease_large(struct req *, struct buf *, const struct msg *);
/* The uplink is free for others, unless it still owes a reply: then nobody gets it. */
void lease_free(struct lease **);
/* Sends a command that may wait to the server of its keys. */
void lease_block(struct req *, struct buf *, const struct msg *);
/* For a command that is asked server by server (rotation.h): a connection to this one; NULL, and why. Given back before the
 * next one is asked. */
struct uplink *lease_take(struct client *, struct server *, enum reason *why);
void lease_yield(struct client *);
/* WATCH: the lease stays. UNWATCH: it ends. */
void lease_watch(struct req *, struct buf *, const struct msg *);
void lease_unwatch(struct req *, struct buf *, const struct msg *);
/* A request with REQ_LEASE ended (its reply or error is there). */
void lease_settle(struct client *);
/* The client has no use for it any more, or left; fine when there is none. */
void lease_drop(struct client *);
/* Closes the uplink; the client learns at EXEC that its watch is lost. */
void lease_break(struct client *);
/* The uplink is closing. */
void lease_lost(struct uplink *);
/* The pool has a new ring: a lease that holds on to keys of another server ends. Who waits gets an error, as nobody will put
 * anything where it waits; who watches learns it at EXEC. */
void lease_moved(struct pool *);
/* What the client watches is on this server; NULL: it watches nothing. */
struct server *lease_server(const struct client *);

#endif
