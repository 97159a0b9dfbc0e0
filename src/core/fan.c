#include "core/fan.h"

#include "base/mem.h"
#include "core/apart.h"
#include "core/client.h"
#include "core/dispatch.h"
#include "core/greet.h"
#include "core/heal.h"
#include "core/rotation.h"
#include "core/times.h"
#include "core/txn.h"
#include "core/walk.h"
#include "core/worker_state.h"

#define NO_PART UINT32_MAX
#define FEW_PARTS 16 /* replies of so many are looked at without memory of their own */

struct fan *fan_new(struct req *whole, uint32_t nparts, uint32_t nkeys) {
    size_t head = sizeof(struct fan) + nparts * sizeof(struct fan_part);
    struct fan *f = mem_zalloc(head + nkeys * sizeof *f->owner);
    f->whole = whole;
    f->nparts = f->pending = nparts;
    f->nkeys = nkeys;
    f->owner = nkeys > 0 ? (uint16_t *)(void *)((char *)f + head) : NULL;
    whole->fan = f;
    return f;
}

void fan_free(struct fan *f) {
    for (uint32_t i = 0; i < f->nparts; i++) {
        rope_fini(&f->parts[i].reply);
    }
    mem_free(f->next);
    rotation_free(&f->rotation);
    rope_fini(&f->request);
    mem_free(f);
}

struct req *fan_part_new(struct fan *f, uint32_t i) {
    struct req *whole = f->whole;
    struct req *part = req_new(whole->pool, whole->cmd, NULL);
    part->flags = REQ_PART;
    part->profile = whole->profile;
    part->fan = f;
    part->part = (uint16_t)i;
    f->parts[i].req = part;
    return part;
}

uint32_t fan_group(struct pool *pool, const struct msg *m, uint32_t *owners, uint32_t *servers) {
    struct worker *w = pool->worker;
    uint32_t nparts = 0;
    for (uint32_t i = 0; i < m->nkeys; i++) {
        uint32_t s = ring_pick(pool->ring, &w->rng, msg_key(m, i));
        if (s == RING_NONE) {
            nparts = 0;
            break;
        }
        if (w->group[s] == NO_PART) {
            w->group[s] = nparts;
            servers[nparts++] = s;
        }
        owners[i] = w->group[s];
    }
    for (uint32_t s = 0; s < pool->nservers; s++) {
        w->group[s] = NO_PART;
    }
    return nparts;
}

/* Sorts key indices by part: a counting sort. start[p] .. start[p + 1] are the keys of part p. */
static void order_keys(const uint32_t *owners, uint32_t nkeys, uint32_t nparts, uint32_t *start, uint32_t *keys) {
    memset(start, 0, (nparts + 1) * sizeof *start);
    for (uint32_t i = 0; i < nkeys; i++) {
        start[owners[i] + 1]++;
    }
    for (uint32_t p = 0; p < nparts; p++) {
        start[p + 1] += start[p];
    }
    for (uint32_t i = 0; i < nkeys; i++) {
        keys[start[owners[i]]++] = i;
    }
    for (uint32_t p = nparts; p > 0; p--) {
        start[p] = start[p - 1];
    }
    start[0] = 0;
}

/* Makes a part of each key. Part p becomes servers[p] of a server that has many: from behind, since the list grows. */
static uint32_t part_each(uint32_t *owners, uint32_t nkeys, uint32_t *servers) {
    for (uint32_t i = nkeys; i-- > 0;) {
        owners[i] = servers[owners[i]];
    }
    for (uint32_t i = 0; i < nkeys; i++) {
        servers[i] = owners[i];
        owners[i] = i;
    }
    return nkeys;
}

uint32_t *fan_scratch(struct worker *w, uint32_t n) {
    if (w->keys_cap < n) {
        w->keys_cap = n;
        w->keys = mem_realloc(w->keys, n * sizeof *w->keys);
    }
    return w->keys;
}

