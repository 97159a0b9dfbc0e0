#include "core/uplink_state.h"

#include "core/heal.h"
#include "core/slowlog.h"
#include "core/times.h"

void uplink_arm(struct uplink *u, int64_t at) {
    if (at != INT64_MAX && (!timer_is_set(&u->timer) || u->timer.at > at)) {
        timer_set(u->worker->loop, &u->timer, at);
    }
}

/* An unsent request is withdrawn at its deadline. One that is written in part must go out whole: it is counted as sent. */
static void uplink_expire_unsent(struct uplink *u, int64_t now) {
    struct req *r, *head = u->sent_off > 0 ? uplink_pop_send(u) : NULL;
    while ((r = uplink_first(&u->send)) != NULL && r->deadline <= now) {
        uplink_pop_send(u);
        uplink_leave(u, r);
        r->uplink = NULL;
        if (UNLIKELY(r->flags & REQ_SCRIPT)) {
            heal_forget(u); /* a body that was to go ahead of it did not */
        }
        metric_add(&u->server->stats.v[SERVER_request_timeouts], 1);
        req_fail(r, REASON_TIMEDOUT);
    }
    if (head != NULL) {
        queue_push_front(&u->send, &head->uplink_link);
        u->nsend++;
    }
}

/* Those behind it may have an earlier deadline: it carries on what failed half sent (uplink_expire_head), or its reply arrives and
 * the deadline moves on with it. */
static bool is_late_in_line(const struct req *r) {
    return (r->client == NULL && !(r->flags & REQ_PART)) || r->state == REQ_STREAMING;
}

/* Returns how many got their error. They stay in the wait queue, so that their late replies find them. */
static uint32_t uplink_expire_sent(struct uplink *u, int64_t now) {
    uint32_t n = 0;
    for (struct queue_link *l = u->wait.head; l != NULL; l = l->next) {
        struct req *r = CONTAINER_OF(l, struct req, uplink_link);
        if (r->deadline > now && !is_late_in_line(r)) {
            break;
        }
        if (r->deadline <= now && !(r->flags & REQ_EXPIRED)) {
            n++;
            metric_add(&u->server->stats.v[SERVER_request_timeouts], 1);
            slowlog_note(u, r, (uint32_t)now);
            times_replied(u->server, r, (uint32_t)now);
            req_expire(r, REASON_TIMEDOUT);
        }
    }
    return n;
}

/* The next deadline of both queues; what has expired already does not count. */
int64_t uplink_next_deadline(const struct uplink *u) {
    const struct req *send = uplink_first(&u->send);
    int64_t at = send != NULL ? send->deadline : INT64_MAX;
    if (send != NULL && u->sent_off > 0 && send->uplink_link.next != NULL) { /* behind what is written in part */
        const struct req *next = CONTAINER_OF(send->uplink_link.next, struct req, uplink_link);
        at = next->deadline < at ? next->deadline : at;
    }
    for (struct queue_link *l = u->wait.head; l != NULL; l = l->next) {
        const struct req *r = CONTAINER_OF(l, struct req, uplink_link);
        if (!(r->flags & REQ_EXPIRED)) {
            at = r->deadline < at ? r->deadline : at;
            if (!is_late_in_line(r)) {
                return at;
            }
        }
    }
    return at;
}

/* The head is written in part and late. The rest must still go out, so another request carries it on: nobody waits for
 * that one's reply. False: it is not. */
static bool uplink_expire_head(struct uplink *u, int64_t now) {
    struct req *r = uplink_first(&u->send);
    if (r == NULL || u->sent_off == 0 || r->deadline > now || (r->flags & REQ_GHOST)) {
        return false;
    }
    struct req *carrier = uplink_carry_on(u, REQ_RETRIED); /* nowhere else: its client has been told that it failed */
    carrier->deadline = now + u->server->pool->timeout;
    metric_add(&u->server->stats.v[SERVER_request_timeouts], 1);
    uplink_leave(u, r);
    r->uplink = NULL;
    req_fail(r, REASON_TIMEDOUT);
    return true;
}

/* Brings the marks of progress up to date. */
static void uplink_watch(struct uplink *u, int64_t now) {
    if (u->heard != u->stream.received) {
        u->heard = u->stream.received;
        u->heard_at = now;
    }
    if (u->told_seen != u->told || u->send.head == NULL) {
        u->told_seen = u->told;
        u->told_at = now;
    }
}

static void uplink_suspected(struct uplink *u, int64_t now) {
    uplink_move(u, UPLINK_SUSPECT);
    metric_add(&u->server->stats.v[SERVER_server_timedout], 1);
    server_failed(u->server, REASON_TIMEDOUT, u->opened_at);
    u->heard_at = now; /* its grace begins */
    server_suspect(u->server, u);
}

/* Not connected yet. */
static void uplink_connect_late(struct uplink *u, int64_t now) {
    int64_t give_up = u->opened_at + u->server->pool->conf->connect_timeout * 1000;
    if (now < give_up) {
        uplink_arm(u, give_up);
        uplink_arm(u, uplink_next_deadline(u));
    } else if (u->state == UPLINK_CONNECTING) {
        uplink_connect_failed(u, REASON_TIMEDOUT);
    } else {
        uplink_close(u, u->state == UPLINK_RESOLVING ? REASON_HOST_DOWN : REASON_TIMEDOUT);
    }
}

void uplink_on_timer(struct timer *t) {
    struct uplink *u = CONTAINER_OF(t, struct uplink, timer);
    int64_t now = uplink_now(u);
    int64_t timeout = u->server->pool->timeout;
    if (uplink_up(u) && UNLIKELY(stream_paused(&u->stream))) { /* the client is slow (uplink_pass.c) */
        if (!uplink_impatient(u)) {
            uplink_arm(u, now < u->patient_until ? u->patient_until : timeout > 0 ? now + timeout : INT64_MAX);
            return;
        }
        uplink_go_on(u);
    }
    uplink_expire_unsent(u, now);
    if (!uplink_up(u)) {
        uplink_connect_late(u, now);
        uplink_count(u);
        return;
    }
    uplink_watch(u, now);
    bool cut = uplink_expire_head(u, now);
    uint32_t late = uplink_expire_sent(u, now);
    bool stuck = u->send.head != NULL && u->told_at + timeout <= now; /* the server does not read */
    if ((u->leased || u->feed != NULL) && (late > 0 || cut || stuck)) {
        uplink_close(u, REASON_SILENT); /* nobody else waits on it, and what it may still take nobody would get */
        return;
    }
    if (u->state == UPLINK_READY && (late > 0 || stuck)) {
        uplink_suspected(u, now);
    }
    if (u->state == UPLINK_SUSPECT && (stuck || u->heard_at + timeout <= now)) {
        uplink_close(u, REASON_SILENT);
    }
    if (u->state == UPLINK_CLOSED) {
        return;
    }
    if (u->state == UPLINK_SUSPECT) {
        uplink_arm(u, u->heard_at + timeout);
    }
    if (u->send.head != NULL) {
        uplink_arm(u, u->told_at + timeout);
    }
    int64_t next = uplink_next_deadline(u);
    uplink_arm(u, next > now ? next : now + timeout);
    uplink_count(u);
}
