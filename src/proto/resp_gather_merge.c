/* resp_gather_merge.c: the algebra of sets and sorted sets over the answers of several servers.
 *
 * All members of all parts become one array that is sorted by a hash of the member: equal members are neighbours then, and
 * what a union, intersection or difference has to say about a member is seen at once. Sorting takes n log n whatever the
 * members are, which a table of hashes does not. Bytes are referred to where they lie in the parts; a score that comes from
 * one part only keeps its text. */
#include "proto/resp_gather.h"

#include "base/mem.h"
#include "base/num.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct item {
    uint64_t hash;
    const uint8_t *p, *text; /* text: of the score */
    double score;
    uint32_t n, text_n; /* text_n 0: the score was computed */
    uint16_t part, rank;
};

struct items {
    struct item *v;
    size_t n;
    bool typed; /* the servers speak RESP3 */
};

static uint64_t hash_of(struct slice s) {
    uint64_t h = s.n;
    for (; s.n >= 8; s = slice(s.p + 8, s.n - 8)) {
        uint64_t w;
        memcpy(&w, s.p, 8);
        h = (h ^ w) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ s.p[i]) * 0x9e3779b97f4a7c15u;
    }
    return h ^ h >> 32;
}

/* ---- reading ---- */

static bool take_bulk(struct slice *rest, struct slice *out) {
    int64_t n;
    if (!resp_take_head(*rest, '$', &n, rest) || n < 0) {
        return false;
    }
    *out = slice(rest->p, (size_t)n);
    *rest = slice(rest->p + n + 2, rest->n - (size_t)n - 2); /* parsed before: it is all there */
    return true;
}

/* A score as RESP2 ("$") or RESP3 (",") has it. */
static bool take_score(struct slice *rest, struct slice *text) {
    if (rest->n > 0 && rest->p[0] == ',') {
        const uint8_t *cr = memchr(rest->p, '\r', rest->n);
        *text = slice(rest->p + 1, (size_t)(cr - rest->p) - 1);
        *rest = slice(cr + 2, rest->n - (size_t)(cr + 2 - rest->p));
        return true;
    }
    return take_bulk(rest, text);
}

static bool take_item(struct slice *rest, bool scored, bool pair, struct item *it) {
    struct slice member, text;
    int64_t two;
    if (pair && (!resp_take_head(*rest, '*', &two, rest) || two != 2)) {
        return false;
    }
    if (!take_bulk(rest, &member)) {
        return false;
    }
    *it = (struct item){.hash = hash_of(member), .p = member.p, .n = (uint32_t)member.n};
    if (scored) {
        if (!take_score(rest, &text) || !resp_gather_double(text, &it->score)) {
            return false;
        }
        it->text = text.p;
        it->text_n = (uint32_t)text.n;
    }
    return true;
}

/* The head of a part: an array or a set. */
static bool take_list(struct slice reply, int64_t *n, struct slice *rest) {
    return (resp_take_head(reply, '*', n, rest) || resp_take_head(reply, '~', n, rest)) && *n >= 0;
}

static bool take_part(struct items *all, const struct part *p, uint16_t part, uint16_t rank, bool scored) {
    int64_t n;
    struct slice rest;
    if (!take_list(p->reply, &n, &rest)) {
        return false;
    }
    bool pair = scored && n > 0 && rest.p[0] == '*';
    if (scored && !pair) {
        if (n % 2 != 0) {
            return false;
        }
        n /= 2;
    }
    all->typed = all->typed || pair || p->reply.p[0] == '~';
    for (int64_t i = 0; i < n; i++) {
        struct item *it = &all->v[all->n];
        if (!take_item(&rest, scored, pair, it)) {
            return false;
        }
        it->part = part;
        it->rank = rank;
        all->n++;
    }
    return rest.n == 0;
}

/* Redis takes its sources from the smallest to the largest; scores are added up in that order. */
struct size {
    int64_t n;
    uint32_t part;
};

static int compare_sizes(const void *a, const void *b) {
    const struct size *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n ? -1 : 1) : x->part < y->part ? -1 : 1;
}

enum read_rc { READ_OK, READ_BAD, READ_NO_MEMORY };

