/* HyperLogLogs: both encodings say the same, what is cut or damaged is refused, and the estimate is near the truth. That it is
 * Redis' own number for number is tests/real/test_keyspace.py's business. */
#include "resp_test.h"

#include <stdlib.h>

enum { HEAD = 16, DENSE = HEAD + HLL_REGISTERS * 6 / 8 };

static size_t put_head(uint8_t *to, uint8_t encoding) {
    memset(to, 0, HEAD);
    memcpy(to, "HYLL", 4);
    to[4] = encoding;
    return HEAD;
}

static size_t put_dense(uint8_t *to, const uint8_t *r) {
    memset(to, 0, DENSE + 1);
    put_head(to, 0);
    for (size_t i = 0; i < HLL_REGISTERS; i++) {
        size_t bit = i * 6;
        uint32_t v = (uint32_t)r[i] << (bit % 8);
        to[HEAD + bit / 8] |= (uint8_t)v;
        to[HEAD + bit / 8 + 1] |= (uint8_t)(v >> 8);
    }
    return DENSE;
}

/* Values up to 32, as the encoding has room for. */
static size_t put_sparse(uint8_t *to, const uint8_t *r) {
    size_t n = put_head(to, 1), run;
    for (size_t i = 0; i < HLL_REGISTERS; i += run) {
        size_t most = r[i] != 0 ? 4 : HLL_REGISTERS;
        run = 1;
        while (i + run < HLL_REGISTERS && run < most && r[i + run] == r[i]) {
            run++;
        }
        if (r[i] != 0) {
            to[n++] = (uint8_t)(0x80 | (r[i] - 1) << 2 | (int)(run - 1));
        } else if (run > 64) {
            to[n++] = (uint8_t)(0x40 | (run - 1) >> 8);
            to[n++] = (uint8_t)(run - 1);
        } else {
            to[n++] = (uint8_t)(run - 1);
        }
    }
    return n;
}

/* Registers as n different elements leave them. */
static void fill(uint8_t *r, uint32_t n, struct rng *rng) {
    memset(r, 0, HLL_REGISTERS);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = rng_below(rng, HLL_REGISTERS);
        uint8_t rank = 1;
        while (rank < 32 && (rng_u32(rng) & 0x10000) == 0) {
            rank++;
        }
        r[at] = r[at] < rank ? rank : r[at];
    }
}

static void test_both_encodings(void **state) {
    static uint8_t regs[HLL_REGISTERS], a[HLL_REGISTERS], b[HLL_REGISTERS], bytes[2 * HLL_REGISTERS];
    static const uint32_t counts[] = {0, 1, 2, 10, 100, 1000, 5000, 20000, 100000};
    struct rng rng;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        fill(regs, counts[i], &rng);
        memset(a, 0, sizeof a);
        memset(b, 0, sizeof b);
        assert_int_equal(resp_hll_add(a, slice(bytes, put_dense(bytes, regs))), HLL_OK);
        assert_int_equal(resp_hll_add(b, slice(bytes, put_sparse(bytes, regs))), HLL_OK);
        assert_memory_equal(a, regs, sizeof a);
        assert_memory_equal(b, regs, sizeof b);
        int64_t off = (int64_t)resp_hll_count(a) - counts[i];
        assert_true(labs(off) <= counts[i] / 25 + 1);
    }
}

static void test_union(void **state) {
    static uint8_t one[HLL_REGISTERS], two[HLL_REGISTERS], both[HLL_REGISTERS], bytes[2 * HLL_REGISTERS];
    struct rng rng;
    rng_seed(&rng, 2);
    fill(one, 3000, &rng);
    fill(two, 40, &rng);
    assert_int_equal(resp_hll_add(both, slice(bytes, put_dense(bytes, one))), HLL_OK);
    assert_int_equal(resp_hll_add(both, slice(bytes, put_sparse(bytes, two))), HLL_OK);
    for (size_t i = 0; i < HLL_REGISTERS; i++) {
        assert_int_equal(both[i], one[i] > two[i] ? one[i] : two[i]);
    }
}

static void test_every_cut_is_refused(void **state) {
    static uint8_t regs[HLL_REGISTERS], into[HLL_REGISTERS], bytes[2 * HLL_REGISTERS];
    struct rng rng;
    rng_seed(&rng, 3);
    fill(regs, 300, &rng);
    size_t n = put_sparse(bytes, regs);
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *copy = mem_alloc(cut + 1); /* its end is the end of the memory */
        memcpy(copy, bytes, cut);
        assert_int_equal(resp_hll_add(into, slice(copy, cut)), cut < HEAD ? HLL_OTHER : HLL_CORRUPT);
        mem_free(copy);
    }
    bytes[n] = 0;
    assert_int_equal(resp_hll_add(into, slice(bytes, n + 1)), HLL_CORRUPT);
    n = put_dense(bytes, regs);
    assert_int_equal(resp_hll_add(into, slice(bytes, n - 1)), HLL_OTHER);
    assert_int_equal(resp_hll_add(into, slice(bytes, n + 1)), HLL_OTHER);
    bytes[4] = 2;
    assert_int_equal(resp_hll_add(into, slice(bytes, n)), HLL_OTHER);
    bytes[4] = 0;
    bytes[0] = 'h';
    assert_int_equal(resp_hll_add(into, slice(bytes, n)), HLL_OTHER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_encodings),
        cmocka_unit_test(test_union),
        cmocka_unit_test(test_every_cut_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
