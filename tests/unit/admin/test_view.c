/* What /metrics and /pools say. */
#include "admin/http.h"
#include "admin/prom.h"
#include "admin/view.h"
#include "admin_world.h"
#include "io/usage.h"

/* ---- fakes ---- */

void usage_read(struct usage *u) {
    *u = (struct usage){.cpu_usec = 1500000, .resident_bytes = 4096, .descriptors_max = 1024};
}

struct http_counts http_counts(const struct http *h) {
    return (struct http_counts){.requests = 9};
}

const char *health_word(const struct health *h) {
    return h->state == HEALTH_ALIVE ? "up" : "ejected";
}

struct lately history_pool(const struct history *h, uint32_t pool) {
    return (struct lately){100 + pool, 200, 300};
}

struct lately history_part(const struct history *h, uint32_t pool, uint32_t which) {
    return (struct lately){which + 1, 20 * (pool + 1), 30};
}

struct lately history_server(const struct history *h, uint32_t pool, uint32_t server) {
    return (struct lately){10 + server, 20, 30};
}

static char *text_of(struct str *t) {
    str_put_slice(t, slice("", 1));
    return t->p;
}

static void has(const char *text, const char *want) {
    if (text == NULL || strstr(text, want) == NULL) {
        fail_msg("no %s in\n%s", want, text != NULL ? text : "nothing");
    }
}

/* ---- /metrics ---- */

static void test_label(void **state) {
    struct str t = {0};
    prom_label(&t, "pool", "a\"b\\c\nd<b>");
    assert_string_equal(text_of(&t), "pool=\"a\\\"b\\\\c\\nd<b>\"");
    str_fini(&t);
}

static void test_metrics(void **state) {
    struct world w;
    struct str t = {0};
    world_init(&w, 2);
    w.one.pools[0].v[POOL_client_requests] = 40;
    w.two.pools[0].v[POOL_client_requests] = 2;
    w.one.servers[0][1].v[SERVER_server_eof] = 3;
    w.one.servers[0][1].v[SERVER_in_queue] = (uint64_t)-1;
    w.two.block.v[WORKER_turns] = 7;
    w.servers[1].health.state = HEALTH_EJECTED;
    w.servers[1].health.failures = 5;
    w.servers[1].health.ejected_at = 1795225000000042u;
    struct server_times times = {0};
    w.one.server_times[0][1] = &times;
    hist_add(&times.v[SERVER_TIME_server], 100, 3);
    hist_add(&times.v[SERVER_TIME_server], 12, 8);
    hist_add(&times.v[SERVER_TIME_server], 20000000, 1);
    prom_metrics(&w.control, &t);
    const char *text = text_of(&t);
    has(text, "# HELP kvmux_pool_client_requests_total requests received from clients, those answered by kvmux itself included\n"
              "# TYPE kvmux_pool_client_requests_total counter\n"
              "kvmux_pool_client_requests_total{pool=\"alpha\"} 42\nkvmux_pool_client_requests_total{pool=\"beta\"} 0\n");
    has(text, "kvmux_server_eof_total{pool=\"alpha\",server=\"s\\\"2\"} 3\n");
    has(text, "# TYPE kvmux_server_in_queue gauge\n");
    has(text, "kvmux_server_in_queue{pool=\"alpha\",server=\"s\\\"2\"} -1\n");
    has(text, "kvmux_server_ejected_at_seconds{pool=\"alpha\",server=\"s\\\"2\"} 1795225000.000042\n");
    has(text, "kvmux_server_in_use{pool=\"alpha\",server=\"127.0.0.1:6379\"} 1\nkvmux_server_in_use{pool=\"alpha\",server=\"s\\\"2\"} 0\n");
    has(text, "kvmux_server_failures{pool=\"alpha\",server=\"s\\\"2\"} 5\n");
    has(text, "kvmux_pool_servers_in_use{pool=\"alpha\"} 1\n");
    has(text, "kvmux_worker_turns_total{worker=\"0\"} 0\nkvmux_worker_turns_total{worker=\"1\"} 7\n");
    has(text, "kvmux_worker_connections_total{worker=");
    has(text, "kvmux_build_info{version=\"" KVMUX_VERSION "\"} 1\n");
    has(text, "process_cpu_seconds_total 1.500000\n");
    has(text, "kvmux_admin_requests_total 9\n");
    has(text, "kvmux_workers 2\n");
    has(text, "# TYPE kvmux_request_seconds histogram\n"
              "kvmux_request_seconds_bucket{pool=\"alpha\",server=\"s\\\"2\",stage=\"queue\",le=\"0.0001\"} 12\n");
    has(text, "stage=\"server\",le=\"0.0001\"} 8\n"); /* the slot of 100 ends behind 100 */
    has(text, "stage=\"server\",le=\"0.00025\"} 11\n");
    has(text, "stage=\"server\",le=\"10\"} 11\nkvmux_request_seconds_bucket{pool=\"alpha\",server=\"s\\\"2\",stage=\"server\",le=\"+Inf\"} 12\n");
    has(text, "\nkvmux_request_seconds_count{pool=\"alpha\",server=\"s\\\"2\",stage=\"server\"} 12\n");
    assert_null(strstr(text, "kvmux_pool_request_seconds_count")); /* nothing was counted */
    str_fini(&t);
    world_fini(&w);
}

