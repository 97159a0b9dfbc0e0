/* test_mc.h: runs memcached's codecs over a stream that arrives in pieces, and writes down everything that it says.
 * Shared by the unit tests and the fuzzers: two cuts of one stream must give the same transcript. */
#ifndef KVMUX_TEST_MC_H
#define KVMUX_TEST_MC_H

#include "proto/mc.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct text {
    uint8_t *p;
    size_t n, cap;
};

static inline void text_add(struct text *t, struct slice s) {
    if (t->n + s.n + 1 > t->cap) {
        t->cap = 2 * (t->n + s.n) + 64;
        t->p = mem_realloc(t->p, t->cap);
    }
    if (s.n > 0) {
        memcpy(t->p + t->n, s.p, s.n);
    }
    t->n += s.n;
    t->p[t->n] = 0;
}

static inline void text_str(struct text *t, const char *s) {
    text_add(t, slice_str(s));
}

static inline void text_num(struct text *t, const char *name, uint64_t v) {
    char s[64];
    snprintf(s, sizeof s, " %s=%llu", name, (unsigned long long)v);
    text_str(t, s);
}

static inline void text_fini(struct text *t) {
    mem_free(t->p);
    *t = (struct text){0};
}

static inline struct slice text_slice(const struct text *t) {
    return slice(t->p, t->n);
}

/* Bytes that the codec built. */
struct built {
    struct bufpool pool;
    struct stage stage;
    struct rope rope;
    struct out out;
};

static inline void built_init(struct built *b) {
    *b = (struct built){0};
    bufpool_init(&b->pool);
    stage_init(&b->stage, &b->pool);
    b->out = (struct out){&b->rope, &b->stage};
}

/* Adds what was built to `to` and empties the rope. */
static inline void built_take(struct built *b, struct text *to) {
    for (uint32_t i = 0; i < b->rope.n; i++) {
        text_add(to, span_slice(rope_span(&b->rope, i)));
    }
    rope_fini(&b->rope);
}

static inline void built_fini(struct built *b) {
    rope_fini(&b->rope);
    stage_release(&b->stage);
    bufpool_fini(&b->pool);
}

/* What one parse said. The built form is part of it, for requests that go to a server. */
static inline void transcript_msg(struct text *t, const struct proto *proto, const struct msg *m) {
    text_str(t, m->cmd->name);
    text_num(t, "route", m->route);
    text_num(t, "flags", m->flags);
    text_num(t, "raw", m->raw.n);
    text_num(t, "first", m->first_key);
    text_num(t, "keys", m->nkeys);
    for (uint32_t i = 0; i < m->nargs; i++) {
        text_num(t, "arg", m->args[i].off);
        text_num(t, "", m->args[i].len);
        text_add(t, msg_arg(m, i));
    }
    if (m->route == ROUTE_REPLY) {
        text_str(t, " answer ");
        text_add(t, slice(m->answer, m->answer_len));
    } else if (m->route != ROUTE_SKIP && m->route != ROUTE_LOCAL) {
        struct built b;
        built_init(&b);
        proto->build(m, NULL, NULL, 0, &b.out);
        text_str(t, " build ");
        built_take(&b, t);
        built_fini(&b);
    }
    text_str(t, "\n");
}

/* Where the stream is cut: offsets, ascending. */
struct cuts {
    const size_t *at;
    size_t n;
};

static inline size_t cuts_next(struct cuts c, size_t i, size_t end) {
    return i < c.n ? min_size(c.at[i], end) : end;
}

