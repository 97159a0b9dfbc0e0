#include "proto/mc.h"

#include "base/mem.h"
#include "proto/rules.h"

#include <stdio.h>

enum { PHASE_LINE, PHASE_DATA, PHASE_END /* the data block passed, but for its line end */ };

/* The whole reply of this request; nothing when the client asked for none. */
void mc_answer(struct msg *m, const char *text) {
    if (m->flags & MSG_NOREPLY) {
        m->route = ROUTE_SKIP;
        return;
    }
    size_t n = strlen(text);
    ASSERT(n + 2 <= sizeof m->answer);
    memcpy(m->answer, text, n);
    memcpy(m->answer + n, "\r\n", 2);
    m->answer_len = (uint32_t)n + 2;
    m->route = ROUTE_REPLY;
}

static enum parse_rc bad(struct parser *p, struct msg *m, const char *text) {
    m->flags = 0;
    mc_answer(m, text);
    *p = (struct parser){0};
    return PARSE_BAD;
}

/* More of something than a request may have. What follows a data block that nobody takes would be read as lines: so this is good-bye, too. */
static enum parse_rc over(struct parser *p, struct msg *m, const char *text) {
    bad(p, m, text);
    m->flags |= MSG_OVER;
    return PARSE_BAD;
}

static void msg_clear(struct msg *m) {
    m->cmd = NULL;
    m->flags = 0;
    m->nargs = 0;
    m->first_key = m->nkeys = m->key_gap = 0;
    m->key_step = 1;
    m->need = 0;
    m->answer_len = 0;
}

/* May this line be longer than others? memcached reads a get of any length; a gat it takes only when the newline happens to
 * come with the first read, so that a long one is refused here, but as a line like any other. */
static bool line_is_get(struct slice in) {
    size_t i = 0;
    while (i < in.n && in.p[i] == ' ') {
        i++;
    }
    struct slice s = slice(in.p + i, in.n - i);
    return i <= MC_LINE_BLANKS &&
           (slice_starts(s, "get ") || slice_starts(s, "gets ") || slice_starts(s, "gat ") || slice_starts(s, "gats "));
}

/* DONE: the line's last byte is p->pos - 1, a '\n'. */
static enum parse_rc line_find(struct parser *p, struct slice in, struct msg *m) {
    if (in.n == 0) {
        return PARSE_MORE;
    }
    const uint8_t *nl = memchr(in.p + p->pos, '\n', in.n - p->pos);
    size_t n = nl != NULL ? (size_t)(nl - in.p) : in.n;
    if (UNLIKELY(n > MC_LINE_MAX) && (n > MC_GET_LINE_MAX || !line_is_get(in))) {
        return bad(p, m, "CLIENT_ERROR line too long");
    }
    if (UNLIKELY(n > m->max_bytes)) {
        return over(p, m, "CLIENT_ERROR line too long (client_request_limit)");
    }
    p->pos = nl != NULL ? n + 1 : n;
    return nl != NULL ? PARSE_DONE : PARSE_MORE;
}

void mc_arg_add(struct msg *m, size_t off, size_t len) {
    if (UNLIKELY(m->nargs == m->args_cap)) {
        m->args_cap *= 2;
        m->args = mem_realloc(m->args, m->args_cap * sizeof *m->args);
    }
    m->args[m->nargs++] = (struct arg){(uint32_t)off, (uint32_t)len};
}

/* Words are what blanks separate. The line ends at its first NUL, as in memcached; what is not the plain form of a line
 * is not forwarded as it came. */
static void line_split(struct msg *m, const uint8_t *p, size_t n) {
    const uint8_t *end = p + n - 1, *s = p;
    if (n > 2 && end[-1] == '\r') {
        end--;
    } else {
        m->flags |= MSG_REWRITE;
    }
    const uint8_t *nul = memchr(p, 0, (size_t)(end - p));
    if (UNLIKELY(nul != NULL)) {
        end = nul;
        m->flags |= MSG_REWRITE;
    }
    if (s < end && *s == ' ') {
        m->flags |= MSG_REWRITE;
    }
    for (;;) {
        while (s < end && *s == ' ') {
            s++;
        }
        if (s == end) {
            return;
        }
        const uint8_t *e = memchr(s, ' ', (size_t)(end - s));
        e = e != NULL ? e : end;
        mc_arg_add(m, (size_t)(s - p), (size_t)(e - s));
        s = e;
    }
}

/* memcached looks at the last word, whatever it stands for. */
static void noreply_read(struct msg *m) {
    if (slice_is(msg_arg(m, m->nargs - 1), "noreply")) {
        m->flags |= MSG_NOREPLY | MSG_REWRITE;
    }
}

/* The words behind the first n have no meaning for the server. */
void mc_args_keep(struct msg *m, uint32_t n) {
    if (m->nargs > n) {
        m->nargs = n;
        m->flags |= MSG_REWRITE;
    }
}

