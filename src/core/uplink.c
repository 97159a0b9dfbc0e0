#include "core/uplink.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/fan.h"
#include "core/worker_state.h"

#define FLUSH_IOV 64
/* A server that vanished without a FIN is noticed after this long even when `timeout:` is not set. */
#define USER_TIMEOUT_MSEC 30000

static void uplink_ready(struct uplink *);

static struct worker *worker_of(const struct uplink *u) {
    return u->server->pool->worker;
}

static int64_t now_of(const struct uplink *u) {
    return worker_now(worker_of(u));
}

/* The one place where the state changes. */
static void uplink_move(struct uplink *u, enum uplink_state to) {
    static const uint8_t from[] = {
        [UPLINK_RESOLVING] = 1u << UPLINK_RESOLVING,
        [UPLINK_CONNECTING] = 1u << UPLINK_RESOLVING | 1u << UPLINK_CONNECTING,
        [UPLINK_GREETING] = 1u << UPLINK_CONNECTING,
        [UPLINK_READY] = 1u << UPLINK_CONNECTING | 1u << UPLINK_GREETING,
        [UPLINK_SUSPECT] = 1u << UPLINK_READY,
        [UPLINK_CLOSED] = 0x1f,
    };
    ASSERT(from[to] & (1u << u->state));
    u->state = (uint8_t)to;
}

/* Requests can be written. */
static bool uplink_up(const struct uplink *u) {
    return u->state == UPLINK_READY || u->state == UPLINK_SUSPECT;
}

static struct req *first_of(const struct queue *q) {
    return q->head == NULL ? NULL : CONTAINER_OF(q->head, struct req, uplink_link);
}

static void uplink_wake(struct uplink *u) {
    if (!list_linked(&u->flush_link)) {
        list_push(&worker_of(u)->flush_uplinks, &u->flush_link);
    }
}

/* ---- counters: gauges are brought up to date once per flush or batch of replies ---- */

static void uplink_count(struct uplink *u) {
    struct server *s = u->server;
    uint64_t *v = s->stats.v;
    metric_set(&v[SERVER_in_queue], s->nqueued - s->waiting);
    metric_set(&v[SERVER_in_queue_bytes], s->queued_bytes - s->waiting_bytes);
    metric_set(&v[SERVER_out_queue], s->waiting);
    metric_set(&v[SERVER_out_queue_bytes], s->waiting_bytes);
}

static struct req *uplink_pop_send(struct uplink *u) {
    struct req *r = CONTAINER_OF(queue_pop(&u->send), struct req, uplink_link);
    u->nsend--;
    return r;
}

/* The request leaves the server: answered, failed, withdrawn, or moved to another uplink. */
static void uplink_leave(struct uplink *u, struct req *r) {
    struct server *s = u->server;
    s->nqueued--;
    s->queued_bytes -= r->size;
    if (r->state != REQ_QUEUED) {
        s->waiting--;
        s->waiting_bytes -= r->size;
    }
}

/* ---- timer ---- */

static void uplink_arm(struct uplink *u, int64_t at) {
    if (at != INT64_MAX && (!timer_is_set(&u->timer) || u->timer.at > at)) {
        timer_set(worker_of(u)->loop, &u->timer, at);
    }
}

/* An unsent request is withdrawn at its deadline. One that is written in part must go out whole: it is counted as sent. */
static void uplink_expire_unsent(struct uplink *u, int64_t now) {
    struct req *r;
    while ((r = first_of(&u->send)) != NULL && r->deadline <= now && u->sent_off == 0) {
        uplink_pop_send(u);
        uplink_leave(u, r);
        r->uplink = NULL;
        metric_add(&u->server->stats.v[SERVER_request_timeouts], 1);
        req_fail(r, REASON_TIMEDOUT);
    }
}

/* Returns how many got their error. They stay in the wait queue, so that their late replies find them. */
static uint32_t uplink_expire_sent(struct uplink *u, int64_t now) {
    uint32_t n = 0;
    for (struct queue_link *l = u->wait.head; l != NULL; l = l->next) {
        struct req *r = CONTAINER_OF(l, struct req, uplink_link);
        if (r->deadline > now) {
            break;
        }
        if (!(r->flags & REQ_EXPIRED)) {
            n++;
            metric_add(&u->server->stats.v[SERVER_request_timeouts], 1);
            req_expire(r);
        }
    }
    return n;
}

