#include "admin/health.h"

#include "admin/control_state.h"

#include <inttypes.h>

/* server_retry_timeout: 0 brings a server back at once with nutcracker; a probe needs some time between tries. */
#define PROBE_MIN_USEC 100000

static const struct conf_pool *conf_of(const struct health *h) {
    return &h->control->conf->pools[h->pool];
}

static const struct conf_server *server_of(const struct health *h) {
    return &conf_of(h)->servers[h->server];
}

static void health_rest(struct health *h) {
    int64_t wait = conf_of(h)->server_retry_timeout * 1000;
    h->state = HEALTH_EJECTED;
    timer_set(h->control->loop, &h->timer, loop_now(h->control->loop) + (wait > PROBE_MIN_USEC ? wait : PROBE_MIN_USEC));
}

static void health_count_ejection(struct health *h) {
    struct control *c = h->control;
    h->ejected_at = (uint64_t)loop_wall(c->loop);
    metric_add(&c->pools[h->pool]->block.v[POOL_server_ejects], 1);
}

static void health_eject(struct health *h, enum reason why) {
    health_count_ejection(h);
    health_rest(h);
    log_line(LOG_WARN, "server_ejected pool=%s server=%s address=%s failures=%u reason=\"%s\" retry_msec=%" PRId64,
             conf_of(h)->name, server_of(h)->name, server_of(h)->address, h->failures, reason_words(why),
             conf_of(h)->server_retry_timeout);
    control_post_ring(h->control, h->pool);
}

static void health_return(struct health *h) {
    h->state = HEALTH_ALIVE;
    h->failures = 0;
    h->shown_failed = false;
    h->failed_at = loop_now(h->control->loop); /* connections from before will die of old age, not of new trouble */
    log_line(LOG_NOTICE, "server_returned pool=%s server=%s address=%s", conf_of(h)->name, server_of(h)->name,
             server_of(h)->address);
    control_post_ring(h->control, h->pool);
}

bool health_same_episode(int64_t opened_at, int64_t failed_at) {
    return opened_at < failed_at;
}

/* What we lack says nothing about the server. */
static bool is_our_lack(enum reason why) {
    return why == REASON_NO_FDS || why == REASON_NO_MEMORY;
}

void health_failed(struct health *h, const struct mail_health *m) {
    const struct conf_pool *conf = conf_of(h);
    if (is_our_lack(m->reason)) {
        if (log_pass(&h->log_limit, m->at, 1000000, 3)) {
            log_line(LOG_ERROR, "connect_failed pool=%s server=%s address=%s reason=\"%s\"", conf->name, server_of(h)->name,
                     server_of(h)->address, reason_words(m->reason));
        }
        return;
    }
    if (h->state != HEALTH_ALIVE || health_same_episode(m->opened_at, h->failed_at)) {
        return;
    }
    if (h->failures++ == 0) {
        control_post_watch(h->control, h->pool, h->server);
    }
    h->failed_at = m->at;
    if (log_pass(&h->log_limit, m->at, 1000000, 3)) {
        log_line(LOG_WARN, "server_failed pool=%s server=%s address=%s reason=\"%s\" failures=%u", conf->name,
                 server_of(h)->name, server_of(h)->address, reason_words(m->reason), h->failures);
        h->shown_failed = true;
    }
    if (conf->auto_eject_hosts && h->failures >= (uint64_t)conf->server_failure_limit) {
        health_eject(h, m->reason);
    }
}

void health_works(struct health *h, const struct mail_health *m) {
    if (h->state == HEALTH_ALIVE && h->failures > 0 && m->at > h->failed_at) {
        h->failures = 0;
        if (h->shown_failed) { /* no limit of its own: the log must not end with a failure that is over */
            h->shown_failed = false;
            log_line(LOG_NOTICE, "server_works pool=%s server=%s address=%s", conf_of(h)->name, server_of(h)->name,
                     server_of(h)->address);
        }
    }
}

/* ---- the probe ---- */

/* The end of what went on by itself: a rest before a probe, or a probe. */
static void health_stop(struct health *h) {
    timer_cancel(h->control->loop, &h->timer);
    stream_close(&h->stream);
    h->parser = (struct parser){0};
}

static void probe_end(struct health *h, bool alive) {
    health_stop(h);
    if (alive) {
        health_return(h);
    } else {
        health_rest(h);
    }
}

static void probe_on_connect(struct stream *s) {
    struct health *h = CONTAINER_OF(s, struct health, stream);
    const struct conf_pool *conf = conf_of(h);
    const struct proto *proto = proto_by_id(conf->server_proto);
    struct rope rope = {0};
    struct stage stage;
    stage_init(&stage, &h->control->bufs);
    struct out out = {&rope, &stage};
    struct greeting greeting = conf_greeting(conf, 0);
    greeting.db = conf_server_db(conf, server_of(h));
    h->greeting_left = proto->greet(&greeting, &out);
    proto->probe(&out);
    struct buf *b;
    struct slice bytes = rope_flat(&rope, &h->control->bufs, &b);
    struct iovec iov = {(void *)(uintptr_t)bytes.p, bytes.n};
    size_t sent = stream_send(s, &iov, 1);
    rope_fini(&rope);
    stage_release(&stage);
    if (sent < iov.iov_len) {
        probe_end(h, false);
    }
}

