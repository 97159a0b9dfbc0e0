#include "core/uplink.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/fan.h"
#include "core/heal.h"
#include "core/times.h"
#include "core/uplink_state.h"

/* A server that vanished without a FIN is noticed after this long even when `timeout:` is not set. */
#define USER_TIMEOUT_MSEC 30000

void uplink_move(struct uplink *u, enum uplink_state to) {
    static const uint8_t from[] = {
        [UPLINK_RESOLVING] = 1u << UPLINK_RESOLVING | 1u << UPLINK_CONNECTING, /* back: its server moves (retire.c) */
        [UPLINK_CONNECTING] = 1u << UPLINK_RESOLVING | 1u << UPLINK_CONNECTING,
        [UPLINK_GREETING] = 1u << UPLINK_CONNECTING,
        [UPLINK_READY] = 1u << UPLINK_CONNECTING | 1u << UPLINK_GREETING,
        [UPLINK_SUSPECT] = 1u << UPLINK_READY,
        [UPLINK_CLOSED] = 0x1f,
    };
    ASSERT(from[to] & (1u << u->state));
    u->state = (uint8_t)to;
}

/* ---- beginning ---- */

void uplink_ready(struct uplink *u) {
    uplink_move(u, UPLINK_READY);
    u->profile->takes_txn = false; /* it may be another server by now */
    if (u->retired != RETIRE_MOVED) {
        u->server->connect_fails = 0;
        server_up(u->server);
        u->server->retry_at = 0;
        u->server->good_addr = (u->server->good_addr + u->tries - 1u) % u->server->naddrs;
    }
    u->heard_at = u->told_at = uplink_now(u);
    timer_cancel(u->worker->loop, &u->timer);
    uplink_arm(u, uplink_next_deadline(u));
    uplink_wake(u);
}

static struct greeting uplink_greeting(const struct uplink *u) {
    const struct conf_pool *conf = u->server->pool->conf;
    uint64_t key = u->profile->key;
    struct greeting g = conf_greeting(conf, session_profile_user(key));
    g.db = session_profile_db(key);
    if (g.db == (uint32_t)conf->redis_db) { /* the pool's own: it may have another number there */
        g.db = conf_server_db(conf, u->server->conf);
    }
    g.version = session_profile_version(key);
    return g;
}

static void uplink_on_connect(struct stream *st) {
    struct uplink *u = CONTAINER_OF(st, struct uplink, stream);
    struct rope rope = {0};
    struct out out = {&rope, &u->stage};
    if (!conf_has_user(u->server->pool->conf, session_profile_user(u->profile->key))) {
        uplink_close(u, REASON_REMOVED);
        return;
    }
    struct greeting greeting = uplink_greeting(u);
    u->greeting_left = u->server->pool->back->greet(&greeting, &out);
    if (u->greeting_left == 0) {
        uplink_ready(u);
        return;
    }
    uplink_move(u, UPLINK_GREETING);
    struct buf *b;
    struct slice bytes = rope_flat(&rope, &u->worker->bufs, &b);
    struct iovec iov = {(void *)(uintptr_t)bytes.p, bytes.n};
    size_t sent = stream_send(&u->stream, &iov, 1);
    rope_fini(&rope);
    if (sent < iov.iov_len) {
        uplink_close(u, REASON_OTHER); /* a fresh socket that does not take a hundred bytes */
    }
}

static const struct stream_ops uplink_ops;

/* Tries one address after the other. Returns the last failure when none is left to try. */
static enum reason uplink_connect(struct uplink *u, enum reason last) {
    struct server *s = u->server;
    struct worker *w = u->worker;
    const struct connect_opts opts = {
        .keepalive = true,
        .user_timeout_ms = USER_TIMEOUT_MSEC,
        .tls = s->tls,
    };
    uplink_move(u, UPLINK_CONNECTING);
    while (u->tries < s->naddrs) {
        const struct addr *addr = &s->addrs[(s->good_addr + u->tries) % s->naddrs];
        u->tries++;
        u->opened_at = worker_now(w);
        metric_add(&s->stats.v[SERVER_connects], 1);
        metric_add(&w->stats.v[WORKER_total_connections], 1);
        last = stream_connect(w->loop, &u->stream, &uplink_ops, addr, &opts);
        if (last == REASON_NONE) {
            timer_cancel(w->loop, &u->timer);
            uplink_arm(u, u->opened_at + s->pool->conf->connect_timeout * 1000);
            uplink_arm(u, uplink_next_deadline(u));
            return REASON_NONE;
        }
    }
    return last;
}

