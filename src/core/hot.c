#include "core/hot.h"

#include "base/mem.h"
#include "core/slowlog.h"
#include "core/worker_state.h"

#define BIG_KEPT       16          /* of a pool, requests and replies together */
#define BIG_USEC       300000000   /* lately */
#define HEADS_USEC     1000000     /* so long beginnings are kept for the sake of large replies, ... */
#define HEADS_REST     10000000    /* ... once in so long */
#define SECOND         1000000

struct big {
    enum hot_kind kind;
    uint64_t bytes; /* 0: this one is free */
    int64_t at;     /* usec of the loop's time */
    int64_t wall_usec;
    const struct cmd *cmd;
    struct topk_entry key;
};

struct hot {
    struct topk *keys;  /* NULL: none were counted */
    int64_t ticked;     /* usec: the counts are those of this moment */
    int64_t want_heads; /* usec: not again before */
    struct big big[BIG_KEPT];
};

static struct hot *hot_of(struct pool *p) {
    if (p->hot == NULL) {
        p->hot = mem_zalloc(sizeof *p->hot);
    }
    return p->hot;
}

/* ---- keys ---- */

static void tick(struct hot *h, int64_t now) {
    int64_t seconds = (now - h->ticked) / SECOND;
    if (seconds > 0) {
        topk_decay(h->keys, (uint64_t)seconds);
        h->ticked += seconds * SECOND;
    }
}

void hot_count(struct pool *p, const struct msg *m) {
    int64_t now = worker_now(p->worker);
    if (p->conf->hot_keys == 0 || m->nkeys == 0 || m->route == ROUTE_REPLY) {
        return;
    }
    struct hot *h = hot_of(p);
    if (h->keys == NULL) {
        h->keys = topk_new((uint32_t)p->conf->hot_keys);
        h->ticked = now;
    }
    tick(h, now);
    topk_add(h->keys, msg_key(m, m->nkeys == 1 ? 0 : rng_below(&p->worker->rng, m->nkeys)), m->nkeys);
}

/* ---- large ones ---- */

static void set_key(struct topk_entry *e, struct slice key) {
    *e = (struct topk_entry){.len = (uint32_t)key.n};
    memcpy(e->key, key.p, min_size(key.n, TOPK_KEY_MAX));
}

/* Where it belongs: what is known of the same key already, or one that is free or too old, or the least. NULL: nowhere. */
static struct big *place(struct hot *h, const struct big *one, int64_t now) {
    struct big *least = &h->big[0];
    for (unsigned i = 0; i < BIG_KEPT; i++) {
        struct big *b = &h->big[i];
        if (now - b->at > BIG_USEC) {
            b->bytes = 0;
        }
        if (b->bytes > 0 && b->kind == one->kind && b->cmd == one->cmd && topk_same(&b->key, &one->key)) {
            return b->bytes <= one->bytes ? b : NULL;
        }
        least = b->bytes < least->bytes ? b : least;
    }
    return least->bytes < one->bytes ? least : NULL;
}

static void note(struct pool *p, enum hot_kind kind, const struct cmd *cmd, struct slice key, uint64_t bytes) {
    struct worker *w = p->worker;
    struct big one = {.kind = kind, .bytes = bytes, .at = worker_now(w), .wall_usec = loop_wall(w->loop), .cmd = cmd};
    set_key(&one.key, key);
    struct big *to = place(hot_of(p), &one, worker_now(w));
    if (to != NULL) {
        *to = one;
    }
}

__attribute__((noinline)) void hot_big_request(struct pool *p, const struct msg *m, uint64_t bytes) {
    if (p->conf->hot_keys > 0 && m->route != ROUTE_REPLY) {
        note(p, HOT_REQUEST, m->cmd, m->nkeys > 0 ? msg_key(m, 0) : slice("", 0), bytes);
    }
}

/* The first key of a request whose beginning was kept. */
static struct slice key_in(struct pool *p, struct slice head) {
    struct msg *m = &p->worker->again;
    struct parser parser = {0};
    m->rules = p->conf->rules;
    m->learned = p->learned;
    bool whole = p->back->parse_req(&parser, head, m) == PARSE_DONE;
    return whole && m->nkeys > 0 ? msg_key(m, 0) : slice("", 0);
}

__attribute__((noinline)) void hot_big_reply(struct uplink *u, const struct req *r, uint64_t bytes) {
    struct server *s = u->server;
    struct pool *p = r->pool;
    int64_t now = worker_now(p->worker);
    if (p->conf->hot_keys == 0 || r->cmd == NULL) {
        return;
    }
    struct hot *h = hot_of(p);
    struct slice head = slowlog_head(s, r);
    if (head.n == 0 && now >= h->want_heads) {
        slowlog_want(s, HEADS_USEC);
        h->want_heads = now + HEADS_REST;
    }
    note(p, HOT_REPLY, r->cmd, head.n > 0 ? key_in(p, head) : slice("", 0), bytes);
}

/* ---- telling ---- */

static struct hot_entry *add(struct mail_hot **m, const struct pool *p, enum hot_kind kind) {
    *m = mem_realloc(*m, sizeof **m + ((*m)->n + 1) * sizeof *(*m)->v);
    struct hot_entry *e = &(*m)->v[(*m)->n++];
    *e = (struct hot_entry){.pool = p->id, .kind = (uint8_t)kind};
    return e;
}

static void add_keys(struct mail_hot **m, const struct pool *p) {
    struct hot *h = p->hot;
    int64_t now = worker_now(p->worker);
    tick(h, now);
    double seconds = (double)h->keys->seconds / TOPK_UNIT + (double)(now - h->ticked) / SECOND;
    double scale = (double)HOT_SAMPLE / TOPK_UNIT / (seconds > 1 ? seconds : 1);
    add(m, p, HOT_ALL)->per_second = (double)h->keys->total * scale;
    for (uint32_t i = 0; i < h->keys->n; i++) {
        struct hot_entry *e = add(m, p, HOT_KEY);
        e->key = h->keys->v[i];
        e->per_second = (double)e->key.count * scale;
        e->error = (double)e->key.error * scale;
    }
}

static void add_big(struct mail_hot **m, const struct pool *p) {
    for (unsigned i = 0; i < BIG_KEPT; i++) {
        const struct big *b = &p->hot->big[i];
        if (b->bytes > 0 && worker_now(p->worker) - b->at <= BIG_USEC) {
            struct hot_entry *e = add(m, p, b->kind);
            e->bytes = b->bytes;
            e->wall_usec = b->wall_usec;
            e->cmd = b->cmd;
            e->key = b->key;
        }
    }
}

void hot_on_mail(struct worker *w, struct mail_hot *m) {
    for (uint32_t i = 0; i < w->npools; i++) {
        const struct pool *p = w->pools[i];
        if (p->hot != NULL && p->hot->keys != NULL) {
            add_keys(&m, p);
        }
        if (p->hot != NULL) {
            add_big(&m, p);
        }
    }
    mailbox_post(w->opts.control, &m->mail);
}

/* ---- beginning and end ---- */

void hot_derive(struct pool *p) {
    if (p->hot != NULL && p->conf->hot_keys == 0) {
        hot_free(p);
    } else if (p->hot != NULL && p->hot->keys != NULL && p->hot->keys->cap != (uint32_t)p->conf->hot_keys) {
        topk_free(&p->hot->keys); /* it begins anew: seconds, not minutes */
    }
}

void hot_free(struct pool *p) {
    if (p->hot != NULL) {
        topk_free(&p->hot->keys);
        mem_free(p->hot);
        p->hot = NULL;
    }
}
