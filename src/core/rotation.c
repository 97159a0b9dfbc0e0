#include "core/rotation.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/fan.h"
#include "core/lease.h"
#include "core/times.h"
#include "core/uplink.h"
#include "core/worker_state.h"

/* How long it waits at one server: short while much comes, then longer. The longest is how late an element may be seen that came to
 * another server. */
#define SLICE_MIN_USEC 10000
#define SLICE_MAX_USEC 160000
#define ALONE_USEC 1000 /* a request that is sent to hear what is wrong */
/* A server that failed and has not been heard since is asked in every so many rounds: each may cost a time-out. */
#define TROUBLED_ROUNDS 4

enum step {
    STEP_PROVE, /* an empty transaction */
    STEP_LOOK,  /* inside a transaction: without waiting */
    STEP_ALONE, /* that was refused: the bare request tells why */
    STEP_WAIT,
};

struct rotation {
    int64_t end;       /* usec: when the client's own time is over */
    uint32_t turn;     /* where it waits differs from client to client */
    uint32_t round;    /* 0: the first look */
    uint32_t from, at; /* round 0: keys that are asked for now, the next one; later `at`: the next group */
    uint32_t server;   /* id of the one that is asked now */
    uint32_t waited;   /* id of the server at which this round waited; 0: it has not yet */
    uint32_t deaf;     /* rounds in a row in which no server answered */
    uint8_t step;      /* enum step, under way */
    bool heard;        /* in this round a server answered */
    bool unclear;      /* in this round one was passed over, which may be fine */
    enum reason why;   /* the last failure */
    struct rope later; /* what a server said that is not ready yet */
    uint32_t nothing_len;
    uint8_t nothing[8]; /* what a server says when nothing came, in the client's version */
    size_t size;
    uint8_t request[]; /* as servers get it */
};

/* The request taken apart again, and by today's ring. */
struct view {
    const struct msg *m;
    uint32_t *owners, *servers, *keys;
    uint32_t ngroups;
};

void rotation_free(struct rotation **tp) {
    struct rotation *t = *tp;
    *tp = NULL;
    if (t != NULL) {
        rope_fini(&t->later);
        mem_free(t);
    }
}

static void view_group(struct view *v, struct pool *pool, const struct msg *m) {
    uint32_t *scratch = fan_scratch(pool->worker, 3 * m->nkeys);
    *v = (struct view){m, scratch, scratch + m->nkeys, scratch + 2 * m->nkeys, 0};
    v->ngroups = fan_group(pool, m, v->owners, v->servers);
}

static void view_open(struct view *v, const struct fan *f) {
    struct pool *pool = f->whole->pool;
    struct msg *m = &pool->worker->again;
    struct parser ps = {0};
    m->rules = NULL; /* it was allowed when it came */
    m->learned = NULL;
    enum parse_rc rc = pool->back->parse_req(&ps, slice(f->rotation->request, f->rotation->size), m);
    ASSERT(rc == PARSE_DONE && m->nkeys > 0);
    view_group(v, pool, m);
}

/* ---- the end ---- */

static void rotation_fail(struct fan *f, enum reason why) {
    struct req *whole = f->whole;
    whole->fan = NULL;
    fan_free(f);
    req_fail(whole, why);
}

/* `answer` lies in `b`; NULL: anywhere. */
static void rotation_answer(struct fan *f, struct buf *b, struct slice answer) {
    struct req *whole = f->whole;
    if (b != NULL) {
        rope_add_ref(&whole->bytes, b, (size_t)(answer.p - b->data), answer.n);
    } else {
        rope_add_copy(&whole->bytes, &whole->client->stage, answer);
    }
    whole->fan = NULL;
    fan_free(f);
    req_done(whole);
}

/* No server answered. */
static void rotation_give_up(struct fan *f) {
    struct rotation *t = f->rotation;
    if (t->later.n > 0) {
        struct buf *b;
        struct slice said = rope_flat(&t->later, &f->whole->pool->worker->bufs, &b);
        rotation_answer(f, b, said);
    } else {
        rotation_fail(f, t->why != REASON_NONE ? t->why : REASON_TIMEDOUT);
    }
}

/* ---- one step ---- */

/* The keys that the server of this step is asked for: indices in v->keys. */
static uint32_t step_keys(const struct fan *f, struct view *v) {
    const struct rotation *t = f->rotation;
    struct server *const *servers = f->whole->pool->servers;
    uint32_t n = 0;
    for (uint32_t i = t->round == 0 ? t->from : 0; i < (t->round == 0 ? t->at : v->m->nkeys); i++) {
        if (t->round == 0 || servers[v->servers[v->owners[i]]]->id == t->server) {
            v->keys[n++] = i;
        }
    }
    return n;
}