/* All requests of `in`. Each piece is shown in memory of exactly its size, so that a sanitizer sees a byte read too far. */
static inline void transcript_of(const struct proto *proto, struct text *t, struct slice in, struct cuts cuts) {
    struct msg m;
    struct parser p = {0};
    size_t from = 0, shown = 0;
    msg_init(&m);
    for (size_t i = 0; shown < in.n; i++) {
        shown = max_size(shown, cuts_next(cuts, i, in.n));
        for (;;) {
            size_t n = shown - from;
            uint8_t *copy = malloc(n > 0 ? n : 1);
            memcpy(copy, in.p + from, n);
            size_t before = p.pos;
            enum parse_rc rc = proto->parse_req(&p, slice(copy, n), &m);
            if (rc == PARSE_DONE) {
                ASSERT(m.raw.n > 0 && m.raw.n <= n && p.pos == 0 && p.left == 0 && p.phase == 0);
                transcript_msg(t, proto, &m);
                from += m.raw.n;
            } else if (rc == PARSE_BAD) {
                text_str(t, "BAD ");
                text_add(t, slice(m.answer, m.answer_len));
                shown = in.n;
            } else {
                ASSERT(p.pos >= before && p.pos <= n && (m.need == 0 || m.need > n));
            }
            free(copy);
            if (rc == PARSE_BAD) {
                i = cuts.n;
                from = in.n;
            }
            if (rc != PARSE_DONE || from == in.n) {
                break;
            }
        }
    }
    text_num(t, "taken", from);
    msg_fini(&m);
}

static inline void transcript_req(struct text *t, struct slice in, struct cuts cuts) {
    transcript_of(&proto_mc, t, in, cuts);
}

/* The same stream whole, and in pieces of `step` bytes (its first 64): the same transcript. */
static inline void check_pieces(const struct proto *proto, struct slice in, size_t step) {
    size_t at[64], ncuts = 0;
    for (size_t i = step; i < in.n && ncuts < ARRAY_LEN(at); i += step) {
        at[ncuts++] = i;
    }
    struct text whole = {0}, cut = {0};
    transcript_of(proto, &whole, in, (struct cuts){0});
    transcript_of(proto, &cut, in, (struct cuts){at, ncuts});
    ASSERT(slice_eq(text_slice(&whole), text_slice(&cut)));
    text_fini(&whole);
    text_fini(&cut);
}

/* All replies of `in`, each to a request with the row `cmd`. pass_min > 0: what may pass is taken as it comes; what is told
 * stays the same. Returns how much was passed. */
static inline size_t transcript_rsp(struct text *t, const struct cmd *cmd, struct slice in, struct cuts cuts, uint32_t pass_min) {
    struct parser p = {0};
    size_t from = 0, shown = 0, passed = 0, sum = 0;
    uint64_t left = 0;
    bool bad = false;
    for (size_t i = 0; shown < in.n && !bad; i++) {
        shown = max_size(shown, cuts_next(cuts, i, in.n));
        for (enum parse_rc rc = PARSE_DONE; rc == PARSE_DONE && from < shown;) {
            struct rsp r;
            size_t n = shown - from, step = left < n ? (size_t)left : n;
            from += step;
            left -= step;
            passed += step;
            n -= step;
            if (n == 0) {
                break;
            }
            uint8_t *copy = malloc(n);
            memcpy(copy, in.p + from, n);
            rc = mc_parse_rsp(&p, cmd, slice(copy, n), &r);
            free(copy);
            if (rc == PARSE_DONE) {
                ASSERT(r.len > 0 && r.len <= n && p.pos == 0 && p.left == 0 && p.phase == 0);
                text_num(t, "len", passed + r.len);
                sum += passed;
                passed = 0;
                text_num(t, "kind", r.kind);
                text_num(t, "quiet", r.quiet_ok);
                from += r.len;
            } else if (rc == PARSE_BAD) {
                text_str(t, " BAD");
                bad = true;
            } else {
                ASSERT(r.need == 0 || r.need > n);
                ASSERT(r.pass == 0 || (p.pass_min > 0 && r.pass >= pass_min && r.need == 0));
                left = r.pass;
                p.pass_min = pass_min;
                rc = left > 0 ? PARSE_DONE : rc;
            }
        }
    }
    text_num(t, "taken", bad ? 0 : from - passed);
    return sum;
}

#endif
