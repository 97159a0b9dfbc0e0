#include "base/num.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void test_u64(void **state) {
    static const struct {
        const char *text;
        bool ok;
        uint64_t v;
    } rows[] = {
        {"0", true, 0},
        {"7", true, 7},
        {"007", true, 7},
        {"18446744073709551614", true, UINT64_MAX - 1},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"18446744073709551620", false, 0},
        {"99999999999999999999", false, 0},
        {"184467440737095516150", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1a", false, 0},
        {"/", false, 0}, /* the byte before '0' */
        {":", false, 0}, /* the byte after '9' */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t v = 12345;
        assert_int_equal(num_u64(slice_str(rows[i].text), &v), rows[i].ok);
        assert_true(v == (rows[i].ok ? rows[i].v : 12345)); /* a refused text leaves it as it was */
    }
}

static void test_i64(void **state) {
    static const struct {
        const char *text;
        bool ok;
        int64_t v;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"-1", true, -1},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775808", true, INT64_MIN},
        {"-9223372036854775809", false, 0},
        {"-", false, 0},
        {"--1", false, 0},
        {"", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t v = 12345;
        assert_int_equal(num_i64(slice_str(rows[i].text), &v), rows[i].ok);
        assert_true(v == (rows[i].ok ? rows[i].v : 12345));
    }
}

static void test_put(void **state) {
    char to[NUM_MAX + 1];
    memset(to, '#', sizeof to);
    assert_true(slice_is(slice(to, num_put_u64(to, 0)), "0"));
    assert_true(slice_is(slice(to, num_put_u64(to, UINT64_MAX)), "18446744073709551615"));
    assert_true(slice_is(slice(to, num_put_i64(to, INT64_MIN)), "-9223372036854775808"));
    assert_true(slice_is(slice(to, num_put_i64(to, -10)), "-10"));
    assert_int_equal(to[NUM_MAX], '#');
}

static void test_round_trip(void **state) {
    struct rng rng;
    rng_seed(&rng, 5);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t u = ((uint64_t)rng_u32(&rng) << 32 | rng_u32(&rng)) >> i % 64, back;
        int64_t s = (int64_t)(i % 2 != 0 ? 0 - u : u), sback;
        char to[NUM_MAX];
        assert_true(num_u64(slice(to, num_put_u64(to, u)), &back));
        assert_true(back == u);
        assert_true(num_i64(slice(to, num_put_i64(to, s)), &sback));
        assert_true(sback == s);
    }
}

static void test_rng(void **state) {
    struct rng a, b;
    rng_seed(&a, 9);
    rng_seed(&b, 9);
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(rng_u32(&a), rng_u32(&b)); /* same seed, same numbers: schedules can be replayed */
        assert_in_range(rng_below(&a, 10), 0, 9);
        rng_u32(&b);
        assert_int_equal(rng_below(&a, 1), 0);
        rng_u32(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_u64),        cmocka_unit_test(test_i64), cmocka_unit_test(test_put),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_rng),
    };
    return cmocka_run_group_tests_name("num", tests, NULL, NULL);
}
