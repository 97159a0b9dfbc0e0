/* sample.h: which requests are looked at more closely. One worker.
 *
 * Those that came in pieces, all of them, for how long that took (times.h, slowlog.h).
 * One in HOT_SAMPLE for its key (hot.h): how many pass in between is drawn anew each time, so that no client whose requests repeat in a
 * pattern is seen at one place of it only. One in access_log_sample for the access log (trace.h), counted exactly. Both
 * count down in one number, which is all that the other requests pay. */
#ifndef KVMUX_CORE_SAMPLE_H
#define KVMUX_CORE_SAMPLE_H

#include "base/base.h"

struct buf;
struct client;
struct msg;
struct worker;

struct sample {
    uint32_t left;           /* requests until the next one of any kind, that one included: 1 .. */
    uint32_t step;           /* what `left` began with */
    uint32_t hot_in, log_in; /* those of each kind when `left` began; log_in 0: there is no access log */
};

void sample_derive(struct worker *); /* at the beginning, and when the configuration changed */
void sample_next(struct sample *); /* the next request is to be looked at */
/* The countdown is over: this request is one. What dispatch does; half_since: times_now, when its first bytes came; 0: now. */
bool sample_dispatch(struct client *, struct buf *, const struct msg *, uint32_t half_since);

#endif