/* The next deadline of both queues; what has expired already does not count. */
static int64_t uplink_next_deadline(const struct uplink *u) {
    const struct req *send = first_of(&u->send);
    int64_t at = send != NULL ? send->deadline : INT64_MAX;
    for (struct queue_link *l = u->wait.head; l != NULL; l = l->next) {
        const struct req *r = CONTAINER_OF(l, struct req, uplink_link);
        if (!(r->flags & REQ_EXPIRED)) {
            return r->deadline < at ? r->deadline : at;
        }
    }
    return at;
}

static void uplink_suspected(struct uplink *u) {
    uplink_move(u, UPLINK_SUSPECT);
    server_suspect(u->server, u);
    metric_add(&u->server->stats.v[SERVER_server_timedout], 1);
    server_failed(u->server, REASON_TIMEDOUT, u->opened_at);
}

static void uplink_on_timer(struct timer *t) {
    struct uplink *u = CONTAINER_OF(t, struct uplink, timer);
    int64_t now = now_of(u);
    int64_t timeout = u->server->pool->timeout;
    uplink_expire_unsent(u, now);
    if (!uplink_up(u)) {
        int64_t give_up = u->opened_at + u->server->pool->conf->connect_timeout * 1000;
        if (now >= give_up) {
            uplink_close(u, u->state == UPLINK_RESOLVING ? REASON_HOST_DOWN : REASON_TIMEDOUT);
        } else {
            uplink_arm(u, give_up);
            uplink_arm(u, uplink_next_deadline(u));
        }
        uplink_count(u);
        return;
    }
    /* A head that is written in part and late: the server does not read. */
    struct req *head = first_of(&u->send);
    bool stuck = head != NULL && u->sent_off > 0 && head->deadline <= now;
    uint32_t late = uplink_expire_sent(u, now);
    if (u->state == UPLINK_READY && (late > 0 || stuck)) {
        uplink_suspected(u);
        u->heard_at = now; /* its grace begins */
    }
    if (u->state == UPLINK_SUSPECT) {
        if (u->heard_at + timeout <= now || stuck) {
            uplink_close(u, REASON_SILENT);
            return;
        }
        uplink_arm(u, u->heard_at + timeout);
    }
    int64_t next = uplink_next_deadline(u);
    uplink_arm(u, next > now ? next : now + timeout);
    uplink_count(u);
}

/* ---- writing ---- */

static void uplink_put(struct uplink *u, struct req *r) {
    struct server *s = u->server;
    ASSERT(u->state != UPLINK_CLOSED && r->uplink == NULL);
    r->state = REQ_QUEUED;
    r->uplink = u;
    queue_push(&u->send, &r->uplink_link);
    u->nsend++;
    s->nqueued++;
    s->queued_bytes += r->size;
    uplink_arm(u, r->deadline);
    uplink_wake(u);
}

void uplink_queue(struct uplink *u, struct req *r) {
    uint64_t *v = u->server->stats.v;
    if (r->flags & REQ_PART) {
        r->size = (uint32_t)rope_len(&r->bytes);
    }
    uplink_put(u, r);
    metric_add(&v[SERVER_requests], 1);
    metric_add(&v[SERVER_request_bytes], r->size);
}

