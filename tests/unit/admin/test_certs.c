#include "admin/certs.h"

#include "admin/control_state.h"
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define DAY INT64_C(86400000000)
#define WALL (20000 * DAY) /* when the test begins; 2024-10-04 */

/* ---- fakes: a clock that the test moves, one timer, a log of one line ---- */

static int64_t now;
static struct timer *set_timer;
static char said[400];
static uint32_t lines;

int64_t loop_now(const struct loop *loop) {
    return now;
}

int64_t loop_wall(const struct loop *loop) {
    return WALL + now;
}

void timer_init(struct timer *t, timer_fn *fn) {
    *t = (struct timer){.fn = fn};
}

void timer_set(struct loop *loop, struct timer *t, int64_t at) {
    t->at = at;
    set_timer = t;
}

void timer_cancel(struct loop *loop, struct timer *t) {
    set_timer = NULL;
}

static void keep_line(void *ctx, enum log_level level, struct slice line) {
    snprintf(said, sizeof said, "%.*s", (int)line.n, line.p);
    lines++;
}

static void to_day(int day) {
    while (set_timer->at <= day * DAY) {
        now = set_timer->at;
        said[0] = '\0';
        set_timer->fn(set_timer);
    }
}

static void test_days(void **state) {
    struct conf_pool pools[] = {{.name = (char *)"a", .tls_pem.expires = WALL + 20 * DAY + DAY / 2},
                                {.name = (char *)"none"}};
    struct conf conf = {.pools = pools, .npools = 2, .tls_expiry_warning = 14};
    struct control c = {.conf = &conf};
    struct certs certs;
    log_set_sink(keep_line, NULL);
    certs_init(&certs, &c);
    to_day(6);
    assert_int_equal(lines, 0);
    to_day(7);
    assert_string_equal(said, "certificate_expires pool=a key=tls_certificate at=2024-10-24T12:00:00Z days=13");
    to_day(19);
    assert_int_equal(lines, 13); /* one a day */
    assert_string_equal(said, "certificate_expires pool=a key=tls_certificate at=2024-10-24T12:00:00Z days=1");
    to_day(20);
    assert_string_equal(said, "certificate_expires pool=a key=tls_certificate at=2024-10-24T12:00:00Z days=0");
    to_day(21);
    assert_string_equal(said, "certificate_expired pool=a key=tls_certificate at=2024-10-24T12:00:00Z "
                              "note=\"whoever checks it refuses the connection\"");
    pools[1].server_tls_pem.expires = WALL + 22 * DAY;
    conf.tls_expiry_warning = 0; /* only what has expired */
    certs_look(&certs);
    assert_non_null(strstr(said, "certificate_expired pool=a "));
    pools[0].tls_pem.expires = WALL + 400 * DAY;
    lines = 0;
    certs_look(&certs);
    assert_int_equal(lines, 0);
    to_day(22); /* this very moment */
    assert_non_null(strstr(said, "certificate_expired pool=none key=server_tls_certificate "));
    certs_fini(&certs);
    assert_null(set_timer);
    log_set_sink(NULL, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_days)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
