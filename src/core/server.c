#include "core/server.h"

#include "base/mem.h"
#include "core/channel.h"
#include "core/client.h"
#include "core/fan.h"
#include "core/lease.h"
#include "core/uplink.h"
#include "core/worker_state.h"

/* Suspects wait for late replies; more of them than this and the oldest is given up. */
#define SUSPECTS_MAX 4
/* The second failed connect in a row starts the back-off: the first may be a restart that is over already. */
#define BACKOFF_MIN_USEC 20000
#define BACKOFF_MAX_USEC 2000000

#define PROFILE_IDLE_USEC 60000000
#define PROFILE_AGAIN_USEC 1000000 /* a refused greeting is not tried again before */

static void profile_init(struct profile *p, struct server *s, uint64_t key, uint32_t nslots) {
    *p = (struct profile){.server = s, .key = key, .nslots = nslots};
    p->slots = mem_zalloc(p->nslots * sizeof(struct uplink *));
}

void server_init(struct server *s, struct pool *pool, uint32_t index) {
    *s = (struct server){.pool = pool, .index = index, .conf = &pool->conf->servers[index]};
    s->id = s->conf->id;
    s->tls = secure_peer(pool, s->conf, s);
    profile_init(&s->base, s, pool->base_profile, (uint32_t)pool->conf->server_connections);
    list_init(&s->others);
    list_init(&s->leases);
    list_init(&s->uploads);
    list_init(&s->suspects);
    list_init(&s->aside);
    if (s->conf->addr.len > 0) {
        s->addrs[0] = s->conf->addr;
        s->naddrs = 1;
    }
}

static void profile_free(struct profile *p) {
    list_remove(&p->link);
    p->server->nothers--;
    mem_free(p->slots);
    mem_free(p);
}

void server_fini(struct server *s) {
    LIST_EACH_SAFE(&s->others, l) {
        profile_free(CONTAINER_OF(l, struct profile, link));
    }
    mem_free(s->base.slots);
    tls_peer_unref(&s->tls);
    mem_free(s->times);
}

static void profile_close_slots(struct profile *p, enum reason why) {
    for (uint32_t i = 0; i < p->nslots; i++) {
        if (p->slots[i] != NULL) {
            uplink_close(p->slots[i], why);
        }
    }
}

static bool is_free(const struct uplink *u) {
    return u->lease == NULL && u->nsend + u->nwait == 0;
}

/* Closes the uplinks of a profile if none of them has work. */
static bool profile_close_idle(struct profile *p) {
    if (p->feeds > 0) {
        return false;
    }
    LIST_EACH(&p->server->leases, l) {
        struct uplink *u = CONTAINER_OF(l, struct uplink, link);
        if (u->profile == p && !is_free(u)) {
            return false;
        }
    }
    LIST_EACH(&p->server->suspects, l) {
        if (CONTAINER_OF(l, struct uplink, link)->profile == p) {
            return false;
        }
    }
    LIST_EACH(&p->server->aside, l) {
        if (CONTAINER_OF(l, struct uplink, link)->profile == p) {
            return false;
        }
    }
    for (uint32_t i = 0; i < p->nslots; i++) {
        if (p->slots[i] != NULL && p->slots[i]->nsend + p->slots[i]->nwait > 0) {
            return false;
        }
    }
    profile_close_slots(p, REASON_IDLE);
    LIST_EACH_SAFE(&p->server->leases, l) {
        struct uplink *u = CONTAINER_OF(l, struct uplink, link);
        if (u->profile == p) {
            uplink_close(u, REASON_IDLE);
        }
    }
    profile_free(p);
    return true;
}

/* Room for one more: the profile that was used longest ago, and is idle, goes. */
static bool server_evict_profile(struct server *s) {
    LIST_EACH(&s->others, l) { /* in the order of their last use */
        if (profile_close_idle(CONTAINER_OF(l, struct profile, link))) {
            return true;
        }
    }
    return false;
}