void fan_split(struct req *whole, struct buf *b, const struct msg *m) {
    struct pool *pool = whole->pool;
    /* one scratch array: owners, keys, servers of parts, starts of parts */
    uint32_t most = m->nkeys > pool->nservers ? m->nkeys : pool->nservers; /* parts */
    uint32_t *owners = fan_scratch(pool->worker, 2 * m->nkeys + 2 * most + 1), *keys = owners + m->nkeys, *servers = keys + m->nkeys,
             *start = servers + most;
    uint32_t nparts = fan_group(pool, m, owners, servers);
    if (nparts == 0) {
        req_fail(whole, REASON_EJECTED);
        return;
    }
    /* A failure that is to count as misses is made into them by merge, also when there is one part only. */
    bool may_miss = m->cmd->merge == MERGE_VALUES && pool->conf->multiget_failure == FAILURE_MISS;
    if (nparts == 1 && !may_miss) {
        dispatch_to(pool->servers[servers[0]], whole, b, m, NULL, 0);
        return;
    }
    if (m->cmd->flags & CMD_EACH) {
        nparts = part_each(owners, m->nkeys, servers);
    }
    if (nparts > UINT16_MAX) {
        req_fail(whole, REASON_TOO_LARGE);
        return;
    }
    order_keys(owners, m->nkeys, nparts, start, keys);
    struct fan *f = fan_new(whole, nparts, m->nkeys);
    metric_add(&pool->stats.v[POOL_fragments], nparts);
    if (m->cmd->merge == MERGE_GATHER) {
        struct out out = {&f->request, &whole->client->stage};
        whole->client->front->build(m, b, NULL, 0, &out);
    }
    for (uint32_t i = 0; i < m->nkeys; i++) {
        f->owner[i] = (uint16_t)owners[i];
    }
    for (uint32_t p = 0; p < nparts; p++) {
        fan_part_new(f, p);
    }
    for (uint32_t p = 0; p < nparts; p++) {
        dispatch_to(pool->servers[servers[p]], f->parts[p].req, b, m, keys + start[p], start[p + 1] - start[p]);
    }
}

void fan_one(struct req *whole, struct buf *b, const struct msg *m) {
    struct pool *pool = whole->pool;
    struct slice key = m->nkeys > 0 ? msg_key(m, 0) : slice_str(ANY_KEY);
    uint32_t s = ring_pick(pool->ring, &pool->worker->rng, key);
    struct fan *f = fan_new(whole, 1, 0);
    if (m->cmd->flags & CMD_KEY_BACK) {
        rope_add_copy(&f->request, &whole->client->stage, key);
    }
    struct req *part = fan_part_new(f, 0);
    if (UNLIKELY(s == RING_NONE)) {
        req_fail(part, REASON_EJECTED);
    } else {
        dispatch_to(pool->servers[s], part, b, m, NULL, 0);
    }
}

void fan_all(struct req *whole, struct buf *b, const struct msg *m) {
    struct pool *pool = whole->pool;
    if (m->flags & MSG_SCRIPT) {
        heal_note(pool, m);
    }
    struct fan *f = fan_new(whole, pool->nservers, 0);
    metric_add(&pool->stats.v[POOL_fragments], pool->nservers);
    f->lenient = (m->cmd->flags & CMD_LENIENT) != 0;
    for (uint32_t s = 0; s < pool->nservers; s++) {
        fan_part_new(f, s);
    }
    for (uint32_t s = 0; s < pool->nservers; s++) {
        dispatch_to(pool->servers[s], f->parts[s].req, b, m, NULL, 0);
    }
}

void fan_walk(struct req *whole, struct buf *b, const struct msg *m) {
    struct pool *pool = whole->pool;
    uint32_t s = walk_server(pool, m->walk.place);
    if (s == WALK_NONE) {
        req_fail(whole, REASON_LOST_CURSOR);
        return;
    }
    struct fan *f = fan_new(whole, 1, 0);
    f->walk_place = walk_id(pool, s);
    f->walk_next = walk_id(pool, s + 1);
    fan_part_new(f, 0);
    dispatch_to(pool->servers[s], f->parts[0].req, b, m, NULL, 0);
}

