/* hist.h: a histogram of durations: how often each was seen, in a fixed 2 KB, from 0 to 2^32 - 1 usec (71 minutes).
 *
 * Log-linear: up to 16 each number has a slot of its own; from there on each power of two is cut into eight slots of the same
 * width. What is shown of a slot is near its middle, off by 6 % at most.
 *
 * One writer; readers on other threads merge (hist_merge) what they see at that moment. No lock, no locked instruction: relaxed
 * loads and stores of aligned 64-bit words, as in stats/metric.h. */
#ifndef KVMUX_BASE_HIST_H
#define KVMUX_BASE_HIST_H

#include "base/base.h"

#define HIST_CUT_BITS 3
#define HIST_CUTS     (1u << HIST_CUT_BITS) /* slots of a power of two */
#define HIST_SLOTS    ((32 - HIST_CUT_BITS + 1) * HIST_CUTS)

struct hist {
    uint64_t v[HIST_SLOTS];
};

/* The slot of a duration. */
static inline uint32_t hist_slot(uint32_t usec) {
    if (usec < HIST_CUTS) {
        return usec;
    }
    uint32_t shift = 31u - HIST_CUT_BITS - (uint32_t)__builtin_clz(usec);
    return shift * HIST_CUTS + (usec >> shift);
}

/* Writer's thread only: this duration was seen n times. */
static inline void hist_add(struct hist *h, uint32_t usec, uint64_t n) {
    uint64_t *v = &h->v[hist_slot(usec)];
    __atomic_store_n(v, *v + n, __ATOMIC_RELAXED);
}

/* The least and the greatest duration of a slot. */
uint32_t hist_low(uint32_t slot);
uint32_t hist_high(uint32_t slot);
/* `to` is the caller's; `from` may be written to meanwhile. */
void hist_merge(struct hist *to, const struct hist *from);

/* ---- of one that nobody writes to ---- */

uint64_t hist_count(const struct hist *);
uint64_t hist_sum(const struct hist *); /* usec, off by 6 % at most as well */
uint64_t hist_count_to(const struct hist *, uint32_t usec); /* those in slots that end at `usec` or before */
/* Of so many in 1000 it was no longer than this: usec; 1000: the longest. 0 when there are none. */
uint32_t hist_permille(const struct hist *, uint32_t permille);

#endif
