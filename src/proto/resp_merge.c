/* resp_merge.c: the replies to the parts of a request become the reply that one server would have given. What goes wrong
 * in any part is the answer of the whole: the first in the order of parts. */
#include "proto/resp.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdlib.h>

#define FEW_PARTS 64 /* cursors for so many need no memory of their own */

bool resp_is_error(struct slice reply) {
    return reply.n > 0 && (reply.p[0] == '-' || reply.p[0] == '!');
}

static void put_unexpected(struct out *o) {
    resp_error(REASON_BAD_REPLY, o);
}

bool resp_take_head(struct slice reply, char type, int64_t *n, struct slice *rest) {
    const uint8_t *cr = reply.n > 0 && reply.p[0] == type ? memchr(reply.p, '\r', reply.n) : NULL;
    if (cr == NULL || !resp_int(slice(reply.p + 1, (size_t)(cr - reply.p) - 1), n)) {
        return false;
    }
    size_t used = min_size((size_t)(cr - reply.p) + 2, reply.n);
    *rest = slice(reply.p + used, reply.n - used);
    return true;
}

/* The first part that has a reply; nparts: none has. */
static uint32_t first_replied(const struct fan_in *in) {
    uint32_t i = 0;
    while (i < in->nparts && in->parts[i].failed != REASON_NONE) {
        i++;
    }
    return i;
}

/* Answers with the first part that has no good reply. False: every part has one, but for those that do not count. */
static bool put_first_failure(const struct fan_in *in, bool misses, struct out *o) {
    misses = misses || (in->lenient && first_replied(in) < in->nparts);
    for (uint32_t i = 0; i < in->nparts; i++) {
        const struct part *p = &in->parts[i];
        if (p->failed != REASON_NONE && !misses) {
            resp_error(p->failed, o);
            return true;
        }
        if (p->failed == REASON_NONE && resp_is_error(p->reply)) {
            out_take(o, p->buf, p->reply);
            return true;
        }
    }
    return false;
}

static void merge_sum(const struct fan_in *in, struct out *o) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < in->nparts; i++) {
        int64_t n = 0;
        struct slice rest;
        if (!resp_take_head(in->parts[i].reply, ':', &n, &rest)) {
            put_unexpected(o);
            return;
        }
        sum += (uint64_t)n;
    }
    resp_put_head(o, ':', (int64_t)sum);
}

/* Where the next value of a part's array is. */
struct cursor {
    struct slice rest;
    uint32_t wanted; /* keys of this part */
};

static bool cursors_init(const struct fan_in *in, struct cursor *cursors) {
    for (uint32_t k = 0; k < in->nkeys; k++) {
        ASSERT(in->owner[k] < in->nparts);
        cursors[in->owner[k]].wanted++;
    }
    for (uint32_t i = 0; i < in->nparts; i++) {
        const struct part *p = &in->parts[i];
        int64_t n;
        if (p->failed == REASON_NONE && (!resp_take_head(p->reply, '*', &n, &cursors[i].rest) || n != cursors[i].wanted)) {
            return false;
        }
    }
    return true;
}

/* Values that follow each other both in the reply and in a part go out in one piece. */
static bool put_values(const struct fan_in *in, struct cursor *cursors, struct out *o) {
    struct slice run = {0};
    struct buf *from = NULL;
    for (uint32_t k = 0; k < in->nkeys; k++) {
        const struct part *p = &in->parts[in->owner[k]];
        struct cursor *c = &cursors[in->owner[k]];
        struct slice v = slice("$-1\r\n", 5);
        struct buf *b = NULL;
        if (p->failed == REASON_NONE) {
            v = slice(c->rest.p, resp_value_len(c->rest));
            if (v.n == 0) {
                return false;
            }
            b = p->buf;
            c->rest = slice(c->rest.p + v.n, c->rest.n - v.n);
        }
        if (run.n > 0 && run.p + run.n == v.p && from == b) {
            run.n += v.n;
            continue;
        }
        out_take(o, from, run);
        run = v;
        from = b;
    }
    out_take(o, from, run);
    return true;
}