/* NULL: there are too many, and all are busy. */
static struct profile *server_profile(struct server *s, uint64_t key) {
    if (LIKELY(key == s->base.key)) {
        return &s->base;
    }
    struct profile *p = NULL;
    LIST_EACH(&s->others, l) {
        struct profile *o = CONTAINER_OF(l, struct profile, link);
        if (o->key == key) {
            p = o;
            list_remove(&p->link);
            break;
        }
    }
    if (p == NULL) {
        if (s->nothers >= (uint64_t)s->pool->conf->server_profiles && !server_evict_profile(s)) {
            return NULL;
        }
        p = mem_zalloc(sizeof *p);
        profile_init(p, s, key, s->base.nslots);
        s->nothers++;
    }
    list_push(&s->others, &p->link);
    p->used_at = worker_now(s->pool->worker);
    return p;
}

/* Connections that carry nothing for long are forgotten by firewalls on the way, which say nothing. */
static bool server_recycle(struct server *s) {
    const struct conf_pool *conf = s->pool->conf;
    int64_t now = worker_now(s->pool->worker);
    bool any = false;
    for (uint32_t i = 0; i < s->base.nslots && conf->server_idle_timeout > 0 && !conf->preconnect; i++) {
        struct uplink *u = s->base.slots[i];
        if (u == NULL) {
            continue;
        }
        if (u->free_told != u->told || u->nsend + u->nwait > 0 || u->free_at == 0) {
            u->free_told = u->told;
            u->free_at = now;
        } else if (u->state == UPLINK_READY && now - u->free_at >= conf->server_idle_timeout * 1000) {
            uplink_close(u, REASON_IDLE);
            continue;
        }
        any = true;
    }
    return any;
}

bool server_upkeep(struct server *s) {
    int64_t idle_since = worker_now(s->pool->worker) - PROFILE_IDLE_USEC;
    bool more = server_recycle(s);
    LIST_EACH_SAFE(&s->leases, l) {
        struct uplink *u = CONTAINER_OF(l, struct uplink, link);
        if (is_free(u) && (u->free_at < idle_since || u->retired != RETIRE_NOT)) {
            uplink_close(u, REASON_IDLE);
        }
    }
    LIST_EACH_SAFE(&s->aside, l) {
        struct uplink *u = CONTAINER_OF(l, struct uplink, link);
        if (is_free(u)) {
            uplink_close(u, REASON_IDLE);
        }
    }
    LIST_EACH_SAFE(&s->others, l) {
        struct profile *p = CONTAINER_OF(l, struct profile, link);
        if (p->used_at < idle_since) {
            profile_close_idle(p);
        }
    }
    return more || s->nothers > 0 || !list_empty(&s->leases) || s->naside > 0;
}

/* Does this client still wait for something on an uplink of this server that is in no slot? A reply that arrives does not count:
 * its request was carried out. Rare, so a walk over its requests. */
static struct uplink *server_pinned(struct server *s, const struct client *c) {
    for (struct queue_link *l = c->fifo.head; l != NULL; l = l->next) {
        struct req *r = CONTAINER_OF(l, struct req, client_link);
        if (r->state == REQ_DONE) {
            continue;
        }
        uint32_t nparts = r->fan != NULL ? r->fan->nparts : 1;
        for (uint32_t i = 0; i < nparts; i++) {
            const struct req *part = r->fan != NULL ? r->fan->parts[i].req : r;
            struct uplink *u = part != NULL ? part->uplink : NULL;
            if (u != NULL && u->server == s && (u->state == UPLINK_SUSPECT || u->aside) &&
                u->retired != RETIRE_MOVED && !(part->flags & REQ_EXPIRED) &&
                part->state != REQ_STREAMING) {
                return u;
            }
        }
    }
    return NULL;
}