/* The last part ended: one reply out of all. */
static void fan_merge(struct fan *f) {
    struct req *whole = f->whole;
    struct pool *pool = whole->pool;
    struct part few[FEW_PARTS];
    struct part *parts = f->nparts <= FEW_PARTS ? few : mem_alloc(f->nparts * sizeof *parts);
    bool failed = false;
    for (uint32_t i = 0; i < f->nparts; i++) {
        struct fan_part *p = &f->parts[i];
        parts[i].failed = p->failed;
        parts[i].reply = rope_flat(&p->reply, &pool->worker->bufs, &parts[i].buf);
        failed = failed || p->failed != REASON_NONE;
    }
    if (failed) {
        metric_add(&pool->stats.v[POOL_forward_error], 1);
    }
    struct fan_in in = {
        .cmd = whole->cmd,
        .parts = parts,
        .nparts = f->nparts,
        .owner = f->owner,
        .nkeys = f->nkeys,
        .miss_on_failure = pool->conf->multiget_failure == FAILURE_MISS,
        .lenient = f->lenient,
        .version = whole->client->session.version,
        .deeds = f->deeds,
        .dice = rng_u32(&pool->worker->rng),
        .walk = {f->walk_place, f->walk_next},
        .tag = whole->tag,
    };
    struct buf *request;
    in.request = rope_flat(&f->request, &pool->worker->bufs, &request);
    struct out out = {&whole->bytes, &whole->client->stage};
    whole->client->front->merge(&in, &out);
    if (parts != few) {
        mem_free(parts);
    }
}

/* One part, whose reply is the answer as it is. */
static void fan_end_one(struct fan *f) {
    struct req *whole = f->whole;
    enum reason failed = f->parts[0].failed;
    rope_move(&whole->bytes, &f->parts[0].reply);
    whole->fan = NULL;
    fan_free(f);
    if (failed != REASON_NONE) {
        req_fail(whole, failed);
    } else {
        req_done(whole);
    }
}

static void fan_part_ended(struct fan *f, struct req *part) {
    f->parts[part->part].req = NULL;
    if (f->whole != NULL) {
        times_part_ended(f->whole, part);
        if (UNLIKELY(f->whole->flags & REQ_TRACED) && (f->parts[part->part].error || f->parts[part->part].failed != REASON_NONE)) {
            f->whole->flags |= REQ_ERROR;
        }
    }
    if (f->apart) {
        apart_part_ended(f, part);
    }
    if (f->server != NULL && heal_again(f, part)) {
        return;
    }
    if (--f->pending > 0) {
        return;
    }
    struct req *whole = f->whole;
    if (whole != NULL && f->server != NULL) {
        fan_end_one(f);
        return;
    }
    if (whole != NULL && f->rotation != NULL) {
        rotation_heard(f);
        return;
    }
    if (whole != NULL && f->proof) {
        struct fan_part proof = {.failed = f->parts[0].failed, .error = f->parts[0].error};
        whole->fan = NULL;
        fan_free(f);
        txn_proved(whole, &proof);
        return;
    }
    if (whole != NULL) {
        if (f->next != NULL) {
            greet_done(f);
        } else {
            fan_merge(f);
        }
        if (f->apart) {
            apart_done(f);
        }
        whole->fan = NULL;
    }
    fan_free(f);
    if (whole != NULL) {
        req_done(whole);
    }
}

/* The answers of several servers are held here until the last is there. */
static bool is_collected(const struct cmd *c) {
    return c->merge == MERGE_GATHER || c->merge == MERGE_CONCAT;
}

static void fan_refuse(struct fan *f) {
    f->bytes = SIZE_MAX / 2; /* nor is there room for what is still to come */
    for (uint32_t i = 0; i < f->nparts; i++) {
        rope_fini(&f->parts[i].reply);
        f->parts[i].failed = REASON_GATHER_LIMIT;
    }
}

bool fan_has_room(const struct req *part, size_t size) {
    return !is_collected(part->cmd) || part->fan->bytes + size <= (size_t)part->pool->conf->gather_limit;
}

void fan_part_done(struct req *part) {
    struct fan *f = part->fan;
    f->parts[part->part].error = (part->flags & REQ_ERROR) != 0;
    rope_move(&f->parts[part->part].reply, &part->bytes);
    f->bytes += rope_len(&f->parts[part->part].reply);
    if (UNLIKELY(f->bytes > (size_t)part->pool->conf->gather_limit) && is_collected(part->cmd)) {
        fan_refuse(f);
    }
    fan_part_ended(f, part);
}

void fan_part_fail(struct req *part, enum reason why) {
    part->fan->parts[part->part].failed = why;
    if (UNLIKELY(why == REASON_GATHER_LIMIT)) {
        fan_refuse(part->fan);
    }
    fan_part_ended(part->fan, part);
}

void fan_abandon(struct fan *f) {
    if (f->next != NULL) {
        greet_forget(f);
    }
    f->whole = NULL;
    f->pending++; /* it stays while its uplinks close */
    if (f->apart) {
        apart_abandon(f);
    }
    if (--f->pending == 0) {
        fan_free(f);
    }
}
