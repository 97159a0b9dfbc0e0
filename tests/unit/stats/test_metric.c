#include "stats/metric.h"

#include "base/slice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* What readers of nutcracker 0.5.0 know (compat part 7): these rows come first, in this order, with these texts. */
static const struct metric_row pool_first[] = {
    {"client_eof", METRIC_COUNTER, "count", "# eof on client connections"},
    {"client_err", METRIC_COUNTER, "count", "# errors on client connections"},
    {"client_connections", METRIC_GAUGE, "count", "# active client connections"},
    {"server_ejects", METRIC_COUNTER, "count", "# times backend server was ejected"},
    {"forward_error", METRIC_COUNTER, "count", "# times we encountered a forwarding error"},
    {"fragments", METRIC_COUNTER, "count", "# fragments created from a multi-vector request"},
};

static const struct metric_row server_first[] = {
    {"server_eof", METRIC_COUNTER, "count", "# eof on server connections"},
    {"server_err", METRIC_COUNTER, "count", "# errors on server connections"},
    {"server_timedout", METRIC_COUNTER, "count", "# timeouts on server connections"},
    {"server_connections", METRIC_GAUGE, "count", "# active server connections"},
    {"server_ejected_at", METRIC_GAUGE, "usec", "timestamp when server was ejected in usec since epoch"},
    {"requests", METRIC_COUNTER, "count", "# requests"},
    {"request_bytes", METRIC_COUNTER, "bytes", "total request bytes"},
    {"responses", METRIC_COUNTER, "count", "# responses"},
    {"response_bytes", METRIC_COUNTER, "bytes", "total response bytes"},
    {"in_queue", METRIC_GAUGE, "count", "# requests in incoming queue"},
    {"in_queue_bytes", METRIC_GAUGE, "bytes", "current request bytes in incoming queue"},
    {"out_queue", METRIC_GAUGE, "count", "# requests in outgoing queue"},
    {"out_queue_bytes", METRIC_GAUGE, "bytes", "current request bytes in outgoing queue"},
};

static void check_first(const struct metric_row *rows, const struct metric_row *first, size_t n) {
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(rows[i].name, first[i].name);
        assert_string_equal(rows[i].help, first[i].help);
        assert_string_equal(rows[i].unit, first[i].unit);
        assert_int_equal(rows[i].kind, first[i].kind);
    }
}

static void test_nutcracker_rows(void **state) {
    check_first(pool_metric_rows, pool_first, ARRAY_LEN(pool_first));
    check_first(server_metric_rows, server_first, ARRAY_LEN(server_first));
    assert_string_equal(worker_metric_rows[0].name, "total_connections");
    assert_string_equal(worker_metric_rows[1].name, "curr_connections");
}

/* A name is a JSON member and later a part of a metric's name: lower case, once in its table, explained. */
static void check_rows(const struct metric_row *rows, size_t n) {
    static const char *units[] = {"count", "bytes", "usec"};
    for (size_t i = 0; i < n; i++) {
        const struct metric_row *r = &rows[i];
        assert_true(r->name[0] >= 'a' && r->name[0] <= 'z');
        for (const char *p = r->name; *p != '\0'; p++) {
            assert_true((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_');
        }
        bool known = false;
        for (size_t u = 0; u < ARRAY_LEN(units); u++) {
            known = known || slice_eq(slice_str(units[u]), slice_str(r->unit));
        }
        assert_true(known);
        assert_true(strlen(r->help) > 3);
        assert_true(r->kind == METRIC_COUNTER || r->kind == METRIC_GAUGE);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(r->name, rows[k].name);
        }
    }
}

static void test_rows(void **state) {
    check_rows(pool_metric_rows, POOL_METRICS);
    check_rows(server_metric_rows, SERVER_METRICS);
    check_rows(worker_metric_rows, WORKER_METRICS);
    check_rows(control_metric_rows, CONTROL_METRICS);
    check_rows(pool_state_metric_rows, POOL_STATE_METRICS);
    check_rows(server_state_metric_rows, SERVER_STATE_METRICS);
}

/* The members that JSON shows beside the rows of the same object must not come twice. */
static void test_reserved_names(void **state) {
    static const char *others[] = {"service", "source", "version", "uptime", "timestamp", "threads"};
    for (size_t i = 0; i < WORKER_METRICS; i++) {
        for (size_t k = 0; k < ARRAY_LEN(others); k++) {
            assert_string_not_equal(worker_metric_rows[i].name, others[k]);
        }
    }
}

static void test_values(void **state) {
    uint64_t v = 0;
    metric_add(&v, 5);
    metric_sub(&v, 2);
    assert_true(metric_get(&v) == 3);
    metric_sub(&v, 4);
    assert_true((int64_t)metric_get(&v) == -1);
    metric_set(&v, UINT64_MAX);
    metric_add(&v, 1);
    assert_true(metric_get(&v) == 0);
}

static void test_prom_names(void **state) {
    static const struct {
        int table;
        struct metric_row row;
        const char *name, *help;
    } rows[] = {
        {TABLE_POOL, {"client_eof", METRIC_COUNTER, "count", "# eof"}, "kvmux_pool_client_eof_total", "eof"},
        {TABLE_POOL, {"server_ejects", METRIC_COUNTER, "count", "x"}, "kvmux_pool_server_ejects_total", "x"},
        {TABLE_SERVER, {"server_eof", METRIC_COUNTER, "count", "x # y"}, "kvmux_server_eof_total", "x # y"},
        {TABLE_SERVER, {"server_ejected_at", METRIC_GAUGE, "usec", "x"}, "kvmux_server_ejected_at_seconds", "x"},
        {TABLE_SERVER, {"in_queue_bytes", METRIC_GAUGE, "bytes", "x"}, "kvmux_server_in_queue_bytes", "x"},
        {TABLE_WORKER, {"total_connections", METRIC_COUNTER, "count", "x"}, "kvmux_worker_connections_total", "x"},
        {TABLE_CONTROL, {"process_cpu", METRIC_COUNTER, "usec", "x"}, "process_cpu_seconds_total", "x"},
    };
    char name[METRIC_NAME_MAX];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct metric_table t = metric_tables[rows[i].table];
        assert_string_equal(metric_prom_name(&t, &rows[i].row, name), rows[i].name);
        assert_string_equal(metric_prom_help(&rows[i].row), rows[i].help);
    }
}

/* What is shown in seconds is not said to be in another unit. */
static void test_prom_help_names_no_microseconds(void **state) {
    for (size_t t = 0; t < METRIC_TABLES; t++) {
        for (uint32_t i = 0; i < metric_tables[t].n; i++) {
            assert_null(strstr(metric_prom_help(&metric_tables[t].rows[i]), "usec"));
        }
    }
}

/* No two rows of all tables get one name: Prometheus drops the second. */
static void test_prom_names_differ(void **state) {
    static char seen[512][METRIC_NAME_MAX];
    size_t n = 0;
    for (size_t t = 0; t < METRIC_TABLES; t++) {
        for (uint32_t i = 0; i < metric_tables[t].n; i++, n++) {
            assert_true(n < ARRAY_LEN(seen));
            metric_prom_name(&metric_tables[t], &metric_tables[t].rows[i], seen[n]);
            for (size_t k = 0; k < n; k++) {
                assert_string_not_equal(seen[k], seen[n]);
            }
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nutcracker_rows),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_reserved_names),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_prom_names),
        cmocka_unit_test(test_prom_help_names_no_microseconds),
        cmocka_unit_test(test_prom_names_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
