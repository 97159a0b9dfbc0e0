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

#include "core/mail.h"
#include "core/uplink.h"

struct pool;
struct worker;

#define SLOW_HEAD 512 /* bytes of a request that are kept */
#define SLOW_TEXT 64  /* longer names are cut */
#define SLOW_OFF UINT32_MAX /* pool.slow_usec */

/* `m` asks about the log (CMD_SLOWLOG). Returns how many entries were removed. */
uint64_t slowlog_tell(struct pool *, const struct msg *, struct out *);
/* One entry for the operator (GET /slowlog). */
struct slow_entry {
    uint32_t pool; /* id */
    struct slow slow; /* its texts are the ones below */
    char addr[ADDR_TEXT_MAX], name[SLOW_TEXT], server[SLOW_TEXT];
    uint32_t nhead;
    uint8_t head[SLOW_HEAD];
};
struct mail_slow {
    struct mail mail;
    uint32_t next;  /* control: the worker to be asked next */
    uint64_t token; /* control's own */
    uint32_t max, n; /* entries of each worker and pool, the newest ones; all that there are */
    struct slow_entry v[];
};
/* Adds this worker's entries and sends it back. */
void slowlog_on_mail(struct worker *, struct mail_slow *); /* takes it */

/* Its configuration changed: drops what is too much. */
void slowlog_derive(struct pool *);
void slowlog_free(struct pool *);

/* req->slow: the client has taken it; or is gone, and nobody ever will. */
void slowlog_written(struct req *, uint32_t now);
void slowlog_left(struct req *);

/* A request that is about to be dispatched came in pieces, for so long: remembered until many others did, should it be slow. */
void slowlog_received(const struct req *, uint32_t usec);
/* The reply to this request, which nobody has taken off its uplink yet, is here, or it was waited for in vain; and it may have taken too
 * long. `now` as in times.h. */
void slowlog_note(struct uplink *, struct req *, uint32_t now);
/* The beginning of this request, which is not answered yet, if it was kept; else empty. Valid until the next one is kept. */
struct slice slowlog_head(const struct server *, const struct req *);
/* Keeps the beginnings of requests to this server for so long from now on, whether it is slow or not: usec. */
void slowlog_want(struct server *, int64_t usec);
/* server->keeps_heads: this one is being written, and its bytes are to go. */
void slowlog_keep(struct server *, struct req *);

#endif
