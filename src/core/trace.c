#include "core/trace.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/times.h"
#include "core/uplink.h"
#include "core/worker_state.h"

#include <stdio.h>

#define BUCKETS    64u
#define FLIGHT_MAX 4096u

struct flight {
    struct list link; /* of its bucket */
    const struct req *req;
    uint32_t taken, sent; /* times_now; sent 0: it was not */
    struct trace trace;
};

struct traces {
    struct list buckets[BUCKETS]; /* in flight */
    uint32_t n;
    /* the ring: `written` is the worker's, `read` is control's; both only grow */
    uint32_t written, read;
    struct trace ring[TRACE_RING];
};

static struct list *bucket_of(const struct req *r) {
    return &r->pool->worker->traces->buckets[(uintptr_t)r / sizeof *r % BUCKETS];
}

static struct flight *find(const struct req *r) {
    LIST_EACH(bucket_of(r), l) {
        struct flight *f = CONTAINER_OF(l, struct flight, link);
        if (f->req == r) {
            return f;
        }
    }
    ASSERT(false && "a request that is marked and not known");
    return NULL;
}

static void drop(struct worker *w) {
    metric_add(&w->stats.v[WORKER_access_dropped], 1);
}

static void copy(char to[TRACE_NAME_MAX], const char *name) {
    snprintf(to, TRACE_NAME_MAX, "%s", name);
}

void trace_begin(struct client *c, struct req *r, const struct msg *m, uint32_t half_since) {
    struct worker *w = c->pool->worker;
    uint32_t now = times_now(w);
    if (w->traces->n == FLIGHT_MAX) {
        drop(w);
        return;
    }
    struct flight *f = mem_zalloc(sizeof *f);
    struct trace *t = &f->trace;
    f->req = r;
    f->taken = now;
    t->wall_usec = loop_wall(w->loop);
    copy(t->pool, c->pool->conf->name);
    stream_peer(&c->stream, t->client, sizeof t->client);
    t->command = m->cmd->name;
    t->nkeys = m->route == ROUTE_REPLY ? 0 : m->nkeys;
    if (t->nkeys > 0) {
        struct slice key = msg_key(m, 0);
        t->key_len = (uint32_t)key.n;
        memcpy(t->key, key.p, min_size(key.n, TRACE_KEY_MAX));
    }
    t->receive = half_since != 0 ? now - half_since : 0;
    t->outcome = m->route == ROUTE_REPLY ? TRACE_REFUSED : TRACE_OK;
    r->flags |= REQ_TRACED;
    list_push(bucket_of(r), &f->link);
    w->traces->n++;
}

void trace_sent(const struct req *r) {
    struct flight *f = find(r);
    f->sent = times_now(r->pool->worker);
    copy(f->trace.server, r->uplink->server->conf->name);
}

void trace_failed(const struct req *r, enum reason why) {
    struct trace *t = &find(r)->trace;
    t->outcome = TRACE_FAILED;
    t->why = why;
}

void trace_passed(const struct req *r, size_t bytes) {
    find(r)->trace.bytes_out += bytes;
}

/* ---- the end ---- */

static void put(struct worker *w, const struct trace *t) {
    struct traces *all = w->traces;
    if (all->written - __atomic_load_n(&all->read, __ATOMIC_ACQUIRE) == TRACE_RING) {
        drop(w);
        return;
    }
    all->ring[all->written % TRACE_RING] = *t;
    __atomic_store_n(&all->written, all->written + 1, __ATOMIC_RELEASE);
}

/* born and since say nothing of requests that no server was asked for, or that waited because they were asked to (times.h). */
static void fill_times(struct flight *f, const struct req *r, uint32_t now) {
    struct trace *t = &f->trace;
    t->total = t->receive + (now - f->taken);
    if (r->born == 0) {
        return;
    }
    uint32_t sent = f->sent != 0 ? f->sent : r->born; /* of a split request nobody says when */
    t->queue = sent - r->born;
    if (r->since == 0) { /* it was waited for in vain (times_failed) */
        t->at_server = now - sent;
        return;
    }
    t->at_server = r->since - sent;
    times_late(r, now, &t->order, &t->write);
}

static void end(struct req *r, struct flight *f) {
    struct worker *w = r->pool->worker;
    f->trace.bytes_in = r->size;
    if ((r->flags & REQ_ERROR) && f->trace.outcome == TRACE_OK) {
        f->trace.outcome = TRACE_ERROR;
    }
    put(w, &f->trace);
    r->flags &= (uint16_t)~REQ_TRACED;
    list_remove(&f->link);
    w->traces->n--;
    mem_free(f);
}

void trace_written(struct req *r, size_t bytes) {
    struct flight *f = find(r);
    f->trace.bytes_out += bytes;
    fill_times(f, r, times_now(r->pool->worker));
    end(r, f);
}

void trace_left(struct req *r) {
    struct flight *f = find(r);
    f->trace.total = f->trace.receive + (times_now(r->pool->worker) - f->taken);
    f->trace.outcome = TRACE_LEFT;
    end(r, f);
}

/* ---- control's side ---- */

bool trace_take(const struct worker *w, struct trace *to) {
    struct traces *all = __atomic_load_n(&w->traces, __ATOMIC_ACQUIRE);
    if (all == NULL || __atomic_load_n(&all->written, __ATOMIC_ACQUIRE) == all->read) {
        return false;
    }
    *to = all->ring[all->read % TRACE_RING];
    __atomic_store_n(&all->read, all->read + 1, __ATOMIC_RELEASE);
    return true;
}

/* ---- beginning and end ---- */

void trace_derive(struct worker *w) {
    if (w->opts.conf->access_log == NULL || w->traces != NULL) {
        return;
    }
    struct traces *all = mem_zalloc(sizeof *all);
    for (unsigned i = 0; i < BUCKETS; i++) {
        list_init(&all->buckets[i]);
    }
    __atomic_store_n(&w->traces, all, __ATOMIC_RELEASE); /* control looks (trace_take) */
}

void trace_free(struct worker *w) {
    ASSERT(w->traces == NULL || w->traces->n == 0);
    mem_free(w->traces);
    w->traces = NULL;
}