void uplink_connect_failed(struct uplink *u, enum reason why) {
    stream_close(&u->stream);
    why = uplink_connect(u, why);
    if (why != REASON_NONE) {
        uplink_close(u, why);
    }
}

static void uplink_on_room(struct stream *st) {
    struct uplink *u = CONTAINER_OF(st, struct uplink, stream);
    u->blocked = false;
    uplink_wake(u);
}

static void uplink_on_eof(struct stream *st) {
    uplink_close(CONTAINER_OF(st, struct uplink, stream), REASON_EOF);
}

static void uplink_on_error(struct stream *st, enum reason why) {
    struct uplink *u = CONTAINER_OF(st, struct uplink, stream);
    if (u->state == UPLINK_CONNECTING) {
        uplink_connect_failed(u, why);
    } else {
        uplink_close(u, why);
    }
}

static const struct stream_ops uplink_ops = {
    .on_recv = uplink_on_recv,
    .on_eof = uplink_on_eof,
    .on_connect = uplink_on_connect,
    .on_room = uplink_on_room,
    .on_error = uplink_on_error,
    .on_bytes = uplink_on_bytes,
};

struct uplink *uplink_open(struct profile *p, uint32_t slot, enum reason *why) {
    struct server *s = p->server;
    struct worker *w = s->pool->worker;
    struct uplink *u = mem_zalloc(sizeof *u);
    u->worker = w;
    u->server = s;
    u->profile = p;
    u->slot = slot;
    u->opened_at = worker_now(w);
    queue_init(&u->send);
    queue_init(&u->wait);
    timer_init(&u->timer, uplink_on_timer);
    stage_init(&u->stage, &w->bufs);
    times_need(s);
    if (s->naddrs > 0) {
        *why = uplink_connect(u, REASON_HOST_DOWN);
        if (*why != REASON_NONE) {
            metric_add(&s->stats.v[SERVER_server_err], 1);
            mem_free(u);
            return NULL;
        }
    } else {
        uplink_arm(u, u->opened_at + s->pool->conf->connect_timeout * 1000);
    }
    w->nuplinks++;
    metric_add(&w->stats.v[WORKER_curr_connections], 1);
    metric_add(&s->stats.v[SERVER_server_connections], 1);
    return u;
}

void uplink_resolved(struct uplink *u) {
    if (u->state != UPLINK_RESOLVING) {
        return;
    }
    enum reason why = u->server->naddrs == 0 ? REASON_HOST_DOWN : uplink_connect(u, REASON_HOST_DOWN);
    if (why != REASON_NONE) {
        uplink_close(u, why);
    }
}

/* ---- end ---- */

/* Not the server's doing. */
static bool is_ours(enum reason why) {
    return why == REASON_IDLE || why == REASON_DRAIN || why == REASON_MOVED || why == REASON_REMOVED;
}

static void uplink_count_close(struct uplink *u, enum uplink_state was, enum reason why) {
    static const uint8_t row[] = {
        [REASON_BUCKET_EOF] = SERVER_server_eof,
        [REASON_BUCKET_ERR] = SERVER_server_err,
        [REASON_BUCKET_TIMEOUT] = SERVER_server_timedout,
    };
    struct server *s = u->server;
    bool ours = is_ours(why);
    bool counted = was == UPLINK_SUSPECT && reason_bucket(why) == REASON_BUCKET_TIMEOUT; /* when it became suspect */
    if (!ours && !counted) {
        metric_add(&s->stats.v[row[reason_bucket(why)]], 1);
    }
    metric_sub(&s->stats.v[SERVER_server_connections], 1);
    metric_sub(&u->worker->stats.v[WORKER_curr_connections], 1);
    u->worker->nuplinks--;
}

