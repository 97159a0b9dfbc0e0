/* runs.h: messages as few contiguous runs of bytes, for one vectored write. */
#ifndef KVMUX_CORE_RUNS_H
#define KVMUX_CORE_RUNS_H

#include "base/buf.h"

#include <sys/uio.h>

#define RUNS_MAX 64

struct runs {
    struct iovec iov[RUNS_MAX];
    int n;
    size_t total; /* bytes */
    size_t skip;  /* bytes at the beginning that are written already and still to be passed over */
};

static inline void runs_init(struct runs *r, size_t skip) {
    r->n = 0;
    r->total = 0;
    r->skip = skip;
}

/* Adds the next message; one that follows the last in memory makes its run longer. False: full, with a part of the
 * message left out perhaps. */
bool runs_add(struct runs *, struct rope *);

#endif
