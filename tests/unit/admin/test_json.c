#include "admin/json.h"

#include "admin_world.h"

static char *stats(const struct world *w) {
    size_t n = 0;
    char *text = json_stats(&w->control, &n);
    char *s = mem_strndup(slice(text, n));
    assert_int_equal(strlen(s), n);
    mem_free(text);
    return s;
}

/* The next thing in the text must be this. */
static void eat(const char **at, const char *want) {
    size_t n = strlen(want);
    if (strncmp(*at, want, n) != 0) {
        fail_msg("wanted %s, found %.60s", want, *at);
    }
    *at += n;
}

static void eat_row(const char **at, const struct metric_row *row, int64_t value, const char *end) {
    char want[128];
    snprintf(want, sizeof want, "\"%s\":%lld%s", row->name, (long long)value, end);
    eat(at, want);
}

/* All four percentiles of one duration. */
static void eat_times(const char **at, const char *name, uint32_t usec, const char *end) {
    char want[256];
    snprintf(want, sizeof want, "\"%s_usec_p50\":%u, \"%s_usec_p99\":%u, \"%s_usec_p999\":%u, \"%s_usec_max\":%u%s", name, usec, name, usec,
             name, usec, name, usec, end);
    eat(at, want);
}

static void eat_server(const char **at, const struct server_block *v) {
    eat(at, ": {");
    for (size_t i = 0; i < SERVER_METRICS; i++) {
        eat_row(at, &server_metric_rows[i], (int64_t)v->v[i], ", ");
    }
    eat_times(at, "queue", 0, ", ");
    eat_times(at, "server", 0, "}");
}

static void eat_pool(const char **at, const struct pool_block *v) {
    eat(at, ": {");
    for (size_t i = 0; i < POOL_METRICS; i++) {
        eat_row(at, &pool_metric_rows[i], (int64_t)v->v[i], ", ");
    }
    for (size_t i = 0; i < POOL_TIMES; i++) {
        eat_times(at, pool_time_rows[i].name, 0, ", ");
    }
}

static void eat_head(const char **at, const struct worker_block *v, uint32_t threads) {
    eat(at, "{\"service\":\"nutcracker\", \"source\":\"host\\\\1\", \"version\":\"" KVMUX_VERSION
            "\", \"uptime\":107, \"timestamp\":1795225796, ");
    for (size_t i = 0; i < WORKER_METRICS; i++) {
        eat_row(at, &worker_metric_rows[i], (int64_t)v->v[i], ", ");
    }
    char want[32];
    snprintf(want, sizeof want, "\"threads\":%u, ", threads);
    eat(at, want);
}

/* Blanks, order and ends as nutcracker writes them (compat part 7). */
static void test_shape(void **state) {
    static const struct worker_block no_worker;
    static const struct pool_block no_pool;
    static const struct server_block no_server;
    struct world w;
    world_init(&w, 0);
    char *text = stats(&w);
    const char *at = text;
    eat_head(&at, &no_worker, 0);
    eat(&at, "\"alpha\"");
    eat_pool(&at, &no_pool);
    eat(&at, "\"127.0.0.1:6379\"");
    eat_server(&at, &no_server);
    eat(&at, ",\"s\\\"2\"");
    eat_server(&at, &no_server);
    eat(&at, "},\"beta\"");
    eat_pool(&at, &no_pool);
    eat(&at, "\"\\u00ff\"");
    eat_server(&at, &no_server);
    eat(&at, "}}\n");
    assert_int_equal(*at, '\0');
    mem_free(text);
    world_fini(&w);
}

/* Every worker's numbers, control's own, and a gauge below zero. */
static void test_sums(void **state) {
    struct world w;
    world_init(&w, 2);
    struct pool_block pool = {0};
    struct server_block server = {0};
    struct worker_block worker = {0};
    for (uint32_t i = 0; i < POOL_METRICS; i++) {
        w.one.pools[0].v[i] = i;
        w.two.pools[0].v[i] = 100 * i;
        pool.v[i] = 101 * i;
    }
    w.pools[0].block.v[POOL_server_ejects] = 7;
    pool.v[POOL_server_ejects] += 7;
    for (uint32_t i = 0; i < SERVER_METRICS; i++) {
        w.one.servers[0][0].v[i] = 3 * i;
        w.two.servers[0][0].v[i] = 1000 + i;
        server.v[i] = 1000 + 4 * i;
    }
    w.one.servers[0][0].v[SERVER_in_queue] = (uint64_t)-5;
    w.two.servers[0][0].v[SERVER_in_queue] = 2;
    server.v[SERVER_in_queue] = (uint64_t)-3;
    w.servers[0].health.ejected_at = server.v[SERVER_server_ejected_at] = 1795225000000000u;
    w.one.block.v[WORKER_total_connections] = 200;
    w.two.block.v[WORKER_total_connections] = 5;
    worker.v[WORKER_total_connections] = 205;
    char *text = stats(&w);
    const char *at = text;
    eat_head(&at, &worker, 2);
    eat(&at, "\"alpha\"");
    eat_pool(&at, &pool);
    eat(&at, "\"127.0.0.1:6379\"");
    eat_server(&at, &server);
    mem_free(text);
    world_fini(&w);
}

static void has(const char *text, const char *want) {
    if (text == NULL || strstr(text, want) == NULL) {
        fail_msg("no %s in\n%s", want, text != NULL ? text : "nothing");
    }
}

/* Histograms of both workers, one of which never connected to the server; and who took no time is in them. */
static void test_times(void **state) {
    struct world w;
    struct pool_times pool = {0};
    struct server_times server = {0};
    world_init(&w, 2);
    w.two.pool_times[0] = &pool;
    w.two.server_times[0][0] = &server;
    hist_add(&pool.v[POOL_TIME_read], 5, 98);
    hist_add(&pool.v[POOL_TIME_write], 15, 2);
    hist_add(&pool.v[POOL_TIME_order], 12, 1);
    hist_add(&server.v[SERVER_TIME_server], 3, 10);
    hist_add(&server.v[SERVER_TIME_queue], 2, 6);
    char *text = stats(&w);
    has(text, "\"receive_usec_p50\":0, \"receive_usec_p99\":0, \"receive_usec_p999\":0, \"receive_usec_max\":0, ");
    has(text, "\"order_usec_p50\":0, \"order_usec_p99\":0, \"order_usec_p999\":12, \"order_usec_max\":12, \"client_usec_p50\":0, ");
    has(text, "\"client_usec_max\":0, \"read_usec_p50\":5, ");
    has(text, "\"write_usec_p50\":15, ");
    has(text, "\"other_usec_p50\":0, ");
    has(text, "\"queue_usec_p50\":2, \"queue_usec_p99\":2, \"queue_usec_p999\":2, \"queue_usec_max\":2, \"server_usec_p50\":3, ");
    hist_add(&server.v[SERVER_TIME_server], 0, 3); /* thirteen in all, seven of which were not queued for a moment */
    mem_free(text);
    text = stats(&w);
    has(text, "\"queue_usec_p50\":0, \"queue_usec_p99\":2, ");
    mem_free(text);
    world_fini(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