/* A new connection, if the server may be tried now. */
static struct uplink *server_open(struct profile *p, uint32_t slot, enum reason *why) {
    struct server *s = p->server;
    int64_t now = worker_now(s->pool->worker);
    if (s->keeps != NULL || !conf_has_user(s->pool->conf, session_profile_user(p->key))) {
        *why = REASON_REMOVED;
        return NULL;
    }
    if (now < s->retry_at || now < p->retry_at) {
        *why = now < s->retry_at ? s->last_failure : REASON_GREETING;
        return NULL;
    }
    struct uplink *u = NULL;
    if (s->naddrs == 0 && s->unresolvable) {
        *why = REASON_HOST_DOWN;
    } else {
        u = uplink_open(p, slot, why);
    }
    if (u == NULL) {
        server_connect_failed(s, *why, now);
    }
    return u;
}

/* Of what is queued: channels that feeds have not asked for yet. There may be many, and nobody's request stands behind them. */
static __attribute__((noinline)) uint64_t server_asks(const struct server *s) {
    uint64_t n = 0;
    if (s->keeps != NULL) { /* removed: it has no feeds, and its place is another one's */
        return 0;
    }
    LIST_EACH(&s->pool->channel_sets, l) {
        const struct uplink *u = CONTAINER_OF(l, struct channels, link)->feeds[s->index]->uplink;
        n += u != NULL ? u->nsend : 0;
    }
    return n;
}

/* Too much waits for it. */
static bool server_full(const struct server *s) {
    uint64_t limit = (uint64_t)s->pool->conf->server_queue_limit;
    return UNLIKELY(s->nqueued >= limit) && s->nqueued - server_asks(s) >= limit;
}

/* Whatever is not just there. */
static __attribute__((noinline)) struct uplink *server_find_uplink(struct server *s, const struct client *c, uint64_t key, uint32_t slot,
                                                                   enum reason *why) {
    if (server_full(s)) {
        *why = REASON_QUEUE_FULL;
        return NULL;
    }
    struct uplink *pinned = s->nsuspects + s->naside > 0 && c != NULL ? server_pinned(s, c) : NULL;
    if (pinned != NULL) {
        return pinned;
    }
    struct profile *p = server_profile(s, key);
    if (p == NULL) {
        *why = REASON_PROFILES;
        return NULL;
    }
    if (p->slots[slot] == NULL) {
        struct uplink *u = server_open(p, slot, why);
        if (u == NULL) {
            return NULL;
        }
        p->slots[slot] = u;
    }
    return p->slots[slot];
}

struct uplink *server_uplink(struct server *s, const struct client *c, uint64_t key, enum reason *why) {
    uint32_t n = s->base.nslots, slot = n == 1 || c == NULL ? 0 : client_nth(c) % n;
    struct uplink *u = s->base.slots[slot];
    if (LIKELY(key == s->base.key && u != NULL && s->nsuspects + s->naside == 0 && !server_full(s))) {
        return u;
    }
    return server_find_uplink(s, c, key, slot, why);
}

/* A new connection that is in no slot. */
static struct uplink *server_open_apart(struct server *s, uint64_t key, enum reason *why) {
    struct profile *p = server_profile(s, key);
    if (p == NULL) {
        *why = REASON_PROFILES;
        return NULL;
    }
    return server_open(p, 0, why);
}

static uint64_t lease_limit(const struct conf_pool *conf, enum lease_kind kind) {
    switch (kind) {
    case LEASE_LARGE:
        return (uint64_t)conf->server_uploads;
    case LEASE_READS:
        return (uint64_t)conf->server_downloads;
    default:
        return (uint64_t)conf->server_leases;
    }
}

struct uplink *server_lease(struct server *s, uint64_t key, enum lease_kind kind, enum reason *why) {
    uint64_t limit = lease_limit(s->pool->conf, kind);
    struct uplink *spare = NULL; /* free, but of another profile */
    LIST_EACH(&s->leases, l) {
        struct uplink *u = CONTAINER_OF(l, struct uplink, link);
        if (!is_free(u)) {
            break; /* behind it nobody is free */
        }
        if (u->leased != kind) {
            continue;
        }
        if (u->profile->key == key && u->state != UPLINK_SUSPECT && u->retired == RETIRE_NOT) {
            return u;
        }
        spare = u;
    }
    if (spare != NULL && s->nleases[kind] >= limit) {
        uplink_close(spare, REASON_IDLE);
    }
    if (s->nleases[kind] >= limit && kind != LEASE_LARGE) {
        *why = REASON_LEASES;
        metric_add(&s->stats.v[SERVER_lease_refusals], kind == LEASE_WAITS);
        return NULL;
    }
    struct uplink *u = server_open_apart(s, key, why);
    if (u != NULL) {
        u->leased = (uint8_t)kind;
        s->nleases[kind]++;
        list_push_front(&s->leases, &u->link);
    }
    return u;
}

