#include "base/buf.h"

#include "base/mem.h"

/* Capacities leave room for the header, so that malloc's own sizes are met. The large ones are for large values: keeping a few
 * saves the page faults of fresh memory, which cost more than all else that is done with a value of 1 MiB. */
static const size_t class_cap[BUF_CLASSES] = {
    2048 - 64, 4096 - 64, 16384 - 64, 131072 - 64, 262144 + 4096 - 64, 524288 + 4096 - 64, 1048576 + 4096 - 64,
};
static const uint32_t class_keep[BUF_CLASSES] = {512, 128, 128, 8, 8, 8, 8};
/* Kept also when nothing needed it for a while. */
static const uint32_t class_always[BUF_CLASSES] = {1, 0, 1, 1, 0, 0, 0};
/* Chunks of a stage: the first of a batch is small, since many clients have one at the same time; a batch that outgrows it gets large
 * ones. */
#define STAGE_FIRST class_cap[0]
#define STAGE_NEXT class_cap[2]

void bufpool_init(struct bufpool *p) {
    *p = (struct bufpool){.none = mem_zalloc(sizeof *p->none)};
    p->none->pool = p;
}

static void bufpool_drop(struct bufpool *p, uint32_t k, uint32_t keep) {
    while (p->nfree[k] > keep) {
        struct buf *b = p->free[k];
        p->free[k] = (struct buf *)(void *)b->pool;
        p->nfree[k]--;
        mem_free(b);
    }
}

bool bufpool_trim(struct bufpool *p) {
    size_t idle = p->peak - p->used;
    bool more = false;
    for (uint32_t k = 0; k < BUF_CLASSES; k++) {
        bufpool_drop(p, k, (uint32_t)(idle / class_cap[k]) + class_always[k]);
        more = more || p->nfree[k] > class_always[k];
    }
    p->peak = p->used;
    return more;
}

void bufpool_fini(struct bufpool *p) {
    ASSERT(p->used == 0);
    for (uint32_t k = 0; k < BUF_CLASSES; k++) {
        bufpool_drop(p, k, 0);
    }
    mem_free(p->none);
}

void bufpool_count(struct bufpool *p, size_t bytes) {
    p->used += bytes;
    p->peak = max_size(p->peak, p->used);
}

void bufpool_discount(struct bufpool *p, size_t bytes) {
    ASSERT(p->used >= bytes);
    p->used -= bytes;
}

/* Memory for a buf of class k, or of an odd size. */
static __attribute__((noinline)) struct buf *buf_alloc(uint32_t k, size_t cap) {
    size_t room = k < BUF_CLASSES ? class_cap[k] : cap;
    struct buf *b = cap > ((size_t)1 << 20) ? mem_try(sizeof *b + room) : mem_alloc(sizeof *b + room);
    if (b != NULL) {
        b->cap = room;
        b->klass = k;
    }
    return b;
}

static inline struct buf *buf_take(struct bufpool *p, size_t cap) {
    uint32_t k = 0;
    while (k < BUF_CLASSES && class_cap[k] < cap) {
        k++;
    }
    struct buf *b = k < BUF_CLASSES ? p->free[k] : NULL;
    if (LIKELY(b != NULL)) {
        p->free[k] = (struct buf *)(void *)b->pool;
        p->nfree[k]--;
    } else if ((b = buf_alloc(k, cap)) == NULL) {
        return NULL;
    }
    b->refs = 1;
    b->len = 0;
    b->pool = p;
    p->used += b->cap;
    if (p->used > p->peak) {
        p->peak = p->used;
    }
    return b;
}

struct buf *buf_new(struct bufpool *p, size_t cap) {
    return buf_take(p, cap);
}

struct buf *buf_grow(struct buf **b, size_t cap) {
    struct buf *old = *b;
    ASSERT(old->refs == 1);
    if (old->cap >= cap) {
        return old;
    }
    struct buf *now = buf_new(old->pool, cap);
    if (now == NULL) {
        return NULL;
    }
    memcpy(now->data, old->data, old->len);
    now->len = old->len;
    buf_unref(b);
    *b = now;
    return now;
}

void buf_free(struct buf *b) {
    struct bufpool *p = b->pool;
    uint32_t k = b->klass;
    ASSERT(b->refs == 0 && p->used >= b->cap);
    p->used -= b->cap;
    if (MEM_POOLING && k < BUF_CLASSES && p->nfree[k] < class_keep[k]) {
        b->pool = (struct bufpool *)(void *)p->free[k];
        p->free[k] = b;
        p->nfree[k]++;
        return;
    }
    mem_free(b);
}

