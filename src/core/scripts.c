#include "core/scripts.h"

#include "base/mem.h"
#include "core/worker_state.h"

#define BUCKETS_MIN 64u
#define SHARE 8u /* a body of more than this part of the cache would push out too much */

void scripts_init(struct scripts *t, struct pool *pool) {
    *t = (struct scripts){.pool = pool};
    list_init(&t->used);
}

void scripts_fini(struct scripts *t) {
    scripts_clear(t);
    mem_free(t->by_digest);
    mem_free(t->by_hash);
    mem_free(t->slots);
}

/* Eight bytes at a time. It needs to be cheap and not more: whatever it finds is compared. */
static uint64_t hash_of(struct slice s) {
    uint64_t h = s.n * 0x9e3779b97f4a7c15u, word = 0;
    size_t i = 0;
    for (; i + sizeof word <= s.n; i += sizeof word) {
        memcpy(&word, s.p + i, sizeof word);
        h = (h ^ word) * 0x9e3779b97f4a7c15u;
        h ^= h >> 32;
    }
    word = 0;
    if (i < s.n) {
        memcpy(&word, s.p + i, s.n - i);
    }
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

static uint32_t digest_bucket(const struct scripts *t, const uint8_t *digest) {
    uint32_t h;
    memcpy(&h, digest, sizeof h);
    return h & (t->nbuckets - 1);
}

static uint32_t hash_bucket(const struct scripts *t, uint64_t hash) {
    return (uint32_t)hash & (t->nbuckets - 1);
}

static void use(struct scripts *t, struct script *s) {
    list_remove(&s->link);
    list_push(&t->used, &s->link);
}

static size_t cost(size_t body) {
    return sizeof(struct script) + 4 * sizeof(void *) + body; /* with its places in the buckets */
}

static void count(const struct scripts *t) {
    metric_set(&t->pool->stats.v[POOL_scripts], t->n);
    metric_set(&t->pool->stats.v[POOL_script_bytes], t->bytes);
}

static void enter(struct scripts *t, struct script *s) {
    struct script **d = &t->by_digest[digest_bucket(t, s->digest)], **h = &t->by_hash[hash_bucket(t, s->hash)];
    s->by_digest = *d;
    s->by_hash = *h;
    *d = *h = s;
}

static void grow(struct scripts *t) {
    t->nbuckets = t->nbuckets == 0 ? BUCKETS_MIN : 2 * t->nbuckets;
    mem_free(t->by_digest);
    mem_free(t->by_hash);
    t->by_digest = mem_zalloc(t->nbuckets * sizeof(struct script *));
    t->by_hash = mem_zalloc(t->nbuckets * sizeof(struct script *));
    LIST_EACH(&t->used, l) {
        enter(t, CONTAINER_OF(l, struct script, link));
    }
}

static void drop(struct scripts *t, struct script *s) {
    struct script **d = &t->by_digest[digest_bucket(t, s->digest)], **h = &t->by_hash[hash_bucket(t, s->hash)];
    while (*d != s) {
        d = &(*d)->by_digest;
    }
    *d = s->by_digest;
    while (*h != s) {
        h = &(*h)->by_hash;
    }
    *h = s->by_hash;
    list_remove(&s->link);
    if (t->nslots == t->slots_cap) {
        t->slots_cap = t->slots_cap == 0 ? 16 : 2 * t->slots_cap;
        t->slots = mem_realloc(t->slots, t->slots_cap * sizeof *t->slots);
    }
    t->slots[t->nslots++] = s->slot;
    t->n--;
    t->bytes -= cost(s->len);
    mem_free(s);
}

void scripts_clear(struct scripts *t) {
    while (!list_empty(&t->used)) {
        drop(t, CONTAINER_OF(list_first(&t->used), struct script, link));
    }
    count(t);
}

void scripts_shrink(struct scripts *t) {
    while (t->bytes > (size_t)t->pool->conf->script_cache) {
        drop(t, CONTAINER_OF(list_first(&t->used), struct script, link));
    }
    count(t);
}

struct script *scripts_find(struct scripts *t, const uint8_t digest[SCRIPT_DIGEST]) {
    struct script *s = t->n > 0 ? t->by_digest[digest_bucket(t, digest)] : NULL;
    while (s != NULL && memcmp(s->digest, digest, SCRIPT_DIGEST) != 0) {
        s = s->by_digest;
    }
    if (s != NULL) {
        use(t, s);
    }
    return s;
}

static struct script *find_body(struct scripts *t, struct slice body, uint64_t hash) {
    struct script *s = t->n > 0 ? t->by_hash[hash_bucket(t, hash)] : NULL;
    while (s != NULL && (s->hash != hash || !slice_eq(script_body(s), body))) {
        s = s->by_hash;
    }
    return s;
}

static bool fits(const struct scripts *t, size_t body) {
    return cost(body) <= (size_t)t->pool->conf->script_cache / SHARE;
}

static void add(struct scripts *t, struct slice body, uint64_t hash, const uint8_t *digest) {
    size_t limit = (size_t)t->pool->conf->script_cache;
    while (t->bytes + cost(body.n) > limit) { /* the list is not empty: a body takes a share of the limit only */
        drop(t, CONTAINER_OF(list_first(&t->used), struct script, link));
        metric_add(&t->pool->stats.v[POOL_script_evictions], 1);
    }
    struct script *s = mem_zalloc(sizeof *s + body.n);
    s->hash = hash;
    s->slot = t->nslots > 0 ? t->slots[--t->nslots] : t->next_slot++;
    t->next_serial += t->next_serial == UINT32_MAX ? 2 : 1;
    s->serial = t->next_serial;
    s->len = (uint32_t)body.n;
    memcpy(s->digest, digest, SCRIPT_DIGEST);
    memcpy(s->body, body.p, body.n);
    if (t->n >= t->nbuckets) {
        grow(t);
    }
    enter(t, s);
    list_push(&t->used, &s->link);
    t->n++;
    t->bytes += cost(body.n);
    count(t);
}

/* ---- with the other workers ---- */

/* Not more at a time than the cache may hold: a client that makes up bodies must not fill the mailboxes. */
static void tell(struct scripts *t, struct slice body, const uint8_t *digest) {
    struct worker *w = t->pool->worker;
    if (w->opts.shared->workers < 2 || t->telling + body.n > (size_t)t->pool->conf->script_cache) {
        return;
    }
    struct mail_script *m = mem_alloc(sizeof *m + body.n);
    *m = (struct mail_script){.mail.kind = MAIL_SCRIPT, .worker = w->opts.index, .pool = t->pool->id, .len = (uint32_t)body.n};
    memcpy(m->digest, digest, SCRIPT_DIGEST);
    memcpy(m->body, body.p, body.n);
    t->telling += body.n;
    mailbox_post(w->opts.control, &m->mail);
}

void scripts_learn(struct scripts *t, struct slice body) {
    const struct proto *back = t->pool->back;
    uint8_t digest[SCRIPT_DIGEST];
    if (back->script.digest == NULL || !fits(t, body.n)) {
        return;
    }
    uint64_t hash = hash_of(body);
    struct script *s = find_body(t, body, hash);
    if (s != NULL) {
        use(t, s);
    } else if (back->script.digest(body, digest)) {
        add(t, body, hash, digest);
        tell(t, body, digest);
    }
}

void scripts_told(struct scripts *t, const struct mail_script *m) {
    if (m->worker == t->pool->worker->opts.index) {
        t->telling -= m->len;
    } else if (fits(t, m->len) && scripts_find(t, m->digest) == NULL) {
        struct slice body = slice(m->body, m->len);
        add(t, body, hash_of(body), m->digest);
    }
}

void scripts_forget(struct scripts *t) {
    struct worker *w = t->pool->worker;
    scripts_clear(t);
    struct mail_script *m = mem_zalloc(sizeof *m);
    *m = (struct mail_script){.mail.kind = MAIL_FORGET, .worker = w->opts.index, .pool = t->pool->id};
    mailbox_post(w->opts.control, &m->mail);
}
