/* resp_hll.c: Redis' HyperLogLogs, so that the union of sketches on several servers counts what one server would count.
 * Format (hyperloglog.c of Redis, described in its opening comment): "HYLL", one byte of encoding, 3 unused, 8 of a cached
 * count; then 16384 registers of 6 bits, low bits first (dense), or runs of registers (sparse). The estimator is Ertl's
 * improved one (arXiv:1702.01284, algorithm 6), computed in doubles in the same order of operations. */
#include "proto/resp.h"

#include <math.h>

#define HEAD  16u
#define BITS  6u
#define DENSE (HEAD + HLL_REGISTERS * BITS / 8)
#define RANKS 50 /* 64 bits of hash, 14 of which choose the register */

enum { ENCODING_DENSE, ENCODING_SPARSE };

static void raise_to(uint8_t *r, uint8_t rank) {
    if (*r < rank) {
        *r = rank;
    }
}

/* Four registers lie in three bytes. */
static void add_dense(uint8_t *r, const uint8_t *p) {
    for (size_t i = 0; i < HLL_REGISTERS; i += 4, p += 3) {
        uint32_t w = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16;
        for (size_t k = 0; k < 4; k++) {
            raise_to(&r[i + k], (uint8_t)(w >> (k * BITS) & 63));
        }
    }
}

/* 00xxxxxx: x + 1 zeros; 01xxxxxx yyyyyyyy: xy + 1 zeros; 1vvvvvxx: x + 1 registers of v + 1. */
static bool add_sparse(uint8_t *r, struct slice s) {
    size_t at = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i], rank = 0;
        size_t run = (c & 0x3fu) + 1u;
        if (c & 0x80) {
            run = (c & 3u) + 1u;
            rank = (uint8_t)((c >> 2 & 0x1f) + 1);
        } else if (c & 0x40) {
            if (++i == s.n) {
                return false;
            }
            run = ((size_t)(c & 0x3fu) << 8 | s.p[i]) + 1;
        }
        if (run > HLL_REGISTERS - at) {
            return false;
        }
        for (; run > 0; run--) {
            raise_to(&r[at++], rank);
        }
    }
    return at == HLL_REGISTERS;
}

enum hll_rc resp_hll_add(uint8_t *registers, struct slice s) {
    if (s.n < HEAD || memcmp(s.p, "HYLL", 4) != 0 || s.p[4] > ENCODING_SPARSE ||
        (s.p[4] == ENCODING_DENSE && s.n != DENSE)) {
        return HLL_OTHER;
    }
    if (s.p[4] == ENCODING_DENSE) {
        add_dense(registers, s.p + HEAD);
        return HLL_OK;
    }
    return add_sparse(registers, slice(s.p + HEAD, s.n - HEAD)) ? HLL_OK : HLL_CORRUPT;
}

/* x + sum of x^(2^k) * 2^(k-1) over k >= 1 */
static double sigma(double x) {
    if (x >= 1) {
        return INFINITY;
    }
    double sum = x, power = 1, before;
    do {
        x *= x;
        before = sum;
        sum += x * power;
        power += power;
    } while (sum != before);
    return sum;
}

/* (1 - x - sum of (1 - x^(2^-k))^2 * 2^-k over k >= 1) / 3 */
static double tau(double x) {
    if (x <= 0 || x >= 1) {
        return 0;
    }
    double sum = 1 - x, power = 1, before;
    do {
        x = sqrt(x);
        before = sum;
        power *= 0.5;
        sum -= (1 - x) * (1 - x) * power;
    } while (sum != before);
    return sum / 3;
}

uint64_t resp_hll_count(const uint8_t *registers) {
    uint32_t ranks[64] = {0};
    for (size_t i = 0; i < HLL_REGISTERS; i++) {
        ranks[registers[i] & 63]++;
    }
    double m = HLL_REGISTERS;
    double z = m * tau((m - ranks[RANKS + 1]) / m);
    for (int k = RANKS; k >= 1; k--) {
        z += ranks[k];
        z *= 0.5;
    }
    z += m * sigma(ranks[0] / m);
    return (uint64_t)llround(0.721347520444481703680 * m * m / z); /* 1 / (2 ln 2) */
}