/* ---- /ready ---- */

static void check_ready(const struct world *w, bool ready, const char *why) {
    struct str t = {0};
    assert_int_equal(view_ready(&w->control, &t), ready);
    assert_int_equal(view_ready(&w->control, NULL), ready);
    assert_string_equal(text_of(&t), why);
    str_fini(&t);
}

static void test_ready(void **state) {
    struct world w;
    world_init(&w, 1);
    check_ready(&w, true, "ready");
    w.servers[2].health.state = HEALTH_OUT;
    check_ready(&w, true, "ready; no server in use: beta");
    w.servers[0].health.state = HEALTH_EJECTED;
    check_ready(&w, true, "ready; no server in use: beta");
    w.servers[1].health.state = HEALTH_PROBING;
    check_ready(&w, false, "not ready; no server in use: alpha, beta");
    world_fini(&w);
    world_init(&w, 1);
    w.servers[0].health.failures = w.servers[1].health.failures = w.servers[2].health.failures = 9; /* only requests would show that they work again */
    check_ready(&w, true, "ready");
    w.control.draining = true;
    check_ready(&w, false, "not ready: draining");
    world_fini(&w);
}

/* ---- /pools ---- */

static void test_pools(void **state) {
    struct world w;
    struct str t = {0};
    world_init(&w, 2);
    w.one.servers[0][1].v[SERVER_out_queue] = 4;
    w.one.pools[1].v[POOL_client_eof] = 6;
    view_pools(&w.control, &t);
    const char *text = text_of(&t);
    has(text, "\"host\":\"host\\\\1\"");
    has(text, "\"uptime\":107,");
    has(text, "\n {\"name\":\"alpha\",\"protocol\":\"memcached\",\"listen\":[\"127.0.0.1:1\"],");
    has(text, "{\"name\":\"s\\\"2\",\"address\":\"h:1\",\"weight\":3,\"state\":\"up\",\"in_use\":true,\"failures\":0,\"ejected_at\":0,"
              "\"uplinks\":0,\"queued\":0,\"waiting\":4,\"version\":\"7.0.1\",\"p50_usec\":11,\"p99_usec\":20,\"p999_usec\":30,\"metrics\":{\"server_eof\":0,");
    has(text, "],\"metrics\":{\"client_eof\":6,");
    has(text, "\"servers_in_use\":1,\"p50_usec\":101,\"p99_usec\":200,\"p999_usec\":300,\"took\":{\"receive\":{\"p50_usec\":1,\"p99_usec\":40,\"p999_usec\":30},");
    has(text, "\"other\":{\"p50_usec\":6,\"p99_usec\":40,\"p999_usec\":30}},\"servers\":[");
    assert_string_equal(text + strlen(text) - 5, "}}]}\n");
    str_fini(&t);
    world_fini(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_label),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_pools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
