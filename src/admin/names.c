#include "admin/names.h"

#include "admin/control_state.h"

#define LOOK_MIN_USEC 1000000  /* not more often than this */
#define LOOK_MAX_USEC 60000000 /* and at least this often, whatever the TTL says */

static const struct conf_server *server_of(const struct name *n) {
    return &n->control->conf->pools[n->pool].servers[n->server];
}

static bool same_addrs(const struct name *n, const struct addr *addrs, uint32_t count) {
    if (n->naddrs != count) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!addr_eq(&n->addrs[i], &addrs[i])) {
            return false;
        }
    }
    return true;
}

static int64_t clamp_usec(int64_t usec) {
    return usec < LOOK_MIN_USEC ? LOOK_MIN_USEC : usec > LOOK_MAX_USEC ? LOOK_MAX_USEC : usec;
}

static void name_found(struct name *n, const struct addr *addrs, uint32_t count) {
    if (n->failures > 0 || !n->answered || !same_addrs(n, addrs, count)) {
        char text[ADDR_TEXT_MAX];
        log_line(LOG_INFO, "name_resolved pool=%s server=%s host=%s addresses=%u first=%s",
                 n->control->conf->pools[n->pool].name, server_of(n)->name, server_of(n)->host, count,
                 addr_text(&addrs[0], text, sizeof text));
        memcpy(n->addrs, addrs, count * sizeof *addrs);
        n->naddrs = count;
        control_post_addrs(n->control, n->pool, n->server, addrs, count);
    }
    n->failures = 0;
}

static void name_failed(struct name *n, const char *why) {
    n->failures++;
    if (n->failures == 1) {
        log_line(LOG_WARN, "name_failed pool=%s server=%s host=%s reason=\"%s\"", n->control->conf->pools[n->pool].name,
                 server_of(n)->name, server_of(n)->host, why);
        control_post_addrs(n->control, n->pool, n->server, NULL, 0);
    }
}

static void name_on_lookup(struct lookup *l, const struct addr *addrs, unsigned count, uint32_t ttl_sec, const char *why) {
    struct name *n = CONTAINER_OF(l, struct name, lookup);
    int64_t next = (int64_t)ttl_sec * 1000000;
    if (count > 0) {
        name_found(n, addrs, count);
    } else {
        name_failed(n, why);
        next = LOOK_MIN_USEC * (int64_t)n->failures;
    }
    n->answered = true;
    timer_set(n->control->loop, &n->timer, loop_now(n->control->loop) + clamp_usec(next));
}

static void name_look(struct name *n) {
    if (n->lookup.resolver == NULL) {
        n->looked_at = loop_now(n->control->loop);
        timer_cancel(n->control->loop, &n->timer);
        lookup_start(n->control->resolver, &n->lookup, server_of(n)->host, server_of(n)->port, name_on_lookup);
    }
}

static void name_on_timer(struct timer *t) {
    name_look(CONTAINER_OF(t, struct name, timer));
}

static bool is_name(const struct name *n) {
    return server_of(n)->host != NULL && server_of(n)->addr.len == 0;
}

void name_init(struct name *n, struct control *c, uint32_t pool, uint32_t server) {
    *n = (struct name){.control = c, .pool = pool, .server = server};
    timer_init(&n->timer, name_on_timer);
    if (is_name(n)) {
        name_look(n);
    }
}

void name_fini(struct name *n) {
    lookup_cancel(&n->lookup);
    timer_cancel(n->control->loop, &n->timer);
}

void name_again(struct name *n) {
    if (!is_name(n) || n->lookup.resolver != NULL) {
        return;
    }
    int64_t earliest = n->looked_at + LOOK_MIN_USEC;
    if (loop_now(n->control->loop) >= earliest) {
        name_look(n);
    } else if (!timer_is_set(&n->timer) || n->timer.at > earliest) {
        timer_set(n->control->loop, &n->timer, earliest);
    }
}
