#include "admin/watch.h"

#include "admin/control_state.h"
#include "base/mem.h"

#define LOOK_USEC 1000000

/* One that is not there is being replaced, and counts as it was. Returns the first that is another one than was taken, when all have
 * rested since the last look; NULL: there is none. */
static const char *watch_look(struct watch *w) {
    const char *changed = NULL;
    bool rest = true;
    for (uint32_t i = 0; i < w->taken.n; i++) {
        const struct conf_source *s = &w->taken.v[i];
        struct conf_stamp now = source_stamp(s->path);
        if (stamp_there(&now)) {
            rest = rest && stamp_same(&now, &w->seen[i]);
            changed = changed == NULL && !stamp_same(&now, &s->stamp) ? s->path : changed;
            w->seen[i] = now;
        }
    }
    return rest ? changed : NULL;
}

/* So that a reload that has to wait is asked for once. */
static void watch_forgive(struct watch *w) {
    for (uint32_t i = 0; i < w->taken.n; i++) {
        w->taken.v[i].stamp = w->seen[i];
    }
}

static void watch_on_timer(struct timer *t) {
    struct watch *w = CONTAINER_OF(t, struct watch, timer);
    struct control *c = w->control;
    timer_set(c->loop, t, loop_now(c->loop) + LOOK_USEC);
    const char *changed = watch_look(w);
    if (changed != NULL) {
        char path[512];
        log_line(LOG_NOTICE, "config_changed file=\"%s\" action=reload", log_quote(path, sizeof path, slice_str(changed)));
        watch_forgive(w);
        control_want_reload(c);
    }
}

void watch_taken(struct watch *w, struct conf_sources *read) {
    sources_fini(&w->taken);
    w->taken = *read;
    *read = (struct conf_sources){0};
    w->seen = mem_realloc(w->seen, (w->taken.n + 1) * sizeof *w->seen);
    for (uint32_t i = 0; i < w->taken.n; i++) {
        w->seen[i] = w->taken.v[i].stamp;
    }
}

void watch_set(struct watch *w) {
    struct control *c = w->control;
    timer_cancel(c->loop, &w->timer);
    if (c->conf->reload_on_change) {
        timer_set(c->loop, &w->timer, loop_now(c->loop) + LOOK_USEC);
    }
}

void watch_init(struct watch *w, struct control *c, struct conf_sources *read) {
    *w = (struct watch){.control = c};
    timer_init(&w->timer, watch_on_timer);
    if (read != NULL) {
        watch_taken(w, read);
    }
    watch_set(w);
}

void watch_fini(struct watch *w) {
    timer_cancel(w->control->loop, &w->timer);
    sources_fini(&w->taken);
    mem_free(w->seen);
}