static enum read_rc read_parts(const struct fan_in *in, const struct gather *g, struct items *all) {
    struct size *sizes = mem_alloc(in->nparts * sizeof *sizes);
    size_t total = 0;
    enum read_rc rc = READ_OK;
    for (uint32_t i = 0; i < in->nparts && rc == READ_OK; i++) {
        struct slice rest;
        sizes[i].part = i;
        rc = take_list(in->parts[i].reply, &sizes[i].n, &rest) ? READ_OK : READ_BAD;
        total += rc == READ_OK ? (size_t)sizes[i].n : 0;
    }
    if (rc == READ_OK) {
        all->v = mem_try((total + 1) * sizeof *all->v);
        rc = all->v != NULL ? READ_OK : READ_NO_MEMORY;
        qsort(sizes, in->nparts, sizeof *sizes, compare_sizes);
    }
    for (uint32_t i = 0; i < in->nparts && rc == READ_OK; i++) {
        uint32_t part = sizes[i].part;
        bool scored = g->rule->scored && (g->rule->op != GATHER_DIFF || part == in->owner[0]);
        rc = take_part(all, &in->parts[part], (uint16_t)part, (uint16_t)i, scored) ? READ_OK : READ_BAD;
    }
    mem_free(sizes);
    return rc;
}

/* ---- computing ---- */

static int compare_items(const void *a, const void *b) {
    const struct item *x = a, *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    if (x->n != y->n) {
        return x->n < y->n ? -1 : 1;
    }
    int order = memcmp(x->p, y->p, x->n);
    return order != 0 ? order : (int)x->rank - (int)y->rank;
}

static bool same_member(const struct item *x, const struct item *y) {
    return x->hash == y->hash && x->n == y->n && memcmp(x->p, y->p, x->n) == 0;
}

static double sum_of(enum gather_sum how, double a, double b) {
    switch (how) {
    case GATHER_MIN:
        return b < a ? b : a;
    case GATHER_MAX:
        return b > a ? b : a;
    case GATHER_SUM:
        break;
    }
    return isnan(a + b) ? 0 : a + b; /* the infinities cancel out */
}

/* The n items of one member become v[0], or nothing: false. */
static bool settle(struct item *v, size_t n, const struct gather *g, const struct fan_in *in) {
    uint32_t parts = 1;
    for (size_t i = 1; i < n; i++) {
        parts += v[i].part != v[i - 1].part;
    }
    if (g->rule->op == GATHER_DIFF) {
        return parts == 1 && v[0].part == in->owner[0];
    }
    if (g->rule->op == GATHER_INTER && parts != in->nparts) {
        return false;
    }
    for (size_t i = 1; i < n && g->rule->scored; i++) {
        v[0].score = sum_of(g->sum, v[0].score, v[i].score);
        v[0].text_n = 0;
    }
    return true;
}

static void compute(struct items *all, const struct gather *g, const struct fan_in *in) {
    qsort(all->v, all->n, sizeof *all->v, compare_items);
    size_t kept = 0, next;
    for (size_t i = 0; i < all->n; i = next) {
        next = i + 1;
        while (next < all->n && same_member(&all->v[i], &all->v[next])) {
            next++;
        }
        if (settle(all->v + i, next - i, g, in)) {
            all->v[kept++] = all->v[i];
        }
    }
    all->n = kept;
}

static int compare_scores(const void *a, const void *b) {
    const struct item *x = a, *y = b;
    if (x->score < y->score || x->score > y->score) {
        return x->score < y->score ? -1 : 1;
    }
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order != 0 ? order : x->n < y->n ? -1 : x->n > y->n;
}

/* ---- writing ---- */

/* As Redis 7.0 writes doubles. */
static struct slice score_text(const struct item *it, char *room, size_t size) {
    if (it->text_n > 0) {
        return slice(it->text, it->text_n);
    }
    if (isinf(it->score)) {
        return slice_str(it->score > 0 ? "inf" : "-inf");
    }
    return slice(room, (size_t)snprintf(room, size, "%.17g", it->score));
}

static void put_scored(struct out *o, const struct item *it, struct buf *b, bool typed) {
    char room[40];
    struct slice text = score_text(it, room, sizeof room);
    if (typed) {
        resp_put_head(o, '*', 2);
    }
    resp_put_head(o, '$', it->n);
    out_take(o, b, slice(it->p, it->n + 2u));
    if (typed) {
        out_str(o, ",");
        out_put(o, text);
        out_str(o, "\r\n");
    } else {
        resp_put_bulk(o, text);
    }
}

