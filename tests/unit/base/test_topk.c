#include "base/topk.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct topk_entry *entry(const struct topk *t, struct slice key) {
    for (uint32_t i = 0; i < t->n; i++) {
        if (slice_eq(topk_key(&t->v[i]), key)) {
            return &t->v[i];
        }
    }
    return NULL;
}

static uint64_t count(const struct topk *t, const char *key) {
    const struct topk_entry *e = entry(t, slice_str(key));
    return e != NULL ? e->count / TOPK_UNIT : 0;
}

/* While there are counters for all, each count is exact. */
static void test_exact(void **state) {
    struct topk *t = topk_new(4);
    for (int i = 0; i < 5; i++) {
        topk_add(t, slice_str("a"), 1);
        topk_add(t, slice_str("b"), 3);
    }
    topk_add(t, slice("", 0), 2);
    assert_int_equal(count(t, "a"), 5);
    assert_int_equal(count(t, "b"), 15);
    assert_int_equal(count(t, ""), 2);
    assert_int_equal(t->total, 22 * TOPK_UNIT);
    assert_int_equal(t->n, 3);
    for (uint32_t i = 0; i < t->n; i++) {
        assert_int_equal(t->v[i].error, 0);
    }
    topk_free(&t);
    assert_null(t);
}

/* The least one goes, and who comes in its place may have been there for as long. */
static void test_takes_over(void **state) {
    struct topk *t = topk_new(2);
    topk_add(t, slice_str("a"), 9);
    topk_add(t, slice_str("b"), 2);
    topk_add(t, slice_str("c"), 1);
    assert_int_equal(count(t, "a"), 9);
    assert_int_equal(count(t, "b"), 0);
    assert_int_equal(count(t, "c"), 3);
    assert_int_equal(entry(t, slice_str("c"))->error, 2 * TOPK_UNIT);
    topk_free(&t);
}

/* The promise: true count <= count <= true count + error, and whoever is more than one in n is there. */
static void test_promise(void **state) {
    enum { KEYS = 10000, HOT = 5, N = 200000 };
    static uint32_t truth[KEYS];
    struct topk *t = topk_new(32);
    struct rng rng;
    char key[16];
    rng_seed(&rng, 7);
    for (int i = 0; i < N; i++) {
        uint32_t k = rng_below(&rng, 100) < 30 ? rng_below(&rng, HOT) : rng_below(&rng, KEYS);
        truth[k]++;
        snprintf(key, sizeof key, "key:%u", k);
        topk_add(t, slice_str(key), 1);
    }
    assert_int_equal(t->n, 32);
    for (uint32_t k = 0; k < KEYS; k++) {
        snprintf(key, sizeof key, "key:%u", k);
        const struct topk_entry *e = entry(t, slice_str(key));
        if (k < HOT) {
            assert_true(truth[k] > N / 32);
            assert_non_null(e);
        }
        if (e != NULL) {
            assert_true(e->count >= (uint64_t)truth[k] * TOPK_UNIT);
            assert_true(e->count - e->error <= (uint64_t)truth[k] * TOPK_UNIT);
        }
    }
    topk_free(&t);
}

/* Seconds, not minutes: a rate is right after a few, and what stopped is gone soon. */
static void test_decay(void **state) {
    struct topk *t = topk_new(4);
    for (int second = 0; second < 30; second++) {
        topk_add(t, slice_str("steady"), 100);
        topk_add(t, slice_str("early"), second < 10 ? 100 : 0);
        topk_decay(t, 1);
        double rate = (double)entry(t, slice_str("steady"))->count / (double)t->seconds;
        assert_true(rate > 87 && rate < 101); /* the last second lost an eighth already */
    }
    assert_true(count(t, "early") < count(t, "steady") / 10);
    topk_decay(t, 100);
    assert_int_equal(t->n, 0);
    topk_decay(t, UINT64_MAX);
    assert_int_equal(t->n, 0);
    topk_add(t, slice_str("new"), 1); /* it inherits nothing */
    assert_int_equal(count(t, "new"), 1);
    assert_int_equal(entry(t, slice_str("new"))->error, 0);
    topk_free(&t);
}

/* Keys that are alike for longer than is kept of them are still two, unless they are as long and have one hash. */
static void test_long(void **state) {
    uint8_t a[TOPK_KEY_MAX + 40], b[sizeof a];
    memset(a, 'x', sizeof a);
    memcpy(b, a, sizeof b);
    b[sizeof b - 1] = 'y';
    struct topk *t = topk_new(4);
    topk_add(t, slice(a, sizeof a), 1);
    topk_add(t, slice(b, sizeof b), 1);
    topk_add(t, slice(a, sizeof a - 1), 1);
    topk_add(t, slice(a, sizeof a), 1);
    assert_int_equal(t->n, 3);
    assert_int_equal(t->v[0].count, 2 * TOPK_UNIT);
    assert_int_equal(t->v[0].len, sizeof a);
    assert_int_equal(topk_key(&t->v[0]).n, TOPK_KEY_MAX);
    assert_false(topk_same(&t->v[0], &t->v[1]));
    assert_true(topk_same(&t->v[0], &t->v[0]));
    topk_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact), cmocka_unit_test(test_takes_over), cmocka_unit_test(test_promise),
        cmocka_unit_test(test_decay), cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
