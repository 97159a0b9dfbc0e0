/* sent.h: what core makes of a stream of requests that arrives in pieces: what servers are sent and what is answered, with requests that
 * go on while they arrive (core/upload.h) or without. Shared by the unit tests and the fuzzers: it must always be the same. */
#ifndef KVMUX_TESTS_SENT_H
#define KVMUX_TESTS_SENT_H

#include "proto/proto.h"

#include "base/mem.h"

struct sent {
    uint8_t *p;
    size_t n, cap;
};

static inline void sent_add(struct sent *t, struct slice s) {
    if (t->n + s.n > t->cap) {
        t->cap = 2 * (t->n + s.n);
        t->p = mem_realloc(t->p, t->cap);
    }
    if (s.n > 0) {
        memcpy(t->p + t->n, s.p, s.n);
        t->n += s.n;
    }
}

static inline void sent_answer(struct sent *t, const struct msg *m) {
    sent_add(t, slice_str(" answer "));
    sent_add(t, slice(m->answer, m->answer_len));
}

/* The row, the first key, and the request or its head in the form that servers get. */
static inline void sent_built(struct sent *t, const struct proto *proto, const struct msg *m) {
    struct bufpool pool;
    struct rope rope = {0};
    struct stage stage;
    struct buf *b;
    bufpool_init(&pool);
    stage_init(&stage, &pool);
    struct out out = {&rope, &stage};
    sent_add(t, slice_str(m->cmd->name));
    sent_add(t, slice_str((m->flags & MSG_NOREPLY) ? " noreply " : (m->flags & MSG_QUIET) ? " quiet " : " "));
    if (m->nkeys > 0) {
        sent_add(t, msg_key(m, 0));
    }
    proto->build(m, NULL, NULL, 0, &out);
    sent_add(t, rope_flat(&rope, &pool, &b));
    rope_fini(&rope);
    stage_release(&stage);
    bufpool_fini(&pool);
}

static inline void sent_whole(struct sent *t, const struct proto *proto, const struct msg *m) {
    if (m->route == ROUTE_REPLY) {
        sent_answer(t, m);
    } else if (m->route != ROUTE_SKIP) {
        sent_built(t, proto, m);
    }
    sent_add(t, slice_str("\n"));
}

/* The end of one of which the beginning passed. A server of memcached says itself what is wrong with it. */
static inline void sent_end(struct sent *t, size_t from, struct slice end, const struct proto *proto, bool noreply) {
    bool text = strcmp(proto->name, "memcached") == 0;
    sent_add(t, end);
    if (text && memcmp(end.p, "\r\n", 2) != 0) {
        t->n = from;
        sent_add(t, slice_str(noreply ? "" : " answer CLIENT_ERROR bad data chunk\r\n"));
    }
    sent_add(t, slice_str("\n"));
}

/* The stream up to each of `ends` in turn, in memory of exactly that size; pass_min as in struct parser. Returns how many bytes were
 * passed on and never shown whole. */
static inline size_t sent_of(struct sent *t, const struct proto *proto, struct slice in, const size_t *ends, size_t nends,
                             uint32_t pass_min) {
    struct msg m;
    struct parser ps = {0};
    enum parse_rc rc = PARSE_MORE;
    size_t from = 0, begin = 0, passed = 0;
    uint64_t left = 0;
    bool inside = false, noreply = false;
    msg_init(&m);
    for (size_t i = 0; i < nends && rc != PARSE_BAD;) {
        size_t step = min_size((size_t)left, ends[i] - from);
        sent_add(t, slice(in.p + from, step));
        from += step;
        left -= step;
        passed += step;
        size_t n = ends[i] - from;
        if (n == 0) {
            i++;
            continue;
        }
        uint8_t *copy = mem_alloc(n);
        memcpy(copy, in.p + from, n);
        m.pass = 0;
        rc = proto->parse_req(&ps, slice(copy, n), &m);
        if (rc == PARSE_DONE) {
            ASSERT(m.raw.p == copy && m.raw.n > 0 && m.raw.n <= n && memcmp(&ps, &(struct parser){0}, sizeof ps) == 0);
            if (inside) {
                sent_end(t, begin, m.raw, proto, noreply);
            } else {
                sent_whole(t, proto, &m);
            }
            inside = false;
            from += m.raw.n;
        } else if (rc == PARSE_BAD) {
            t->n = inside ? begin : t->n;
            inside = false;
            sent_answer(t, &m);
        } else if (m.pass > 0) {
            ASSERT(m.need == 0 && m.raw.p == copy && m.raw.n <= n && (m.raw.n > 0) != inside);
            if (!inside) {
                ASSERT(m.route == ROUTE_LARGE && m.raw.n + m.pass >= n + pass_min);
                begin = t->n;
                noreply = (m.flags & MSG_NOREPLY) != 0;
                sent_built(t, proto, &m);
                inside = true;
            }
            from += m.raw.n;
            left = m.pass;
        } else if (ps.pass_min == 0 && pass_min > 0) {
            ps.pass_min = pass_min; /* asks once more */
        } else {
            ASSERT(m.need == 0 || m.need > n);
            i++;
        }
        mem_free(copy);
    }
    if (inside) {
        t->n = begin; /* not all of it came */
    }
    msg_fini(&m);
    return passed;
}

/* The stream cut at `ends`, the last of which is its end, is what it is whole. Returns as sent_of. */
static inline size_t sent_check(const struct proto *proto, struct slice in, const size_t *ends, size_t nends, uint32_t pass_min) {
    struct sent whole = {0}, cut = {0};
    sent_of(&whole, proto, in, &in.n, 1, 0);
    size_t passed = sent_of(&cut, proto, in, ends, nends, pass_min);
    ASSERT(slice_eq(slice(whole.p, whole.n), slice(cut.p, cut.n)));
    mem_free(whole.p);
    mem_free(cut.p);
    return passed;
}

#endif