static int64_t step_usec(const struct rotation *t, int64_t now) {
    if (t->step != STEP_WAIT) {
        return ALONE_USEC;
    }
    int64_t slice = (int64_t)SLICE_MIN_USEC << (t->round < 6 ? t->round - 1 : 5);
    slice = slice < SLICE_MAX_USEC ? slice : SLICE_MAX_USEC;
    int64_t left = t->end - now;
    return left < ALONE_USEC ? ALONE_USEC : left < slice ? left : slice;
}

static void step_send(struct fan *f, struct view *v, struct uplink *u, enum step step) {
    struct rotation *t = f->rotation;
    const struct proto *back = f->whole->pool->back;
    struct req *part = fan_part_new(f, 0);
    struct out out = {&part->bytes, &u->stage};
    bool alone = step == STEP_WAIT || step == STEP_ALONE;
    uint32_t nkeys = step_keys(f, v);
    f->pending = 1;
    t->step = (uint8_t)step;
    part->flags |= REQ_RETRIED; /* nowhere else: it may have been carried out */
    if (alone) {
        int64_t usec = step_usec(t, worker_now(f->whole->pool->worker));
        back->waits->build(v->m, v->keys, nkeys, usec, &out);
        req_start_wait(part, usec);
    } else {
        out_str(&out, back->txn.begin);
        if (step == STEP_LOOK) {
            back->waits->build(v->m, v->keys, nkeys, WAIT_UNCLEAR, &out);
        }
        out_str(&out, back->txn.run);
        part->skip = step == STEP_LOOK ? 2 : 1;
        req_start_clock(part);
    }
    metric_add(&f->whole->pool->stats.v[POOL_rotation_steps], 1);
    uplink_queue(u, part);
    times_never(part);
}

/* False: this server is passed over. `must`: not for being slow. */
static bool step_begin(struct fan *f, struct view *v, uint32_t server, enum step step, bool must) {
    struct rotation *t = f->rotation;
    struct client *c = f->whole->client;
    struct server *s = f->whole->pool->servers[server];
    lease_yield(c);
    if (!must && s->told_failed && t->round % TROUBLED_ROUNDS != 0) {
        t->unclear = true;
        return false;
    }
    struct uplink *u = lease_take(c, s, &t->why);
    if (u == NULL) {
        return false;
    }
    if (!must && u->state < UPLINK_READY && (t->round > 0 || s->told_failed)) {
        lease_yield(c); /* it goes on connecting */
        t->unclear = true;
        return false;
    }
    t->server = s->id;
    step_send(f, v, u, step == STEP_LOOK && !u->proved ? STEP_PROVE : step);
    return true;
}

/* ---- what comes next ---- */

static bool next_run(struct fan *f, struct view *v) {
    struct rotation *t = f->rotation;
    while (t->at < v->m->nkeys) {
        t->from = t->at++;
        while (t->at < v->m->nkeys && v->owners[t->at] == v->owners[t->from]) {
            t->at++;
        }
        if (step_begin(f, v, v->servers[v->owners[t->from]], STEP_LOOK, false)) {
            return true;
        }
    }
    return false;
}

static bool next_wait(struct fan *f, struct view *v) {
    struct rotation *t = f->rotation;
    for (uint32_t i = 0; i < 2 * v->ngroups; i++) {
        uint32_t server = v->servers[(t->turn + t->round + i) % v->ngroups];
        if (step_begin(f, v, server, STEP_WAIT, i >= v->ngroups)) {
            t->waited = t->server;
            return true;
        }
    }
    return false;
}

static bool next_look(struct fan *f, struct view *v) {
    struct rotation *t = f->rotation;
    while (t->at < v->ngroups) {
        uint32_t server = v->servers[t->at++];
        if (f->whole->pool->servers[server]->id != t->waited && step_begin(f, v, server, STEP_LOOK, false)) {
            return true;
        }
    }
    return false;
}

/* Every server had its turn. False: it is over, and the client has its answer. */
static bool next_round(struct fan *f, const struct view *v) {
    struct rotation *t = f->rotation;
    t->deaf = t->heard ? 0 : t->deaf + 1;
    if (!t->heard && (!t->unclear || t->deaf > v->ngroups)) {
        rotation_give_up(f);
        return false;
    }
    if (worker_now(f->whole->pool->worker) >= t->end) {
        if (t->nothing_len > 0) {
            rotation_answer(f, NULL, slice(t->nothing, t->nothing_len));
        } else {
            rotation_give_up(f);
        }
        return false;
    }
    t->round++;
    t->at = 0;
    t->waited = 0;
    t->heard = t->unclear = false;
    return true;
}