/* The keys are all words from here on. */
bool mc_keys_read(struct msg *m, uint32_t first, uint32_t n) {
    m->first_key = first;
    m->nkeys = n;
    for (uint32_t i = first; i < first + n; i++) {
        if (UNLIKELY(m->args[i].len > MC_KEY_MAX)) {
            mc_answer(m, "CLIENT_ERROR bad command line format");
            return false;
        }
    }
    return true;
}

/* A request for values: with one key there is nothing to split. */
static void values_read(struct msg *m, uint32_t first) {
    if (mc_keys_read(m, first, m->nargs - first) && m->nkeys == 1) {
        m->route = ROUTE_ONE;
    }
}

static void exptime_read(struct msg *m, uint32_t i) {
    int64_t exptime;
    if (!mc_i64(msg_arg(m, i), &exptime)) {
        mc_answer(m, "CLIENT_ERROR invalid exptime argument");
    }
}

static void gat_read(struct msg *m, size_t line) {
    exptime_read(m, 1);
    if (m->route == ROUTE_REPLY) {
        return;
    }
    if (m->nargs == 2) {
        mc_answer(m, "END");
    } else if (line > MC_LINE_MAX + 1) {
        mc_answer(m, "CLIENT_ERROR line too long");
    } else {
        values_read(m, 2);
    }
}

/* Returns the length of the data block with its CRLF; 0: the line is refused and nothing follows it. */
static size_t store_read(struct msg *m) {
    uint32_t words = mc_rules[m->cmd->id].min;
    struct mc_store store;
    noreply_read(m);
    if (!mc_keys_read(m, 1, 1)) {
        return 0;
    }
    if (!mc_store_read(m, &store)) {
        mc_answer(m, "CLIENT_ERROR bad command line format");
        return 0;
    }
    if ((uint32_t)store.length > MC_VALUE_MAX) {
        /* Said although it is a noreply: the block would have to be swallowed, so this is also good-bye. */
        m->flags = MSG_CLOSE;
        mc_answer(m, "SERVER_ERROR object too large for cache");
        return 0;
    }
    if (!store.plain) {
        m->flags |= MSG_REWRITE;
    }
    mc_args_keep(m, words);
    return (size_t)store.length + 2;
}

static void delete_read(struct msg *m) {
    if (m->nargs > 2) { /* else `noreply` is the key */
        noreply_read(m);
        bool silent = (m->flags & MSG_NOREPLY) != 0, zero = slice_is(msg_arg(m, 2), "0");
        if (m->nargs == 3 ? !zero && !silent : !zero || !silent) {
            mc_answer(m, "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]");
            return;
        }
    }
    if (mc_keys_read(m, 1, 1)) {
        mc_args_keep(m, 2);
    }
}

static void delta_read(struct msg *m) {
    uint64_t delta;
    noreply_read(m);
    if (!mc_keys_read(m, 1, 1)) {
        return;
    }
    if (!mc_u64(msg_arg(m, 2), &delta)) {
        mc_answer(m, "CLIENT_ERROR invalid numeric delta argument");
    }
    mc_args_keep(m, 3);
}

static void touch_read(struct msg *m) {
    noreply_read(m);
    if (mc_keys_read(m, 1, 1)) {
        exptime_read(m, 2);
        mc_args_keep(m, 3);
    }
}

static void flush_read(struct msg *m) {
    noreply_read(m);
    bool silent = (m->flags & MSG_NOREPLY) != 0;
    if (m->nargs == (silent ? 2 : 1)) {
        mc_args_keep(m, 1);
    } else {
        exptime_read(m, 1);
        mc_args_keep(m, 2);
    }
}

static void verbosity_read(struct msg *m) {
    uint64_t level;
    noreply_read(m);
    if (!mc_u64(msg_arg(m, 1), &level)) {
        mc_answer(m, "CLIENT_ERROR bad command line format");
    } else if (m->flags & MSG_NOREPLY) {
        m->route = ROUTE_SKIP;
    }
}

static void unknown_read(struct msg *m) {
    mc_answer(m, "ERROR");
    /* A browser that was lured here sends its form as further lines; memcached closes as well. */
    if (m->nargs > 0 && slice_starts(msg_arg(m, m->nargs - 1), "HTTP/")) {
        m->flags |= MSG_CLOSE;
    }
}

static void refuse(struct msg *m) {
    char text[160];
    int n = snprintf(text, sizeof text, "CLIENT_ERROR %s %s", m->cmd->name, m->cmd->why);
    ASSERT(n > 0 && (size_t)n < sizeof text);
    mc_answer(m, text);
}

/* The request is whole and its data block taken: the connection goes on with the next line. */
static __attribute__((noinline)) void judge_by_rules(struct msg *m) {
    const struct cmd *c = rules_row(m->rules, m->cmd);
    if (c != m->cmd && m->cmd->why == NULL && m->route != ROUTE_REPLY) {
        char text[160];
        int n = snprintf(text, sizeof text, "CLIENT_ERROR '%s' %s", c->name, c->why);
        ASSERT(n > 0 && (size_t)n < sizeof text);
        mc_answer(m, text);
    }
}

