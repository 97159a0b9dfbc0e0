#include "core/runs.h"

bool runs_add(struct runs *r, struct rope *rope) {
    for (uint32_t i = 0; i < rope->n; i++) {
        struct slice part = span_slice(rope_span(rope, i));
        if (r->skip >= part.n) {
            r->skip -= part.n;
            continue;
        }
        uint8_t *p = (uint8_t *)(uintptr_t)part.p + r->skip; /* iovec knows no const */
        size_t len = part.n - r->skip;
        r->skip = 0;
        struct iovec *last = &r->iov[r->n - (r->n > 0)];
        if (r->n > 0 && (uint8_t *)last->iov_base + last->iov_len == p) {
            last->iov_len += len;
        } else if (r->n == RUNS_MAX) {
            return false;
        } else {
            r->iov[r->n++] = (struct iovec){p, len};
        }
        r->total += len;
    }
    return true;
}
