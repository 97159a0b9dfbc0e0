#include "admin/json.h"

#include "admin/control_state.h"
#include "base/mem.h"
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* ---- fakes: two workers with the numbers that a test wants ---- */

struct worker {
    struct pool_block pools[2];
    struct server_block servers[2][2];
    struct worker_block block;
};

const struct worker_block *worker_block(const struct worker *w) {
    return &w->block;
}

int64_t loop_wall(const struct loop *loop) {
    return INT64_C(1795225796999999);
}

/* ---- json_quote ---- */

static void check_quote(struct slice in, const char *want) {
    /* exactly the room that the contract asks for, so that a sanitizer sees one byte more */
    char *to = malloc(6 * in.n + 2);
    size_t n = json_quote(to, in);
    assert_true(n <= 6 * in.n + 2);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(to, want, n);
    free(to);
}

static void test_quote(void **state) {
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"", "\"\""},
        {"127.0.0.1:6379", "\"127.0.0.1:6379\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\t\n\x1f ", "\"\\u0009\\u000a\\u001f \""},
        {"~\x7f", "\"~\\u007f\""},
        /* the first and last of each length */
        {"\xc2\x80\xdf\xbf", "\"\xc2\x80\xdf\xbf\""},
        {"\xe0\xa0\x80\xef\xbf\xbf", "\"\xe0\xa0\x80\xef\xbf\xbf\""},
        {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\""},
        {"\xed\x9f\xbf\xee\x80\x80", "\"\xed\x9f\xbf\xee\x80\x80\""}, /* on both sides of the surrogates */
        /* not UTF-8: each byte by itself */
        {"\x80", "\"\\u0080\""},
        {"\xbfz", "\"\\u00bfz\""},
        {"\xc0\x80", "\"\\u00c0\\u0080\""},                         /* overlong */
        {"\xc1\xbf", "\"\\u00c1\\u00bf\""},
        {"\xe0\x9f\xbf", "\"\\u00e0\\u009f\\u00bf\""},
        {"\xf0\x8f\xbf\xbf", "\"\\u00f0\\u008f\\u00bf\\u00bf\""},
        {"\xed\xa0\x80", "\"\\u00ed\\u00a0\\u0080\""},              /* a surrogate */
        {"\xf4\x90\x80\x80", "\"\\u00f4\\u0090\\u0080\\u0080\""},   /* beyond U+10FFFF */
        {"\xf5\x80\x80\x80", "\"\\u00f5\\u0080\\u0080\\u0080\""},
        {"\xff\xfe", "\"\\u00ff\\u00fe\""},
        {"\xc3", "\"\\u00c3\""},                                    /* cut short */
        {"\xe2\x82", "\"\\u00e2\\u0082\""},
        {"\xf0\x9f\x98", "\"\\u00f0\\u009f\\u0098\""},
        {"\xc3\"", "\"\\u00c3\\\"\""},                              /* and what follows is seen for itself */
        {"\xe2\x82\x41", "\"\\u00e2\\u0082" "A\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        check_quote(slice_str(rows[i].in), rows[i].want);
    }
    check_quote(slice("a\0b", 3), "\"a\\u0000b\"");
    check_quote(slice("\xc3\xa9", 1), "\"\\u00c3\""); /* does not look behind its end */
}

/* ---- json_stats ---- */

static struct conf_server servers_a[] = {{.id = 2, .name = (char *)"127.0.0.1:6379"}, {.id = 3, .name = (char *)"s\"2"}};
static struct conf_server servers_b[] = {{.id = 5, .name = (char *)"\xff"}};
static struct conf_pool pools[] = {
    {.id = 1, .name = (char *)"alpha", .servers = servers_a, .nservers = 2},
    {.id = 4, .name = (char *)"beta", .servers = servers_b, .nservers = 1},
};

struct world {
    struct conf conf;
    struct shared shared;
    struct worker one, two;
    struct worker *workers[2];
    struct mail_view *views[2];
    struct control_server servers[3], *of_pools[3];
    struct control_pool pools[2], *pools_at[2];
    struct control control;
};

static struct mail_view *view_of(const struct worker *w, bool older) {
    struct mail_view *v = mem_zalloc(sizeof *v + 5 * sizeof v->at[0]);
    const struct view_at all[] = {{1, 0, w->pools[0].v}, {1, 2, w->servers[0][0].v}, {1, 3, w->servers[0][1].v},
                                  {4, 0, w->pools[1].v}, {4, 5, w->servers[1][0].v}};
    for (uint32_t i = 0; i < 5; i++) { /* one of another configuration has other places, and does not know the newest server */
        v->at[older ? 4 - i : i] = older && i == 2 ? (struct view_at){9, 9, NULL} : all[i];
    }
    v->n = 5;
    return v;
}

static void world_init(struct world *w, uint32_t nworkers) {
    *w = (struct world){.conf = {.pools = pools, .npools = 2}};
    w->shared.started_wall = INT64_C(1795225689000001);
    w->workers[0] = &w->one;
    w->workers[1] = &w->two;
    w->views[0] = view_of(&w->one, false);
    w->views[1] = view_of(&w->two, true);
    for (uint32_t i = 0; i < 3; i++) {
        w->of_pools[i] = &w->servers[i];
    }
    for (uint32_t i = 0; i < 2; i++) {
        w->pools[i].servers = &w->of_pools[2 * i];
        w->pools_at[i] = &w->pools[i];
    }
    w->control = (struct control){
        .opts = {.hostname = "host\\1", .service = "nutcracker", .stats_fd = -1},
        .conf = &w->conf,
        .shared = &w->shared,
        .workers = w->workers,
        .nworkers = nworkers,
        .views = w->views,
        .pools = w->pools_at,
    };
}

static void world_fini(struct world *w) {
    mem_free(w->views[0]);
    mem_free(w->views[1]);
}

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

static void eat_server(const char **at, const struct server_block *v) {
    eat(at, ": {");
    for (size_t i = 0; i < SERVER_METRICS; i++) {
        eat_row(at, &server_metric_rows[i], (int64_t)v->v[i], i + 1 < SERVER_METRICS ? ", " : "}");
    }
}

static void eat_pool(const char **at, const struct pool_block *v) {
    eat(at, ": {");
    for (size_t i = 0; i < POOL_METRICS; i++) {
        eat_row(at, &pool_metric_rows[i], (int64_t)v->v[i], ", ");
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
