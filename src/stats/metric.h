/* metric.h: counters and gauges, one block per worker and thing counted (pool, server, the worker itself).
 *
 * One writer, the worker; readers on other threads add blocks up with metric_get. No lock, no locked instruction:
 * relaxed loads and stores of aligned 64-bit words. Rows are in pool.def, server.def, worker.def:
 *   METRIC(name, COUNTER | GAUGE, unit, "help")
 * What control alone knows has rows of the same form in control.def, pool_state.def and server_state.def.
 * The first rows of pool.def and server.def are nutcracker's, with its names, order and texts (compat part 7). */
#ifndef KVMUX_STATS_METRIC_H
#define KVMUX_STATS_METRIC_H

#include "base/base.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

struct metric_row {
    const char *name;
    enum metric_kind kind;
    const char *unit;
    const char *help;
};

enum pool_metric {
#define METRIC(name, kind, unit, help) POOL_##name,
#include "stats/pool.def"
#undef METRIC
    POOL_METRICS
};
enum server_metric {
#define METRIC(name, kind, unit, help) SERVER_##name,
#include "stats/server.def"
#undef METRIC
    SERVER_METRICS
};
enum worker_metric {
#define METRIC(name, kind, unit, help) WORKER_##name,
#include "stats/worker.def"
#undef METRIC
    WORKER_METRICS
};
enum pool_state_metric {
#define METRIC(name, kind, unit, help) POOL_STATE_##name,
#include "stats/pool_state.def"
#undef METRIC
    POOL_STATE_METRICS
};
enum server_state_metric {
#define METRIC(name, kind, unit, help) SERVER_STATE_##name,
#include "stats/server_state.def"
#undef METRIC
    SERVER_STATE_METRICS
};
enum control_metric {
#define METRIC(name, kind, unit, help) CONTROL_##name,
#include "stats/control.def"
#undef METRIC
    CONTROL_METRICS
};

extern const struct metric_row pool_metric_rows[POOL_METRICS];
extern const struct metric_row server_metric_rows[SERVER_METRICS];
extern const struct metric_row worker_metric_rows[WORKER_METRICS];
extern const struct metric_row pool_state_metric_rows[POOL_STATE_METRICS];
extern const struct metric_row server_state_metric_rows[SERVER_STATE_METRICS];
extern const struct metric_row control_metric_rows[CONTROL_METRICS];

/* The tables as /metrics shows them: `prefix` stands before the names. */
struct metric_table {
    const struct metric_row *rows;
    uint32_t n;
    const char *prefix;
    const char *about, *labels; /* for people: what a row is about, and what tells its samples apart */
    bool in_json;               /* the statistics port and /stats have it, too */
};
enum { TABLE_CONTROL, TABLE_WORKER, TABLE_POOL, TABLE_POOL_STATE, TABLE_SERVER, TABLE_SERVER_STATE, METRIC_TABLES };
extern const struct metric_table metric_tables[METRIC_TABLES];

#define METRIC_NAME_MAX 96
/* The name for Prometheus: no word twice, seconds instead of microseconds, `_total` behind a counter. Returns `to`. */
const char *metric_prom_name(const struct metric_table *, const struct metric_row *, char to[METRIC_NAME_MAX]);
/* The help for Prometheus: without nutcracker's "#" for "number of", and of nothing in microseconds. */
const char *metric_prom_help(const struct metric_row *);
bool metric_is_usec(const struct metric_row *);

struct pool_block {
    uint64_t v[POOL_METRICS];
};
struct server_block {
    uint64_t v[SERVER_METRICS];
};
struct worker_block {
    uint64_t v[WORKER_METRICS];
};

/* Writer's thread only. Gauges go down with metric_sub; a block's value may be read as int64_t. */
static inline void metric_add(uint64_t *v, uint64_t n) {
    __atomic_store_n(v, *v + n, __ATOMIC_RELAXED);
}
static inline void metric_sub(uint64_t *v, uint64_t n) {
    __atomic_store_n(v, *v - n, __ATOMIC_RELAXED);
}
static inline void metric_set(uint64_t *v, uint64_t n) {
    __atomic_store_n(v, n, __ATOMIC_RELAXED);
}
/* Any thread. */
static inline uint64_t metric_get(const uint64_t *v) {
    return __atomic_load_n(v, __ATOMIC_RELAXED);
}

#endif