static void put_items(struct out *o, const struct items *all, const struct gather *g, const struct fan_in *in) {
    bool flat = g->with_scores && !all->typed;
    char type = g->rule->scored || !all->typed ? '*' : '~';
    resp_put_head(o, type, (int64_t)(flat ? 2 * all->n : all->n));
    for (size_t i = 0; i < all->n; i++) {
        const struct item *it = &all->v[i];
        struct buf *b = in->parts[it->part].buf;
        if (g->with_scores) {
            put_scored(o, it, b, all->typed);
        } else {
            resp_put_head(o, '$', it->n);
            out_take(o, b, slice(it->p, it->n + 2u));
        }
    }
}

static void merge_sets(const struct fan_in *in, const struct gather *g, struct out *o) {
    struct items all = {0};
    enum read_rc rc = read_parts(in, g, &all);
    if (rc != READ_OK) {
        resp_error(rc == READ_BAD ? REASON_BAD_REPLY : REASON_NO_MEMORY, o);
    } else {
        compute(&all, g, in);
        if (g->rule->counted) {
            resp_put_head(o, ':', (int64_t)(g->limit > 0 && g->limit < all.n ? g->limit : all.n));
        } else {
            if (g->rule->scored) {
                qsort(all.v, all.n, sizeof *all.v, compare_scores);
            }
            put_items(o, &all, g, in);
        }
    }
    mem_free(all.v);
}

/* Adds a part's sketch; true: it is none, and the answer says so. */
static bool refuse_sketch(struct slice reply, uint8_t *registers, struct out *o) {
    struct slice sketch;
    if (slice_is(reply, "$-1\r\n") || slice_is(reply, "_\r\n")) {
        return false;
    }
    if (!take_bulk(&reply, &sketch)) {
        resp_error(REASON_BAD_REPLY, o);
        return true;
    }
    enum hll_rc rc = resp_hll_add(registers, sketch);
    if (rc != HLL_OK) {
        out_str(o, rc == HLL_OTHER ? "-WRONGTYPE Key is not a valid HyperLogLog string value.\r\n"
                                   : "-INVALIDOBJ Corrupted HLL object detected\r\n");
    }
    return rc != HLL_OK;
}

static void merge_sketches(const struct fan_in *in, struct out *o) {
    uint8_t registers[HLL_REGISTERS] = {0};
    for (uint32_t i = 0; i < in->nparts; i++) {
        if (refuse_sketch(in->parts[i].reply, registers, o)) {
            return;
        }
    }
    resp_put_head(o, ':', (int64_t)resp_hll_count(registers));
}

/* Keys are judged in their order: what is no sketch is said before the error that a later key's server had. */
static bool refuse_sketches(const struct fan_in *in, struct out *o) {
    uint8_t registers[HLL_REGISTERS] = {0};
    uint32_t good = 0;
    while (good < in->nparts && in->parts[good].failed == REASON_NONE && !resp_is_error(in->parts[good].reply)) {
        good++;
    }
    for (uint32_t i = 0; good < in->nparts && i < good; i++) {
        if (refuse_sketch(in->parts[i].reply, registers, o)) {
            return true;
        }
    }
    return false;
}

/* The request that the parts were made of; msg_fini() when done. */
static void read_request(const struct fan_in *in, struct msg *m, struct gather *g) {
    struct parser ps = {0};
    msg_init(m);
    enum parse_rc rc = resp_parse_req(&ps, in->request, m);
    ASSERT(rc == PARSE_DONE && m->cmd == in->cmd); /* resp_build made it */
    resp_gather_read(m, g);
}

static void put_wrong(const struct gather *g, struct out *o) {
    out_str(o, "-");
    out_str(o, g->wrong);
    out_str(o, "\r\n");
}

bool resp_gather_refuse(const struct fan_in *in, struct out *o) {
    struct msg m;
    struct gather g;
    if (resp_gather_rule(in->cmd)->op == GATHER_SKETCH) {
        return refuse_sketches(in, o);
    }
    if (!resp_gather_rule(in->cmd)->early) {
        return false;
    }
    read_request(in, &m, &g);
    bool refused = g.wrong != NULL;
    if (refused) {
        put_wrong(&g, o);
    }
    msg_fini(&m);
    return refused;
}

void resp_gather_merge(const struct fan_in *in, struct out *o) {
    struct msg m;
    struct gather g;
    read_request(in, &m, &g);
    if (g.wrong != NULL) {
        put_wrong(&g, o);
    } else if (g.rule->op == GATHER_SKETCH) {
        merge_sketches(in, o);
    } else {
        merge_sets(in, &g, o);
    }
    msg_fini(&m);
}
