#include "core/txn.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/dispatch.h"
#include "core/heal.h"
#include "core/lease.h"
#include "core/server.h"
#include "core/uplink.h"
#include "core/worker_state.h"

struct txn {
    struct stage stage;
    struct rope open;  /* the command that began it */
    struct rope bytes; /* what is kept, one after the other */
    struct rope run;   /* the command that runs it */
    size_t size;
    uint32_t count;  /* requests kept */
    struct server *server; /* NULL: no key was named yet */
    uint8_t (*scripts)[SCRIPT_DIGEST]; /* those that requests name and that were remembered then */
    uint32_t nscripts, scripts_cap;
    bool writes; /* it may */
    bool broken;     /* a request was refused: it will not run */
};

void txn_free(struct txn **tp) {
    struct txn *t = *tp;
    *tp = NULL;
    if (t != NULL) {
        rope_fini(&t->open);
        rope_fini(&t->bytes);
        rope_fini(&t->run);
        stage_release(&t->stage);
        mem_free(t->scripts);
        mem_free(t);
    }
}

uint32_t txn_count(const struct txn *t) {
    return t->count;
}

static void keep(struct txn *t, struct rope *to, const struct proto *front, struct buf *b, const struct msg *m) {
    struct out out = {to, &t->stage};
    if (m->flags & MSG_REWRITE) {
        front->build(m, b, NULL, 0, &out);
    } else {
        rope_add(to, &t->stage, b, m->raw);
    }
}

static void say(struct req *r, const char *text) {
    rope_add_copy(&r->bytes, &r->client->stage, slice_str(text));
    req_done(r);
}

static void refuse(struct client *c, struct req *r, enum reason why) {
    if (c->txn != NULL) {
        c->txn->broken = true;
    }
    req_fail(r, why);
}

static void txn_begin(struct client *c, struct req *r, struct buf *b, const struct msg *m) {
    if (c->txn != NULL) {
        req_fail(r, REASON_TXN_NESTED);
        return;
    }
    c->txn = mem_zalloc(sizeof *c->txn);
    stage_init(&c->txn->stage, &c->pool->worker->bufs);
    keep(c->txn, &c->txn->open, c->front, b, m);
    say(r, c->front->txn.begun);
}

/* The server that all keys of a request are on. NULL and `*why`: there is none. */
static struct server *server_of_keys(struct client *c, const struct msg *m, enum reason *why) {
    struct pool *pool = c->pool;
    struct server *server = c->txn->server;
    for (uint32_t i = 0; i < m->nkeys; i++) {
        uint32_t s = ring_pick(pool->ring, &pool->worker->rng, msg_key(m, i));
        if (s == RING_NONE || (server != NULL && pool->servers[s] != server)) {
            *why = s == RING_NONE ? REASON_EJECTED : REASON_CROSS_SLOT;
            return NULL;
        }
        server = pool->servers[s];
    }
    return server;
}

void txn_server_left(struct txn *t, const struct server *s) {
    if (t->server == s) {
        t->server = NULL;
        t->broken = true;
    }
}

/* A script that a request names is given to the server ahead of the transaction, if it is remembered. */
static void keep_script(struct txn *t, struct pool *pool, const struct msg *m) {
    heal_note(pool, m);
    if (!(m->cmd->flags & CMD_DIGEST) || scripts_find(&pool->scripts, m->digest) == NULL) {
        return;
    }
    if (t->nscripts == t->scripts_cap) {
        t->scripts_cap = t->scripts_cap == 0 ? 8 : 2 * t->scripts_cap;
        t->scripts = mem_realloc(t->scripts, t->scripts_cap * sizeof *t->scripts);
    }
    memcpy(t->scripts[t->nscripts++], m->digest, SCRIPT_DIGEST);
}