void rope_fini_many(struct rope *r) {
    for (uint32_t i = 0; i < r->n; i++) {
        buf_unref(&rope_span(r, i)->buf);
    }
    mem_free(r->more);
    *r = (struct rope){0};
}

void rope_move(struct rope *to, struct rope *from) {
    ASSERT(to->n == 0);
    mem_free(to->more);
    *to = *from;
    *from = (struct rope){0};
}

void rope_consume(struct rope *r, size_t n) {
    uint32_t gone = 0;
    for (; gone < r->n && n >= rope_span(r, gone)->len; gone++) {
        n -= rope_span(r, gone)->len;
        buf_unref(&rope_span(r, gone)->buf);
    }
    ASSERT(n == 0 || gone < r->n);
    r->n -= gone;
    for (uint32_t i = 0; gone > 0 && i < r->n; i++) {
        *rope_span(r, i) = *rope_span(r, i + gone);
    }
    if (n > 0) {
        r->one.off += (uint32_t)n;
        r->one.len -= (uint32_t)n;
    } else if (r->n == 0) {
        r->one.len = 0;
    }
}

/* Takes the reference that the caller holds on `b`. */
static __attribute__((noinline)) void rope_push(struct rope *r, struct buf *b, size_t off, size_t len) {
    ASSERT(off + len <= UINT32_MAX);
    if (r->n > 0 && r->n - 1 >= r->cap) {
        r->cap = r->cap == 0 ? 4 : r->cap * 2;
        r->more = mem_realloc(r->more, r->cap * sizeof *r->more);
    }
    *rope_span(r, r->n) = (struct span){b, (uint32_t)off, (uint32_t)len};
    r->n++;
}

/* Makes the last span longer if these bytes follow it directly. */
static bool rope_extend(struct rope *r, const struct buf *b, size_t off, size_t len) {
    if (r->n == 0) {
        return false;
    }
    struct span *last = rope_span(r, r->n - 1);
    if (last->buf != b || (size_t)last->off + last->len != off || (size_t)last->len + len > UINT32_MAX) {
        return false;
    }
    last->len += (uint32_t)len;
    return true;
}

void rope_add_ref(struct rope *r, struct buf *b, size_t off, size_t len) {
    if (len != 0 && !rope_extend(r, b, off, len)) {
        rope_push(r, buf_ref(b), off, len);
    }
}

void rope_add_all(struct rope *to, struct rope *from) {
    for (uint32_t i = 0; i < from->n; i++) {
        struct span *s = rope_span(from, i);
        rope_add_ref(to, s->buf, s->off, s->len);
    }
}

struct buf *stage_open(struct stage *st, size_t n) {
    struct bufpool *pool = st->buf->pool;
    size_t cap = st->buf->cap == 0 ? STAGE_FIRST : STAGE_NEXT;
    stage_release(st);
    st->buf = buf_take(pool, max_size(cap, n));
    ASSERT(st->buf != NULL); /* callers copy small things only */
    return st->buf;
}

void rope_add_copy(struct rope *r, struct stage *st, struct slice in) {
    if (in.n == 0) {
        return;
    }
    struct buf *b = st->buf;
    if (UNLIKELY(b->cap - b->len < in.n)) {
        b = stage_open(st, in.n);
    }
    size_t off = b->len;
    b->len += in.n;
    memcpy(b->data + off, in.p, in.n);
    rope_add_ref(r, b, off, in.n);
}

void rope_add(struct rope *r, struct stage *st, struct buf *b, struct slice in) {
    if (UNLIKELY(in.n >= ROPE_REF_MIN) && b != NULL) {
        rope_add_ref(r, b, (size_t)(in.p - b->data), in.n);
    } else {
        rope_add_copy(r, st, in);
    }
}

size_t rope_len_many(const struct rope *r) {
    size_t n = 0;
    for (uint32_t i = 0; i < r->n; i++) {
        n += rope_span((struct rope *)r, i)->len;
    }
    return n;
}

struct slice rope_flat(struct rope *r, struct bufpool *pool, struct buf **b) {
    if (r->n == 0) {
        *b = NULL;
        return slice(NULL, 0);
    }
    if (r->n > 1) {
        struct buf *whole = buf_new(pool, rope_len(r));
        ASSERT(whole != NULL);
        for (uint32_t i = 0; i < r->n; i++) {
            struct slice part = span_slice(rope_span(r, i));
            memcpy(whole->data + whole->len, part.p, part.n);
            whole->len += part.n;
        }
        rope_fini(r);
        rope_push(r, whole, 0, whole->len);
    }
    *b = r->one.buf;
    return span_slice(&r->one);
}
