/* dispatch.h: decides by the command's row where a request goes. */
#ifndef KVMUX_CORE_DISPATCH_H
#define KVMUX_CORE_DISPATCH_H

#include "core/client.h"

struct server;

/* Keyless requests go where nutcracker sends them: to the owner of this literal key (compat part 5.2). */
#define ANY_KEY "placeholder"

/* `m` was parsed from bytes that lie in `b`. Returns true when this is the client's last request: everything so far is
 * answered, then the connection closes. */
bool dispatch(struct client *, struct buf *b, const struct msg *m);
/* The same in two steps, for who has something to note of the request: it is in its client's FIFO; it goes. */
struct req *dispatch_begin(struct client *, const struct msg *m);
bool dispatch_go(struct client *, struct req *, struct buf *b, const struct msg *m);
/* The one server of all keys; the server of nothing in particular when there are none. NULL, and why. */
struct server *dispatch_owner(struct pool *, const struct msg *, enum reason *why);
/* Sends a request, or with `keys` a part of it, to one server. */
void dispatch_to(struct server *, struct req *, struct buf *, const struct msg *, const uint32_t *keys, uint32_t nkeys);

#endif
