/* What servers get: meta commands. Each has exactly one reply, also for a quiet request: what is not told is left out by
 * mcb_merge. The key is never asked back: memcached may say one in base64 as it is, line feeds included. */
#include "proto/mcb.h"

#include "base/num.h"

/* A key, and flags with numbers. */
#define LINE_MAX_BYTES 512

struct line {
    char text[LINE_MAX_BYTES];
    size_t n;
};

static void add(struct line *l, const char *text) {
    size_t n = strlen(text);
    ASSERT(l->n + n <= sizeof l->text);
    memcpy(l->text + l->n, text, n);
    l->n += n;
}

/* A flag with a number: `text` is a blank and its letter. */
static void add_u64(struct line *l, const char *text, uint64_t v) {
    add(l, text);
    ASSERT(l->n + NUM_MAX <= sizeof l->text);
    l->n += num_put_u64(l->text + l->n, v);
}

/* Times from 2^31 on are in the far future; in text memcached takes them for negative ones, which are past. */
static void add_time(struct line *l, const char *text, const uint8_t *p) {
    uint64_t v = mcb_number(p, 4);
    add_u64(l, text, v > INT32_MAX ? INT32_MAX : v);
}

static void add_base64(struct line *l, struct slice s) {
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        size_t have = min_size(3, s.n - i);
        uint32_t bits = (uint32_t)s.p[i] << 16 | (have > 1 ? (uint32_t)s.p[i + 1] << 8 : 0) | (have > 2 ? s.p[i + 2] : 0);
        for (uint32_t k = 0; k < 4; k++) {
            l->text[l->n++] = k <= have ? letters[bits >> (18 - 6 * k) & 63] : '=';
        }
    }
}

/* The command, the key, and for ms the length of the value. */
static void begin(struct line *l, const char *command, const struct msg *m) {
    struct slice key = msg_arg(m, MCB_ARG_KEY);
    bool odd = mcb_key_odd(key);
    l->n = 0;
    add(l, command);
    if (odd) {
        ASSERT(l->n + 4 * ((key.n + 2) / 3) <= sizeof l->text);
        add_base64(l, key);
    } else {
        ASSERT(l->n + key.n <= sizeof l->text);
        memcpy(l->text + l->n, key.p, key.n);
        l->n += key.n;
    }
    if (m->cmd->id == MC_ID_MS) {
        add_u64(l, " ", msg_arg(m, MCB_ARG_VALUE).n);
    }
    add(l, odd ? " b" : "");
}

static void add_mode(struct line *l, char mode) {
    const char text[] = {' ', 'M', mode, 0};
    add(l, text);
}

static void build_read(struct line *l, const struct msg *m) {
    const struct mcb_rule *rule = mcb_rule(m->cmd);
    begin(l, "mg ", m);
    add(l, rule->mode == 'v' ? " f c v" : " f c");
    if (rule->does == MCB_TOUCH) {
        add_time(l, " T", msg_arg(m, MCB_ARG_EXTRAS).p);
    }
}

static void build_store(struct line *l, const struct msg *m, uint64_t cas) {
    const struct mcb_rule *rule = mcb_rule(m->cmd);
    const uint8_t *extras = msg_arg(m, MCB_ARG_EXTRAS).p;
    begin(l, "ms ", m);
    if (rule->does == MCB_STORE) {
        add_time(l, " T", extras + 4);
        add_u64(l, " F", mcb_number(extras, 4));
    }
    if (cas != 0) {
        add_u64(l, " C", cas);
    }
    /* For memcached an add or a replace with a cas is nothing but a cas. */
    if (rule->mode != 'S' && (cas == 0 || rule->does == MCB_CONCAT)) {
        add_mode(l, rule->mode);
    }
    if (rule->says == MCB_SAYS_ALL) {
        add(l, " c");
    }
}

static void build_delta(struct line *l, const struct msg *m, uint64_t cas) {
    const struct mcb_rule *rule = mcb_rule(m->cmd);
    const uint8_t *extras = msg_arg(m, MCB_ARG_EXTRAS).p;
    begin(l, "ma ", m);
    add_mode(l, rule->mode);
    add_u64(l, " D", mcb_number(extras, 8));
    if (mcb_number(extras + 16, 4) != UINT32_MAX) { /* else an item that is not there is not made */
        add_time(l, " N", extras + 16);
        add_u64(l, " J", mcb_number(extras + 8, 8));
    }
    if (cas != 0) {
        add_u64(l, " C", cas);
    }
    if (rule->says == MCB_SAYS_ALL) {
        add(l, " v c");
    }
}

static void build_delete(struct line *l, const struct msg *m, uint64_t cas) {
    begin(l, "md ", m);
    if (cas != 0) {
        add_u64(l, " C", cas);
    }
}

static void build_flush(struct line *l, const struct msg *m) {
    struct slice extras = msg_arg(m, MCB_ARG_EXTRAS);
    add(l, "flush_all");
    if (extras.n > 0) {
        add_time(l, " ", extras.p);
    }
}

void mcb_build(const struct msg *m, struct buf *b, const uint32_t *keys, uint32_t nkeys, struct out *o) {
    struct line l;
    uint64_t cas = mcb_head_read(msg_arg(m, MCB_ARG_HEAD).p).cas;
    ASSERT(keys == NULL && nkeys == 0); /* no request has more than one key */
    l.n = 0;
    switch ((enum mcb_does)mcb_rule(m->cmd)->does) {
    case MCB_READ:
    case MCB_TOUCH:
        build_read(&l, m);
        break;
    case MCB_STORE:
    case MCB_CONCAT:
        build_store(&l, m, cas);
        break;
    case MCB_DELETE:
        build_delete(&l, m, cas);
        break;
    case MCB_DELTA:
        build_delta(&l, m, cas);
        break;
    case MCB_FLUSH:
        build_flush(&l, m);
        break;
    case MCB_VERSION:
        add(&l, "version");
        break;
    case MCB_BARE:
    case MCB_STAT:
    case MCB_VERBOSITY:
    case MCB_OTHER:
        ASSERT(false && "a request that goes to no server");
    }
    add(&l, "\r\n");
    out_put(o, slice(l.text, l.n));
    if (m->cmd->id == MC_ID_MS) {
        out_take(o, b, msg_arg(m, MCB_ARG_VALUE));
        out_str(o, "\r\n");
    }
}
