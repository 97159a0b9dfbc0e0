#include "base/hist.h"

uint32_t hist_low(uint32_t slot) {
    if (slot < HIST_CUTS) {
        return slot;
    }
    return (HIST_CUTS + slot % HIST_CUTS) << (slot / HIST_CUTS - 1);
}

uint32_t hist_high(uint32_t slot) {
    return slot + 1 == HIST_SLOTS ? UINT32_MAX : hist_low(slot + 1) - 1;
}

void hist_merge(struct hist *to, const struct hist *from) {
    to->sum += __atomic_load_n(&from->sum, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < HIST_SLOTS; i++) {
        to->v[i] += __atomic_load_n(&from->v[i], __ATOMIC_RELAXED);
    }
}

uint64_t hist_count(const struct hist *h) {
    return hist_count_to(h, UINT32_MAX);
}

uint64_t hist_count_to(const struct hist *h, uint32_t usec) {
    uint64_t n = 0;
    for (uint32_t i = 0; i < HIST_SLOTS && hist_high(i) <= usec; i++) {
        n += h->v[i];
    }
    return n;
}

uint32_t hist_permille(const struct hist *h, uint32_t permille) {
    uint64_t all = hist_count(h), seen = 0;
    uint64_t rank = all / 1000 * permille + (all % 1000 * permille + 999) / 1000; /* rounded up, without overflow */
    rank = rank > 0 ? rank : 1;
    for (uint32_t i = 0; i < HIST_SLOTS; i++) {
        seen += h->v[i];
        if (seen >= rank) {
            return hist_low(i) + (uint32_t)((uint64_t)(hist_high(i) - hist_low(i)) * 15 / 32); /* as far from both ends, in percent */
        }
    }
    return 0;
}
