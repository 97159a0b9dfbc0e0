#include "core/sample.h"

#include "core/client.h"
#include "core/hot.h"
#include "core/times.h"
#include "core/worker_state.h"

static uint32_t draw(struct worker *w) {
    return 1 + rng_below(&w->rng, 2 * HOT_SAMPLE - 1);
}

static void begin(struct sample *s) {
    s->left = s->step = s->hot_in;
}

void sample_derive(struct worker *w) {
    w->sample.hot_in = draw(w);
    begin(&w->sample);
}

__attribute__((noinline)) void sample_take(struct worker *w, struct client *c, const struct msg *m, uint32_t half_since) {
    struct sample *s = &w->sample;
    s->hot_in -= s->step;
    if (s->hot_in == 0) {
        hot_count(c->pool, m);
        times_received(c->pool, half_since, times_now(w));
        s->hot_in = draw(w);
    }
    begin(s);
}
