/* runs.h: messages as few contiguous runs of bytes, for one vectored write. */
#ifndef KVMUX_CORE_RUNS_H
#define KVMUX_CORE_RUNS_H

#include "base/buf.h"

#include <sys/uio.h>

#define RUNS_MAX 64

struct runs {
    int n;
    const uint8_t *end; /* where the last one ends; NULL: there is none */
    size_t total; /* bytes */
    size_t skip;  /* bytes at the beginning that are written already and still to be passed over */
    struct iovec iov[RUNS_MAX];
};

static inline void runs_init(struct runs *r, size_t skip) {
    r->n = 0;
    r->end = NULL;
    r->total = 0;
    r->skip = skip;
}

static inline bool runs_add_span(struct runs *r, const struct span *s) {
    uint8_t *p = s->buf->data + s->off;
    size_t len = s->len;
    if (UNLIKELY(r->skip > 0)) {
        size_t gone = min_size(r->skip, len);
        r->skip -= gone;
        p += gone;
        len -= gone;
        if (len == 0) {
            return true;
        }
    }
    if (p == r->end) {
        r->iov[r->n - 1].iov_len += len;
    } else if (r->n == RUNS_MAX) {
        return false;
    } else {
        r->iov[r->n++] = (struct iovec){p, len};
    }
    r->end = p + len;
    r->total += len;
    return true;
}

/* Adds the next message; one that follows the last in memory makes its run longer. False: full, with a part of the
 * message left out perhaps. */
bool runs_add_many(struct runs *, struct rope *);
static inline bool runs_add(struct runs *r, struct rope *rope) {
    return LIKELY(rope->n == 1) ? runs_add_span(r, &rope->one) : runs_add_many(r, rope);
}

#endif
