/* buf.h: received and built bytes, and messages made of them.
 *
 *   buf    a counted chunk; bytes are appended once and never changed while anybody refers to them
 *   span   a part of a buf; owns one reference
 *   rope   a message: spans in order
 *   stage  an open buf to which small messages are copied one after the other, so that a batch of
 *          them is one contiguous run and goes out as one iovec
 *
 * All of one worker (a buf never travels to another thread). A bufpool keeps freed bufs of its size
 * classes, bounded, and counts the bytes that are in use. */
#ifndef KVMUX_BASE_BUF_H
#define KVMUX_BASE_BUF_H

#include "base/slice.h"

#define BUF_CLASSES 7

struct buf {
    uint32_t refs;
    uint32_t klass; /* size class, or BUF_CLASSES for an odd size */
    struct bufpool *pool;
    size_t cap;
    size_t len; /* bytes written so far */
    uint8_t data[];
};

struct bufpool {
    struct buf *none; /* of no room: what a stage has that has no chunk */
    struct buf *free[BUF_CLASSES]; /* linked through `pool` of the free buf */
    uint32_t nfree[BUF_CLASSES];
    size_t used; /* bytes of capacity handed out now */
    size_t peak; /* most of `used` since the last trim */
};

void bufpool_init(struct bufpool *);
void bufpool_fini(struct bufpool *); /* every buf must have come back */
/* Gives free chunks back to the system, down to what the peak since the last call asks for. Call now and then, while it
 * returns true: there may be more to give back next time. */
bool bufpool_trim(struct bufpool *);

/* What others hold for connections, as TLS does, counts against the same limit; when it falls, memory is given back. */
void bufpool_count(struct bufpool *, size_t bytes);
void bufpool_discount(struct bufpool *, size_t bytes);

/* A buf of at least `cap` bytes, with one reference. Never NULL up to 1 MiB; larger ones may be refused with NULL. */
struct buf *buf_new(struct bufpool *, size_t cap);
/* Grows a buf that has one owner: the bytes move, spans do not exist yet. NULL, and *b as it was, without memory. */
struct buf *buf_grow(struct buf **b, size_t cap);
void buf_free(struct buf *);

static inline struct buf *buf_ref(struct buf *b) {
    b->refs++;
    return b;
}

static inline void buf_unref(struct buf **b) {
    struct buf *gone = *b;
    *b = NULL;
    if (gone != NULL && --gone->refs == 0) {
        buf_free(gone);
    }
}

struct span {
    struct buf *buf;
    uint32_t off, len;
};

/* One span is held inside: nearly every message is one. A rope of zeroes is an empty rope, and `one` is zero when it is empty. */
struct rope {
    struct span one;
    struct span *more;
    uint32_t n;   /* spans */
    uint32_t cap; /* allocated in `more`; 0: `one` is all there is */
};

struct stage {
    struct buf *buf; /* never NULL, so that its pool is known */
};

/* At this size a message is referenced instead of copied (measured: as cheap as a copy, without holding a whole
 * read buffer for a few bytes). */
#define ROPE_REF_MIN 8192

void rope_fini_many(struct rope *);
static inline void rope_fini(struct rope *r) {
    if (UNLIKELY(r->cap > 0)) {
        rope_fini_many(r);
        return;
    }
    buf_unref(&r->one.buf);
    r->one.len = 0;
    r->n = 0;
}
void rope_move(struct rope *to, struct rope *from); /* `to` must be empty; `from` becomes empty */
void rope_consume(struct rope *, size_t n); /* lets go of the first n bytes */
void rope_add_ref(struct rope *, struct buf *, size_t off, size_t len);
void rope_add_all(struct rope *to, struct rope *from); /* refers to all that `from` has */
void rope_add_copy(struct rope *, struct stage *, struct slice);
/* Copies or references bytes that lie in `b`: the one place that decides. `b` NULL: always copies. */
void rope_add(struct rope *, struct stage *, struct buf *b, struct slice);

/* Room for n bytes in a new chunk: the open one has not so much left. Returns st->buf. */
struct buf *stage_open(struct stage *, size_t n);

/* rope_add of a whole message, which is rarely large: the data path. */
static inline void rope_add_message(struct rope *r, struct stage *st, struct buf *b, struct slice in) {
    if (UNLIKELY(in.n >= ROPE_REF_MIN || r->n > 0)) {
        rope_add(r, st, b, in);
        return;
    }
    struct buf *to = st->buf;
    if (UNLIKELY(to->cap - to->len < in.n)) {
        to = stage_open(st, in.n);
    }
    size_t off = to->len;
    to->len = off + in.n;
    r->one = (struct span){buf_ref(to), (uint32_t)off, (uint32_t)in.n};
    r->n = 1;
    memcpy(to->data + off, in.p, in.n);
}

static inline struct span *rope_span(struct rope *r, uint32_t i) {
    return i == 0 ? &r->one : &r->more[i - 1];
}

static inline struct slice span_slice(const struct span *s) {
    return slice(s->buf->data + s->off, s->len);
}

size_t rope_len_many(const struct rope *);
static inline size_t rope_len(const struct rope *r) {
    return LIKELY(r->cap == 0) ? r->one.len : rope_len_many(r);
}
/* All bytes of a rope in one piece: the rope's own if it has one span, else a copy that replaces the spans.
 * *b is the buf that holds them. */
struct slice rope_flat(struct rope *, struct bufpool *, struct buf **b);

static inline void stage_init(struct stage *s, struct bufpool *pool) {
    *s = (struct stage){.buf = pool->none};
}

/* Lets go of the open chunk: an idle connection holds no buffer. */
static inline void stage_release(struct stage *s) {
    if (s->buf->cap > 0) {
        struct bufpool *pool = s->buf->pool;
        buf_unref(&s->buf);
        s->buf = pool->none;
    }
}

#endif