static void merge_array(const struct fan_in *in, struct out *o) {
    struct cursor few[FEW_PARTS];
    struct cursor *cursors = in->nparts <= FEW_PARTS ? few : mem_alloc(in->nparts * sizeof *cursors);
    memset(cursors, 0, in->nparts * sizeof *cursors);
    if (!cursors_init(in, cursors)) {
        put_unexpected(o);
    } else {
        resp_put_head(o, '*', in->nkeys);
        bool all = put_values(in, cursors, o);
        ASSERT(all); /* each reply was parsed when it came, and has as many values as it says */
    }
    if (cursors != few) {
        mem_free(cursors);
    }
}

/* All elements of all parts. */
static void merge_concat(const struct fan_in *in, struct out *o) {
    int64_t sum = 0, n;
    struct slice rest;
    char type = in->parts[0].reply.p[0] == '~' ? '~' : '*';
    for (uint32_t i = 0; i < in->nparts; i++) {
        if (!resp_take_head(in->parts[i].reply, type, &n, &rest) || n < 0) {
            put_unexpected(o);
            return;
        }
        sum += n;
    }
    resp_put_head(o, type, sum);
    for (uint32_t i = 0; i < in->nparts; i++) {
        resp_take_head(in->parts[i].reply, type, &n, &rest);
        out_take(o, in->parts[i].buf, rest);
    }
}

bool resp_take_bulk(struct slice *rest, struct slice *out) {
    int64_t n;
    struct slice body;
    if (!resp_take_head(*rest, '$', &n, &body) || n < 0 || (uint64_t)n + 2 > body.n) {
        return false;
    }
    *out = slice(body.p, (size_t)n);
    *rest = slice(body.p + n + 2, body.n - (size_t)n - 2);
    return true;
}

static int compare_values(const void *a, const void *b) {
    const struct slice *x = a, *y = b;
    int order = memcmp(x->p, y->p, min_size(x->n, y->n));
    return order != 0 ? order : x->n < y->n ? -1 : x->n > y->n;
}

/* All elements of all parts, equal ones once. */
static void merge_distinct(const struct fan_in *in, struct out *o) {
    int64_t sum = 0, n, have = 0;
    struct slice rest;
    for (uint32_t i = 0; i < in->nparts; i++) {
        if (!resp_take_head(in->parts[i].reply, '*', &n, &rest) || n < 0) {
            put_unexpected(o);
            return;
        }
        sum += n;
    }
    struct slice *all = mem_alloc((size_t)sum * sizeof *all + 1);
    for (uint32_t i = 0; i < in->nparts; i++) {
        resp_take_head(in->parts[i].reply, '*', &n, &rest);
        for (; n > 0; n--) {
            size_t len = resp_value_len(rest);
            all[have++] = slice(rest.p, len);
            rest = slice(rest.p + len, rest.n - len);
        }
    }
    qsort(all, (size_t)have, sizeof *all, compare_values);
    int64_t distinct = 0;
    for (int64_t i = 0; i < have; i++) {
        if (i == 0 || !slice_eq(all[i], all[distinct - 1])) {
            all[distinct++] = all[i];
        }
    }
    resp_put_head(o, '*', distinct);
    for (int64_t i = 0; i < distinct; i++) {
        out_put(o, all[i]);
    }
    mem_free(all);
}

static bool is_null(struct slice reply) {
    return slice_is(reply, "$-1\r\n") || slice_is(reply, "_\r\n") || slice_is(reply, "*-1\r\n");
}

/* Any part that has something. */
static void merge_pick(const struct fan_in *in, struct out *o) {
    uint32_t have = 0, chosen = 0;
    for (uint32_t i = 0; i < in->nparts; i++) {
        have += !is_null(in->parts[i].reply);
    }
    uint32_t left = have > 0 ? in->dice % have : 0;
    for (uint32_t i = 0; i < in->nparts && have > 0; i++) {
        if (!is_null(in->parts[i].reply) && left-- == 0) {
            chosen = i;
            break;
        }
    }
    out_take(o, in->parts[chosen].buf, in->parts[chosen].reply);
}

