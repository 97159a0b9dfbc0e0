/* slowlog.h: the log of requests that took long at a server (slowlog_slower_than): of each worker and pool the latest
 * slowlog_max_len. One worker.
 *
 * What is measured is from being queued to the reply being here. When it is, the request's bytes are long gone. So they are kept only
 * where it is likely that they will be wanted: of a server that had a slow request, the beginnings of all requests are copied for
 * SLOW_KEEP_USEC from then on. The first slow request after a quiet time has its command's name only.
 *
 * At most SLOW_RATE entries a second are made; the others are counted (slow_requests), and no beginnings are copied. */
#ifndef KVMUX_CORE_SLOWLOG_H
#define KVMUX_CORE_SLOWLOG_H

#include "core/uplink.h"

struct pool;

#define SLOW_OFF UINT32_MAX /* pool.slow_usec */

/* `m` asks about the log (CMD_SLOWLOG). Returns how many entries were removed. */
uint64_t slowlog_tell(struct pool *, const struct msg *, struct out *);
/* Its configuration changed: drops what is too much. */
void slowlog_derive(struct pool *);
void slowlog_free(struct pool *);

/* The reply to this request, which nobody has taken off its uplink yet, is here, or it was waited for in vain; and it may have taken too
 * long. `now` as in times.h. */
void slowlog_note(struct uplink *, const struct req *, uint32_t now);
/* The beginning of this request, which is not answered yet, if it was kept; else empty. Valid until the next one is kept. */
struct slice slowlog_head(const struct server *, const struct req *);
/* Keeps the beginnings of requests to this server for so long from now on, whether it is slow or not: usec. */
void slowlog_want(struct server *, int64_t usec);
/* server->keeps_heads: this one is being written, and its bytes are to go. */
void slowlog_keep(struct server *, struct req *);

#endif
