/* measure.h: what a load program measures and prints: latencies, throughput, what the watched processes used (acct.h).
 *
 * A program calls measure_begin and measure_end around the measured window and measure_add for what was answered inside it;
 * measure_print writes the JSON object that bench.py reads. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include "util.h"

struct tally {
    uint64_t requests; /* warm-up included */
    uint64_t errors, missing, mismatches, lost;
    uint64_t bytes; /* both ways, since measure_begin */
};
extern struct tally tally;

/* SIGTERM and SIGINT were seen, which ends the measured window: the figures are printed all the same. */
extern volatile sig_atomic_t measure_stop;
void measure_catch_signals(void);

bool measure_watch(const char *name_and_pid); /* NAME:PID; false: that is not what it is */
void measure_begin(void);
bool measuring(void);
void measure_add(uint64_t now, uint64_t asked, uint64_t n); /* n answers at ns `now` to what was asked at `asked` */
uint64_t measured(void);
void measure_end(void);
void measure_print(void);

#endif
