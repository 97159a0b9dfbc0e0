#include "core/dispatch.h"

#include "core/apart.h"
#include "core/fan.h"
#include "core/greet.h"
#include "core/heal.h"
#include "core/lease.h"
#include "core/subscriber.h"
#include "core/survey.h"
#include "core/txn.h"
#include "core/upload.h"
#include "core/uplink.h"
#include "core/worker_state.h"

/* What is not sent as it was received. Apart, so that the plain path stays small. False: a part of it is on its way. */
static __attribute__((noinline)) bool dispatch_built(const struct client *c, struct uplink *u, struct req *r, struct buf *b,
                                                     const struct msg *m, const uint32_t *keys, uint32_t nkeys) {
    if ((m->flags & MSG_SCRIPT) && heal_send(u, r, b, m)) {
        return false;
    }
    struct out out = {&r->bytes, &u->stage};
    c->front->build(m, b, keys, nkeys, &out);
    return true;
}

void dispatch_to(struct server *s, struct req *r, struct buf *b, const struct msg *m, const uint32_t *keys,
                 uint32_t nkeys) {
    enum reason why;
    /* A command that changes its connection must never travel on one that others share. */
    ASSERT(!(m->cmd->flags & CMD_STATE));
    struct client *c = (r->flags & REQ_PART) ? r->fan->whole->client : r->client;
    struct uplink *u = server_uplink(s, c, r->profile, &why);
    if (u == NULL) {
        req_fail(r, why);
        return;
    }
    if (m->cmd->flags & (CMD_WRITE | CMD_CODE)) {
        client_wrote(c, s->index);
    }
    if (keys != NULL || (m->flags & (MSG_REWRITE | MSG_SCRIPT))) {
        if (!dispatch_built(c, u, r, b, m, keys, nkeys)) {
            return;
        }
    } else {
        rope_add_message(&r->bytes, &u->stage, b, m->raw);
    }
    req_start_clock(r);
    uplink_queue(u, r);
}

static void dispatch_key(struct req *r, struct buf *b, const struct msg *m, struct slice key) {
    struct pool *pool = r->pool;
    uint32_t s = ring_pick(pool->ring, &pool->worker->rng, key);
    if (UNLIKELY(s == RING_NONE)) {
        req_fail(r, REASON_EJECTED);
        return;
    }
    dispatch_to(pool->servers[s], r, b, m, NULL, 0);
}

/* cross_shard: first asks for nutcracker's way, the first key decides. */
struct server *dispatch_owner(struct pool *pool, const struct msg *m, enum reason *why) {
    struct slice key = m->nkeys > 0 ? msg_key(m, 0) : slice_str(ANY_KEY);
    uint32_t first = ring_pick(pool->ring, &pool->worker->rng, key);
    /* `random` has no owners to compare */
    bool one = pool->conf->distribution == DIST_RANDOM || pool->conf->cross_shard == CROSS_FIRST;
    uint32_t nkeys = one ? 1 : m->nkeys;
    for (uint32_t i = 1; i < nkeys; i++) {
        if (ring_pick(pool->ring, &pool->worker->rng, msg_key(m, i)) != first) {
            *why = REASON_CROSS_SLOT;
            return NULL;
        }
    }
    *why = REASON_EJECTED;
    return first == RING_NONE ? NULL : pool->servers[first];
}

static void dispatch_same(struct req *r, struct buf *b, const struct msg *m) {
    enum reason why;
    struct server *s = dispatch_owner(r->pool, m, &why);
    if (s == NULL) {
        req_fail(r, why);
    } else {
        dispatch_to(s, r, b, m, NULL, 0);
    }
}

