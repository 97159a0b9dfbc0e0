/* What the golden tables do not show: edges, ejection, and that the quick look-up is the plain one. */
#include "route/ring.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#define MANY 320

static char names[MANY][8];
static struct ring_server servers[MANY];

/* n living servers named s0, s1 ..., all of one weight. */
static void make_servers(uint32_t n, uint32_t weight) {
    for (uint32_t i = 0; i < n; i++) {
        int len = snprintf(names[i], sizeof names[i], "s%u", i);
        servers[i] = (struct ring_server){slice(names[i], (size_t)len), weight, true};
    }
}

static void test_names(void **state) {
    assert_int_equal(DIST_COUNT, 3);
    for (int d = 0; d < DIST_COUNT; d++) {
        assert_int_equal(dist_by_name(slice_str(dist_name((enum dist)d))), d);
    }
    assert_int_equal(dist_by_name(slice_str("modula")), DIST_MODULA);
    assert_int_equal(dist_by_name(slice_str("Ketama")), -1);
    assert_int_equal(dist_by_name(slice_str("")), -1);
}

static void test_one_server(void **state) {
    struct rng rng;
    rng_seed(&rng, 1);
    for (int d = 0; d < DIST_COUNT; d++) {
        make_servers(1, 7);
        struct ring *r = ring_new((enum dist)d, HASH_MD5, NULL, servers, 1);
        assert_int_equal(ring_pick(r, &rng, slice_str("key")), 0);
        assert_int_equal(ring_pick(r, &rng, slice(NULL, 0)), 0);
        ring_unref(&r);
        assert_null(r);
        servers[0].alive = false;
        r = ring_new((enum dist)d, HASH_MD5, NULL, servers, 1);
        assert_int_equal(ring_pick(r, &rng, slice_str("key")), RING_NONE);
        ring_unref(&r);
    }
}

static void test_none_alive(void **state) {
    struct rng rng;
    rng_seed(&rng, 1);
    make_servers(4, 1);
    for (uint32_t i = 0; i < 4; i++) {
        servers[i].alive = false;
    }
    for (int d = 0; d < DIST_COUNT; d++) {
        struct ring *r = ring_new((enum dist)d, HASH_FNV1A_64, NULL, servers, 4);
        assert_int_equal(ring_points(r), 0);
        assert_int_equal(ring_pick(r, &rng, slice_str("key")), RING_NONE);
        ring_unref(&r);
        r = ring_new((enum dist)d, HASH_FNV1A_64, NULL, NULL, 0);
        assert_int_equal(ring_pick(r, &rng, slice_str("key")), RING_NONE);
        ring_unref(&r);
    }
}

/* The hash function is not called for an empty key: its value is 0, whatever the function would say. */
static void test_empty_key(void **state) {
    make_servers(5, 1);
    for (int h = 0; h < HASH_COUNT; h++) {
        struct ring *r = ring_new(DIST_MODULA, (enum hash)h, "{}", servers, 5);
        assert_int_equal(ring_pick(r, NULL, slice(NULL, 0)), 0);
        ring_unref(&r);
        r = ring_new(DIST_KETAMA, (enum hash)h, "{}", servers, 5);
        uint32_t value, server;
        ring_point(r, 0, &value, &server);
        assert_int_equal(ring_pick(r, NULL, slice(NULL, 0)), server);
        ring_unref(&r);
    }
}

static void test_tagged(void **state) {
    make_servers(7, 1);
    char tag[2] = {'<', '>'};
    struct ring *r = ring_new(DIST_KETAMA, HASH_CRC32A, tag, servers, 7);
    memset(tag, 0, sizeof tag); /* the ring keeps its own copy */
    for (unsigned i = 0; i < 100; i++) {
        char bare[16], tagged[32];
        snprintf(bare, sizeof bare, "t%u", i);
        snprintf(tagged, sizeof tagged, "x<t%u>%u", i, i * 31);
        assert_int_equal(ring_pick(r, NULL, slice_str(bare)), ring_pick(r, NULL, slice_str(tagged)));
    }
    ring_unref(&r);
}

static uint32_t plain_ketama(const struct ring *r, uint32_t hash) {
    uint32_t value, server;
    for (uint32_t i = 0; i < ring_points(r); i++) {
        ring_point(r, i, &value, &server);
        if (value >= hash) {
            return server;
        }
    }
    ring_point(r, 0, &value, &server);
    return server;
}

static void test_ketama_lookup(void **state) {
    static const uint32_t sizes[] = {2, 3, 10, 41};
    struct rng rng;
    rng_seed(&rng, 42);
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        make_servers(sizes[s], 3);
        servers[0].weight = 50;
        servers[1].alive = s % 2 == 0;
        struct ring *r = ring_new(DIST_KETAMA, HASH_MURMUR, NULL, servers, sizes[s]);
        for (unsigned i = 0; i < 5000; i++) {
            uint32_t word[2] = {rng_u32(&rng), rng_u32(&rng)};
            struct slice key = slice(word, 1 + i % 8);
            assert_int_equal(ring_pick(r, NULL, key), plain_ketama(r, hash_key(HASH_MURMUR, key)));
        }
        ring_unref(&r);
    }
}

static uint32_t plain_modula(uint32_t n, uint32_t hash) {
    uint64_t sum = 0, slot;
    for (uint32_t i = 0; i < n; i++) {
        sum += servers[i].alive ? servers[i].weight : 0;
    }
    slot = hash % sum;
    for (uint32_t i = 0; i < n; i++) {
        if (servers[i].alive) {
            if (slot < servers[i].weight) {
                return i;
            }
            slot -= servers[i].weight;
        }
    }
    return RING_NONE;
}

