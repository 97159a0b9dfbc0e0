/* resp_build.c: bytes for servers, and our own errors. */
#include "proto/resp.h"

#include "base/num.h"

void resp_put_head(struct out *o, char type, int64_t n) {
    char head[NUM_MAX + 3];
    head[0] = type;
    size_t len = 1 + num_put_i64(head + 1, n);
    memcpy(head + len, "\r\n", 2);
    out_put(o, slice(head, len + 2));
}

void resp_put_bulk(struct out *o, struct slice s) {
    resp_put_head(o, '$', (int64_t)s.n);
    out_put(o, s);
    out_str(o, "\r\n");
}

void resp_put_str(struct out *o, const char *s) {
    resp_put_bulk(o, slice_str(s));
}

void resp_put_error(struct out *o, const char *text) {
    out_str(o, "-");
    out_str(o, text);
    out_str(o, "\r\n");
}

void resp_put_verbatim(struct out *o, uint8_t version, struct buf *b, struct slice text) {
    if (version == 3) {
        resp_put_head(o, '=', (int64_t)text.n + 4);
        out_str(o, "txt:");
    } else {
        resp_put_head(o, '$', (int64_t)text.n);
    }
    out_take(o, b, text);
    out_str(o, "\r\n");
}

/* The bytes of args [i, i + n) with their headers, as they lie in the frame: a header's number is the only
 * spelling of the length, so its size is known. */
static struct slice framed(const struct msg *m, uint32_t i, uint32_t n) {
    const struct arg *a = &m->args[i], *z = &m->args[i + n - 1];
    uint32_t digits = 1;
    for (uint32_t v = a->len; v >= 10; v /= 10) {
        digits++;
    }
    uint32_t from = a->off - digits - 3;
    return slice(m->base + from, z->off + z->len + 2 - from);
}

/* The name and these keys. Neighbours in the request are neighbours here: a run of them is one piece. */
static void build_framed(const struct msg *m, struct buf *b, const uint32_t *keys, uint32_t nkeys, struct out *o) {
    struct slice run = framed(m, 0, 1);
    for (uint32_t i = 0; i < nkeys; i++) {
        struct slice s = framed(m, m->first_key + keys[i] * m->key_step, m->key_step);
        if (run.p + run.n == s.p) {
            run.n += s.n;
        } else {
            out_take(o, b, run);
            run = s;
        }
    }
    out_take(o, b, run);
}

void resp_build(const struct msg *m, struct buf *b, const uint32_t *keys, uint32_t nkeys, struct out *o) {
    bool in_frame = m->base == m->raw.p;
    if (UNLIKELY(m->route == ROUTE_CURSOR)) {
        resp_scan_build(m, o);
        return;
    }
    if (UNLIKELY(keys != NULL && m->cmd->merge == MERGE_GATHER)) {
        resp_gather_build(m, keys, nkeys, o);
        return;
    }
    if (keys == NULL && in_frame) {
        out_take(o, b, m->raw);
        return;
    }
    if (keys == NULL) {
        resp_put_head(o, '*', m->nargs);
        for (uint32_t i = 0; i < m->nargs; i++) {
            resp_put_bulk(o, msg_arg(m, i));
        }
        return;
    }
    ASSERT(nkeys > 0 && m->first_key == 1);
    resp_put_head(o, '*', 1 + (int64_t)nkeys * m->key_step);
    if (in_frame) {
        build_framed(m, b, keys, nkeys, o);
        return;
    }
    resp_put_bulk(o, msg_arg(m, 0));
    for (uint32_t i = 0; i < nkeys; i++) {
        for (uint32_t k = 0; k < m->key_step; k++) {
            resp_put_bulk(o, msg_arg(m, m->first_key + keys[i] * m->key_step + k));
        }
    }
}

void resp_error(enum reason why, struct out *o) {
    out_str(o, "-");
    out_str(o, reason_code(why));
    out_str(o, " ");
    out_str(o, reason_text(why));
    out_str(o, "\r\n");
}

uint32_t resp_greet(const struct greeting *g, struct out *o) {
    uint32_t replies = 0;
    if (g->version == 3) {
        const char *user = g->user != NULL ? g->user : "default";
        resp_put_head(o, '*', g->password != NULL ? 5 : 2);
        resp_put_bulk(o, slice_str("HELLO"));
        resp_put_bulk(o, slice_str("3"));
        if (g->password != NULL) {
            resp_put_bulk(o, slice_str("AUTH"));
            resp_put_bulk(o, slice_str(user));
            resp_put_bulk(o, slice_str(g->password));
        }
        replies++;
    } else if (g->password != NULL) {
        resp_put_head(o, '*', g->user != NULL ? 3 : 2);
        resp_put_bulk(o, slice_str("AUTH"));
        if (g->user != NULL) {
            resp_put_bulk(o, slice_str(g->user));
        }
        resp_put_bulk(o, slice_str(g->password));
        replies++;
    }
    if (g->db != 0) {
        char db[NUM_MAX];
        resp_put_head(o, '*', 2);
        resp_put_bulk(o, slice_str("SELECT"));
        resp_put_bulk(o, slice(db, num_put_u64(db, g->db)));
        replies++;
    }
    return replies;
}

void resp_probe(struct out *o) {
    out_str(o, "*1\r\n$4\r\nPING\r\n");
}
