#include "core/patience.h"

#include "core/client.h"
#include "core/worker_state.h"

#define LOOK_USEC 1000000

static bool is_limited(const struct conf_pool *conf) {
    return conf->client_first_timeout > 0 || conf->client_request_timeout > 0 || conf->client_idle_timeout > 0;
}

static bool is_older(const struct client *c, uint32_t clock, int64_t msec) {
    uint32_t now = client_clock(worker_now(c->pool->worker));
    return msec > 0 && client_seconds(now - clock) * 1000 >= msec;
}

/* It is gone already, or it waits for us: it is not the one who is late. */
static bool is_excused(const struct client *c) {
    return c->state != CLIENT_OPEN || c->nreqs > 0 || c->waiting || c->upload != NULL;
}

/* Something of a request has arrived, and we do read this client. */
static bool is_halfway(const struct client *c) {
    return !is_excused(c) && c->stream.tail != NULL && !stream_paused(&c->stream);
}

/* Why it is to be closed; NONE: it is not. */
static enum reason look(struct client *c, bool note) {
    const struct conf_pool *conf = c->pool->conf;
    bool halfway = is_halfway(c), was = c->halfway;
    if (note) {
        c->halfway = halfway;
        if (halfway && was && c->read_at < client_clock(c->pool->patience.looked_at)) {
            return REASON_HALF_REQUEST; /* the same one as the last time */
        }
    }
    if (is_excused(c)) {
        return REASON_NONE;
    }
    if (c->last == NULL) {
        return is_older(c, c->since, conf->client_first_timeout) ? REASON_NO_REQUEST : REASON_NONE;
    }
    bool idle = !halfway && !c->session.listening;
    return idle && is_older(c, c->read_at, conf->client_idle_timeout) ? REASON_IDLE_CLIENT : REASON_NONE;
}

static void patience_on_timer(struct timer *t) {
    struct pool *p = CONTAINER_OF(t, struct pool, patience.timer);
    int64_t now = worker_now(p->worker), limit = p->conf->client_request_timeout * 1000;
    bool note = limit > 0 && now - p->patience.looked_at >= limit;
    LIST_EACH_SAFE(&p->clients, l) {
        struct client *c = CONTAINER_OF(l, struct client, link);
        enum reason why = look(c, note);
        if (why != REASON_NONE) {
            metric_add(&p->stats.v[POOL_client_late], 1);
            client_finish(c, why);
        }
    }
    if (note) {
        p->patience.looked_at = now;
    }
    timer_set(p->worker->loop, t, now + LOOK_USEC);
}

void patience_derive(struct pool *p) {
    struct loop *loop = p->worker->loop;
    if (p->patience.timer.fn == NULL) {
        timer_init(&p->patience.timer, patience_on_timer);
    }
    timer_cancel(loop, &p->patience.timer);
    if (is_limited(p->conf)) {
        timer_set(loop, &p->patience.timer, worker_now(p->worker) + LOOK_USEC);
    }
}

void patience_end(struct pool *p) {
    timer_cancel(p->worker->loop, &p->patience.timer);
}
