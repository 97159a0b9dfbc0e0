#include "core/req.h"

#include "core/client.h"
#include "core/fan.h"
#include "core/lease.h"
#include "core/times.h"
#include "core/trace.h"
#include "core/uplink.h"
#include "core/worker_state.h"

/* Servers end a wait late: an idle one may look ten times a second only. */
#define WAIT_SLACK_USEC 1000000

struct req *req_new(struct pool *pool, const struct cmd *cmd, struct client *client) {
    struct req *r = freelist_get(&pool->worker->reqs);
    memset(r, 0, sizeof *r / 2); /* a cache line each: as one, compilers make a loop of it */
    memset((char *)r + sizeof *r / 2, 0, sizeof *r / 2);
    r->pool = pool;
    r->cmd = cmd;
    r->client = client;
    r->deadline = INT64_MAX;
    return r;
}

void req_start_clock(struct req *r) {
    if (r->pool->timeout > 0) {
        r->deadline = worker_now(r->pool->worker) + r->pool->timeout;
    }
}

void req_start_wait(struct req *r, int64_t usec) {
    if (r->pool->timeout > 0 && usec >= 0 && usec < INT64_MAX / 4) {
        r->deadline = worker_now(r->pool->worker) + usec + r->pool->timeout + WAIT_SLACK_USEC;
    }
}

static inline void req_free(struct req *r) {
    ASSERT(r->uplink == NULL && r->client == NULL);
    rope_fini(&r->bytes);
    freelist_put(&r->pool->worker->reqs, r);
}

/* Its reply, complete, waits in the FIFO of its client. */
static inline void req_ready(struct req *r) {
    size_t len = rope_len(&r->bytes);
    r->client->bytes += len;
    r->client->owed += len;
    client_wake(r->client);
}

/* An answered part has told its fan all it knew; an answered whole waits in its client's FIFO. */
static void req_settle(struct req *r) {
    if (r->flags & REQ_PART) {
        r->fan = NULL;
        if (r->uplink == NULL) {
            req_free(r);
        }
        return;
    }
    r->state = REQ_DONE;
    if (UNLIKELY(r->flags & REQ_LEASE) && r->client != NULL) {
        lease_settle(r->client);
    }
    if (r->client != NULL) {
        req_ready(r);
    } else if (r->uplink == NULL) {
        req_free(r);
    }
}

/* More is to be done than to let the client know. */
static __attribute__((noinline)) void req_done_fully(struct req *r) {
    if (r->flags & REQ_SILENT) {
        rope_fini(&r->bytes);
    }
    if ((r->flags & REQ_PART) && r->fan != NULL) {
        fan_part_done(r);
    }
    req_settle(r);
}

void req_done(struct req *r) {
    ASSERT(r->state != REQ_DONE);
    if (LIKELY(r->client != NULL && !(r->flags & (REQ_PART | REQ_SILENT | REQ_LEASE)))) {
        r->state = REQ_DONE;
        req_ready(r);
    } else {
        req_done_fully(r);
    }
}

void req_gather(struct req *r) {
    ASSERT(r->state == REQ_STREAMING);
    r->state = REQ_SENT;
    if (r->client != NULL) {
        size_t len = rope_len(&r->bytes);
        r->client->bytes -= len;
        r->client->owed -= len;
    }
}

__attribute__((noinline)) void req_written(struct req *r, size_t n) {
    ASSERT(r->state == REQ_STREAMING);
    r->flags |= REQ_BEGUN;
    if (UNLIKELY(r->flags & REQ_TRACED)) {
        trace_passed(r, n);
    }
    rope_consume(&r->bytes, n);
    r->client->bytes -= n;
    r->client->owed -= n;
    uplink_taken(r->uplink, r);
}

/* The rest of a reply will not come. */
static void req_break_off(struct req *r) {
    req_gather(r);
    if (r->client != NULL && (r->flags & REQ_BEGUN)) {
        metric_add(&r->pool->stats.v[POOL_broken_replies], 1);
        client_break(r->client, REASON_CUT_SHORT);
    }
}

void req_fail(struct req *r, enum reason why) {
    ASSERT(r->state != REQ_DONE);
    if (UNLIKELY(r->state == REQ_STREAMING)) {
        req_break_off(r);
    }
    rope_fini(&r->bytes);
    times_failed(r);
    if (UNLIKELY(r->flags & REQ_TRACED)) {
        trace_failed(r, why);
    }
    if (r->flags & REQ_PART) {
        if (r->fan != NULL) {
            fan_part_fail(r, why);
        }
    } else if (r->client != NULL) {
        bool refused = reason_bucket(why) == REASON_BUCKET_REFUSAL;
        metric_add(&r->pool->stats.v[refused ? POOL_refused_commands : POOL_forward_error], 1);
        if (UNLIKELY(r->flags & REQ_WAITS) && !refused && r->pool->conf->blocking_failure == LOST_CLOSE) {
            r->flags |= REQ_SILENT;
            client_finish(r->client, REASON_WAIT_LOST);
        }
        if (!(r->flags & REQ_SILENT)) {
            struct out out = {&r->bytes, &r->client->stage};
            r->client->front->error(why, r->cmd, r->tag, &out);
        }
    }
    req_settle(r);
}

struct stage *req_stage(struct req *r) {
    if (r->flags & REQ_PART) {
        return r->fan != NULL && r->fan->whole != NULL ? &r->fan->whole->client->stage : NULL;
    }
    return r->client != NULL && r->state != REQ_DONE ? &r->client->stage : NULL;
}

/* Nobody waits any more for what is still to come: it is read and dropped. */
static __attribute__((noinline)) void req_give_up(struct req *r) {
    rope_fini(&r->bytes);
    uplink_go_on(r->uplink);
}

void req_unlink_client(struct req *r) {
    ASSERT(r->client != NULL);
    if (r->fan != NULL && !(r->flags & REQ_PART)) {
        fan_abandon(r->fan);
        r->fan = NULL;
    }
    r->client = NULL;
    if (LIKELY(r->uplink == NULL)) {
        req_free(r);
    } else if (r->state == REQ_DONE) {
        rope_fini(&r->bytes); /* its error; the late reply is still to come */
    } else if (r->state == REQ_STREAMING) {
        req_give_up(r);
    }
}

void req_unlink_uplink(struct req *r) {
    ASSERT(r->uplink != NULL);
    r->uplink = NULL;
    bool wanted = (r->flags & REQ_PART) ? r->fan != NULL : r->client != NULL;
    if (!wanted) {
        req_free(r);
    }
}

void req_expire(struct req *r, enum reason why) {
    ASSERT((r->state == REQ_SENT || r->state == REQ_STREAMING) && r->uplink != NULL);
    r->flags |= REQ_EXPIRED;
    req_fail(r, why);
}

bool req_is_wanted(const struct req *r) {
    return (r->flags & REQ_PART) ? r->fan != NULL : r->client != NULL && r->state != REQ_DONE;
}
