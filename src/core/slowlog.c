#include "core/slowlog.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/fan.h"
#include "core/times.h"

#include <stdio.h>

#define SLOW_KEEP_USEC 60000000
#define SLOW_RATE 32
#define HEAD_SLOTS 256 /* requests in flight whose beginnings are kept; of two in the same slot the later one stays */

struct head {
    const struct server *server;
    const struct req *req; /* not looked at: with `born` it tells which one this is of */
    uint32_t born, len;
    uint8_t bytes[SLOW_HEAD];
};

struct entry {
    struct list link; /* of slowlog.entries: the newest first */
    struct slow slow;
    const struct req *req; /* its client has not got it yet; NULL: it has, or will not */
    char addr[ADDR_TEXT_MAX], name[SLOW_TEXT], server[SLOW_TEXT];
    uint8_t head[SLOW_HEAD];
};

struct slowlog {
    struct list entries;
    uint32_t n;
    uint64_t made;
    int64_t second; /* usec: since when `rate` counts */
    uint32_t rate;
    struct head *heads; /* HEAD_SLOTS of them */
};

static struct head *head_of(const struct slowlog *log, const struct req *r) {
    return &log->heads[(uintptr_t)r / sizeof *r % HEAD_SLOTS];
}

void slowlog_keep(struct server *s, struct req *r) {
    struct slowlog *log = s->pool->slow;
    if (log == NULL || worker_now(s->pool->worker) > s->heads_until) {
        s->keeps_heads = false;
        return;
    }
    struct head *h = head_of(log, r);
    h->server = s;
    h->req = r;
    h->born = r->born;
    h->len = 0;
    for (uint32_t i = 0; i < r->bytes.n && h->len < SLOW_HEAD; i++) {
        struct slice piece = span_slice(rope_span(&r->bytes, i));
        size_t n = min_size(piece.n, SLOW_HEAD - h->len);
        memcpy(h->bytes + h->len, piece.p, n);
        h->len += (uint32_t)n;
    }
}

struct slice slowlog_head(const struct server *s, const struct req *r) {
    const struct slowlog *log = s->pool->slow;
    const struct head *h = log != NULL ? head_of(log, r) : NULL;
    return h != NULL && h->server == s && h->req == r && h->born == r->born ? slice(h->bytes, h->len) : slice(NULL, 0);
}

/* ---- making entries ---- */

static struct slowlog *log_of(struct pool *p) {
    if (p->slow == NULL) {
        p->slow = mem_zalloc(sizeof *p->slow);
        list_init(&p->slow->entries);
        p->slow->heads = mem_zalloc(HEAD_SLOTS * sizeof *p->slow->heads);
    }
    return p->slow;
}

void slowlog_want(struct server *s, int64_t usec) {
    int64_t until = worker_now(s->pool->worker) + usec;
    log_of(s->pool);
    s->heads_until = s->keeps_heads && s->heads_until > until ? s->heads_until : until;
    s->keeps_heads = true;
}

static void drop(struct slowlog *log, struct entry *e) {
    list_remove(&e->link);
    log->n--;
    mem_free(e);
}

static void trim(struct slowlog *log, uint64_t max) {
    while (log->n > max) {
        drop(log, CONTAINER_OF(log->entries.prev, struct entry, link));
    }
}

static bool may_make(struct slowlog *log, int64_t now) {
    if (now - log->second >= 1000000) {
        log->second = now;
        log->rate = 0;
    }
    return log->rate++ < SLOW_RATE;
}

void slowlog_received(const struct req *r, uint32_t usec) {
    struct worker *w = r->pool->worker;
    w->pieced[(uintptr_t)r / sizeof *r % PIECED_SLOTS] = (struct pieced){r, times_now(w), usec};
}

/* `part`: itself, or a part of it. Who was queued in the turn in which it was whole is the one that is meant; nothing else
 * got its memory in that turn. */
static uint32_t received(const struct req *whole, const struct req *part) {
    const struct pieced *p = &whole->pool->worker->pieced[(uintptr_t)whole / sizeof *whole % PIECED_SLOTS];
    return p->req == whole && p->whole_at == part->born ? p->usec : 0;
}

static void fill(struct entry *e, const struct server *s, struct req *r) {
    struct req *whole = (r->flags & REQ_PART) && r->fan != NULL ? r->fan->whole : r;
    const struct client *c = whole != NULL ? whole->client : NULL;
    struct slice head = slowlog_head(s, r);
    if (c != NULL) {
        e->slow.addr = stream_peer(&c->stream, e->addr, sizeof e->addr);
        const char *name = c->session.texts[SESSION_NAME];
        snprintf(e->name, sizeof e->name, "%s", name != NULL ? name : "");
        e->slow.receive_usec = received(whole, r);
        e->req = whole;
        whole->slow = true;
    }
    snprintf(e->server, sizeof e->server, "%s", s->conf->name);
    if (head.n > 0) {
        memcpy(e->head, head.p, head.n);
        e->slow.head = slice(e->head, head.n);
    }
}

