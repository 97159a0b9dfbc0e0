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
    p->known[p->nknown < POOL_KNOWN_MAX ? p->nknown++ : profile % POOL_KNOWN_MAX] = profile;
}

static void session_become(struct session *s, const struct session *next) {
    if (s->name != next->name) {
        mem_free(s->name);
    }
    *s = *next;
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
    if (profile != session_profile(&c->session) && c->lease != NULL) {
        lease_break(c); /* what it watches is in the old database */
    }
    if (profile == session_profile(&c->session) || pool_knows(pool, profile)) {
        session_become(&c->session, next);
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
        greet_ask(&pool->servers[s], f->parts[s].req);
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

void greet_done(struct fan *f) {
    struct req *whole = f->whole;
    struct client *c = whole->client;
    enum reason why = greet_outcome(f);
    c->waiting = false;
    if (why == REASON_NONE) {
        pool_learn(whole->pool, session_profile(f->next));
        session_become(&c->session, f->next);
        return;
    }
    if (f->next->name != c->session.name) {
        mem_free(f->next->name);
    }
    rope_fini(&whole->bytes);
    if (why == REASON_GREETING) {
        why = f->next->version != c->session.version ? REASON_NO_VERSION : REASON_NO_DATABASE;
    }
    struct out out = {&whole->bytes, &c->stage};
    c->front->error(why, whole->cmd, whole->tag, &out);
}
