/* The distance of two words, and which of several is meant. */
#include "conf/near.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_distance(void **state) {
    static const struct {
        const char *a, *b;
        uint32_t d;
    } rows[] = {
        {"", "", 0},          {"", "abc", 3},       {"abc", "", 3},          {"same", "SAME", 0},      {"timout", "timeout", 1},
        {"tiemout", "timeout", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"redis", "hash", 5}, {"ca", "abc", 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(near_distance(rows[i].a, rows[i].b), rows[i].d);
        assert_int_equal(near_distance(rows[i].b, rows[i].a), rows[i].d);
    }
    static const char sixty_four[] = "0123456789012345678901234567890123456789012345678901234567890123";
    assert_int_equal(near_distance(sixty_four, "x"), UINT32_MAX);
    assert_int_equal(near_distance(sixty_four + 1, sixty_four + 1), 0);
}

static void test_best(void **state) {
    struct near n;
    near_init(&n, "bakclog");
    near_try(&n, "hash");
    assert_null(n.best);
    near_try(&n, "backlogs");
    near_try(&n, "backlog");
    near_try(&n, "backlogg");
    assert_string_equal(n.best, "backlog");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_distance), cmocka_unit_test(test_best)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
