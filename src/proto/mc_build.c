#include "proto/mc.h"

#include "base/num.h"

/* The words before the keys, then the keys, runs of neighbours in one piece. Each word but the first has a blank before it
 * in the line, and it goes along. */
static void build_keys(const struct msg *m, struct buf *b, const uint32_t *keys, uint32_t nkeys, struct out *o) {
    out_put(o, msg_arg(m, 0));
    const uint8_t *from = NULL, *end = NULL;
    for (uint32_t i = 1; i < m->first_key + nkeys; i++) {
        struct slice word = msg_arg(m, i < m->first_key ? i : m->first_key + keys[i - m->first_key]);
        if (word.p - 1 != end) {
            out_take(o, b, slice(from, (size_t)(end - from)));
            from = word.p - 1;
        }
        end = word.p + word.n;
    }
    out_take(o, b, slice(from, (size_t)(end - from)));
    out_str(o, "\r\n");
}

static size_t put_blank_u64(char *to, uint64_t v) {
    to[0] = ' ';
    return 1 + num_put_u64(to + 1, v);
}

/* The plain form of what memcached understands: see mc.h. */
static void build_store(const struct msg *m, struct buf *b, struct out *o) {
    struct mc_store store;
    bool good = mc_store_read(m, &store);
    struct slice key = msg_key(m, 0);
    ASSERT(good);
    char numbers[4 * (NUM_MAX + 1) + 2];
    size_t n = put_blank_u64(numbers, store.flags);
    numbers[n++] = ' ';
    n += num_put_i64(numbers + n, store.exptime);
    n += put_blank_u64(numbers + n, (uint64_t)store.length);
    if (m->cmd->id == MC_ID_CAS) {
        n += put_blank_u64(numbers + n, store.cas);
    }
    memcpy(numbers + n, "\r\n", 2);
    out_put(o, msg_arg(m, 0));
    out_str(o, " ");
    out_put(o, key);
    out_put(o, slice(numbers, n + 2));
    if (m->route != ROUTE_LARGE) {
        struct slice data = msg_arg(m, m->nargs - 1);
        ASSERT(data.n == (size_t)store.length);
        out_take(o, b, slice(data.p, data.n + 2)); /* its CRLF follows it */
    }
}

void mc_build(const struct msg *m, struct buf *b, const uint32_t *keys, uint32_t nkeys, struct out *o) {
    if (keys != NULL) {
        build_keys(m, b, keys, nkeys, o);
    } else if (!(m->flags & MSG_REWRITE)) {
        out_take(o, b, m->raw);
    } else if (m->cmd->keys == FORM_STORE) {
        build_store(m, b, o);
    } else if (m->cmd->keys == FORM_META || m->cmd->keys == FORM_META_SET || m->cmd->keys == FORM_META_DEBUG) {
        mc_meta_build(m, b, o);
    } else {
        for (uint32_t i = 0; i < m->nargs; i++) {
            if (i > 0) {
                out_str(o, " ");
            }
            out_put(o, msg_arg(m, i));
        }
        out_str(o, "\r\n");
    }
}

void mc_error(enum reason why, struct out *o) {
    out_str(o, "SERVER_ERROR ");
    out_str(o, reason_text(why));
    out_str(o, "\r\n");
}

/* The text protocol has neither users nor databases. */
uint32_t mc_greet(const struct greeting *g, struct out *o) {
    (void)g;
    (void)o;
    return 0;
}

void mc_probe(struct out *o) {
    out_str(o, "version\r\n");
}
