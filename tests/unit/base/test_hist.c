#include "base/hist.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* Slots lie one behind the other without a gap, and each number is in the one that says so. */
static void test_slots(void **state) {
    uint32_t low = 0;
    for (uint32_t i = 0; i < HIST_SLOTS; i++) {
        assert_int_equal(hist_low(i), low);
        assert_true(hist_high(i) >= low);
        assert_int_equal(hist_slot(low), i);
        assert_int_equal(hist_slot(hist_high(i)), i);
        low = hist_high(i) + 1;
    }
    assert_int_equal(low, 0); /* the last one ends at 2^32 - 1 */
    for (uint32_t usec = 0; usec < 2 * HIST_CUTS; usec++) {
        assert_int_equal(hist_high(hist_slot(usec)), usec); /* exact */
    }
}

/* Of one duration alone every percentile is that duration, off by less than 6 %. */
static void test_error(void **state) {
    struct rng rng;
    rng_seed(&rng, 1);
    for (int i = 0; i < 20000; i++) {
        uint32_t usec = rng_u32(&rng) >> (i % 32);
        struct hist h = {0};
        hist_add(&h, usec, 1);
        double got = hist_permille(&h, 500), off = got > usec ? got - usec : usec - got;
        assert_true(off <= 0.06 * usec);
        assert_int_equal(hist_permille(&h, 0), hist_permille(&h, 1000));
        assert_int_equal(hist_sum(&h), hist_permille(&h, 500));
    }
}

static void test_permille(void **state) {
    struct hist h = {0};
    assert_int_equal(hist_permille(&h, 500), 0);
    assert_int_equal(hist_count(&h), 0);
    hist_add(&h, 1, 500);
    hist_add(&h, 2, 490);
    hist_add(&h, 9, 9);
    hist_add(&h, 15, 1);
    static const struct {
        uint32_t permille, usec;
    } rows[] = {{0, 1}, {1, 1}, {500, 1}, {501, 2}, {990, 2}, {991, 9}, {999, 9}, {1000, 15}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(hist_permille(&h, rows[i].permille), rows[i].usec);
    }
    assert_int_equal(hist_count(&h), 1000);
    assert_int_equal(hist_count_to(&h, 0), 0);
    assert_int_equal(hist_count_to(&h, 2), 990);
    assert_int_equal(hist_count_to(&h, 14), 999);
    assert_int_equal(hist_sum(&h), 500 + 2 * 490 + 9 * 9 + 15);
}

/* Numbers near 2^64, as after years. */
static void test_large_counts(void **state) {
    struct hist h = {0};
    hist_add(&h, 3, UINT64_MAX / 2);
    hist_add(&h, 4, UINT64_MAX / 2);
    assert_int_equal(hist_permille(&h, 499), 3);
    assert_int_equal(hist_permille(&h, 501), 4);
}

static void test_merge(void **state) {
    struct hist a = {0}, b = {0}, both = {0};
    struct rng rng;
    rng_seed(&rng, 2);
    for (int i = 0; i < 1000; i++) {
        uint32_t usec = rng_u32(&rng) >> (i % 32);
        hist_add(i % 3 == 0 ? &a : &b, usec, 2);
        hist_add(&both, usec, 2);
    }
    hist_merge(&a, &b);
    assert_memory_equal(&a, &both, sizeof a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slots),  cmocka_unit_test(test_error), cmocka_unit_test(test_permille),
        cmocka_unit_test(test_large_counts), cmocka_unit_test(test_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