static struct facts dispatch_facts(const struct pool *pool) {
    struct worker *w = pool->worker;
    const struct conf_pool *conf = pool->conf;
    return (struct facts){
        .password = conf->redis_auth,
        .users = conf->users,
        .nusers = conf->nusers,
        .db = (uint32_t)conf->redis_db,
        .wall_usec = loop_wall(w->loop),
        .uptime_sec = (loop_wall(w->loop) - w->opts.shared->started_wall) / 1000000,
        .pid = w->opts.shared->pid,
        .threads = w->opts.shared->workers,
        .curr_connections = w->stats.v[WORKER_curr_connections],
        .total_connections = w->stats.v[WORKER_total_connections],
        .requests = pool->stats.v[POOL_client_requests],
        .pool = conf->name,
        .servers = pool->nservers,
        .port = conf->nlistens > 0 ? conf->listens[0].port : 0,
        .clients = __atomic_load_n(pool->nclients, __ATOMIC_RELAXED),
        .clients_max = (uint64_t)conf->client_connections,
        .buffer_bytes = worker_held(w),
        .server_version = pool->version[0] != '\0' ? pool->version : NULL,
    };
}

/* A client that asked for silence is answered when this request ended it. One request is silent once, also when the servers
 * refuse what it asks for and the session stays as it is. */
static void dispatch_hush(struct req *r, struct session *now, struct session *next) {
    if (next->hush == HUSH_THIS) {
        next->hush = HUSH_NONE;
    } else if (next->hush == HUSH_NONE) {
        r->flags &= (uint16_t)~REQ_SILENT;
    }
    now->hush = now->hush == HUSH_THIS ? HUSH_NONE : now->hush;
}

static bool dispatch_local(struct client *c, struct req *r, const struct msg *m) {
    struct facts facts = dispatch_facts(c->pool);
    struct out out = {&r->bytes, &c->stage};
    struct session next = c->session;
    bool close = c->front->local(m, &next, &facts, &out);
    if (UNLIKELY(c->session.hush != HUSH_NONE)) {
        dispatch_hush(r, &c->session, &next);
    }
    greet_start(r, &next);
    return close;
}

/* Requests that concern what the client has going on: a connection of its own, a transaction, channels. */
static void dispatch_state(struct req *r, struct buf *b, const struct msg *m) {
    switch (m->route) {
    case ROUTE_LARGE:
        upload_take(r, b, m);
        return;
    case ROUTE_LEASE:
        lease_block(r, b, m);
        return;
    case ROUTE_WATCH:
        lease_watch(r, b, m);
        return;
    case ROUTE_UNWATCH:
        lease_unwatch(r, b, m);
        return;
    case ROUTE_JOIN:
        subscriber_join(r->client, r, m);
        return;
    case ROUTE_PART:
        subscriber_part(r->client, r, m);
        return;
    case ROUTE_TXN_BEGIN:
    case ROUTE_TXN_RUN:
    case ROUTE_TXN_DROP:
        txn_take(r->client, r, b, m);
        return;
    default:
        ASSERT(false && "a request that goes to no server");
    }
}

/* True: this pool does not let it through, and the client knows why. */
static bool dispatch_denied(struct req *r, const struct msg *m) {
    enum reason why = pool_denies(r->pool, m);
    if (UNLIKELY(why != REASON_NONE)) {
        req_fail(r, why);
    }
    return why != REASON_NONE;
}

static void dispatch_all(struct req *r, struct buf *b, const struct msg *m) {
    if (UNLIKELY(dispatch_denied(r, m))) {
        return;
    }
    if (m->cmd->flags & CMD_APART) {
        apart_all(r, b, m);
    } else {
        fan_all(r, b, m);
    }
}

static void dispatch_route(struct req *r, struct buf *b, const struct msg *m) {
    const struct conf_pool *conf = r->pool->conf;
    switch (m->route) {
    case ROUTE_ONE:
        dispatch_key(r, b, m, msg_key(m, 0));
        return;
    case ROUTE_SPLIT:
        fan_split(r, b, m);
        return;
    case ROUTE_SAME:
        dispatch_same(r, b, m);
        return;
    case ROUTE_TRANSLATE:
        fan_one(r, b, m);
        return;
    case ROUTE_GATHER:
        /* `random` has no owners that could be asked */
        if (conf->cross_shard == CROSS_GATHER && conf->distribution != DIST_RANDOM) {
            fan_split(r, b, m);
        } else {
            dispatch_same(r, b, m);
        }
        return;
    case ROUTE_ANY:
        dispatch_key(r, b, m, slice_str(ANY_KEY));
        return;
    case ROUTE_ALL:
        dispatch_all(r, b, m);
        return;
    case ROUTE_WRITTEN:
        apart_written(r, b, m);
        return;
    case ROUTE_SURVEY:
        survey_start(r, b, m);
        return;
    case ROUTE_CURSOR:
        fan_walk(r, b, m);
        return;
    default:
        dispatch_state(r, b, m);
    }
}

