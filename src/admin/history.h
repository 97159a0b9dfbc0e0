/* history.h: the last five minutes, for the page: what it draws when it is opened. A sample every two seconds of what control
 * can add up; begins anew with another configuration. Control thread. */
#ifndef KVMUX_ADMIN_HISTORY_H
#define KVMUX_ADMIN_HISTORY_H

#include "base/str.h"

struct control;
struct history;

struct history *history_new(struct control *);
void history_free(struct history **);
/* How long requests took in the last period, from being queued until the client has the reply; of a server: until its reply is here. usec;
 * all 0: there were none, or it is not kept (of servers, where there are very many). Control thread. */
struct lately {
    uint32_t p50, p99, p999;
};
struct lately history_pool(const struct history *, uint32_t pool);
/* The same of one of its histograms alone: POOL_TIME_read, ... (stats/times.h). */
struct lately history_part(const struct history *, uint32_t pool, uint32_t which);
struct lately history_server(const struct history *, uint32_t pool, uint32_t server);
void history_json(const struct history *, struct str *);

#endif
