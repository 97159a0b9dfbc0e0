#include "admin/log_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* 2026-11-26T09:30:00.123Z */
#define WALL INT64_C(1795685400123456)
#define HEAD "{\"time\":\"2026-11-26T09:30:00.123Z\",\"level\":\"warning\",\"event\":"

static void check(const char *line, const char *want) {
    struct str to = {0};
    log_json(&to, LOG_WARN, WALL, slice_str(line));
    str_put_slice(&to, slice("", 1));
    assert_string_equal(to.p, want);
    str_fini(&to);
}

static void test_fields(void **state) {
    check("", HEAD "\"\"}");
    check("stop", HEAD "\"stop\"}");
    check("stop pid=12", HEAD "\"stop\",\"pid\":12}");
    check("a n=-5 z=0 lead=007 long=1234567890123456 none= minus=-",
          HEAD "\"a\",\"n\":-5,\"z\":0,\"lead\":\"007\",\"long\":\"1234567890123456\",\"none\":\"\",\"minus\":\"-\"}");
    check("a reason=\"timed out\" count=\"3\"", HEAD "\"a\",\"reason\":\"timed out\",\"count\":\"3\"}");
    check("a address=[::1]:6379 limit=x:5", HEAD "\"a\",\"address\":\"[::1]:6379\",\"limit\":\"x:5\"}");
    /* a name with a blank, and words that are no field, belong to what stands before them */
    check("two words server=a b  c=1", HEAD "\"two words\",\"server\":\"a b \",\"c\":1}");
}

/* What log_quote made of a peer's text becomes that text again, and valid JSON whatever it is. */
static void test_quotes(void **state) {
    check("a t=\"x=1 y\" u=2", HEAD "\"a\",\"t\":\"x=1 y\",\"u\":2}");
    check("a t=\"say \\\"no\\\" \\\\ \\x0d\\x0a\"", HEAD "\"a\",\"t\":\"say \\\"no\\\" \\\\ \\u000d\\u000a\"}");
    check("a t=\"\\xc3\\xa4 \\xff\"", HEAD "\"a\",\"t\":\"\xc3\xa4 \\u00ff\"}");
    check("a t=\"cut \\x", HEAD "\"a\",\"t\":\"cut x\"}");
    check("a t=\"cut\\", HEAD "\"a\",\"t\":\"cut\\\\\"}");
}

/* Lines that are too long are cut, and nothing is written behind the room of a field. */
static void test_longest(void **state) {
    static const char *const patterns[] = {"\1\1", "  ", "a=", "\"x", "\"\\"};
    char line[2 * LOG_LINE_MAX];
    for (size_t p = 0; p < ARRAY_LEN(patterns); p++) {
        struct str to = {0};
        for (size_t i = 0; i < sizeof line; i += 2) {
            memcpy(line + i, patterns[p], 2);
        }
        log_json(&to, LOG_MAX, WALL, slice(line, sizeof line));
        assert_true(to.n <= 7 * LOG_LINE_MAX);
        assert_int_equal(to.p[to.n - 1], '}');
        str_fini(&to);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