struct uplink *server_feed(struct server *s, uint64_t key, enum reason *why) {
    struct uplink *u = server_open_apart(s, key, why);
    if (u != NULL) {
        u->profile->feeds++;
    }
    return u;
}

void server_preconnect(struct server *s) {
    for (uint32_t i = 0; i < s->base.nslots; i++) {
        enum reason why;
        if (s->base.slots[i] == NULL) {
            s->base.slots[i] = uplink_open(&s->base, i, &why);
        }
    }
}

static struct uplink *profile_resolving(const struct profile *p) {
    for (uint32_t i = 0; i < p->nslots; i++) {
        if (p->slots[i] != NULL && p->slots[i]->state == UPLINK_RESOLVING) {
            return p->slots[i];
        }
    }
    return NULL;
}

static struct uplink *list_resolving(const struct list *uplinks) {
    LIST_EACH(uplinks, l) {
        struct uplink *u = CONTAINER_OF(l, struct uplink, link);
        if (u->state == UPLINK_RESOLVING) {
            return u;
        }
    }
    return NULL;
}

static struct uplink *first_resolving(const struct server *s) {
    struct uplink *u = profile_resolving(&s->base);
    u = u != NULL ? u : list_resolving(&s->leases);
    u = u != NULL ? u : list_resolving(&s->aside); /* those that a reload replaced meanwhile */
    for (struct list *l = s->others.next; u == NULL && l != &s->others; l = l->next) {
        u = profile_resolving(CONTAINER_OF(l, struct profile, link));
    }
    return u;
}

void server_set_addrs(struct server *s, const struct addr *addrs, uint32_t n) {
    /* A name that does not resolve any more keeps the addresses that it had. */
    if (n > 0) {
        memcpy(s->addrs, addrs, n * sizeof *addrs);
        s->naddrs = n;
    }
    s->unresolvable = n == 0;
    /* From the beginning each time: whoever loses one may take and close others. No new one waits for a name that was just looked up. */
    for (struct uplink *u; (u = first_resolving(s)) != NULL;) {
        uplink_resolved(u);
    }
    LIST_EACH_SAFE(&s->pool->channel_sets, l) {
        feed_resolved(CONTAINER_OF(l, struct channels, link)->feeds[s->index]);
    }
}

void server_failed(struct server *s, enum reason why, int64_t opened_at) {
    s->last_failure = why;
    s->told_failed = true;
    worker_tell(s->pool->worker, s, MAIL_FAILED, why, opened_at);
}

void server_connect_failed(struct server *s, enum reason why, int64_t opened_at) {
    struct worker *w = s->pool->worker;
    int64_t now = worker_now(w);
    if (s->connect_fails == 0 || opened_at >= s->connect_failed_at) { /* several connections at a time fail once */
        s->connect_fails++;
        s->connect_failed_at = now;
    }
    if (s->connect_fails > 1) {
        uint32_t doublings = s->connect_fails - 2 < 8 ? s->connect_fails - 2 : 8;
        int64_t pause = (int64_t)BACKOFF_MIN_USEC << doublings;
        pause = pause < BACKOFF_MAX_USEC ? pause : BACKOFF_MAX_USEC;
        /* half of it is jitter, so that many workers and proxies do not come back together */
        s->retry_at = now + pause / 2 + (int64_t)rng_below(&w->rng, (uint32_t)(pause / 2) + 1);
    }
    server_failed(s, why, opened_at);
    if (s->conf->host != NULL && s->conf->addr.len == 0) {
        worker_tell(w, s, MAIL_RESOLVE, why, now);
    }
}