/* What the line means. Returns how many bytes of data follow it. */
static size_t line_read(struct msg *m, size_t line) {
    m->cmd = m->nargs > 0 ? mc_find(msg_arg(m, 0)) : &mc_cmds[MC_ID_UNKNOWN];
    m->route = m->cmd->route;
    const struct mc_rule *rule = &mc_rules[m->cmd->id];
    if (m->nargs < rule->min || (rule->max > 0 && m->nargs > rule->max)) {
        mc_answer(m, "ERROR");
        return 0;
    }
    switch ((enum mc_form)m->cmd->keys) {
    case FORM_GET:
        values_read(m, 1);
        return 0;
    case FORM_GAT:
        gat_read(m, line);
        return 0;
    case FORM_STORE:
        return store_read(m);
    case FORM_DELETE:
        delete_read(m);
        return 0;
    case FORM_DELTA:
        delta_read(m);
        return 0;
    case FORM_TOUCH:
        touch_read(m);
        return 0;
    case FORM_FLUSH:
        flush_read(m);
        return 0;
    case FORM_VERBOSITY:
        verbosity_read(m);
        return 0;
    case FORM_BARE:
        mc_args_keep(m, 1);
        return 0;
    case FORM_META:
    case FORM_META_SET:
    case FORM_META_DEBUG:
        return mc_meta_read(m, line);
    case FORM_REFUSED:
        refuse(m);
        return 0;
    case FORM_UNKNOWN:
        unknown_read(m);
        return 0;
    case FORM_WORDS:
        return 0;
    }
    return 0;
}

/* May so many bytes of a data block go ahead that are not here yet? */
static bool may_pass(const struct parser *p, struct slice in, size_t whole) {
    return p->pass_min > 0 && whole >= in.n + 2 + p->pass_min;
}

/* The line was read, and its data block is not all here: it goes ahead if it may and its key says where. */
static __attribute__((noinline)) enum parse_rc more(struct parser *p, struct slice in, struct msg *m, size_t line, size_t data) {
    p->phase = PHASE_DATA;
    p->left = m->need = line + data;
    m->pass = 0;
    if (!may_pass(p, in, line + data)) {
        return PARSE_MORE;
    }
    if (m->rules != NULL) {
        judge_by_rules(m);
    }
    if (m->route == ROUTE_ONE) {
        m->route = ROUTE_LARGE;
        m->raw = slice(in.p, line);
        m->pass = data - 2;
        m->need = 0;
        *p = (struct parser){.phase = PHASE_END};
    }
    return PARSE_MORE;
}

/* The line was read before: is it to be read again? Behind a data block that passed, whatever stands there instead of a line end is
 * the end of the request: the server says what it thinks of it. */
static __attribute__((noinline)) bool line_again(struct parser *p, struct slice in, struct msg *m) {
    m->pass = 0;
    if (p->phase == PHASE_DATA) {
        m->need = in.n < p->left ? p->left : 0;
        return m->need == 0 || may_pass(p, in, p->left);
    }
    if (in.n >= 2) {
        m->raw = slice(in.p, 2);
        *p = (struct parser){0};
    }
    return false;
}

enum parse_rc mc_parse_req(struct parser *p, struct slice in, struct msg *m) {
    msg_clear(m);
    if (UNLIKELY(p->phase != PHASE_LINE)) {
        if (!line_again(p, in, m)) {
            return p->phase == PHASE_LINE ? PARSE_DONE : PARSE_MORE;
        }
    } else {
        enum parse_rc rc = line_find(p, in, m);
        if (rc != PARSE_DONE) {
            return rc;
        }
    }
    size_t line = p->pos; /* with its '\n'; read a second time only when its data block came later */
    m->base = in.p;
    line_split(m, in.p, line);
    if (UNLIKELY(m->nargs > m->max_args)) {
        return over(p, m, "CLIENT_ERROR too many arguments (client_max_arguments)");
    }
    size_t data = line_read(m, line);
    if (UNLIKELY(line + data > m->max_bytes)) {
        return over(p, m, "SERVER_ERROR object too large for cache (client_request_limit)");
    }
    if (in.n - line < data) {
        return more(p, in, m, line, data);
    }
    if (data > 0 && m->route != ROUTE_REPLY) {
        if (m->cmd->keys == FORM_STORE) {
            mc_arg_add(m, line, data - 2);
        }
        if (memcmp(in.p + line + data - 2, "\r\n", 2) != 0) {
            mc_answer(m, "CLIENT_ERROR bad data chunk"); /* memcached too takes as many bytes as were announced */
        }
    }
    m->raw = slice(in.p, line + data);
    *p = (struct parser){0};
    if (UNLIKELY(m->rules != NULL)) {
        judge_by_rules(m);
    }
    return PARSE_DONE;
}
