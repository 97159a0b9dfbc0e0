#include "proto/mcb.h"

static void put_stat(const struct msg *m, struct slice name, struct slice value, struct out *o) {
    mcb_put(o, mcb_rule(m->cmd)->opcode, m->tag, MCB_FINE, name, value);
}

/* "STAT name value" without its CRLF. */
static void put_stat_line(const struct msg *m, struct slice line, struct out *o) {
    static const char intro[] = "STAT ";
    ASSERT(slice_starts(line, intro));
    struct slice rest = slice(line.p + sizeof intro - 1, line.n - (sizeof intro - 1));
    const uint8_t *blank = memchr(rest.p, ' ', rest.n);
    ASSERT(blank != NULL);
    size_t n = (size_t)(blank - rest.p);
    put_stat(m, slice(rest.p, n), slice(blank + 1, rest.n - n - 1), o);
}

/* The text's lines, one answer each, and an empty one at the end. */
static void put_stats(const struct msg *m, struct slice text, struct out *o) {
    static const char refused[] = "CLIENT_ERROR ";
    uint8_t opcode = mcb_rule(m->cmd)->opcode;
    while (text.n > 0) {
        const uint8_t *nl = memchr(text.p, '\n', text.n);
        ASSERT(nl != NULL && nl > text.p);
        struct slice line = slice(text.p, (size_t)(nl - text.p) - 1);
        text = slice(nl + 1, text.n - line.n - 2);
        if (slice_is(line, "END")) {
            put_stat(m, slice(NULL, 0), slice(NULL, 0), o);
        } else if (slice_is(line, "ERROR")) {
            mcb_put(o, opcode, m->tag, MCB_MISS, slice(NULL, 0), slice_str(mcb_words(MCB_MISS)));
        } else if (slice_starts(line, refused)) {
            size_t n = sizeof refused - 1;
            mcb_put(o, opcode, m->tag, MCB_REFUSED, slice(NULL, 0), slice(line.p + n, line.n - n));
        } else {
            put_stat_line(m, line, o);
        }
    }
}

static void local_stat(const struct msg *m, const struct facts *f, struct out *o) {
    struct slice word = msg_arg(m, MCB_ARG_KEY);
    const uint8_t *blank = word.n > 0 ? memchr(word.p, ' ', word.n) : NULL;
    word.n = blank != NULL ? (size_t)(blank - word.p) : word.n;
    struct rope text = {0};
    struct out to_text = {&text, o->stage};
    struct buf *b;
    mc_stats(word, f, &to_text);
    put_stats(m, rope_flat(&text, o->stage->buf->pool, &b), o);
    rope_fini(&text);
}

bool mcb_local(const struct msg *m, struct session *s, const struct facts *f, struct out *o) {
    const struct mcb_rule *rule = mcb_rule(m->cmd);
    (void)s;
    if (rule->does == MCB_STAT) {
        local_stat(m, f, o);
    } else if (rule->says == MCB_SAYS_ALL) {
        /* noop: replies leave in the order of requests, so all before it are answered, by whatever server */
        mcb_put(o, rule->opcode, m->tag, MCB_FINE, slice(NULL, 0), slice(NULL, 0));
    }
    return m->cmd->id == MC_ID_QUIT;
}