static void rotation_next(struct fan *f) {
    struct rotation *t = f->rotation;
    struct view v;
    view_open(&v, f);
    if (v.ngroups == 0) {
        rotation_fail(f, REASON_EJECTED);
        return;
    }
    for (;;) {
        bool sent = t->round == 0 ? next_run(f, &v) : t->waited == 0 ? next_wait(f, &v) : next_look(f, &v);
        if (sent || !next_round(f, &v)) {
            return;
        }
    }
}

/* The same server is asked again, in another way. */
static void rotation_again(struct fan *f, enum step step) {
    struct view v;
    view_open(&v, f);
    if (v.ngroups == 0 || step_keys(f, &v) == 0) {
        rotation_next(f); /* its keys have moved meanwhile */
        return;
    }
    step_send(f, &v, f->whole->client->lease->uplink, step);
}

/* ---- what came ---- */

static void rotation_nothing(struct rotation *t, struct slice said) {
    t->heard = true;
    if (said.n <= sizeof t->nothing) {
        memcpy(t->nothing, said.p, said.n);
        t->nothing_len = (uint32_t)said.n;
    }
}

static void rotation_reply(struct fan *f, struct buf *b, struct slice reply) {
    struct rotation *t = f->rotation;
    struct client *c = f->whole->client;
    struct slice answer;
    switch (f->whole->pool->back->waits->judge(reply, t->step == STEP_LOOK, &answer)) {
    case WAIT_ANSWER:
        rotation_answer(f, b, answer);
        return;
    case WAIT_REFUSED:
        rope_fini(&f->parts[0].reply);
        rotation_again(f, STEP_ALONE);
        return;
    case WAIT_NOTHING:
        rotation_nothing(t, answer);
        break;
    case WAIT_LATER:
        rope_fini(&t->later);
        rope_move(&t->later, &f->parts[0].reply);
        break;
    case WAIT_BAD:
        t->why = REASON_BAD_REPLY;
        uplink_close(c->lease->uplink, REASON_BAD_REPLY);
        break;
    }
    rope_fini(&f->parts[0].reply);
    stage_release(&c->stage); /* one that waits long holds no buffer */
    rotation_next(f);
}

void rotation_heard(struct fan *f) {
    struct rotation *t = f->rotation;
    struct fan_part *p = &f->parts[0];
    enum reason failed = p->failed;
    p->failed = REASON_NONE;
    if (failed != REASON_NONE) {
        t->why = failed;
        rotation_next(f);
    } else if (t->step == STEP_PROVE && p->error) {
        rotation_fail(f, REASON_TXN_REFUSED);
    } else if (t->step == STEP_PROVE) {
        rope_fini(&p->reply);
        f->whole->client->lease->uplink->proved = true;
        rotation_again(f, STEP_LOOK);
    } else {
        struct buf *b;
        struct slice reply = rope_flat(&p->reply, &f->whole->pool->worker->bufs, &b);
        rotation_reply(f, b, reply);
    }
}

/* ---- the beginning ---- */

static struct rotation *rotation_new(struct req *r, const struct msg *m) {
    struct pool *pool = r->pool;
    struct rope rope = {0};
    struct slice bytes = pool_words(pool, &r->client->stage, m, &rope);
    struct rotation *t = mem_zalloc(sizeof *t + bytes.n);
    int64_t limit = pool->front->waits->limit(m), now = worker_now(pool->worker);
    /* unclear: a server says at the first look what is wrong with it */
    t->end = limit == WAIT_EVER ? INT64_MAX : limit == WAIT_UNCLEAR ? now : now + limit;
    t->turn = client_nth(r->client);
    t->size = bytes.n;
    memcpy(t->request, bytes.p, bytes.n);
    rope_fini(&rope);
    return t;
}

bool rotation_start(struct req *r, const struct msg *m) {
    struct pool *pool = r->pool;
    struct view v;
    if (m->nkeys < 2 || pool->conf->distribution == DIST_RANDOM) {
        return false; /* `random` has no owners */
    }
    view_group(&v, pool, m);
    if (v.ngroups < 2) {
        return false;
    }
    if (r->client->lease != NULL) {
        req_fail(r, REASON_LEASED);
        return true;
    }
    struct fan *f = fan_new(r, 1, 0);
    f->rotation = rotation_new(r, m);
    r->flags |= REQ_LEASE;
    r->client->waiting = true;
    rotation_next(f);
    return true;
}
