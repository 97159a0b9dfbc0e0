#include "route/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct row {
    const char *tag, *key, *want;
};

static const struct row rows[] = {
    {NULL, "a{b}c", "a{b}c"}, /* no tag: all of it */
    {"{}", "a{b}c", "b"},
    {"{}", "{user:1}:name", "user:1"},
    {"{}", "a{b}{c}", "b"},
    {"{}", "plain", "plain"},
    {"{}", "", ""},
    {"{}", "{", "{"},
    {"{}", "a{", "a{"},
    {"{}", "{}", "{}"},
    {"{}", "a}b{c", "a}b{c"},   /* only closed before it is opened */
    {"{}", "a}b{c}d", "c"},
    {"{}", "{}{x}", "{}{x}"},   /* nothing between the first pair: no second try */
    {"{}", "a{{b}}c", "{b"},    /* the first opening, the first closing */
    {"{}", "{unclosed", "{unclosed"},
    {"{}", "{x}", "x"},
    {"$$", "$x$", "x"},
    {"$$", "a$x$b$y$", "x"},
    {"$$", "$$x$", "$$x$"},
    {"$$", "a$b", "a$b"},
    {"\xc3\xa4", "k\xc3z\xa4", "z"}, /* any byte, also beyond ASCII */
};

static void test_rows(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice got = tag_of(rows[i].tag, slice_str(rows[i].key));
        if (!slice_is(got, rows[i].want)) {
            fail_msg("%s: \"%.*s\" instead of \"%s\"", rows[i].key, (int)got.n, (const char *)got.p, rows[i].want);
        }
    }
}

static void test_binary(void **state) {
    struct slice key = slice("a{\0b\0}c", 7);
    assert_true(slice_eq(tag_of("{}", key), slice("\0b\0", 3)));
    assert_int_equal(tag_of("{}", slice(NULL, 0)).n, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_binary)};
    return cmocka_run_group_tests_name("tag", tests, NULL, NULL);
}
