#include "core/server.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/fan.h"
#include "core/uplink.h"
#include "core/worker_state.h"

/* Suspects wait for late replies; more of them than this and the oldest is given up. */
#define SUSPECTS_MAX 4
/* The second failed connect in a row starts the back-off: the first may be a restart that is over already. */
#define BACKOFF_MIN_USEC 20000
#define BACKOFF_MAX_USEC 2000000

void server_init(struct server *s, struct pool *pool, uint32_t index) {
    *s = (struct server){.pool = pool, .index = index, .conf = &pool->conf->servers[index]};
    s->slots = mem_zalloc((size_t)pool->conf->server_connections * sizeof(struct uplink *));
    list_init(&s->suspects);
    if (s->conf->addr.len > 0) {
        s->addrs[0] = s->conf->addr;
        s->naddrs = 1;
    }
}

void server_fini(struct server *s) {
    mem_free(s->slots);
}

static uint32_t nslots(const struct server *s) {
    return (uint32_t)s->pool->conf->server_connections;
}

/* Does this client still wait for something on a suspect uplink of this server? Rare, so a walk over its requests. */
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
            if (u != NULL && u->server == s && u->state == UPLINK_SUSPECT && !(part->flags & REQ_EXPIRED)) {
                return u;
            }
        }
    }
    return NULL;
}

struct uplink *server_uplink(struct server *s, const struct client *c, enum reason *why) {
    uint32_t slot = nslots(s) == 1 || c == NULL ? 0 : c->id % nslots(s);
    if (UNLIKELY(s->nqueued >= (uint64_t)s->pool->conf->server_queue_limit)) {
        *why = REASON_QUEUE_FULL;
        return NULL;
    }
    if (UNLIKELY(s->nsuspects > 0 && c != NULL)) {
        struct uplink *pinned = server_pinned(s, c);
        if (pinned != NULL) {
            return pinned;
        }
    }
    struct uplink *u = s->slots[slot];
    if (LIKELY(u != NULL)) {
        return u;
    }
    if (worker_now(s->pool->worker) < s->retry_at) {
        *why = s->last_failure;
        return NULL;
    }
    if (s->naddrs == 0 && s->unresolvable) {
        server_connect_failed(s, REASON_HOST_DOWN, worker_now(s->pool->worker));
        *why = REASON_HOST_DOWN;
        return NULL;
    }
    u = uplink_open(s, slot, why);
    if (u == NULL) {
        server_connect_failed(s, *why, worker_now(s->pool->worker));
        return NULL;
    }
    s->slots[slot] = u;
    return u;
}

void server_preconnect(struct server *s) {
    for (uint32_t i = 0; i < nslots(s); i++) {
        enum reason why;
        if (s->slots[i] == NULL) {
            s->slots[i] = uplink_open(s, i, &why);
        }
    }
}

void server_set_addrs(struct server *s, const struct addr *addrs, uint32_t n) {
    /* A name that does not resolve any more keeps the addresses that it had. */
    if (n > 0) {
        memcpy(s->addrs, addrs, n * sizeof *addrs);
        s->naddrs = n;
    }
    s->unresolvable = n == 0;
    for (uint32_t i = 0; i < nslots(s); i++) {
        if (s->slots[i] != NULL) {
            uplink_resolved(s->slots[i]);
        }
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

void server_works(struct server *s) {
    s->told_failed = false;
    worker_tell(s->pool->worker, s, MAIL_WORKS, REASON_NONE, worker_now(s->pool->worker));
}

void server_forget(struct server *s, struct uplink *u) {
    if (u->slot < nslots(s) && s->slots[u->slot] == u) {
        s->slots[u->slot] = NULL;
    } else if (list_linked(&u->link)) {
        list_remove(&u->link);
        s->nsuspects--;
    }
}

void server_suspect(struct server *s, struct uplink *u) {
    ASSERT(s->slots[u->slot] == u);
    s->slots[u->slot] = NULL;
    list_push(&s->suspects, &u->link);
    if (++s->nsuspects > SUSPECTS_MAX) {
        uplink_close(CONTAINER_OF(list_first(&s->suspects), struct uplink, link), REASON_SILENT);
    }
}
