#include "core/lease.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/dispatch.h"
#include "core/rotation.h"
#include "core/server.h"
#include "core/times.h"
#include "core/uplink.h"
#include "core/upload.h"
#include "core/worker_state.h"

#define NOTED_MAX 65536

/* A free leased uplink of the profile, or a new one. NULL, and why. */
static struct uplink *lease_uplink(struct server *s, uint64_t profile, enum lease_kind kind, enum reason *why) {
    struct uplink *u = server_lease(s, profile, kind, why);
    if (u != NULL) {
        ASSERT(u->lease == NULL && u->leased);
        list_remove(&u->link);
        list_push(&s->leases, &u->link);
    }
    return u;
}

struct lease *lease_new(struct client *c, struct server *s, uint64_t profile, enum lease_kind kind, enum reason *why) {
    ASSERT(c == NULL || c->lease == NULL);
    struct uplink *u = lease_uplink(s, profile, kind, why);
    if (u == NULL) {
        return NULL;
    }
    struct lease *l = mem_zalloc(sizeof *l);
    l->client = c;
    l->uplink = u;
    u->lease = l;
    if (c != NULL) {
        c->lease = l;
    }
    metric_add(&s->stats.v[SERVER_leases], 1);
    return l;
}

/* Its holder and the uplink part. Returns the uplink, NULL: it died. */
static struct uplink *lease_part(struct lease *l) {
    struct uplink *u = l->uplink;
    l->uplink = NULL;
    if (u != NULL) {
        u->lease = NULL;
        metric_sub(&u->server->stats.v[SERVER_leases], 1);
    }
    return u;
}

/* A free one is in front, where the next one looks first. */
void lease_free(struct lease **lp) {
    struct lease *l = *lp;
    struct uplink *u = lease_part(l);
    *lp = NULL; /* the client's own pointer, or the part's */
    if (u != NULL) {
        u->free_at = worker_now(u->server->pool->worker);
    }
    if (u != NULL && u->nsend + u->nwait == 0) {
        list_remove(&u->link);
        list_push_front(&u->server->leases, &u->link);
    }
    mem_free(l->noted);
    mem_free(l);
}

void lease_drop(struct client *c) {
    struct lease *l = c->lease;
    if (l == NULL) {
        return;
    }
    struct uplink *u = lease_part(l);
    if (u != NULL) {
        uplink_close(u, REASON_IDLE);
    }
    lease_free(&c->lease);
}

void lease_break(struct client *c) {
    if (c->lease->uplink != NULL) {
        uplink_close(c->lease->uplink, REASON_IDLE);
    }
}

void lease_lost(struct uplink *u) {
    if (u->lease != NULL) {
        lease_part(u->lease);
    }
}

struct uplink *lease_take(struct client *c, struct server *s, enum reason *why) {
    struct lease *l = lease_new(c, s, session_profile(&c->session), LEASE_WAITS, why);
    if (l == NULL) {
        return NULL;
    }
    client_wrote(c, s->index);
    l->blocked = true;
    return l->uplink;
}

void lease_yield(struct client *c) {
    if (c->lease != NULL) {
        lease_free(&c->lease);
    }
}

void lease_settle(struct client *c) {
    c->waiting = false;
    if (c->upload != NULL) {
        upload_settle(c);
        return;
    }
    if (c->unread) {
        stream_pause(&c->stream); /* what lies unread comes before its FIN; client_flushed resumes */
    }
    if (c->lease != NULL && c->lease->watching) {
        c->lease->blocked = false;
    } else if (c->lease != NULL) {
        lease_free(&c->lease);
    }
}

struct server *lease_server(const struct client *c) {
    return c->lease != NULL && c->lease->uplink != NULL ? c->lease->uplink->server : NULL;
}

/* Keeps the request in mind, in the form that servers get. */
static void lease_note(struct lease *l, const struct msg *m) {
    struct rope rope = {0};
    struct slice bytes = pool_words(l->client->pool, &l->client->stage, m, &rope);
    if (l->nnoted + bytes.n > NOTED_MAX) {
        l->vague = true;
    } else {
        l->noted = mem_realloc(l->noted, l->nnoted + bytes.n);
        memcpy(l->noted + l->nnoted, bytes.p, bytes.n);
        l->nnoted += bytes.n;
    }
    rope_fini(&rope);
}

/* Are the keys where they were? */
static bool lease_stays(const struct lease *l) {
    struct pool *pool = l->client->pool;
    struct msg *m = &pool->worker->again;
    enum reason why;
    m->rules = pool->conf->rules;
    m->learned = pool->learned;
    for (size_t at = 0; at < l->nnoted; at += m->raw.n) {
        struct parser ps = {0};
        enum parse_rc rc = pool->back->parse_req(&ps, slice(l->noted + at, l->nnoted - at), m);
        ASSERT(rc == PARSE_DONE);
        if (m->nkeys > 0 && dispatch_owner(pool, m, &why) != l->uplink->server) {
            return false;
        }
    }
    return !l->vague;
}

