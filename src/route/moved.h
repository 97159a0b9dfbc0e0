/* moved.h: how many keys another ring moves. Pure. */
#ifndef KVMUX_ROUTE_MOVED_H
#define KVMUX_ROUTE_MOVED_H

#include "route/ring.h"

#define MOVED_SAMPLE_KEYS 100000

enum moved_how {
    MOVED_EXACT,  /* by the arcs of both rings, or by all slots of both */
    MOVED_SAMPLE, /* MOVED_SAMPLE_KEYS keys were looked up: other hashes or distributions, or a hash that does not fill 32 bits */
    MOVED_NO_OWNERS, /* distribution: random */
};

/* The share of keys, 0 to 1, whose owner in `b` is not the one that they have in `a`. `same[i]` is the place in `b` of server i
 * of `a`; RING_NONE: it is not there. All servers are alive. */
enum moved_how ring_moved(const struct ring *a, const struct ring *b, const uint32_t *same, double *share);

#endif