static void txn_keep(struct client *c, struct req *r, struct buf *b, const struct msg *m) {
    struct txn *t = c->txn;
    bool every = (m->route == ROUTE_ALL && c->pool->nservers > 1) || m->route == ROUTE_CURSOR;
    enum reason why = REASON_NONE;
    if (m->route == ROUTE_WATCH) {
        req_fail(r, REASON_WATCH_INSIDE);
        return;
    }
    if (m->route == ROUTE_REPLY) {
        t->broken = true;
        if (m->cmd->route == ROUTE_TXN_RUN) { /* malformed, it ends the transaction all the same */
            lease_drop(c);
            txn_free(&c->txn);
        }
        rope_add_copy(&r->bytes, &c->stage, slice(m->answer, m->answer_len));
        req_done(r);
        return;
    }
    why = pool_denies(c->pool, m);
    if (why != REASON_NONE) {
        refuse(c, r, why);
        return;
    }
    if ((m->cmd->flags & CMD_STATE) || every) {
        refuse(c, r, REASON_TXN_FORBIDDEN);
        return;
    }
    if (t->size + m->raw.n > (uint64_t)c->pool->conf->transaction_limit) {
        refuse(c, r, REASON_TXN_LIMIT);
        return;
    }
    bool bound = m->nkeys > 0 && !(m->cmd->flags & CMD_ANYWHERE);
    t->server = bound ? server_of_keys(c, m, &why) : t->server;
    if (why != REASON_NONE) {
        refuse(c, r, why);
        return;
    }
    if (m->flags & MSG_SCRIPT) {
        keep_script(t, c->pool, m);
    }
    keep(t, &t->bytes, c->front, b, m);
    t->writes = t->writes || (m->cmd->flags & (CMD_WRITE | CMD_CODE));
    t->size += m->raw.n;
    t->count++;
    say(r, c->front->txn.kept);
}

/* ---- running ---- */

/* The scripts that the server lacks, in front. */
static void txn_send_scripts(struct req *r, struct uplink *u, const struct txn *t) {
    for (uint32_t i = 0; i < t->nscripts; i++) {
        r->skip += heal_ahead(u, &r->bytes, t->scripts[i]);
        r->flags |= REQ_SCRIPT;
    }
    size_t size = rope_len(&r->bytes);
    r->size += (uint32_t)size;
    r->client->bytes += size;
}

/* As one request with one reply that counts. */
static void txn_send(struct client *c, struct req *r, struct uplink *u) {
    struct txn *t = c->txn;
    if (c->lease != NULL) { /* on the connection that watches, which is free afterwards */
        c->lease->watching = false;
        c->waiting = true;
        r->flags |= REQ_LEASE;
        u = c->lease->uplink;
    }
    if (t->writes) {
        client_wrote(c, u->server->index);
    }
    if (t->nscripts > 0) {
        txn_send_scripts(r, u, t);
    }
    struct rope *parts[] = {&t->open, &t->bytes, &t->run};
    for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
        rope_add_all(&r->bytes, parts[p]);
    }
    r->skip += t->count + 1;
    r->flags |= REQ_RETRIED; /* not on another connection: it proved nothing */
    r->size += (uint32_t)t->size;
    c->bytes += t->size;
    txn_free(&c->txn);
    req_start_clock(r);
    uplink_queue(u, r);
}

/* An empty transaction first; the client is not read until it is answered. */
static void txn_prove(struct client *c, struct req *r, struct uplink *u) {
    struct fan *f = fan_new(r, 1, 0);
    struct req *part = fan_part_new(f, 0);
    struct rope *both[] = {&c->txn->open, &c->txn->run};
    f->proof = true;
    c->waiting = true;
    for (size_t p = 0; p < ARRAY_LEN(both); p++) {
        rope_add_all(&part->bytes, both[p]);
    }
    part->skip = 1;
    req_start_clock(part);
    uplink_queue(u, part);
}

