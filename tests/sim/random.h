/* random.h: one random run: model servers, random clients, kills, cuts, time-outs; and what must hold all the same. */
#ifndef KVMUX_TESTS_SIM_RANDOM_H
#define KVMUX_TESTS_SIM_RANDOM_H

#include "base/slice.h"

struct random_sum {
    uint64_t requests, errors, closed;
    uint64_t no_script; /* of the errors: a server had lost the script, and something was behind the request */
};

/* Everything follows from the seed; with `bytes` (a fuzzer's) decisions are taken from them. A broken promise ends the
 * process with a message. Adds to `sum` (may be NULL). */
void random_run(uint64_t seed, struct slice bytes, bool verbose, struct random_sum *sum);

#endif
