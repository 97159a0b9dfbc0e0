#include "core/uplink_state.h"

#include "core/client.h"
#include "core/fan.h"
#include "core/feed.h"
#include "core/heal.h"
#include "core/hot.h"
#include "core/slowlog.h"
#include "core/times.h"

/* The request that the next reply belongs to, or NULL: nobody asked for it. */
static struct req *uplink_expects(const struct uplink *u) {
    struct req *r = uplink_first(&u->wait);
    if (r == NULL && u->sent_off > 0) {
        r = uplink_first(&u->send);
        if (r->flags & REQ_GHOST) {
            return NULL;
        }
    }
    return r;
}

/* Takes the request off its queue whose reply is no plain one; `rest`: the last bytes of it. */
static __attribute__((noinline)) void uplink_take_off(struct uplink *u, struct req *r, size_t rest) {
    if (r->state == REQ_QUEUED) {
        /* Answered before it was sent whole (a value over the server's limit): legal. The client gets the answer, and the
         * rest must still go out, since the server counts its bytes. */
        uplink_carry_on(u, REQ_GHOST);
        return;
    }
    queue_pop(&u->wait);
    u->nwait--;
    if (u->passing) {
        hot_big_reply(u, r, u->passed + rest);
        uplink_pass_end(u, r);
    }
}

static void uplink_reply(struct uplink *u, struct req *r, struct buf *b, struct slice bytes, uint32_t now) {
    if (UNLIKELY(now - r->born >= r->pool->slow_usec)) {
        slowlog_note(u, r, now);
    }
    if (UNLIKELY(bytes.n >= BIG_MIN) && !u->passing) {
        hot_big_reply(u, r, bytes.n);
    }
    if (LIKELY(r->state == REQ_SENT)) {
        queue_pop(&u->wait);
        u->nwait--;
    } else {
        uplink_take_off(u, r, bytes.n);
    }
    uplink_leave(u, r);
    times_replied(u->server, r, now);
    struct stage *stage = req_stage(r);
    if (UNLIKELY(stage == NULL)) {
        metric_add(&r->pool->stats.v[POOL_late_replies], 1);
        if (!(r->flags & REQ_PART) || r->fan == NULL) {
            req_unlink_uplink(r);
            return;
        }
    } else {
        rope_add_message(&r->bytes, stage, b, bytes);
    }
    r->uplink = NULL;
    req_done(r);
}

/* A reply to what went ahead of the request that counts. */
static void uplink_pass_over(struct uplink *u, struct req *r, enum rsp_kind kind) {
    r->skip--;
    r->flags |= REQ_RETRIED; /* nowhere else, though it may not be written whole yet: replies to its beginning are taken already */
    if (kind != RSP_GOOD) {
        r->flags |= REQ_UNSURE;
        if (r->flags & REQ_SCRIPT) {
            heal_forget(u);
        }
    }
}

/* A reply that is more than its bytes. */
static void uplink_take_marks(struct uplink *u, struct req *r, const struct rsp *rsp) {
    if (rsp->quiet_ok && (r->flags & REQ_QUIET) && !(r->flags & REQ_BEGUN)) { /* else it is long: then a server is wrong */
        r->flags |= REQ_SILENT;
    }
    if (rsp->no_script && (r->flags & REQ_SCRIPT)) {
        heal_forget(u);
        r->flags |= rsp->kind == RSP_ERROR ? REQ_NO_SCRIPT : 0; /* inside another reply: the rest of it was carried out */
    }
}

static __attribute__((noinline)) void uplink_mark_error(struct req *r, enum rsp_kind kind) {
    if ((r->flags & REQ_TRACED) || (kind == RSP_ERROR && (r->flags & REQ_PART))) {
        r->flags |= REQ_ERROR;
    }
}

/* One reply to AUTH or SELECT. A refusal is a failure of the server: no request may run unauthenticated or in another
 * database. */
static void uplink_greeted(struct uplink *u, struct slice reply, enum rsp_kind kind) {
    struct server *s = u->server;
    if (kind != RSP_GOOD) {
        struct worker *w = u->worker;
        if (log_pass(&w->log_limit, uplink_now(u), 1000000, 10)) {
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

/* The reply is not there yet. Returns what of it was taken all the same. */
static __attribute__((noinline)) size_t uplink_more(struct uplink *u, struct req *r, struct buf *b, struct slice in,
                                                    struct rsp *rsp) {
    size_t n = r != NULL ? uplink_pass_more(u, r, b, in, rsp) : 0;
    if (n == 0 && !u->passing && !uplink_whole(u, r, rsp, in.n)) {
        n = u->state != UPLINK_CLOSED ? uplink_pass_more(u, r, b, in, rsp) : 0;
    }
    if (n == 0 && rsp->need > 0 && u->state != UPLINK_CLOSED) {
        stream_need(&u->stream, (size_t)rsp->need);
    }
    return n;
}

/* More of a large reply. Returns what of it needs no look. */
static __attribute__((noinline)) size_t uplink_large(struct uplink *u, struct buf *b, struct slice in) {
    uplink_whole_end(u); /* room is asked for again, if it still is not all */
    return u->pass_left > 0 ? uplink_pass(u, b, in) : 0;
}

size_t uplink_on_recv(struct stream *st, struct buf *b, struct slice in) {
    struct uplink *u = CONTAINER_OF(st, struct uplink, stream);
    struct server *s = u->server;
    const struct proto *back = s->pool->back;
    size_t used = 0, count = 0;
    uint32_t now = times_now(u->worker);
    if (UNLIKELY(u->feed != NULL) && u->state != UPLINK_GREETING) {
        return feed_on_recv(u, b, in);
    }
    if (UNLIKELY((u->pass_left | u->whole) != 0)) {
        used = uplink_large(u, b, in);
    }
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
            size_t n = uplink_more(u, r, b, rest, &rsp);
            used += n;
            if (n == 0) {
                break;
            }
            continue;
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
        if (UNLIKELY(rsp.kind != RSP_GOOD)) {
            uplink_mark_error(r, rsp.kind);
        }
        if (UNLIKELY(r->skip > 0)) {
            uplink_pass_over(u, r, rsp.kind);
            continue;
        }
        count++;
        if (UNLIKELY(s->told_failed && rsp.kind != RSP_LOADING && !(r->flags & REQ_EXPIRED))) {
            server_works(s);
        }
        if (UNLIKELY(rsp.quiet_ok | rsp.no_script)) {
            uplink_take_marks(u, r, &rsp);
        }
        uplink_reply(u, r, b, slice(rest.p, rsp.len), now);
    }
    metric_add(&s->stats.v[SERVER_responses], count);
    metric_add(&s->stats.v[SERVER_response_bytes], used);
    uplink_count(u);
    if (UNLIKELY((u->state == UPLINK_SUSPECT || u->aside) && u->nsend + u->nwait == 0)) {
        uplink_close(u, REASON_IDLE);
    }
    return UNLIKELY(u->state == UPLINK_CLOSED) ? in.n : used;
}