/* Weights that crowd the points on one side, and sums round 2^32. */
static void test_modula_lookup(void **state) {
    static const uint32_t heavy[] = {1, 5, 1000, 1u << 31, UINT32_MAX - 60, UINT32_MAX - 57, UINT32_MAX - 56,
                                     UINT32_MAX};
    struct rng rng;
    rng_seed(&rng, 43);
    for (size_t w = 0; w < ARRAY_LEN(heavy); w++) {
        for (uint32_t at = 0; at < 20; at += 19) {
            make_servers(20, 3);
            servers[at].weight = heavy[w];
            servers[7].alive = w % 2 == 0;
            struct ring *r = ring_new(DIST_MODULA, HASH_CRC32A, NULL, servers, 20);
            for (unsigned i = 0; i < 3000; i++) {
                uint32_t word = rng_u32(&rng);
                struct slice key = slice(&word, sizeof word);
                assert_int_equal(ring_pick(r, NULL, key), plain_modula(20, hash_key(HASH_CRC32A, key)));
            }
            ring_unref(&r);
        }
    }
}

static void test_random(void **state) {
    unsigned hits[6] = {0};
    struct rng rng;
    rng_seed(&rng, 7);
    make_servers(6, 1);
    servers[2].weight = 1000000; /* does not count */
    servers[4].alive = false;
    struct ring *r = ring_new(DIST_RANDOM, HASH_MD5, NULL, servers, 6);
    assert_int_equal(ring_points(r), 5);
    for (unsigned i = 0; i < 10000; i++) {
        uint32_t s = ring_pick(r, &rng, slice_str("always the same key"));
        assert_in_range(s, 0, 5);
        hits[s]++;
    }
    ring_unref(&r);
    for (unsigned i = 0; i < 6; i++) {
        assert_in_range(hits[i], i == 4 ? 0 : 1800, i == 4 ? 0 : 2200);
    }
}

/* Single precision shows: these counts of equal servers get 156 points each, all others up to 320 get 160. */
static void test_rounding(void **state) {
    static const uint32_t low[] = {25,  47,  50,  55,  61,  71,  94,  100, 107, 109, 110, 115, 122,
                                   142, 159, 163, 188, 193, 200, 209, 214, 218, 219, 220, 230, 237,
                                   243, 244, 279, 284, 293, 299, 301, 305, 313, 318, 319};
    size_t at = 0;
    for (uint32_t n = 1; n <= MANY; n++) {
        bool is_low = at < ARRAY_LEN(low) && low[at] == n;
        at += is_low;
        if (n > 128 && !is_low) {
            continue; /* millions of points: the rest of the 160s would take seconds */
        }
        make_servers(n, 1);
        struct ring *r = ring_new(DIST_KETAMA, HASH_MD5, NULL, servers, n);
        assert_int_equal(ring_points(r), n * (is_low ? 156 : 160));
        ring_unref(&r);
    }
    assert_int_equal(at, ARRAY_LEN(low));
}

/* A sum of weights beyond 32 bits wraps as long as nutcracker has room for the points that gives, else it does not. */
static void test_weight_wrap(void **state) {
    make_servers(3, INT32_MAX);
    struct ring *r = ring_new(DIST_KETAMA, HASH_MD5, NULL, servers, 3);
    assert_int_equal(ring_points(r), 3 * 480);
    ring_unref(&r);
    servers[2].weight = 2; /* the sum is 2^32: wrapped, 0 */
    r = ring_new(DIST_KETAMA, HASH_MD5, NULL, servers, 3);
    assert_int_equal(ring_points(r), 2 * 240);
    ring_unref(&r);
}

/* With equal weights an ejected server's keys move, no other. */
static void test_eject(void **state) {
    make_servers(9, 1);
    struct ring *all = ring_new(DIST_KETAMA, HASH_FNV1A_64, NULL, servers, 9);
    servers[3].alive = false;
    struct ring *fewer = ring_new(DIST_KETAMA, HASH_FNV1A_64, NULL, servers, 9);
    unsigned moved = 0;
    for (unsigned i = 0; i < 5000; i++) {
        char key[16];
        snprintf(key, sizeof key, "%u:key", i * 7919);
        uint32_t before = ring_pick(all, NULL, slice_str(key)), after = ring_pick(fewer, NULL, slice_str(key));
        assert_int_not_equal(after, 3);
        if (before == 3) {
            moved++;
        } else {
            assert_int_equal(before, after);
        }
    }
    assert_in_range(moved, 250, 1000);
    ring_unref(&all);
    ring_unref(&fewer);
}

static void test_refs(void **state) {
    make_servers(2, 1);
    struct ring *r = ring_new(DIST_MODULA, HASH_MD5, NULL, servers, 2), *second = ring_ref(r), *none = NULL;
    assert_ptr_equal(r, second);
    ring_unref(&r);
    assert_null(r);
    assert_int_equal(ring_points(second), 2);
    ring_unref(&second);
    ring_unref(&none);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_one_server),
        cmocka_unit_test(test_none_alive),
        cmocka_unit_test(test_empty_key),
        cmocka_unit_test(test_tagged),
        cmocka_unit_test(test_ketama_lookup),
        cmocka_unit_test(test_modula_lookup),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_weight_wrap),
        cmocka_unit_test(test_eject),
        cmocka_unit_test(test_refs),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
