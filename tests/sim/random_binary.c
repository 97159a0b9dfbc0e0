/* random_binary.c: clients that speak memcached's binary protocol. Each request has its id as opaque, and each answer must be the next one
 * that is due: a reply that went astray has another. */
#include "random_int.h"

#include "base/num.h"

#include <stdio.h>
#include <string.h>

enum { ASKS = 0x80, TELLS = 0x81, HEAD = 24 };
enum { GET = 0x00, SET = 0x01, DELETE = 0x04, GETQ = 0x09, NOOP = 0x0a, GETK = 0x0c, GETKQ = 0x0d, SETQ = 0x11 };

struct head {
    uint8_t opcode, nextras;
    uint16_t nkey, status;
    uint32_t nbody, opaque;
};

static void put(struct rnd_client *c, uint8_t opcode, uint32_t opaque, struct slice extras, struct slice key, struct slice value) {
    uint32_t body = (uint32_t)(extras.n + key.n + value.n);
    uint8_t h[HEAD] = {ASKS, opcode, (uint8_t)(key.n >> 8), (uint8_t)key.n, (uint8_t)extras.n};
    for (unsigned i = 0; i < 4; i++) {
        h[8 + i] = (uint8_t)(body >> (24 - 8 * i));
        h[12 + i] = (uint8_t)(opaque >> (24 - 8 * i));
    }
    rnd_make_bytes(c, slice(h, sizeof h));
    rnd_make_bytes(c, extras);
    rnd_make_bytes(c, key);
    rnd_make_bytes(c, value);
}

static void put_key(struct rnd *r, struct rnd_client *c, uint8_t opcode, uint32_t id, bool fresh) {
    char key[48];
    static const uint8_t extras[8] = {0};
    bool set = opcode == SET || opcode == SETQ;
    size_t n = fresh ? (size_t)snprintf(key, sizeof key, "n:%u", id) : rnd_key(r, id, key, sizeof key);
    put(c, opcode, id, slice(extras, set ? sizeof extras : 0), slice(key, n), set ? slice_str("\r\nEND\r\n") : slice(NULL, 0));
}

void rnd_binary_ask(struct rnd *r, struct rnd_client *c) {
    static const uint8_t quiet[] = {GETKQ, GETQ, SETQ};
    uint32_t n = 1, id, kind = sim_below(6);
    if (kind >= 4) { /* quiet ones, and one that tells that they are over */
        n = r->healthy ? 1 : 1 + sim_below(6);
        id = rnd_ids(r, c, n + 1);
        for (uint32_t i = id; i < id + n; i++) {
            put_key(r, c, quiet[i % 3], i, i % 3 != 0);
        }
        put(c, NOOP, id + n, slice(NULL, 0), slice(NULL, 0), slice(NULL, 0));
        rnd_want(c, WANT_BINARY_QUIET, id, n);
        return;
    }
    uint8_t opcode = ((const uint8_t[]){GET, GETK, SET, DELETE})[kind];
    id = rnd_ids(r, c, 1);
    put_key(r, c, opcode, id, opcode == SET);
    rnd_want(c, WANT_BINARY, id, opcode);
}

static uint32_t number(const uint8_t *p, unsigned n) {
    uint32_t v = 0;
    while (n-- > 0) {
        v = v << 8 | *p++;
    }
    return v;
}

/* A whole answer; rd stands behind it. */
static enum got read_answer(struct reader *rd, struct head *h, struct slice *body) {
    const uint8_t *p = rd->in.p + rd->pos;
    if (rd->in.n - rd->pos < HEAD) {
        return rd->in.n == rd->pos || p[0] == TELLS ? GOT_MORE : GOT_WRONG;
    }
    *h = (struct head){.opcode = p[1], .nextras = p[4]};
    h->nkey = (uint16_t)number(p + 2, 2);
    h->status = (uint16_t)number(p + 6, 2);
    h->nbody = number(p + 8, 4);
    h->opaque = number(p + 12, 4);
    if (p[0] != TELLS || h->nbody > (1u << 20) || h->nkey + h->nextras > h->nbody) {
        return GOT_WRONG;
    }
    if (rd->in.n - rd->pos - HEAD < h->nbody) {
        return GOT_MORE;
    }
    *body = slice(p + HEAD, h->nbody);
    rd->pos += HEAD + h->nbody;
    return GOT_GOOD;
}

/* The good answer to a request with this id. */
static bool fits(struct rnd *r, const struct head *h, struct slice body, uint8_t opcode, uint32_t id) {
    char key[48];
    bool reads = opcode == GET || opcode == GETK || opcode == GETKQ, keyed = opcode == GETK || opcode == GETKQ;
    size_t n = rnd_key(r, id, key, sizeof key);
    if (h->opcode != opcode || h->opaque != id || h->nextras != (reads ? 4 : 0) || h->nkey != (keyed ? n : 0)) {
        return false;
    }
    struct slice rest = slice(body.p + h->nextras, body.n - h->nextras);
    return keyed ? memcmp(rest.p, key, n) == 0 && rnd_value_is(r, id, slice(rest.p + n, rest.n - n))
                 : reads ? rnd_value_is(r, id, rest) : rest.n == 0;
}

static enum got judge_quiet(struct rnd *r, struct reader *rd, const struct want *w) {
    struct head h;
    struct slice body;
    uint32_t next = w->id, end = w->id + w->n, errors = 0;
    enum got g;
    while ((g = read_answer(rd, &h, &body)) == GOT_GOOD) {
        for (; next < end && next != h.opaque; next++) {
            if (next % 3 == 0 && (!r->miss || r->healthy)) {
                return GOT_WRONG; /* a hit that was not told */
            }
        }
        if (next == end) {
            r->sum.errors += errors;
            return fits(r, &h, body, NOOP, end) && h.status == 0 ? GOT_GOOD : GOT_WRONG;
        }
        bool hit = next % 3 == 0 && h.status == 0 && fits(r, &h, body, GETKQ, next);
        if (!hit && (h.status <= 1 || r->healthy)) {
            return GOT_WRONG;
        }
        errors += !hit;
        next++;
    }
    return g;
}

enum got rnd_binary_judge(struct rnd *r, struct reader *rd, const struct want *w) {
    struct head h;
    struct slice body;
    if (w->kind == WANT_BINARY_QUIET) {
        struct reader from = *rd;
        enum got g = judge_quiet(r, rd, w);
        *rd = g == GOT_GOOD ? *rd : from;
        return g;
    }
    enum got g = read_answer(rd, &h, &body);
    if (g != GOT_GOOD) {
        return g;
    }
    if (h.status != 0) {
        r->sum.errors++;
        return !r->healthy && h.status > 1 && h.opaque == w->id && h.opcode == w->n ? GOT_GOOD : GOT_WRONG;
    }
    return fits(r, &h, body, (uint8_t)w->n, w->id) ? GOT_GOOD : GOT_WRONG;
}
