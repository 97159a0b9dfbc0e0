#include "core/greet.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/lease.h"
#include "core/server.h"
#include "core/uplink.h"
#include "core/worker_state.h"

static bool pool_knows(const struct pool *p, uint64_t profile) {
    for (uint32_t i = 0; i < p->nknown; i++) {
        if (p->known[i] == profile) {
            return true;
        }
    }
    return profile == p->base_profile;
}

static void pool_learn(struct pool *p, uint64_t profile) {
    uint64_t mixed = profile ^ profile >> 32 ^ profile >> 51; /* databases, users and versions: all of them count */
    p->known[p->nknown < POOL_KNOWN_MAX ? p->nknown++ : mixed % POOL_KNOWN_MAX] = profile;
}

void session_texts_free(struct session *s) {
    for (size_t i = 0; i < SESSION_TEXTS; i++) {
        mem_free(s->texts[i]);
    }
}

/* Frees the texts that only `s` has. */
static void session_drop(struct session *s, const struct session *other) {
    for (size_t i = 0; i < SESSION_TEXTS; i++) {
        if (s->texts[i] != other->texts[i]) {
            mem_free(s->texts[i]);
        }
    }
}

static void session_become(struct client *c, const struct session *next) {
    if (session_profile(next) != session_profile(&c->session) && c->lease != NULL) {
        lease_break(c); /* what it watches is in the old database */
    }
    session_drop(&c->session, next);
    c->session = *next;
}

static void greet_ask(struct server *s, struct req *part) {
    enum reason why;
    struct uplink *u = server_uplink(s, part->fan->whole->client, part->profile, &why);
    if (u == NULL) {
        req_fail(part, why);
        return;
    }
    struct out out = {&part->bytes, &u->stage};
    s->pool->back->probe(&out);
    req_start_clock(part);
    uplink_queue(u, part);
}

void greet_start(struct req *whole, const struct session *next) {
    struct pool *pool = whole->pool;
    struct client *c = whole->client;
    uint64_t profile = session_profile(next);
    if (profile == session_profile(&c->session) || pool_knows(pool, profile)) {
        session_become(c, next);
        req_done(whole);
        return;
    }
    struct fan *f = fan_new(whole, pool->nservers, 0);
    f->next = mem_alloc(sizeof *f->next);
    *f->next = *next;
    c->waiting = true;
    for (uint32_t s = 0; s < pool->nservers; s++) {
        fan_part_new(f, s)->profile = profile;
    }
    for (uint32_t s = 0; s < pool->nservers; s++) {
        greet_ask(pool->servers[s], f->parts[s].req);
    }
}

/* Refused by one is refused; servers that are down do not count, unless all are. */
static enum reason greet_outcome(const struct fan *f) {
    enum reason down = REASON_NONE;
    bool agreed = false;
    for (uint32_t i = 0; i < f->nparts; i++) {
        enum reason why = f->parts[i].failed;
        if (why == REASON_GREETING || why == REASON_PROFILES) {
            return why;
        }
        agreed = agreed || why == REASON_NONE;
        down = why != REASON_NONE ? why : down;
    }
    return agreed ? REASON_NONE : down;
}

/* What the servers refused. A user comes first: servers that know users know all versions of the protocol. */
static enum reason greet_refused(const struct session *next, const struct session *now) {
    if (next->user != now->user) {
        return REASON_WRONG_USER;
    }
    return next->version != now->version ? REASON_NO_VERSION : REASON_NO_DATABASE;
}

void greet_forget(struct fan *f) {
    session_drop(f->next, &f->whole->client->session);
}

void greet_done(struct fan *f) {
    struct req *whole = f->whole;
    struct client *c = whole->client;
    enum reason why = greet_outcome(f);
    c->waiting = false;
    if (why == REASON_NONE && !conf_has_user(whole->pool->conf, f->next->user)) {
        why = REASON_GREETING; /* a reload removed the user */
    }
    if (why == REASON_NONE) {
        pool_learn(whole->pool, session_profile(f->next));
        session_become(c, f->next);
        return;
    }
    rope_fini(&whole->bytes);
    if (why == REASON_GREETING) {
        why = greet_refused(f->next, &c->session);
    }
    session_drop(f->next, &c->session);
    struct out out = {&whole->bytes, &c->stage};
    c->front->error(why, whole->cmd, whole->tag, &out);
}
