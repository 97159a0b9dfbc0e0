#include "stats/times.h"

#define TIME(name, help) {#name, help},
const struct time_row server_time_rows[SERVER_TIMES] = {
#include "stats/server_times.def"
};
const struct time_row pool_time_rows[POOL_TIMES] = {
#include "stats/pool_times.def"
};

const struct times_family_row times_families[TIMES_FAMILIES] = {
    [TIMES_OF_SERVERS] = {"kvmux_request_seconds", "time of requests at servers, one in 32 counted for 32",
                          "`pool`, `server`, `stage`", server_time_rows, SERVER_TIMES},
    [TIMES_OF_POOLS] = {"kvmux_pool_request_seconds", "time of requests of a pool, one in 32 counted for 32",
                        "`pool`, `stage`", pool_time_rows, POOL_TIMES},
};

void times_fill(struct hist *some, uint64_t all) {
    uint64_t n = hist_count(some);
    if (n < all) { /* they were read one after the other, while the worker counted on */
        hist_add(some, 0, all - n);
    }
}
