#include "base/log.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct seen {
    unsigned lines;
    enum log_level level;
    size_t len;
    char last[LOG_LINE_MAX + 1];
};

static void keep(void *ctx, enum log_level level, struct slice line) {
    struct seen *s = ctx;
    assert_true(line.n <= LOG_LINE_MAX);
    s->lines++;
    s->level = level;
    s->len = line.n;
    memcpy(s->last, line.p, line.n);
    s->last[line.n] = '\0';
}

static void test_level(void **state) {
    struct seen s = {0};
    log_set_sink(keep, &s);
    log_set_level(LOG_NOTICE);
    log_line(LOG_INFO, "not shown");
    assert_int_equal(s.lines, 0);
    assert_false(log_on(LOG_INFO));
    log_line(LOG_NOTICE, "start pool=%s servers=%d", "alpha", 3);
    assert_int_equal(s.lines, 1);
    assert_int_equal(s.level, LOG_NOTICE);
    assert_string_equal(s.last, "start pool=alpha servers=3");
    log_set_level(LOG_INFO);
    log_line(LOG_INFO, "shown");
    assert_int_equal(s.lines, 2);
    log_set_level(-5);
    assert_int_equal(log_level(), 0);
    assert_true(log_on(LOG_EMERG));
    log_set_level(99);
    assert_int_equal(log_level(), LOG_MAX);
    log_set_level(LOG_NOTICE);
    log_set_sink(NULL, NULL);
    log_line(LOG_EMERG, "dropped");
    assert_int_equal(s.lines, 2);
}

static void test_long_line(void **state) {
    struct seen s = {0};
    char text[2 * LOG_LINE_MAX];
    memset(text, 'x', sizeof text);
    log_set_sink(keep, &s);
    for (size_t n = LOG_LINE_MAX - 3; n < LOG_LINE_MAX + 3; n++) {
        log_line(LOG_ERROR, "%.*s", (int)n, text);
        assert_int_equal(s.len, min_size(n, LOG_LINE_MAX - 1));
    }
    log_line(LOG_ERROR, "%.*s", (int)sizeof text, text);
    assert_int_equal(s.len, LOG_LINE_MAX - 1);
    log_set_sink(NULL, NULL);
}

static void *other_thread(void *arg) {
    log_line(LOG_EMERG, "this thread has no sink");
    return arg;
}

static void test_sink_of_thread(void **state) {
    struct seen s = {0};
    pthread_t t;
    log_set_sink(keep, &s);
    assert_int_equal(pthread_create(&t, NULL, other_thread, NULL), 0);
    pthread_join(t, NULL);
    assert_int_equal(s.lines, 0);
    log_set_sink(NULL, NULL);
}

static void test_limit(void **state) {
    struct seen s = {0};
    struct log_limit l = {0};
    log_set_sink(keep, &s);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(log_pass(&l, 1000 + i, 100, 3), i < 3);
    }
    assert_int_equal(s.lines, 0); /* log_pass itself says something only when lines were left out */
    assert_false(log_pass(&l, 1099, 100, 3));
    assert_true(log_pass(&l, 1100, 100, 3));
    assert_int_equal(s.lines, 1);
    assert_string_equal(s.last, "lines_left_out count=8 note=\"of the kind of the next one\"");
    assert_true(log_pass(&l, 1300, 100, 3));
    assert_int_equal(s.lines, 1);
    log_set_sink(NULL, NULL);
}

static void test_quote(void **state) {
    static const struct {
        struct slice in;
        const char *want;
    } rows[] = {
        {{(const uint8_t *)"", 0}, ""},
        {{(const uint8_t *)"get a~ ", 7}, "get a~ "},
        {{(const uint8_t *)"a\r\n\0\x7f\xff", 6}, "a\\x0d\\x0a\\x00\\x7f\\xff"},
        {{(const uint8_t *)"\"\\", 2}, "\\\"\\\\"},
    };
    char to[64];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(log_quote(to, sizeof to, rows[i].in), rows[i].want);
    }
    /* Whatever the room, what is there is whole escapes and a NUL inside it. */
    for (size_t room = 1; room < 40; room++) {
        memset(to, '#', sizeof to);
        log_quote(to, room, slice("\1\2\3\4\5\6\7\1\2\3\4\5", 12));
        assert_true(strlen(to) < room);
        assert_int_equal(strlen(to) % 4, 0);
        assert_int_equal(to[room], '#');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_level), cmocka_unit_test(test_long_line), cmocka_unit_test(test_sink_of_thread),
        cmocka_unit_test(test_limit), cmocka_unit_test(test_quote),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
