/* rng.h: small fast random numbers (xorshift64*): jitter, `distribution: random`, simulator schedules. Not for secrets. */
#ifndef KVMUX_BASE_RNG_H
#define KVMUX_BASE_RNG_H

#include "base/base.h"

struct rng {
    uint64_t state; /* never 0 */
};

static inline void rng_seed(struct rng *r, uint64_t seed) {
    r->state = seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
    if (r->state == 0) {
        r->state = 1;
    }
}

static inline uint32_t rng_u32(struct rng *r) {
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (uint32_t)((r->state * 0x2545f4914f6cdd1du) >> 32);
}

/* 0 .. n-1 */
static inline uint32_t rng_below(struct rng *r, uint32_t n) {
    return (uint32_t)(((uint64_t)rng_u32(r) * n) >> 32);
}

#endif