void server_up(struct server *s) {
    if (!s->told_up) {
        s->told_up = true;
        worker_tell(s->pool->worker, s, MAIL_UP, REASON_NONE, worker_now(s->pool->worker));
    }
}

void server_works(struct server *s) {
    s->told_failed = false;
    worker_tell(s->pool->worker, s, MAIL_WORKS, REASON_NONE, worker_now(s->pool->worker));
}

static void server_end_aside(struct server *s, struct uplink *u) {
    list_remove(&u->link);
    u->aside = false;
    s->naside--;
}

void server_forget(struct server *s, struct uplink *u, enum reason why) {
    if (u->feed != NULL) {
        feed_lost(u, why);
    } else if (u->leased) {
        lease_lost(u);
        list_remove(&u->link);
        s->nleases[u->leased]--;
    } else if (u->profile->slots[u->slot] == u) {
        u->profile->slots[u->slot] = NULL;
    } else if (u->aside) {
        server_end_aside(s, u);
    } else if (list_linked(&u->link)) {
        list_remove(&u->link);
        s->nsuspects--;
    }
}

void server_set_aside(struct server *s, struct uplink *u) {
    if (u->aside || u->leased || u->state != UPLINK_READY ||
        (uint64_t)s->naside + s->nleases[LEASE_WAITS] >= (uint64_t)s->pool->conf->server_leases) {
        return;
    }
    ASSERT(u->profile->slots[u->slot] == u);
    u->profile->slots[u->slot] = NULL;
    u->aside = true;
    list_push(&s->aside, &u->link);
    s->naside++;
    worker_want_upkeep(s->pool->worker);
}

void server_readmit(struct server *s, struct uplink *u) {
    if (u->aside && u->retired == RETIRE_NOT && u->profile->slots[u->slot] == NULL) {
        server_end_aside(s, u);
        u->profile->slots[u->slot] = u;
    }
}

void server_suspect(struct server *s, struct uplink *u) {
    if (u->aside) {
        server_end_aside(s, u);
    } else {
        ASSERT(u->profile->slots[u->slot] == u);
        u->profile->slots[u->slot] = NULL;
    }
    list_push(&s->suspects, &u->link);
    if (++s->nsuspects > SUSPECTS_MAX) {
        uplink_close(CONTAINER_OF(list_first(&s->suspects), struct uplink, link), REASON_SILENT);
    }
}

void server_refused(struct server *s, struct profile *p, int64_t opened_at) {
    if (p == &s->base) {
        server_connect_failed(s, REASON_GREETING, opened_at);
    } else {
        p->retry_at = worker_now(s->pool->worker) + PROFILE_AGAIN_USEC;
    }
}

static bool profile_is_open(const struct profile *p) {
    for (uint32_t i = 0; i < p->nslots; i++) {
        if (p->slots[i] != NULL) {
            return true;
        }
    }
    return false;
}

static struct profile *first_open(struct server *s) {
    struct profile *p = profile_is_open(&s->base) ? &s->base : NULL;
    for (struct list *l = s->others.next; p == NULL && l != &s->others; l = l->next) {
        struct profile *o = CONTAINER_OF(l, struct profile, link);
        p = profile_is_open(o) ? o : NULL;
    }
    return p;
}

void server_close_all(struct server *s, enum reason why) {
    /* From the beginning each time: what is tried again moves its profile to the end of the list. */
    for (struct profile *p; (p = first_open(s)) != NULL;) {
        profile_close_slots(p, why);
    }
    while (!list_empty(&s->leases)) {
        uplink_close(CONTAINER_OF(list_first(&s->leases), struct uplink, link), why);
    }
    while (!list_empty(&s->suspects)) {
        uplink_close(CONTAINER_OF(list_first(&s->suspects), struct uplink, link), why);
    }
    while (!list_empty(&s->aside)) {
        uplink_close(CONTAINER_OF(list_first(&s->aside), struct uplink, link), why);
    }
}
