#include "core/handover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Lengths that came from another process: only what they add up to is taken. */
static void test_fits(void **state) {
    struct passport p = {.len = {[PASSPORT_POOL] = 1, [PASSPORT_NAME] = 2, [PASSPORT_UNREAD] = 300}};
    assert_int_equal(passport_size(&p), sizeof p + 303);
    for (size_t n = 0; n < 1000; n++) {
        assert_int_equal(passport_fits(&p, n), n == sizeof p + 303);
    }
    p.len[PASSPORT_UNREAD] = PASSPORT_MAX;
    assert_false(passport_fits(&p, passport_size(&p)));
    for (int i = 0; i < PASSPORT_PARTS; i++) { /* nothing wraps */
        p.len[i] = UINT32_MAX;
    }
    assert_false(passport_fits(&p, sizeof p));
    assert_false(passport_fits(&p, sizeof p - PASSPORT_PARTS));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
