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

/* What is shown of a slot: as far from one end of it as from the other, in percent. */
static uint32_t shown(uint32_t slot) {
    return hist_low(slot) + (uint32_t)((uint64_t)(hist_high(slot) - hist_low(slot)) * 15 / 32);
}

uint64_t hist_sum(const struct hist *h) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < HIST_SLOTS; i++) {
        sum += h->v[i] * shown(i);
    }
    return sum;
}

uint32_t hist_permille(const struct hist *h, uint32_t permille) {
    uint64_t all = hist_count(h), seen = 0;
    uint64_t rank = all / 1000 * permille + (all % 1000 * permille + 999) / 1000; /* rounded up, without overflow */
    rank = rank > 0 ? rank : 1;
    for (uint32_t i = 0; i < HIST_SLOTS; i++) {
        seen += h->v[i];
        if (seen >= rank) {
            return shown(i);
        }
    }
    return 0;
}