/* The smallest of the integers that the parts go on with at `at`, which moves behind them. False: one is no integer. */
static bool take_min(const struct fan_in *in, struct slice *at, int64_t *min) {
    bool any = false;
    for (uint32_t i = 0; i < in->nparts; i++) {
        int64_t n;
        if (in->parts[i].failed != REASON_NONE) {
            continue;
        }
        if (!resp_take_head(at[i], ':', &n, &at[i])) {
            return false;
        }
        *min = any && *min < n ? *min : n;
        any = true;
    }
    return any;
}

/* How many elements each of the arrays has, and in `at` where they begin; 0: the replies are no arrays; -1: they differ. */
static int64_t min_elements(const struct fan_in *in, struct slice *at) {
    int64_t count = 0, n = 0;
    for (uint32_t i = 0; i < in->nparts; i++) {
        at[i] = in->parts[i].reply;
        if (in->parts[i].failed != REASON_NONE) {
            continue;
        }
        bool array = resp_take_head(in->parts[i].reply, '*', &n, &at[i]);
        n = array ? n : 0;
        if ((array && n <= 0) || (i > first_replied(in) && n != count)) {
            return -1;
        }
        count = n;
    }
    return count;
}

static void merge_min(const struct fan_in *in, struct out *o) {
    struct slice *at = mem_alloc(in->nparts * sizeof *at);
    int64_t count = min_elements(in, at), n = count > 0 ? count : 1;
    int64_t *min = mem_alloc((size_t)n * sizeof *min);
    bool good = count >= 0;
    for (int64_t k = 0; k < n && good; k++) {
        good = take_min(in, at, &min[k]);
    }
    if (!good) {
        put_unexpected(o);
    } else if (count > 0) {
        resp_put_head(o, '*', count);
    }
    for (int64_t k = 0; k < n && good; k++) {
        resp_put_head(o, ':', min[k]);
    }
    mem_free(min);
    mem_free(at);
}

/* What says more than that there was nothing to do: an error, then a server that did not answer. */
static void merge_any_ok(const struct fan_in *in, struct out *o) {
    const struct part *best = NULL;
    int best_rank = 0;
    for (uint32_t i = 0; i < in->nparts; i++) {
        const struct part *p = &in->parts[i];
        int rank = p->failed != REASON_NONE ? 2 : !resp_is_error(p->reply) ? 4 : slice_starts(p->reply, "-NOTBUSY") ? 1 : 3;
        if (rank > best_rank) {
            best = p;
            best_rank = rank;
        }
    }
    if (best->failed != REASON_NONE) {
        resp_error(best->failed, o);
    } else {
        out_take(o, best->buf, best->reply);
    }
}

void resp_merge(const struct fan_in *in, struct out *o) {
    ASSERT(in->nparts > 0);
    enum merge how = (enum merge)in->cmd->merge;
    if (how == MERGE_ANY_OK) {
        merge_any_ok(in, o);
        return;
    }
    if (how == MERGE_GATHER && resp_gather_refuse(in, o)) {
        return;
    }
    if (put_first_failure(in, in->miss_on_failure && how == MERGE_ARRAY, o)) {
        return;
    }
    switch (how) {
    case MERGE_ARRAY:
        merge_array(in, o);
        break;
    case MERGE_SUM:
        merge_sum(in, o);
        break;
    case MERGE_ALL_OK:
        out_take(o, in->parts[first_replied(in)].buf, in->parts[first_replied(in)].reply);
        break;
    case MERGE_MIN:
        merge_min(in, o);
        break;
    case MERGE_CONCAT:
        merge_concat(in, o);
        break;
    case MERGE_DISTINCT:
        merge_distinct(in, o);
        break;
    case MERGE_PICK:
        merge_pick(in, o);
        break;
    case MERGE_GATHER:
        resp_gather_merge(in, o);
        break;
    case MERGE_CURSOR:
        resp_scan_merge(in, o);
        break;
    case MERGE_SURVEY:
        resp_survey_merge(in, o);
        break;
    default:
        put_unexpected(o);
    }
}
