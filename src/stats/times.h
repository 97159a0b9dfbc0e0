/* times.h: where the time of requests goes: histograms (base/hist.h), one set per worker and pool or server, one writer, the worker.
 * Rows are in pool_times.def and server_times.def. Requests that no server was asked for are not in them, nor those that wait at
 * the server because they were asked to (BLPOP).
 *
 * Of `receive`, `queue`, `order` and `client` the worker counts only what took any time at all: nearly every request is whole when it
 * comes, and written in that turn, and its reply as well. Who reads adds the others, whose number follows from the rest (times_fill). */
#ifndef KVMUX_STATS_TIMES_H
#define KVMUX_STATS_TIMES_H

#include "base/hist.h"

enum server_time {
#define TIME(name, help) SERVER_TIME_##name,
#include "stats/server_times.def"
    SERVER_TIMES
};
enum pool_time {
#undef TIME
#define TIME(name, help) POOL_TIME_##name,
#include "stats/pool_times.def"
#undef TIME
    POOL_TIMES
};

struct time_row {
    const char *name;
    const char *help;
};
extern const struct time_row server_time_rows[SERVER_TIMES];
extern const struct time_row pool_time_rows[POOL_TIMES];

/* How each table is called for Prometheus. */
enum times_family { TIMES_OF_SERVERS, TIMES_OF_POOLS, TIMES_FAMILIES };
struct times_family_row {
    const char *prom_name, *help, *labels;
    const struct time_row *rows; /* values of the label `stage` */
    uint32_t n;
};
extern const struct times_family_row times_families[TIMES_FAMILIES];

struct server_times {
    struct hist v[SERVER_TIMES];
};
struct pool_times {
    struct hist v[POOL_TIMES];
};

/* Adds to `some` those of `all` requests that took no time. */
void times_fill(struct hist *some, uint64_t all);

#endif
