/* gen-docs: prints the pages of docs/ that are made from tables.
 *
 *   gen-docs configuration|metrics > docs/NAME.md
 *   gen-docs configuration|metrics --check docs/NAME.md    exit 1 when the file is not what would be printed */
#include "base/mem.h"
#include "base/str.h"
#include "conf/conf.h"
#include "stats/metric.h"
#include "stats/times.h"

#include <stdio.h>

static void append(void *ctx, const char *piece) {
    str_put(ctx, piece);
}

static void configuration(struct str *to) {
    conf_reference(append, to);
}

static const char metrics_intro[] =
    "# Metrics\n"
    "\n"
    "Made from the tables in `src/stats/` by `tools/gen-docs`; do not edit.\n"
    "\n"
    "`GET /metrics` of the [admin port](admin.md) has all of these in the text format of Prometheus, `kvmux_build_info{version=\"...\"}`\n"
    "beside them. Counters only grow, from 0 at the start of the process; their names end in `_total`. The statistics port and `GET /stats` have\n"
    "those of pools and servers as JSON, under the name in the last column. `packaging/grafana-dashboard.json` shows them,\n"
    "`packaging/prometheus-alerts.yml` watches them.\n";

static const char times_intro[] =
    "\n## Where the time of requests goes\n"
    "\n"
    "Histograms, off by 6 % at most. One request in 32 is counted, for 32; with `receive` each that came in pieces. Requests that no server was asked for are not in them, nor those that wait\n"
    "at the server because they were asked to (BLPOP). One in which nothing was counted yet is left out. In JSON: percentiles since the start of the process.\n"
    "\n| metric | labels | stage | meaning | in JSON |\n|---|---|---|---|---|\n";

static void metrics(struct str *to) {
    str_put(to, metrics_intro);
    for (size_t i = 0; i < METRIC_TABLES; i++) {
        const struct metric_table *t = &metric_tables[i];
        str_put(to, "\n## Of ");
        str_put(to, t->about);
        str_put(to, "\n\n");
        str_put(to, t->labels);
        str_put(to, "\n\n| metric | kind | meaning | in JSON |\n|---|---|---|---|\n");
        for (uint32_t k = 0; k < t->n; k++) {
            char name[METRIC_NAME_MAX];
            const struct metric_row *row = &t->rows[k];
            str_format(to, "| `%s` | %s | ", metric_prom_name(t, row, name), row->kind == METRIC_COUNTER ? "counter" : "gauge");
            str_put(to, metric_prom_help(row));
            str_put(to, " | ");
            str_put(to, t->in_json ? row->name : "");
            str_put(to, t->in_json && metric_is_usec(row) ? ", in microseconds |\n" : " |\n");
        }
    }
    str_put(to, times_intro);
    for (size_t i = 0; i < TIMES_FAMILIES; i++) {
        const struct times_family_row *f = &times_families[i];
        for (uint32_t k = 0; k < f->n; k++) {
            str_format(to, "| `%s` | %s | %s | ", f->prom_name, f->labels, f->rows[k].name);
            str_format(to, "%s | %s_usec_p50, _p99, _p999, _max |\n", f->rows[k].help, f->rows[k].name);
        }
    }
}

static const struct {
    const char *name;
    void (*put)(struct str *);
} pages[] = {{"configuration", configuration}, {"metrics", metrics}};

static bool is_current(const char *name, const char *path, const struct str *want) {
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        perror(path);
        return false;
    }
    char *have = mem_alloc(want->n + 1);
    size_t n = fread(have, 1, want->n + 1, f);
    fclose(f);
    bool same = n == want->n && memcmp(have, want->p, n) == 0;
    mem_free(have);
    if (!same) {
        fprintf(stderr, "%s is out of date: run gen-docs %s > %s\n", path, name, path);
    }
    return same;
}

int main(int argc, char **argv) {
    struct str t = {0};
    int rc = 2;
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        if (argc < 2 || strcmp(argv[1], pages[i].name) != 0) {
            continue;
        }
        pages[i].put(&t);
        if (argc == 4 && strcmp(argv[2], "--check") == 0) {
            rc = is_current(argv[1], argv[3], &t) ? 0 : 1;
        } else if (argc == 2) {
            rc = fwrite(t.p, 1, t.n, stdout) == t.n && fflush(stdout) == 0 ? 0 : 1;
        }
    }
    if (rc == 2) {
        fputs("usage: gen-docs configuration|metrics [--check FILE]\n", stderr);
    }
    str_fini(&t);
    return rc;
}
