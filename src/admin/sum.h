/* sum.h: the counters of all workers and of control, added up at this moment. Control thread. */
#ifndef KVMUX_ADMIN_SUM_H
#define KVMUX_ADMIN_SUM_H

#include "stats/metric.h"

struct control;
struct pool_times;
struct server_times;

void sum_pool(const struct control *, uint32_t pool, struct pool_block *);
void sum_server(const struct control *, uint32_t pool, uint32_t server, struct server_block *);
void sum_worker(const struct control *, uint32_t worker, struct worker_block *); /* of one alone */
/* Where the time of requests went, since the start (stats/times.h). */
void sum_pool_times(const struct control *, uint32_t pool, struct pool_times *);
void sum_server_times(const struct control *, uint32_t pool, uint32_t server, struct server_times *);
void sum_workers(const struct control *, struct worker_block *);

#endif
