/* Requests. A header says everything about the shape of its request, so what is malformed is answered at once, and as
 * memcached answers it: then the connection closes, since a client that errs there means something else by what follows. */
#include "proto/mcb.h"

#include "proto/rules.h"

#include <stdio.h>

/* Base64 of more bytes than this is longer than a key in text may be. */
#define ODD_KEY_MAX (MC_KEY_MAX / 4 * 3)

enum want { NONE, MAY, MUST };

/* What the body of a request is made of, by enum mcb_does. */
static const struct shape {
    uint8_t extras_min, extras_max;
    uint8_t key, value; /* enum want */
} shapes[] = {
    [MCB_READ] = {0, 0, MUST, NONE},
    [MCB_TOUCH] = {4, 4, MUST, NONE},
    [MCB_STORE] = {8, 8, MUST, MAY},
    [MCB_CONCAT] = {0, 0, MUST, MAY},
    [MCB_DELETE] = {0, 0, MUST, NONE},
    [MCB_DELTA] = {20, 20, MUST, NONE},
    [MCB_FLUSH] = {0, 4, NONE, NONE},
    [MCB_VERSION] = {0, 0, NONE, NONE},
    [MCB_BARE] = {0, 0, NONE, NONE},
    [MCB_STAT] = {0, 0, MAY, NONE},
    [MCB_VERBOSITY] = {4, 4, NONE, NONE},
    [MCB_OTHER] = {0, 255, MAY, MAY},
};

static bool wanted(enum want w, size_t n) {
    return w == MAY || (w == MUST) == (n > 0);
}

/* The length of the value; `h` is consistent. */
static uint32_t value_len(const struct mcb_head *h) {
    return h->nbody - h->nkey - h->nextras;
}

static bool shape_fits(const struct shape *s, const struct mcb_head *h) {
    bool extras = h->nextras == s->extras_min || h->nextras == s->extras_max || s->extras_max == 255;
    return extras && wanted((enum want)s->key, h->nkey) && wanted((enum want)s->value, value_len(h));
}

/* The answer of a request that no server sees. */
static void answer(struct msg *m, const struct mcb_head *h, enum mcb_status status, const char *text) {
    size_t n = strlen(text);
    const struct mcb_head tells = {
        .magic = MCB_TELLS,
        .opcode = h->opcode,
        .status = (uint16_t)status,
        .nbody = (uint32_t)n,
        .opaque = h->opaque,
    };
    ASSERT(MCB_HEAD + n <= sizeof m->answer);
    mcb_head_write((uint8_t *)m->answer, &tells);
    memcpy(m->answer + MCB_HEAD, text, n);
    m->answer_len = (uint32_t)(MCB_HEAD + n);
    m->route = ROUTE_REPLY;
}

static enum parse_rc bad(struct msg *m, const struct mcb_head *h, enum mcb_status status, const char *text) {
    answer(m, h, status, text);
    return PARSE_BAD;
}

static void msg_clear(struct msg *m) {
    m->cmd = NULL;
    m->flags = 0;
    m->nargs = 0;
    m->first_key = MCB_ARG_KEY;
    m->nkeys = m->key_gap = 0;
    m->key_step = 1;
    m->need = 0;
    m->answer_len = 0;
}

/* Who denies a text command means what it does, not how it is asked for. */
static __attribute__((noinline)) void judge_by_rules(struct msg *m, const struct mcb_head *h) {
    const struct mcb_rule *rule = mcb_rule(m->cmd);
    const struct cmd *like = &mc_cmds[rule->does == MCB_STORE && h->cas != 0 ? MC_ID_CAS : rule->like];
    const struct cmd *c = rules_row(m->rules, like);
    if (c != like && m->route != ROUTE_REPLY) {
        char text[160];
        int n = snprintf(text, sizeof text, "'%s' %s", c->name, c->why);
        ASSERT(n > 0 && (size_t)n < sizeof text);
        answer(m, h, MCB_REFUSED, text);
    }
}

/* The whole request is there. */
static void read_request(struct msg *m, struct slice in, const struct mcb_head *h) {
    m->raw = slice(in.p, MCB_HEAD + (size_t)h->nbody);
    m->base = in.p;
    mc_arg_add(m, 0, MCB_HEAD);
    mc_arg_add(m, MCB_HEAD, h->nextras);
    mc_arg_add(m, MCB_HEAD + (size_t)h->nextras, h->nkey);
    mc_arg_add(m, MCB_HEAD + (size_t)h->nextras + h->nkey, value_len(h));
    m->nkeys = m->route == ROUTE_TRANSLATE && h->nkey > 0 ? 1 : 0;
    m->flags |= MSG_REWRITE;
    if (m->route == ROUTE_REPLY) {
        answer(m, h, MCB_UNKNOWN, m->cmd->why != NULL ? m->cmd->why : mcb_words(MCB_UNKNOWN));
    } else if (m->nkeys > 0 && h->nkey > ODD_KEY_MAX && mcb_key_odd(msg_key(m, 0))) {
        answer(m, h, MCB_INVALID, "a key with blanks, line ends or zero bytes may have 186 bytes through kvmux: it travels in base64");
    }
    if (UNLIKELY(m->rules != NULL)) {
        judge_by_rules(m, h);
    }
}

enum parse_rc mcb_parse_req(struct parser *p, struct slice in, struct msg *m) {
    struct mcb_head h = {0};
    (void)p; /* a header tells the length of the rest: there is nothing to remember */
    msg_clear(m);
    if (in.n > 0 && in.p[0] != MCB_ASKS) {
        return bad(m, &h, MCB_INVALID, "Invalid magic: a request begins with the byte 0x80");
    }
    if (in.n < MCB_HEAD) {
        m->need = MCB_HEAD;
        return PARSE_MORE;
    }
    h = mcb_head_read(in.p);
    m->cmd = mcb_find(h.opcode);
    m->route = (enum route)m->cmd->route;
    m->tag = h.opaque;
    if ((uint32_t)h.nkey + h.nextras > h.nbody) {
        return bad(m, &h, MCB_UNKNOWN, mcb_words(MCB_UNKNOWN));
    }
    if (h.nkey > MC_KEY_MAX || !shape_fits(&shapes[mcb_rule(m->cmd)->does], &h)) {
        return bad(m, &h, MCB_INVALID, mcb_words(MCB_INVALID));
    }
    if (value_len(&h) > MC_VALUE_MAX) { /* the value would have to be swallowed: this is also good-bye */
        m->flags = MSG_CLOSE;
        answer(m, &h, MCB_TOO_LARGE, mcb_words(MCB_TOO_LARGE));
        m->raw = slice(in.p, MCB_HEAD);
        return PARSE_DONE;
    }
    if (MCB_HEAD + (size_t)h.nbody > m->max_bytes) {
        m->flags = MSG_OVER;
        return bad(m, &h, MCB_TOO_LARGE, "Too large (client_request_limit)");
    }
    if (in.n - MCB_HEAD < h.nbody) {
        m->need = MCB_HEAD + (uint64_t)h.nbody;
        return PARSE_MORE;
    }
    read_request(m, in, &h);
    return PARSE_DONE;
}
