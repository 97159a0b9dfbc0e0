#include "stats/metric.h"

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
#undef METRIC
