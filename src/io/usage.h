/* usage.h: what the process takes of the system at this moment. Any thread. */
#ifndef KVMUX_IO_USAGE_H
#define KVMUX_IO_USAGE_H

#include "base/base.h"

struct usage {
    int64_t cpu_usec;       /* of all threads, user and system */
    int64_t resident_bytes; /* 0: the system does not say */
    int64_t descriptors_max;
};
void usage_read(struct usage *);

#endif