/* What was sent has perhaps been executed: an error. */
static void uplink_fail_sent(struct uplink *u, enum reason why) {
    while (u->wait.head != NULL) {
        struct req *r = CONTAINER_OF(queue_pop(&u->wait), struct req, uplink_link);
        u->nwait--;
        uplink_leave(u, r);
        if ((r->state == REQ_SENT || r->state == REQ_STREAMING) && ((r->flags & REQ_PART) ? r->fan != NULL : r->client != NULL)) {
            r->uplink = NULL;
            req_fail(r, why);
        } else {
            req_unlink_uplink(r);
        }
    }
}

/* What no server can have seen whole goes to another uplink, once, in order and with its old deadline. */
static void uplink_retry(struct uplink *u, struct req *r, enum reason why) {
    struct server *s = u->server;
    const struct client *c = r->client;
    if ((r->flags & REQ_PART) && r->fan != NULL && r->fan->whole != NULL) {
        c = r->fan->whole->client;
    }
    struct uplink *other = NULL;
    if (!(r->flags & REQ_RETRIED) && r->deadline > uplink_now(u)) {
        other = server_uplink(s, c, u->profile->key, &why);
    }
    if (other == NULL) {
        req_fail(r, why);
        return;
    }
    if (UNLIKELY(r->flags & REQ_SCRIPT) && r->fan != NULL) {
        heal_moved(other, r);
    }
    r->flags |= REQ_RETRIED;
    metric_add(&s->pool->stats.v[POOL_retries], 1);
    uplink_put(other, r, true);
}

static void uplink_fail_unsent(struct uplink *u, bool retry, enum reason why) {
    while (u->send.head != NULL) {
        struct req *r = uplink_pop_send(u);
        uplink_leave(u, r);
        if (r->flags & REQ_GHOST) {
            req_unlink_uplink(r);
            continue;
        }
        r->uplink = NULL;
        r->state = REQ_NEW;
        if (retry) {
            uplink_retry(u, r, why);
        } else {
            req_fail(r, why);
        }
    }
}

void uplink_close(struct uplink *u, enum reason why) {
    struct worker *w = u->worker;
    struct server *s = u->server;
    enum uplink_state was = u->state;
    if (was == UPLINK_CLOSED) {
        return;
    }
    bool had_work = u->nwait > 0 || u->sent_off > 0; /* what is unsent goes elsewhere: an idle close is no failure */
    uplink_move(u, UPLINK_CLOSED);
    timer_cancel(w->loop, &u->timer);
    stream_close(&u->stream);
    list_remove(&u->flush_link);
    uplink_whole_end(u);
    server_forget(s, u, why);
    uplink_count_close(u, was, why);
    if (why != REASON_IDLE && why != REASON_DRAIN && why != REASON_REMOVED) {
        s->told_up = false; /* what answers next may be another one */
    }
    if (u->retired == RETIRE_MOVED) {
        /* says nothing about what the server is now */
    } else if (why == REASON_GREETING) {
        server_refused(s, u->profile, u->opened_at);
    } else if (was < UPLINK_READY && !is_ours(why)) {
        server_connect_failed(s, why, u->opened_at);
    } else if (was == UPLINK_READY && had_work && !is_ours(why)) {
        server_failed(s, why, u->opened_at);
    }
    uplink_fail_sent(u, why);
    u->sent_off = 0;
    /* what moved is there at its new address, also where no connection was made yet */
    uplink_fail_unsent(u, (was >= UPLINK_READY && why != REASON_DRAIN) || why == REASON_MOVED, why);
    stage_release(&u->stage);
    heal_forget(u);
    uplink_count(u);
    list_push(&w->dead_uplinks, &u->link);
}