void lease_moved(struct pool *pool) {
    if (pool->conf->distribution == DIST_RANDOM) {
        return; /* keys have no owners */
    }
    LIST_EACH(&pool->clients, link) {
        const struct lease *l = CONTAINER_OF(link, struct client, link)->lease;
        if (l != NULL && l->uplink != NULL && (l->blocked || l->watching) && !lease_stays(l)) {
            uplink_close(l->uplink, REASON_MOVED);
        }
    }
}

static void lease_send(struct req *r, struct buf *b, const struct msg *m) {
    struct client *c = r->client;
    struct uplink *u = c->lease->uplink;
    struct out out = {&r->bytes, &u->stage};
    if (m->flags & MSG_REWRITE) {
        c->front->build(m, b, NULL, 0, &out);
    } else {
        rope_add(&r->bytes, &u->stage, b, m->raw);
    }
    r->flags |= u->leased == LEASE_READS ? REQ_LEASE : REQ_LEASE | REQ_RETRIED; /* a read may go over any other connection, the rest over none */
    c->waiting = true;
    uplink_queue(u, r);
}

bool lease_large(struct req *r, struct buf *b, const struct msg *m) {
    struct client *c = r->client;
    bool whole = m->route == ROUTE_ONE || m->route == ROUTE_SAME;
    enum reason why;
    c->large--;
    if (!whole || (m->flags & MSG_SCRIPT) || c->fifo.head != &r->client_link || c->lease != NULL) {
        return false;
    }
    struct server *s = dispatch_owner(r->pool, m, &why);
    if (s == NULL || lease_new(c, s, r->profile, LEASE_READS, &why) == NULL) {
        return false; /* shared connections may do better, and say why not */
    }
    if (m->cmd->flags & (CMD_WRITE | CMD_CODE)) {
        client_wrote(c, s->index);
    }
    req_start_clock(r);
    lease_send(r, b, m);
    return true;
}

static struct server *server_of(struct req *r, const struct msg *m) {
    enum reason why;
    struct server *s = dispatch_owner(r->pool, m, &why);
    if (s == NULL) {
        req_fail(r, why);
    }
    return s;
}

void lease_block(struct req *r, struct buf *b, const struct msg *m) {
    struct client *c = r->client;
    struct pool *pool = c->pool;
    enum reason why;
    r->flags |= REQ_WAITS;
    if ((m->cmd->flags & CMD_ROTATE) && pool->conf->cross_shard_blocking == BLOCKING_ROTATE && rotation_start(r, m)) {
        return;
    }
    struct server *s = server_of(r, m);
    if (s == NULL) {
        return;
    }
    if (c->lease != NULL && lease_server(c) != s) {
        req_fail(r, REASON_LEASED); /* it watches keys elsewhere */
    } else if (c->lease == NULL && lease_new(c, s, session_profile(&c->session), LEASE_WAITS, &why) == NULL) {
        req_fail(r, why);
    } else {
        c->lease->blocked = true;
        if (m->cmd->flags & CMD_WRITE) {
            client_wrote(c, s->index);
        }
        lease_note(c->lease, m);
        req_start_wait(r, pool->front->waits->limit(m));
        lease_send(r, b, m);
        times_never(r);
    }
}

void lease_watch(struct req *r, struct buf *b, const struct msg *m) {
    struct client *c = r->client;
    enum reason why = REASON_NONE;
    struct server *s = server_of(r, m);
    if (s == NULL) {
        return;
    }
    if (c->lease != NULL && c->lease->uplink == NULL) {
        why = REASON_WATCH_LOST; /* until EXEC, DISCARD or UNWATCH */
    } else if (c->lease != NULL && lease_server(c) != s) {
        why = REASON_CROSS_SLOT;
    } else if (c->lease == NULL) {
        lease_new(c, s, session_profile(&c->session), LEASE_WAITS, &why);
    }
    if (c->lease == NULL || c->lease->uplink == NULL || lease_server(c) != s) {
        req_fail(r, why);
        return;
    }
    c->lease->watching = true;
    lease_note(c->lease, m);
    req_start_clock(r);
    lease_send(r, b, m);
}

void lease_unwatch(struct req *r, struct buf *b, const struct msg *m) {
    struct client *c = r->client;
    if (c->lease == NULL || c->lease->uplink == NULL) {
        lease_drop(c);
        rope_add_copy(&r->bytes, &c->stage, slice_str(c->front->txn.dropped));
        req_done(r);
        return;
    }
    c->lease->watching = false;
    req_start_clock(r);
    lease_send(r, b, m);
}
