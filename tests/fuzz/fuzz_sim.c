/* fuzz_sim.c: the simulator's schedule. The first four bytes choose configuration and policy, every further decision
 * (who acts, how bytes are cut, what dies) is taken from the bytes behind them. A broken promise ends the process. */
#include "random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 8 || size > 16384) {
        return 0;
    }
    uint64_t seed = (uint64_t)data[0] | (uint64_t)data[1] << 8 | (uint64_t)data[2] << 16 | (uint64_t)data[3] << 24;
    random_run(seed, slice(data + 4, size - 4), false, NULL);
    return 0;
}
