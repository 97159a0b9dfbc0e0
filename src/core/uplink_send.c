#include "core/uplink_state.h"

#include "core/lease.h"
#include "core/runs.h"
#include "core/slowlog.h"
#include "core/times.h"
#include "core/trace.h"
#include "core/upload.h"

void uplink_wake(struct uplink *u) {
    if (!list_linked(&u->flush_link)) {
        list_push(&u->worker->flush_uplinks, &u->flush_link);
    }
}

/* ---- counters: gauges are brought up to date once per flush or batch of replies ---- */

void uplink_count(struct uplink *u) {
    struct server *s = u->server;
    uint64_t *v = s->stats.v;
    metric_set(&v[SERVER_in_queue], s->nqueued - s->waiting);
    metric_set(&v[SERVER_in_queue_bytes], s->queued_bytes - s->waiting_bytes);
    metric_set(&v[SERVER_out_queue], s->waiting);
    metric_set(&v[SERVER_out_queue_bytes], s->waiting_bytes);
}

struct req *uplink_pop_send(struct uplink *u) {
    struct req *r = CONTAINER_OF(queue_pop(&u->send), struct req, uplink_link);
    u->nsend--;
    return r;
}

void uplink_leave(struct uplink *u, struct req *r) {
    struct server *s = u->server;
    s->nqueued--;
    s->queued_bytes -= r->size;
    if (r->state != REQ_QUEUED) {
        s->waiting--;
        s->waiting_bytes -= r->size;
    }
}

struct req *uplink_carry_on(struct uplink *u, uint16_t flags) {
    struct req *r = uplink_pop_send(u);
    struct req *carrier = req_new(r->pool, r->cmd, NULL);
    carrier->flags = (uint16_t)(flags | (r->flags & REQ_SCRIPT));
    carrier->state = REQ_QUEUED;
    carrier->size = r->size;
    carrier->skip = r->skip; /* as many replies come as the server was promised requests */
    carrier->deadline = r->deadline;
    carrier->uplink = u;
    rope_move(&carrier->bytes, &r->bytes);
    queue_push_front(&u->send, &carrier->uplink_link);
    u->nsend++;
    u->server->nqueued++;
    u->server->queued_bytes += r->size;
    return carrier;
}

/* ---- writing ---- */

/* Where a request with this deadline belongs: behind all that expire no later, and behind a head that is under way. */
static struct queue_link *uplink_place(const struct uplink *u, int64_t deadline) {
    struct queue_link *before = NULL;
    for (struct queue_link *l = u->send.head; l != NULL; l = l->next) {
        bool under_way = l == u->send.head && u->sent_off > 0;
        if (!under_way && CONTAINER_OF(l, struct req, uplink_link)->deadline > deadline) {
            break;
        }
        before = l;
    }
    return before;
}

void uplink_put(struct uplink *u, struct req *r, bool again) {
    struct server *s = u->server;
    ASSERT(u->state != UPLINK_CLOSED && r->uplink == NULL);
    r->state = REQ_QUEUED;
    r->uplink = u;
    if (again) {
        queue_push_behind(&u->send, uplink_place(u, r->deadline), &r->uplink_link);
    } else {
        queue_push(&u->send, &r->uplink_link);
    }
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
    times_queued(r, times_now(u->worker));
    uplink_put(u, r, false);
    metric_add(&v[SERVER_requests], 1);
    metric_add(&v[SERVER_request_bytes], r->size);
}

/* A request is written whole: from now on its reply is awaited. */
static void uplink_sent(struct uplink *u, struct req *r, uint32_t now) {
    struct server *s = u->server;
    if (UNLIKELY(s->keeps_heads)) {
        slowlog_keep(s, r);
    }
    rope_fini(&r->bytes);
    if (UNLIKELY(r->flags & (REQ_GHOST | REQ_TRACED))) {
        if (r->flags & REQ_GHOST) {
            uplink_leave(u, r);
            req_unlink_uplink(r);
            return;
        }
        trace_sent(r);
    }
    r->state = REQ_SENT;
    times_sent(s, r, now);
    s->waiting++;
    s->waiting_bytes += r->size;
    queue_push(&u->wait, &r->uplink_link);
    u->nwait++;
}

void uplink_flush(struct uplink *u) {
    uint32_t now = times_now(u->worker);
    while (uplink_up(u) && !u->blocked && u->send.head != NULL) {
        /* requests staged one after the other are one run */
        struct runs runs;
        runs_init(&runs, u->sent_off);
        for (struct queue_link *l = u->send.head; l != NULL; l = l->next) {
            if (!runs_add(&runs, &CONTAINER_OF(l, struct req, uplink_link)->bytes)) {
                break;
            }
        }
        size_t sent = stream_send(&u->stream, runs.iov, runs.n);
        u->blocked = sent < runs.total;
        u->told += sent;
        sent += u->sent_off;
        struct req *r;
        size_t len;
        while ((r = uplink_first(&u->send)) != NULL && (len = rope_len(&r->bytes)) <= sent) {
            sent -= len;
            uplink_sent(u, uplink_pop_send(u), now);
        }
        u->sent_off = sent;
    }
    if (u->send.head == NULL) {
        stage_release(&u->stage);
    }
    if (UNLIKELY(u->lease != NULL) && u->lease->upload != NULL) {
        upload_flushed(u->lease);
    }
    uplink_count(u);
}