static struct uplink *txn_uplink(struct client *c, struct req *r) {
    struct pool *pool = c->pool;
    enum reason why = REASON_EJECTED;
    struct server *s = c->txn->server;
    if (s == NULL) {
        uint32_t any = ring_pick(pool->ring, &pool->worker->rng, slice_str(ANY_KEY));
        s = any == RING_NONE ? NULL : pool->servers[any];
        c->txn->server = s; /* what proves itself runs it, also where each pick is another one (`random`) */
    }
    struct uplink *u = s == NULL ? NULL : server_uplink(s, c, r->profile, &why);
    if (u == NULL) {
        txn_free(&c->txn);
        lease_drop(c);
        req_fail(r, why);
    }
    return u;
}

/* A client that watches runs its transaction where it watches. False: it may not run, and the client knows why. */
static bool txn_watched(struct client *c, struct req *r) {
    struct server *watched = lease_server(c);
    enum reason why = REASON_NONE;
    if (c->lease == NULL) {
        return true;
    }
    if (watched == NULL) {
        why = REASON_WATCH_LOST;
    } else if (c->txn->server != NULL && c->txn->server != watched) {
        why = REASON_CROSS_SLOT;
    }
    if (why != REASON_NONE) {
        txn_free(&c->txn);
        lease_drop(c);
        req_fail(r, why);
        return false;
    }
    c->txn->server = watched;
    return true;
}

static void txn_run(struct client *c, struct req *r, struct buf *b, const struct msg *m) {
    struct txn *t = c->txn;
    if (t == NULL) {
        req_fail(r, REASON_TXN_NONE_TO_RUN);
    } else if (t->broken) {
        lease_drop(c);
        txn_free(&c->txn);
        req_fail(r, REASON_TXN_BROKEN);
    } else if (!txn_watched(c, r)) {
        return;
    } else if (t->count == 0 && c->lease == NULL) { /* (one that watches asks whether something changed) */
        txn_free(&c->txn);
        say(r, c->front->txn.empty);
    } else {
        keep(t, &t->run, c->front, b, m);
        struct uplink *u = txn_uplink(c, r);
        if (u != NULL && u->profile->takes_txn) {
            txn_send(c, r, u);
        } else if (u != NULL) {
            txn_prove(c, r, u);
        }
    }
}

void txn_proved(struct req *r, const struct fan_part *proof) {
    struct client *c = r->client;
    c->waiting = false;
    if (c->lease != NULL && c->lease->uplink == NULL) {
        txn_free(&c->txn);
        lease_drop(c);
        req_fail(r, REASON_WATCH_LOST);
        return;
    }
    if (proof->failed != REASON_NONE || proof->error) {
        txn_free(&c->txn);
        lease_drop(c);
        req_fail(r, proof->failed != REASON_NONE ? proof->failed : REASON_TXN_REFUSED);
        return;
    }
    if (c->txn->broken) { /* its server was removed meanwhile */
        txn_free(&c->txn);
        lease_drop(c);
        req_fail(r, REASON_TXN_BROKEN);
        return;
    }
    struct uplink *u = txn_uplink(c, r);
    if (u != NULL) {
        u->profile->takes_txn = true;
        txn_send(c, r, u);
    }
}

static void txn_drop(struct client *c, struct req *r) {
    if (c->txn == NULL) {
        req_fail(r, REASON_TXN_NONE_TO_DROP);
        return;
    }
    txn_free(&c->txn);
    lease_drop(c);
    say(r, c->front->txn.dropped);
}

void txn_take(struct client *c, struct req *r, struct buf *b, const struct msg *m) {
    switch (m->route) {
    case ROUTE_TXN_BEGIN:
        txn_begin(c, r, b, m);
        return;
    case ROUTE_TXN_RUN:
        txn_run(c, r, b, m);
        return;
    case ROUTE_TXN_DROP:
        txn_drop(c, r);
        return;
    default:
        txn_keep(c, r, b, m);
    }
}