/* In the plain version of the protocol a client that listens can do little else: `local` says what, and answers it. */
static inline bool listens_only(const struct client *c, const struct msg *m) {
    return c->session.listening && c->session.version == 0 && !(m->cmd->flags & CMD_LISTENS);
}

/* Answers are not wanted: not to this one, or to none. */
static void dispatch_silently(struct client *c, struct req *r, const struct msg *m) {
    r->flags |= REQ_SILENT;
    if (c->session.hush == HUSH_NEXT) {
        bool local = m->route == ROUTE_LOCAL && c->txn == NULL;
        c->session.hush = local ? HUSH_THIS : HUSH_NONE;
    }
}

/* Everything but a request to the server of one key, of a client of which nothing else is to be thought. */
static __attribute__((noinline)) bool dispatch_fully(struct client *c, struct req *r, struct buf *b, const struct msg *m) {
    struct pool *pool = c->pool;
    bool last = (m->flags & MSG_CLOSE) != 0;
    r->flags |= (m->flags & MSG_NOREPLY) ? REQ_SILENT : (m->flags & MSG_QUIET) ? REQ_QUIET : 0;
    if (c->session.hush != HUSH_NONE) {
        dispatch_silently(c, r, m);
    }
    if (c->txn != NULL) {
        if (!(m->cmd->flags & CMD_LEAVES)) {
            txn_take(c, r, b, m);
            return last;
        }
        txn_free(&c->txn);
    }
    if (m->cmd->flags & CMD_LEAVES) {
        lease_drop(c);
        subscriber_leave(c);
    }
    if (m->route == ROUTE_REPLY) {
        bool unknown = m->cmd->flags & CMD_UNKNOWN;
        metric_add(&pool->stats.v[unknown ? POOL_unknown_commands : POOL_refused_commands], 1);
        rope_add_copy(&r->bytes, &c->stage, slice(m->answer, m->answer_len));
        req_done(r);
    } else if (!c->session.authed && !(m->cmd->flags & CMD_BEFORE_AUTH)) {
        req_fail(r, REASON_NO_AUTH);
    } else if (m->route == ROUTE_LOCAL || listens_only(c, m)) {
        last = dispatch_local(c, r, m) || last;
    } else if (worker_tight(pool->worker) && m->route != ROUTE_TXN_BEGIN) { /* else what follows would run unguarded */
        req_fail(r, REASON_MEMORY_LIMIT);
    } else if ((!(m->flags & MSG_OTHER_DB) || !dispatch_denied(r, m)) && (c->large == 0 || !lease_large(r, b, m))) {
        dispatch_route(r, b, m);
    }
    return last;
}

static inline struct req *begin(struct client *c, const struct msg *m) {
    struct req *r = req_new(c->pool, m->cmd, c);
    r->size = (uint32_t)m->raw.n;
    r->tag = m->tag;
    r->profile = session_profile(&c->session);
    c->nreqs++;
    c->bytes += r->size;
    queue_push(&c->fifo, &r->client_link);
    return r;
}

static inline bool go(struct client *c, struct req *r, struct buf *b, const struct msg *m) {
    if (LIKELY(m->route == ROUTE_ONE && m->flags == 0 && session_plain(&c->session) && c->txn == NULL && c->large == 0 && !worker_tight(c->pool->worker))) {
        dispatch_key(r, b, m, msg_key(m, 0));
        return false;
    }
    return dispatch_fully(c, r, b, m);
}

bool dispatch(struct client *c, struct buf *b, const struct msg *m) {
    return go(c, begin(c, m), b, m);
}

/* Apart, so that the plain path is one function. */
__attribute__((noinline)) struct req *dispatch_begin(struct client *c, const struct msg *m) {
    return begin(c, m);
}

__attribute__((noinline)) bool dispatch_go(struct client *c, struct req *r, struct buf *b, const struct msg *m) {
    return go(c, r, b, m);
}
