#include "core/sample.h"

#include "core/client.h"
#include "core/dispatch.h"
#include "core/hot.h"
#include "core/slowlog.h"
#include "core/times.h"
#include "core/trace.h"
#include "core/worker_state.h"

static uint32_t draw(struct worker *w) {
    return 1 + rng_below(&w->rng, 2 * HOT_SAMPLE - 1);
}

static void begin(struct sample *s) {
    s->left = s->step = s->log_in > 0 && s->log_in < s->hot_in ? s->log_in : s->hot_in;
}

void sample_derive(struct worker *w) {
    const struct conf *conf = w->opts.conf;
    trace_derive(w);
    w->sample.hot_in = draw(w);
    w->sample.log_in = conf->access_log != NULL ? (uint32_t)conf->access_log_sample : 0;
    begin(&w->sample);
}

__attribute__((noinline)) void sample_next(struct sample *s) {
    s->step -= s->left - 1;
    s->left = 1;
}

__attribute__((noinline)) bool sample_dispatch(struct client *c, struct buf *b, const struct msg *m, uint32_t half_since) {
    struct worker *w = c->pool->worker;
    struct sample *s = &w->sample;
    struct req *r = dispatch_begin(c, m);
    if (half_since != 0) {
        uint32_t usec = times_now(w) - half_since;
        times_received(c->pool, usec);
        slowlog_received(r, usec);
    }
    s->hot_in -= s->step;
    if (s->hot_in == 0) {
        hot_count(c->pool, m);
        s->hot_in = draw(w);
    }
    if (s->log_in > 0 && (s->log_in -= s->step) == 0) {
        trace_begin(c, r, m, half_since);
        s->log_in = (uint32_t)w->opts.conf->access_log_sample;
    }
    begin(s);
    return dispatch_go(c, r, b, m);
}
