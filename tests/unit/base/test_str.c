#include "base/str.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void check_quote(struct slice in, const char *want) {
    struct str t = {0};
    str_quote(&t, in);
    assert_int_equal(t.n, strlen(want));
    assert_memory_equal(t.p, want, t.n);
    str_fini(&t);
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

static void test_grows(void **state) {
    struct str t = {0};
    str_put(&t, "");
    assert_int_equal(t.n, 0);
    for (int i = 0; i < 1000; i++) {
        str_format(&t, "%d,", i % 10);
        str_put_i64(&t, -i % 10);
        str_put_slice(&t, slice("\0;", 2));
    }
    assert_true(t.n > 4000 && t.n <= t.cap);
    assert_memory_equal(t.p + t.n - 6, "9,-9\0;", 6);
    str_fini(&t);
    assert_null(t.p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
