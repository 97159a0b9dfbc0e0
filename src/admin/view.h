/* view.h: what control knows of pools and servers at this moment, for people and programs. Control thread. */
#ifndef KVMUX_ADMIN_VIEW_H
#define KVMUX_ADMIN_VIEW_H

#include "base/str.h"

struct control;

/* Servers of a pool that get keys. */
uint32_t view_servers_in_use(const struct control *, uint32_t pool);
/* Whether new clients are welcome: not draining, and a pool has a server in use. `why` (may be NULL) gets a line. A server that
 * merely fails does not count against it: only requests would show that it works again, and who is not ready gets none. */
bool view_ready(const struct control *, struct str *why);
/* All pools as JSON (docs/admin.md has the fields). */
void view_pools(const struct control *, struct str *);

#endif
