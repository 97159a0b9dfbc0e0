/* How many keys another ring moves: the exact share against a sample of keys. */
#include "route/moved.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define SERVERS 8
#define KEYS 20000

static struct ring *ring_of(enum dist dist, const uint32_t *weights, uint32_t *n) {
    static const char *const names[SERVERS] = {"s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"};
    struct ring_server servers[SERVERS];
    *n = 0;
    for (uint32_t i = 0; i < SERVERS; i++) {
        if (weights[i] > 0) {
            servers[(*n)++] = (struct ring_server){slice_str(names[i]), weights[i], true};
        }
    }
    return ring_new(dist, HASH_JENKINS, NULL, servers, *n);
}

static void check(enum dist dist, const uint32_t *old, const uint32_t *now) {
    uint32_t same[SERVERS], n, m, i = 0, k = 0, moved = 0;
    struct ring *a = ring_of(dist, old, &n), *b = ring_of(dist, now, &m);
    for (uint32_t s = 0; s < SERVERS; s++) {
        if (old[s] > 0) {
            same[i++] = now[s] > 0 ? k : RING_NONE;
        }
        k += now[s] > 0;
    }
    double share, sample;
    assert_int_equal(ring_moved(a, b, same, &share), MOVED_EXACT);
    for (uint32_t key = 0; key < KEYS; key++) {
        char text[16];
        struct slice s = slice(text, (size_t)snprintf(text, sizeof text, "%u", key));
        moved += same[ring_pick(a, NULL, s)] != ring_pick(b, NULL, s);
    }
    sample = (double)moved / KEYS;
    if (share > sample + 0.02 || share < sample - 0.02) {
        fail_msg("%f of the keys, but %f of a sample", share, sample);
    }
    ring_unref(&a);
    ring_unref(&b);
}

static void test_shares(void **state) {
    static const uint32_t lists[][SERVERS] = {
        {1}, {0, 1}, {1, 1}, {1, 1, 1}, {1, 1, 0, 1}, {1, 7, 2}, {1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 9, 1, 1, 1, 1}, {0, 0, 0, 0, 3, 1, 1, 5},
    };
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
            check(DIST_KETAMA, lists[i], lists[k]);
            check(DIST_MODULA, lists[i], lists[k]);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
