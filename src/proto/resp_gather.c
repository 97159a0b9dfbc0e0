/* resp_gather.c: what each server is asked when a command's keys are on several. Every server gets a command that its keys can
 * answer; what comes out of the answers is computed in resp_gather_merge.c. Malformed options are not sent: the parts are
 * asked without, so that a wrong type is still the first error (but for rules that are `early`), and the merge says what is wrong. */
#include "proto/resp_gather.h"

#include "base/num.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define NUMBER_TEXT_MAX 511u /* the longest double has 309 digits before the point */

/* ZUNION asks for each key by itself (CMD_EACH in its row): floating-point sums depend on their order, and with the keys'
 * own scores they are added in the order of Redis. ZINTER does not: what servers sort out need not travel. */
static const struct gather_rule rules[] = {
    {RESP_SUNION, GATHER_UNION, false, false, false, false, "SUNION", NULL},
    {RESP_SINTER, GATHER_INTER, false, false, false, false, "SINTER", NULL},
    {RESP_SINTERCARD, GATHER_INTER, false, true, false, true, "SINTER", NULL},
    {RESP_SDIFF, GATHER_DIFF, false, false, false, false, "SDIFF", "SUNION"},
    {RESP_ZUNION, GATHER_UNION, true, false, true, false, "ZUNION", NULL},
    {RESP_ZINTER, GATHER_INTER, true, false, true, false, "ZINTER", NULL},
    {RESP_ZINTERCARD, GATHER_INTER, false, true, true, false, "ZINTER", NULL},
    {RESP_ZDIFF, GATHER_DIFF, true, false, true, false, "ZDIFF", "ZUNION"},
    {RESP_PFCOUNT, GATHER_SKETCH, false, true, false, false, "GET", NULL},
};

const struct gather_rule *resp_gather_rule(const struct cmd *c) {
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (rules[i].id == c->id) {
            return &rules[i];
        }
    }
    ASSERT(false && "a GATHER row without a rule");
    return NULL;
}

static bool arg_is(const struct msg *m, uint32_t i, const char *word) {
    return slice_ieq(msg_arg(m, i), slice_str(word));
}

bool resp_gather_double(struct slice s, double *out) {
    char text[NUMBER_TEXT_MAX + 1], *end;
    if (s.n == 0 || s.n > NUMBER_TEXT_MAX || s.p[0] <= ' ') {
        return false;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    errno = 0;
    double v = strtod(text, &end);
    bool range = errno == ERANGE && (isinf(v) || v == 0);
    *out = v;
    return end == text + s.n && !range && !isnan(v);
}

/* WEIGHTS at i: returns the index of its last argument, or 0. */
static uint32_t read_weights(const struct msg *m, uint32_t i, struct gather *g) {
    if (m->nargs - i - 1 < m->nkeys) {
        return 0;
    }
    g->weights = i + 1;
    for (uint32_t k = 0; k < m->nkeys; k++) {
        double weight;
        if (!resp_gather_double(msg_arg(m, i + 1 + k), &weight)) {
            g->wrong = "ERR weight value is not a float";
        }
    }
    return i + m->nkeys;
}

static uint32_t read_aggregate(const struct msg *m, uint32_t i, struct gather *g) {
    static const char *const words[] = {[GATHER_SUM] = "sum", [GATHER_MIN] = "min", [GATHER_MAX] = "max"};
    for (unsigned w = 0; i + 1 < m->nargs && w < ARRAY_LEN(words); w++) {
        if (arg_is(m, i + 1, words[w])) {
            g->sum = (enum gather_sum)w;
            return i + 1;
        }
    }
    return 0;
}

static uint32_t read_limit(const struct msg *m, uint32_t i, struct gather *g) {
    if (i + 1 == m->nargs) {
        return 0;
    }
    int64_t n;
    if (!resp_int(msg_arg(m, i + 1), &n) || n < 0) {
        g->wrong = "ERR LIMIT can't be negative";
    } else {
        g->limit = (uint64_t)n;
    }
    return i + 1;
}

/* The option at i; returns its last argument, 0: there is no such option. */
static uint32_t read_option(const struct msg *m, uint32_t i, struct gather *g) {
    const struct gather_rule *r = g->rule;
    bool sums = r->scored && r->op != GATHER_DIFF;
    if (sums && arg_is(m, i, "weights")) {
        return read_weights(m, i, g);
    }
    if (sums && arg_is(m, i, "aggregate")) {
        return read_aggregate(m, i, g);
    }
    if (r->scored && arg_is(m, i, "withscores")) {
        g->with_scores = true;
        return i;
    }
    return r->counted && arg_is(m, i, "limit") ? read_limit(m, i, g) : 0;
}

void resp_gather_read(const struct msg *m, struct gather *g) {
    *g = (struct gather){.rule = resp_gather_rule(m->cmd)};
    uint32_t last;
    for (uint32_t i = m->first_key + m->nkeys; i < m->nargs && g->wrong == NULL; i = last + 1) {
        last = read_option(m, i, g);
        if (last == 0) {
            g->wrong = "ERR syntax error";
        }
    }
}

static void put_number(struct out *o, uint32_t n) {
    char text[NUM_MAX];
    resp_put_bulk(o, slice(text, num_put_u64(text, n)));
}

void resp_gather_build(const struct msg *m, const uint32_t *keys, uint32_t nkeys, struct out *o) {
    struct gather g;
    resp_gather_read(m, &g);
    const struct gather_rule *r = g.rule;
    bool rest = r->op == GATHER_DIFF && keys[0] != 0;
    bool weights = g.weights != 0 && g.wrong == NULL, sum = g.sum != GATHER_SUM && g.wrong == NULL;
    bool scores = r->scored && !rest;
    resp_put_head(o, '*', 1 + (int64_t)r->numbered + nkeys + (weights ? 1 + (int64_t)nkeys : 0) + (sum ? 2 : 0) + scores);
    resp_put_bulk(o, slice_str(rest ? r->rest : r->ask));
    if (r->numbered) {
        put_number(o, nkeys);
    }
    for (uint32_t i = 0; i < nkeys; i++) {
        resp_put_bulk(o, msg_key(m, keys[i]));
    }
    if (weights) {
        resp_put_bulk(o, slice_str("WEIGHTS"));
        for (uint32_t i = 0; i < nkeys; i++) {
            resp_put_bulk(o, msg_arg(m, g.weights + keys[i]));
        }
    }
    if (sum) {
        resp_put_bulk(o, slice_str("AGGREGATE"));
        resp_put_bulk(o, slice_str(g.sum == GATHER_MIN ? "MIN" : "MAX"));
    }
    if (scores) {
        resp_put_bulk(o, slice_str("WITHSCORES"));
    }
}
