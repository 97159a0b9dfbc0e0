/* walk.h: servers as the cursors of clients name them (ROUTE_CURSOR).
 *
 * A walk over all servers visits them in the order of the pool. What the client holds between two pages is the server's own
 * cursor and the server's id: a number made of its name, so that it means the same server after a restart, in every
 * process with this configuration, and after other servers came or went. Names whose ids collide are moved apart in the
 * order of the pool. One worker. */
#ifndef KVMUX_CORE_WALK_H
#define KVMUX_CORE_WALK_H

#include "base/base.h"

struct pool;

#define WALK_NONE UINT32_MAX

/* The server with this id, or WALK_NONE. Id 0 is the first server's: where a walk begins. */
uint32_t walk_server(struct pool *, uint32_t id);
/* The id of a server, 1 or more; 0 for an index behind the last. */
uint32_t walk_id(struct pool *, uint32_t server);

#endif