/* What is unsent, as few contiguous runs: requests staged one after the other are one run. */
static int uplink_collect(const struct uplink *u, struct iovec *iov, size_t *total) {
    int n = 0;
    size_t skip = u->sent_off;
    *total = 0;
    for (struct queue_link *l = u->send.head; l != NULL; l = l->next) {
        struct req *r = CONTAINER_OF(l, struct req, uplink_link);
        for (uint32_t i = 0; i < r->bytes.n; i++) {
            struct slice part = span_slice(rope_span(&r->bytes, i));
            if (skip >= part.n) {
                skip -= part.n;
                continue;
            }
            uint8_t *p = (uint8_t *)(uintptr_t)part.p + skip;
            size_t len = part.n - skip;
            skip = 0;
            if (n > 0 && (uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == p) {
                iov[n - 1].iov_len += len;
            } else if (n == FLUSH_IOV) {
                return n;
            } else {
                iov[n++] = (struct iovec){p, len};
            }
            *total += len;
        }
    }
    return n;
}

/* A request is written whole: from now on its reply is awaited. */
static void uplink_sent(struct uplink *u, struct req *r) {
    struct server *s = u->server;
    rope_fini(&r->bytes);
    if (r->flags & REQ_GHOST) {
        uplink_leave(u, r);
        req_unlink_uplink(r);
        return;
    }
    r->state = REQ_SENT;
    s->waiting++;
    s->waiting_bytes += r->size;
    queue_push(&u->wait, &r->uplink_link);
    u->nwait++;
}

void uplink_flush(struct uplink *u) {
    struct iovec iov[FLUSH_IOV];
    while (uplink_up(u) && !u->blocked && u->send.head != NULL) {
        size_t total;
        int n = uplink_collect(u, iov, &total);
        size_t sent = stream_send(&u->stream, iov, n);
        u->blocked = sent < total;
        sent += u->sent_off;
        struct req *r;
        size_t len;
        while ((r = first_of(&u->send)) != NULL && (len = rope_len(&r->bytes)) <= sent) {
            sent -= len;
            uplink_sent(u, uplink_pop_send(u));
        }
        u->sent_off = sent;
    }
    if (u->send.head == NULL) {
        stage_release(&u->stage);
    }
    uplink_count(u);
}

static void uplink_on_room(struct stream *st) {
    struct uplink *u = CONTAINER_OF(st, struct uplink, stream);
    u->blocked = false;
    uplink_wake(u);
}

/* ---- reading ---- */

/* The server answered a request that is written in part only (a value over its limit): legal. The client gets the answer,
 * and the rest of the request must still go out, since the server counts its bytes. */
static void uplink_early(struct uplink *u) {
    struct req *r = uplink_pop_send(u);
    struct req *ghost = req_new(r->pool, r->cmd, NULL);
    ghost->flags = REQ_GHOST;
    ghost->state = REQ_QUEUED;
    ghost->size = r->size;
    ghost->deadline = r->deadline;
    ghost->uplink = u;
    rope_move(&ghost->bytes, &r->bytes);
    queue_push_front(&u->send, &ghost->uplink_link);
    u->nsend++;
    u->server->nqueued++;
    u->server->queued_bytes += r->size;
}

/* The request that the next reply belongs to, or NULL: nobody asked for it. */
static struct req *uplink_expects(const struct uplink *u) {
    struct req *r = first_of(&u->wait);
    if (r == NULL && u->sent_off > 0) {
        r = first_of(&u->send);
        if (r->flags & REQ_GHOST) {
            return NULL;
        }
    }
    return r;
}

static void uplink_reply(struct uplink *u, struct req *r, struct buf *b, struct slice bytes) {
    if (LIKELY(r->state != REQ_QUEUED)) {
        queue_pop(&u->wait);
        u->nwait--;
    } else {
        uplink_early(u);
    }
    uplink_leave(u, r);
    struct stage *stage = req_stage(r);
    if (UNLIKELY(stage == NULL)) {
        metric_add(&r->pool->stats.v[POOL_late_replies], 1);
        if (!(r->flags & REQ_PART) || r->fan == NULL) {
            req_unlink_uplink(r);
            return;
        }
    } else {
        rope_add(&r->bytes, stage, b, bytes);
    }
    r->uplink = NULL;
    req_done(r);
}

/* One reply to AUTH or SELECT. A refusal is a failure of the server: no request may run unauthenticated or in another
 * database. */
static void uplink_greeted(struct uplink *u, struct slice reply, enum rsp_kind kind) {
    struct server *s = u->server;
    if (kind != RSP_GOOD) {
        struct worker *w = worker_of(u);
        if (log_pass(&w->log_limit, now_of(u), 1000000, 10)) {
            char text[256];
            while (reply.n > 0 && (reply.p[reply.n - 1] == '\r' || reply.p[reply.n - 1] == '\n')) {
                reply.n--;
            }
            log_line(LOG_ERROR, "server_refused pool=%s server=%s address=%s answer=\"%s\"", s->pool->conf->name,
                     s->conf->name, s->conf->address, log_quote(text, sizeof text, reply));
        }
        uplink_close(u, REASON_GREETING);
    } else if (--u->greeting_left == 0) {
        uplink_ready(u);
    }
}

static size_t uplink_on_recv(struct stream *st, struct buf *b, struct slice in) {
    struct uplink *u = CONTAINER_OF(st, struct uplink, stream);
    struct server *s = u->server;
    const struct proto *back = s->pool->back;
    size_t used = 0, count = 0;
    u->heard_at = now_of(u);
    while (used < in.n && u->state != UPLINK_CLOSED) {
        struct slice rest = slice(in.p + used, in.n - used);
        struct req *r = u->state == UPLINK_GREETING ? NULL : uplink_expects(u);
        if (UNLIKELY(r == NULL && u->greeting_left == 0)) {
            uplink_close(u, REASON_BAD_REPLY);
            break;
        }
        struct rsp rsp = {0};
        enum parse_rc rc = back->parse_rsp(&u->parser, r != NULL ? r->cmd : NULL, rest, &rsp);
        if (rc == PARSE_MORE) {
            if (rsp.need > 0) {
                stream_need(&u->stream, (size_t)rsp.need);
            }
            break;
        }
        if (UNLIKELY(rc == PARSE_BAD)) {
            uplink_close(u, REASON_BAD_REPLY);
            break;
        }
        used += rsp.len;
        if (UNLIKELY(r == NULL)) {
            uplink_greeted(u, slice(rest.p, rsp.len), rsp.kind);
            continue;
        }
        count++;
        if (UNLIKELY(s->told_failed && rsp.kind != RSP_LOADING)) {
            server_works(s);
        }
        uplink_reply(u, r, b, slice(rest.p, rsp.len));
    }
    metric_add(&s->stats.v[SERVER_responses], count);
    metric_add(&s->stats.v[SERVER_response_bytes], used);
    uplink_count(u);
    if (UNLIKELY(u->state == UPLINK_CLOSED)) {
        return in.n;
    }
    if (UNLIKELY(u->state == UPLINK_SUSPECT && u->nsend + u->nwait == 0)) {
        uplink_close(u, REASON_IDLE);
        return in.n;
    }
    return used;
}

static void uplink_on_eof(struct stream *st) {
    uplink_close(CONTAINER_OF(st, struct uplink, stream), REASON_EOF);
}

/* ---- beginning ---- */

static void uplink_ready(struct uplink *u) {
    uplink_move(u, UPLINK_READY);
    u->server->connect_fails = 0;
    timer_cancel(worker_of(u)->loop, &u->timer);
    uplink_arm(u, uplink_next_deadline(u));
    uplink_wake(u);
}

/* nutcracker left all data of some pools in database 0 (compat part 6.1, B1 and B2); a key keeps it there. */
static uint32_t uplink_db(const struct uplink *u) {
    const struct conf_pool *conf = u->server->pool->conf;
    if (conf->nutcracker_db0 && (conf->redis_auth != NULL || u->server->conf->host == NULL)) {
        return 0;
    }
    return (uint32_t)conf->redis_db;
}

static void uplink_on_connect(struct stream *st) {
    struct uplink *u = CONTAINER_OF(st, struct uplink, stream);
    struct rope rope = {0};
    struct out out = {&rope, &u->stage};
    struct greeting greeting = {.password = u->server->pool->conf->redis_auth, .db = uplink_db(u)};
    u->greeting_left = u->server->pool->back->greet(&greeting, &out);
    if (u->greeting_left == 0) {
        uplink_ready(u);
        return;
    }
    uplink_move(u, UPLINK_GREETING);
    struct buf *b;
    struct slice bytes = rope_flat(&rope, &worker_of(u)->bufs, &b);
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
    struct worker *w = worker_of(u);
    const struct connect_opts opts = {
        .keepalive = true,
        .user_timeout_ms = USER_TIMEOUT_MSEC,
    };
    uplink_move(u, UPLINK_CONNECTING);
    while (u->tries < s->naddrs) {
        const struct addr *addr = &s->addrs[u->addr];
        u->addr = (uint16_t)((u->addr + 1u) % s->naddrs);
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

static void uplink_on_error(struct stream *st, enum reason why) {
    struct uplink *u = CONTAINER_OF(st, struct uplink, stream);
    if (u->state == UPLINK_CONNECTING) {
        stream_close(&u->stream);
        why = uplink_connect(u, why);
    }
    if (why != REASON_NONE) {
        uplink_close(u, why);
    }
}

static const struct stream_ops uplink_ops = {
    .on_recv = uplink_on_recv,
    .on_eof = uplink_on_eof,
    .on_connect = uplink_on_connect,
    .on_room = uplink_on_room,
    .on_error = uplink_on_error,
};

struct uplink *uplink_open(struct server *s, uint32_t slot, enum reason *why) {
    struct worker *w = s->pool->worker;
    struct uplink *u = mem_zalloc(sizeof *u);
    u->server = s;
    u->slot = slot;
    u->opened_at = worker_now(w);
    queue_init(&u->send);
    queue_init(&u->wait);
    timer_init(&u->timer, uplink_on_timer);
    stage_init(&u->stage, &w->bufs);
    if (s->naddrs > 0) {
        *why = uplink_connect(u, REASON_HOST_DOWN);
        if (*why != REASON_NONE) {
            mem_free(u);
            return NULL;
        }
    } else {
        uplink_arm(u, u->opened_at + s->pool->conf->connect_timeout * 1000);
    }
    w->nuplinks++;
    worker_connection(w, +1);
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

static void uplink_count_close(struct uplink *u, enum uplink_state was, enum reason why) {
    static const uint8_t row[] = {
        [REASON_BUCKET_EOF] = SERVER_server_eof,
        [REASON_BUCKET_ERR] = SERVER_server_err,
        [REASON_BUCKET_TIMEOUT] = SERVER_server_timedout,
    };
    struct server *s = u->server;
    bool ours = why == REASON_IDLE || why == REASON_DRAIN;
    bool counted = was == UPLINK_SUSPECT && reason_bucket(why) == REASON_BUCKET_TIMEOUT; /* when it became suspect */
    if (!ours && !counted) {
        metric_add(&s->stats.v[row[reason_bucket(why)]], 1);
    }
    metric_sub(&s->stats.v[SERVER_server_connections], 1);
    worker_connection(worker_of(u), -1);
    worker_of(u)->nuplinks--;
}

/* What was sent has perhaps been executed: an error. */
static void uplink_fail_sent(struct uplink *u, enum reason why) {
    while (u->wait.head != NULL) {
        struct req *r = CONTAINER_OF(queue_pop(&u->wait), struct req, uplink_link);
        u->nwait--;
        uplink_leave(u, r);
        if (r->state == REQ_SENT && ((r->flags & REQ_PART) ? r->fan != NULL : r->client != NULL)) {
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
    if (!(r->flags & REQ_RETRIED) && r->deadline > now_of(u)) {
        other = server_uplink(s, c, &why);
    }
    if (other == NULL) {
        req_fail(r, why);
        return;
    }
    r->flags |= REQ_RETRIED;
    metric_add(&s->pool->stats.v[POOL_retries], 1);
    uplink_put(other, r);
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
    struct worker *w = worker_of(u);
    struct server *s = u->server;
    enum uplink_state was = u->state;
    if (was == UPLINK_CLOSED) {
        return;
    }
    bool had_work = u->nsend + u->nwait > 0;
    uplink_move(u, UPLINK_CLOSED);
    timer_cancel(w->loop, &u->timer);
    stream_close(&u->stream);
    list_remove(&u->flush_link);
    server_forget(s, u);
    uplink_count_close(u, was, why);
    if (was < UPLINK_READY && why != REASON_DRAIN) {
        server_connect_failed(s, why, u->opened_at);
    } else if (was == UPLINK_READY && had_work && why != REASON_DRAIN) {
        server_failed(s, why, u->opened_at);
    }
    uplink_fail_sent(u, why);
    u->sent_off = 0;
    uplink_fail_unsent(u, was >= UPLINK_READY && why != REASON_DRAIN, why);
    stage_release(&u->stage);
    uplink_count(u);
    list_push(&w->dead_uplinks, &u->link);
}
