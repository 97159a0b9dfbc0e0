#include "stats/metric.h"

#include <stdio.h>
#include <string.h>

#define METRIC(name, kind, unit, help) {#name, METRIC_##kind, unit, help},
const struct metric_row pool_metric_rows[POOL_METRICS] = {
#include "stats/pool.def"
};
const struct metric_row server_metric_rows[SERVER_METRICS] = {
#include "stats/server.def"
};
const struct metric_row worker_metric_rows[WORKER_METRICS] = {
#include "stats/worker.def"
};
const struct metric_row pool_state_metric_rows[POOL_STATE_METRICS] = {
#include "stats/pool_state.def"
};
const struct metric_row server_state_metric_rows[SERVER_STATE_METRICS] = {
#include "stats/server_state.def"
};
const struct metric_row control_metric_rows[CONTROL_METRICS] = {
#include "stats/control.def"
};
#undef METRIC

const struct metric_table metric_tables[METRIC_TABLES] = {
    [TABLE_CONTROL] = {control_metric_rows, CONTROL_METRICS, "", "the process", "No labels.", false},
    [TABLE_WORKER] = {worker_metric_rows, WORKER_METRICS, "kvmux_worker_", "a worker", "Label `worker`. JSON has the sums over all workers.", true},
    [TABLE_POOL] = {pool_metric_rows, POOL_METRICS, "kvmux_pool_", "a pool, over all workers", "Label `pool`.", true},
    [TABLE_POOL_STATE] = {pool_state_metric_rows, POOL_STATE_METRICS, "kvmux_pool_", "a pool, as control sees it", "Label `pool`.", false},
    [TABLE_SERVER] = {server_metric_rows, SERVER_METRICS, "kvmux_server_", "a server, over all workers", "Labels `pool`, `server`.", true},
    [TABLE_SERVER_STATE] = {server_state_metric_rows, SERVER_STATE_METRICS, "kvmux_server_", "a server, as control sees it", "Labels `pool`, `server`.", false},
};

bool metric_is_usec(const struct metric_row *row) {
    return strcmp(row->unit, "usec") == 0;
}

static const char *behind(const char *text, const char *start) {
    size_t n = strlen(start);
    return strncmp(text, start, n) == 0 ? text + n : text;
}

const char *metric_prom_name(const struct metric_table *t, const struct metric_row *row, char to[METRIC_NAME_MAX]) {
    bool counter = row->kind == METRIC_COUNTER;
    const char *name = row->name;
    if (t->rows == server_metric_rows) {
        name = behind(name, "server_");
    }
    if (counter) {
        name = behind(name, "total_");
    }
    int n = snprintf(to, METRIC_NAME_MAX, "%s%s%s%s", t->prefix, name, metric_is_usec(row) ? "_seconds" : "", counter ? "_total" : "");
    ASSERT(n > 0 && n < METRIC_NAME_MAX);
    return to;
}

const char *metric_prom_help(const struct metric_row *row) {
    if (row == &server_metric_rows[SERVER_server_ejected_at]) { /* nutcracker's text names a unit that is not the one here */
        return "when the server was ejected last, since the epoch; 0: never";
    }
    return behind(row->help, "# ");
}