static size_t probe_on_recv(struct stream *s, struct buf *b, struct slice in) {
    struct health *h = CONTAINER_OF(s, struct health, stream);
    const struct proto *proto = proto_by_id(conf_of(h)->server_proto);
    size_t used = 0;
    while (used < in.n) {
        struct rsp rsp = {0};
        enum parse_rc rc = proto->parse_rsp(&h->parser, NULL, slice(in.p + used, in.n - used), &rsp);
        if (rc == PARSE_MORE) {
            return used;
        }
        used += rc == PARSE_DONE ? rsp.len : 0;
        if (rc == PARSE_BAD || (h->greeting_left > 0 && rsp.kind != RSP_GOOD)) {
            probe_end(h, false);
            return in.n;
        }
        if (h->greeting_left == 0) {
            /* Any answer shows that it serves, but not "I am still loading". */
            probe_end(h, rsp.kind != RSP_LOADING);
            return in.n;
        }
        h->greeting_left--;
    }
    return used;
}

static void probe_on_eof(struct stream *s) {
    probe_end(CONTAINER_OF(s, struct health, stream), false);
}

static void probe_on_error(struct stream *s, enum reason why) {
    probe_end(CONTAINER_OF(s, struct health, stream), false);
}

static const struct stream_ops probe_ops = {
    .on_recv = probe_on_recv,
    .on_eof = probe_on_eof,
    .on_connect = probe_on_connect,
    .on_error = probe_on_error,
};

static void health_probe(struct health *h) {
    struct loop *loop = h->control->loop;
    const struct connect_opts opts = {.tls = h->tls};
    h->state = HEALTH_PROBING;
    if (h->naddrs == 0) {
        health_rest(h);
        return;
    }
    const struct addr *addr = &h->addrs[h->next_addr++ % h->naddrs];
    if (stream_connect(loop, &h->stream, &probe_ops, addr, &opts) != REASON_NONE) {
        health_rest(h);
        return;
    }
    timer_set(loop, &h->timer, loop_now(loop) + conf_of(h)->connect_timeout * 1000);
}

static void health_on_timer(struct timer *t) {
    struct health *h = CONTAINER_OF(t, struct health, timer);
    if (h->state == HEALTH_PROBING) {
        probe_end(h, false);
    } else if (h->state == HEALTH_EJECTED) {
        health_probe(h);
    }
}

static void health_set_addr(struct health *h) {
    h->naddrs = server_of(h)->addr.len > 0 ? 1 : 0; /* a name: names.c tells */
    h->addrs[0] = server_of(h)->addr;
}

/* ---- an operator's word ---- */

bool health_take_out(struct health *h) {
    if (h->state == HEALTH_OUT) {
        return false;
    }
    health_stop(h);
    health_count_ejection(h);
    h->state = HEALTH_OUT;
    log_line(LOG_NOTICE, "server_ejected pool=%s server=%s address=%s by=operator", conf_of(h)->name, server_of(h)->name,
             server_of(h)->address);
    control_post_ring(h->control, h->pool);
    return true;
}

bool health_bring_back(struct health *h) {
    if (h->state == HEALTH_ALIVE) {
        return false;
    }
    health_stop(h);
    health_return(h);
    return true;
}

const char *health_word(const struct health *h) {
    switch (h->state) {
    case HEALTH_EJECTED: return "ejected";
    case HEALTH_PROBING: return "probing";
    case HEALTH_OUT: return "out";
    case HEALTH_ALIVE: break;
    }
    return h->naddrs == 0 ? "unresolved" : h->failures > 0 ? "failing" : "up";
}

void health_init(struct health *h, struct control *c, uint32_t pool, uint32_t server) {
    *h = (struct health){.control = c, .pool = pool, .server = server};
    timer_init(&h->timer, health_on_timer);
    health_set_addr(h);
}

void health_changed(struct health *h, bool moved) {
    bool out = h->state != HEALTH_ALIVE;
    if (moved) {
        health_set_addr(h);
    }
    if (h->state == HEALTH_OUT) { /* the operator's word counts for the next configuration, too */
        return;
    }
    if (out && !conf_of(h)->auto_eject_hosts) {
        health_stop(h);
        h->state = HEALTH_ALIVE;
        h->failures = 0;
    } else if (out && moved) { /* the new one is looked at soon */
        health_stop(h);
        h->state = HEALTH_EJECTED;
        timer_set(h->control->loop, &h->timer, loop_now(h->control->loop) + PROBE_MIN_USEC);
    }
}

void health_fini(struct health *h) {
    timer_cancel(h->control->loop, &h->timer);
    stream_close(&h->stream);
}
