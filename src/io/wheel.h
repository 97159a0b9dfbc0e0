/* wheel.h: timers of one loop: a hierarchical wheel with ticks of one millisecond. Set and cancel cost a few
 * instructions whatever the number of timers; a timer is never early and at most one tick and one turn late. */
#ifndef KVMUX_IO_WHEEL_H
#define KVMUX_IO_WHEEL_H

#include "base/list.h"

#define WHEEL_LEVELS 6
#define WHEEL_SLOTS 64
#define WHEEL_TICK_USEC 1000

struct timer;

struct wheel {
    uint64_t now;                /* tick up to which everything has run */
    uint64_t used[WHEEL_LEVELS]; /* one bit a slot; a set bit may be stale, a clear one is not */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *, int64_t now_usec);
void wheel_add(struct wheel *, struct timer *); /* by timer->at; must not be in a wheel */
/* Moves everything due by now_usec to `due`, earliest tick first. */
void wheel_advance(struct wheel *, int64_t now_usec, struct list *due);
/* When to look again, at the latest: usec; INT64_MAX: no timer is set. Never later than the first timer. */
int64_t wheel_next(struct wheel *);

#endif