__attribute__((noinline)) void slowlog_note(struct uplink *u, struct req *r, uint32_t now) {
    struct server *s = u->server;
    struct pool *p = s->pool;
    struct worker *w = p->worker;
    if (r->born == 0 || r->since == 0 || now - r->born < p->slow_usec) {
        return;
    }
    metric_add(&p->stats.v[POOL_slow_requests], 1);
    if (p->conf->slowlog_max_len == 0) {
        return;
    }
    struct slowlog *log = log_of(p);
    s->keeps_heads = may_make(log, worker_now(w)); /* when nearly all are slow, copying would only make them slower */
    if (!s->keeps_heads) {
        return;
    }
    s->heads_until = worker_now(w) + SLOW_KEEP_USEC;
    struct entry *e = mem_zalloc(sizeof *e);
    e->slow = (struct slow){
        .id = log->made++ * w->opts.shared->workers + w->opts.index,
        .wall_usec = loop_wall(w->loop),
        .usec = now - r->born,
        .queue_usec = r->since - r->born,
        .server_usec = now - r->since,
        .cmd = r->cmd,
        .addr = e->addr,
        .name = e->name,
        .server = e->server,
    };
    fill(e, s, r);
    list_push_front(&log->entries, &e->link);
    log->n++;
    trim(log, (uint64_t)p->conf->slowlog_max_len);
}

/* ---- their ends ---- */

/* Parts of a request that was split may have an entry each. */
static void settle(struct req *r, uint32_t order, uint32_t client) {
    r->slow = false;
    LIST_EACH(&r->pool->slow->entries, l) {
        struct entry *e = CONTAINER_OF(l, struct entry, link);
        if (e->req == r) {
            e->slow.order_usec = order;
            e->slow.client_usec = client;
            e->req = NULL;
        }
    }
}

__attribute__((noinline)) void slowlog_written(struct req *r, uint32_t now) {
    uint32_t order = 0, client = 0;
    if (r->since != 0) {
        times_late(r, now, &order, &client);
    }
    settle(r, order, client);
}

__attribute__((noinline)) void slowlog_left(struct req *r) {
    settle(r, 0, 0);
}

/* ---- reading ---- */

uint64_t slowlog_tell(struct pool *p, const struct msg *m, struct out *out) {
    uint64_t removed = 0;
    uint32_t nth = 0;
    if (p->slow == NULL) {
        return 0;
    }
    LIST_EACH_SAFE(&p->slow->entries, l) {
        struct entry *e = CONTAINER_OF(l, struct entry, link);
        enum verdict said = p->front->slow(m, &e->slow, nth++, out);
        if (said == VERDICT_PASS) {
            break;
        }
        if (said == VERDICT_CLOSE) {
            drop(p->slow, e);
            removed++;
        }
    }
    return removed;
}

static struct mail_slow *add_entries(struct mail_slow *m, const struct pool *p) {
    uint32_t room = p->slow->n < m->max ? p->slow->n : m->max;
    m = mem_realloc(m, sizeof *m + (m->n + room) * sizeof *m->v);
    LIST_EACH(&p->slow->entries, l) {
        const struct entry *from = CONTAINER_OF(l, struct entry, link);
        if (room-- == 0) {
            break;
        }
        struct slow_entry *e = &m->v[m->n++];
        e->pool = p->id;
        e->slow = from->slow;
        memcpy(e->addr, from->addr, sizeof e->addr);
        memcpy(e->name, from->name, sizeof e->name);
        memcpy(e->server, from->server, sizeof e->server);
        e->nhead = (uint32_t)from->slow.head.n;
        memcpy(e->head, from->head, e->nhead);
    }
    return m;
}

void slowlog_on_mail(struct worker *w, struct mail_slow *m) {
    for (uint32_t i = 0; i < w->npools; i++) {
        if (w->pools[i]->slow != NULL) {
            m = add_entries(m, w->pools[i]);
        }
    }
    mailbox_post(w->opts.control, &m->mail);
}

void slowlog_derive(struct pool *p) {
    p->slow_usec = p->conf->slowlog_slower_than < 0 ? SLOW_OFF : (uint32_t)p->conf->slowlog_slower_than;
    if (p->slow != NULL) {
        trim(p->slow, (uint64_t)p->conf->slowlog_max_len);
    }
}

void slowlog_free(struct pool *p) {
    if (p->slow != NULL) {
        trim(p->slow, 0);
        mem_free(p->slow->heads);
        mem_free(p->slow);
        p->slow = NULL;
    }
}
