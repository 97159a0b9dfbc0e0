/* txn.h: transactions without a connection of their own.
 *
 * Between the opening and the closing command, requests are judged (known, arguments right, all on one server) and kept
 * here, bounded. The closing command sends all of it as one request, in one piece, on a shared uplink: nobody else's
 * request can come between, it is withdrawn or fails as a whole, and only its last reply goes to the client. A server that
 * refuses the opening command would run the rest unprotected, so each profile of a server proves once, with an empty
 * transaction, that it takes them. One worker. */
#ifndef KVMUX_CORE_TXN_H
#define KVMUX_CORE_TXN_H

#include "core/fan.h"

struct client;
struct msg;
struct server;
struct txn;

/* A request of a client that is in a transaction, or one that begins, runs or drops one (ROUTE_TXN_*). */
void txn_take(struct client *, struct req *, struct buf *, const struct msg *);
/* The proof ended. `whole` waits for its turn. */
void txn_proved(struct req *whole, const struct fan_part *proof);
/* The server is not in the pool any more: a transaction that goes there will not run. */
void txn_server_left(struct txn *, const struct server *);
uint32_t txn_count(const struct txn *); /* requests kept */
void txn_free(struct txn **);

#endif
