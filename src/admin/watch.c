#include "admin/watch.h"

#include "admin/control_state.h"

#define LOOK_USEC 1000000

static bool same(const struct conf_stamp *a, const struct conf_stamp *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

static void watch_on_timer(struct timer *t) {
    struct watch *w = CONTAINER_OF(t, struct watch, timer);
    struct control *c = w->control;
    struct conf_stamp now;
    timer_set(c->loop, t, loop_now(c->loop) + LOOK_USEC);
    if (conf_stamp(c->conf->file, &now)) { /* one that is not there is being replaced */
        bool rests = same(&now, &w->seen);
        w->seen = now;
        if (rests && !same(&now, &w->taken)) {
            w->taken = now;
            log_line(LOG_NOTICE, "config_changed file=%s action=reload", c->conf->file);
            control_want_reload(c);
        }
    }
}

void watch_taking(struct watch *w) {
    if (conf_stamp(w->control->conf->file, &w->taken)) {
        w->seen = w->taken;
    }
}

void watch_set(struct watch *w) {
    struct control *c = w->control;
    timer_cancel(c->loop, &w->timer);
    if (c->conf->reload_on_change) {
        timer_set(c->loop, &w->timer, loop_now(c->loop) + LOOK_USEC);
    }
}

void watch_init(struct watch *w, struct control *c) {
    *w = (struct watch){.control = c};
    timer_init(&w->timer, watch_on_timer);
    watch_taking(w);
    watch_set(w);
}

void watch_fini(struct watch *w) {
    timer_cancel(w->control->loop, &w->timer);
}
