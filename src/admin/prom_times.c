#include "admin/prom.h"

#include "admin/control_state.h"
#include "admin/sum.h"
#include "stats/times.h"

#include <inttypes.h>

/* Ends of buckets: usec, and as Prometheus has them. */
static const struct {
    uint32_t usec;
    const char *text;
} bounds[] = {{100, "0.0001"}, {250, "0.00025"}, {500, "0.0005"}, {1000, "0.001"}, {2500, "0.0025"}, {5000, "0.005"}, {10000, "0.01"},
              {25000, "0.025"}, {50000, "0.05"}, {100000, "0.1"}, {250000, "0.25"}, {1000000, "1"}, {10000000, "10"}};

/* One histogram: NAME{LABELS,...}. One in which nothing was counted is left out. */
static void put_hist(struct str *to, const char *name, struct slice labels, const char *stage, const struct hist *h) {
    uint64_t sum = hist_sum(h);
    struct str tail = {0};
    if (hist_count(h) == 0) {
        return;
    }
    str_put_slice(&tail, labels);
    str_put(&tail, ",");
    prom_label(&tail, "stage", stage);
    for (size_t i = 0; i <= ARRAY_LEN(bounds); i++) {
        bool last = i == ARRAY_LEN(bounds);
        str_format(to, "%s_bucket{", name);
        str_put_slice(to, slice(tail.p, tail.n));
        str_format(to, ",le=\"%s\"} %" PRIu64 "\n", last ? "+Inf" : bounds[i].text, last ? hist_count(h) : hist_count_to(h, bounds[i].usec));
    }
    str_format(to, "%s_sum{", name);
    str_put_slice(to, slice(tail.p, tail.n));
    str_format(to, "} %" PRIu64 ".%06" PRIu64 "\n%s_count{", sum / 1000000, sum % 1000000, name);
    str_put_slice(to, slice(tail.p, tail.n));
    str_format(to, "} %" PRIu64 "\n", hist_count(h));
    str_fini(&tail);
}

static void put_head(struct str *to, enum times_family f) {
    str_format(to, "# HELP %s %s\n# TYPE %s histogram\n", times_families[f].prom_name, times_families[f].help, times_families[f].prom_name);
}

void prom_times(const struct control *c, struct str *to) {
    put_head(to, TIMES_OF_SERVERS);
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        for (uint32_t s = 0; s < c->conf->pools[p].nservers; s++) {
            struct server_times sum;
            struct str labels = {0};
            sum_server_times(c, p, s, &sum);
            prom_label(&labels, "pool", c->conf->pools[p].name);
            str_put(&labels, ",");
            prom_label(&labels, "server", c->conf->pools[p].servers[s].name);
            for (uint32_t i = 0; i < SERVER_TIMES; i++) {
                put_hist(to, times_families[TIMES_OF_SERVERS].prom_name, slice(labels.p, labels.n), server_time_rows[i].name, &sum.v[i]);
            }
            str_fini(&labels);
        }
    }
    put_head(to, TIMES_OF_POOLS);
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        struct pool_times sum;
        struct str labels = {0};
        sum_pool_times(c, p, &sum);
        prom_label(&labels, "pool", c->conf->pools[p].name);
        for (uint32_t i = 0; i < POOL_TIMES; i++) {
            put_hist(to, times_families[TIMES_OF_POOLS].prom_name, slice(labels.p, labels.n), pool_time_rows[i].name, &sum.v[i]);
        }
        str_fini(&labels);
    }
}
