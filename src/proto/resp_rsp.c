/* resp_rsp.c: frames of replies. Nesting is a count of values that are still missing, so its depth costs nothing. RESP2 and
 * RESP3 types are framed alike; which of them a server may send was settled by the greeting. */
#include "proto/resp.h"

#define TEXT_MAX   (64u << 20) /* of a simple string or an error: scripts may return long ones */
#define NUMBER_MAX 32u
#define DOUBLE_MAX 1024u

/* parser.phase. `left` is: low half, values that are missing; high half, bytes of this line already searched. */
enum { PHASE_START, PHASE_HEAD, PHASE_BODY };

/* Bits of parser.mark. */
enum { MARK_NO_SCRIPT = 1, MARK_PASSED = 2 /* `in` begins inside the reply, which is no error */ };

/* How the line of a value is read. */
enum line_kind { LINE_BAD, LINE_TEXT, LINE_INT, LINE_DOUBLE, LINE_BULK, LINE_LIST, LINE_MAP, LINE_NULL, LINE_BOOL };

static enum line_kind line_kind(uint8_t type) {
    switch (type) {
    case '$':
    case '!':
    case '=':
        return LINE_BULK;
    case '+':
    case '-':
    case '(':
        return LINE_TEXT;
    case ':':
        return LINE_INT;
    case '*':
    case '~':
    case '>':
        return LINE_LIST;
    case '%':
    case '|':
        return LINE_MAP;
    case ',':
        return LINE_DOUBLE;
    case '_':
        return LINE_NULL;
    case '#':
        return LINE_BOOL;
    default:
        return LINE_BAD;
    }
}

static size_t line_max(enum line_kind k) {
    return k == LINE_TEXT ? TEXT_MAX : k == LINE_DOUBLE ? DOUBLE_MAX : NUMBER_MAX;
}

/* The line at ps->pos, without its type and line end. */
static enum parse_rc take_line(struct parser *ps, struct slice in, enum line_kind kind, struct slice *line) {
    size_t seen = in.n - ps->pos, searched = (size_t)(ps->left >> 32), max = line_max(kind);
    size_t limit = min_size(seen, max + 1);
    const uint8_t *at = in.p + ps->pos;
    const uint8_t *cr = searched < limit ? memchr(at + searched, '\r', limit - searched) : NULL;
    if (cr == NULL || cr + 1 == in.p + in.n) {
        ps->left = (uint32_t)ps->left | (uint64_t)(cr == NULL ? limit : (size_t)(cr - at)) << 32;
        return cr == NULL && seen > max ? PARSE_BAD : PARSE_MORE;
    }
    ps->left = (uint32_t)ps->left;
    *line = slice(at + 1, (size_t)(cr - at) - 1);
    return cr[1] == '\n' ? PARSE_DONE : PARSE_BAD;
}

/* Counts what a value's line announces: values to come in `left`, payload in `pos`. False: garbage. */
static bool take_value(struct parser *ps, uint8_t type, enum line_kind kind, struct slice line) {
    uint64_t missing = (uint32_t)ps->left - 1u;
    int64_t n = 0;
    bool number = kind == LINE_INT || kind == LINE_BULK || kind == LINE_LIST || kind == LINE_MAP;
    if (number && !resp_int(line, &n)) {
        return false;
    }
    ps->pos += line.n + 3;
    switch (kind) {
    case LINE_BULK:
        if (n == -1 && type == '$') {
            break;
        }
        if (n < 0 || n > RESP_FRAME_MAX) {
            return false;
        }
        ps->pos += (size_t)n + 2;
        ps->phase = PHASE_BODY;
        break;
    case LINE_LIST:
    case LINE_MAP:
        if (n == -1 && type == '*') {
            break;
        }
        if (n < 0 || n > RESP_FRAME_MAX) {
            return false;
        }
        missing += kind == LINE_MAP ? 2 * (uint64_t)n : (uint64_t)n;
        missing += type == '|'; /* attributes come in front of the value they belong to */
        break;
    case LINE_NULL:
        if (line.n != 0) {
            return false;
        }
        break;
    case LINE_BOOL:
        if (line.n != 1 || (line.p[0] != 't' && line.p[0] != 'f')) {
            return false;
        }
        break;
    default:
        break;
    }
    ps->left = missing;
    /* A value has at least three bytes: a reply that announces more than fit is a lie. */
    return ps->pos <= RESP_FRAME_MAX && missing <= RESP_FRAME_MAX / 3;
}

static enum parse_rc scan(struct parser *ps, struct slice in, struct rsp *r) {
    for (;;) {
        if (ps->phase == PHASE_BODY) {
            if (in.n < ps->pos) {
                r->need = ps->pos;
                return PARSE_MORE;
            }
            if (in.p[ps->pos - 2] != '\r' || in.p[ps->pos - 1] != '\n') {
                return PARSE_BAD;
            }
            ps->phase = PHASE_HEAD;
        }
        if (ps->left == 0) {
            return PARSE_DONE;
        }
        if (ps->pos == in.n) {
            return PARSE_MORE;
        }
        uint8_t type = in.p[ps->pos];
        enum line_kind kind = line_kind(type);
        struct slice line;
        enum parse_rc rc = kind == LINE_BAD ? PARSE_BAD : take_line(ps, in, kind, &line);
        if (rc != PARSE_DONE) {
            return rc;
        }
        if (UNLIKELY(type == '-' && resp_script_missing(line))) {
            ps->mark |= MARK_NO_SCRIPT;
        }
        if (!take_value(ps, type, kind, line)) {
            return PARSE_BAD;
        }
    }
}

/* What of an unfinished reply may go ahead: up to the line end behind the payload, or up to the value that comes next. Never
 * of an error, which has to be seen whole by its first byte. */
static void pass(struct parser *ps, struct slice in, struct rsp *r) {
    size_t n = ps->phase == PHASE_BODY ? ps->pos - 2 : ps->pos;
    if (n < ps->pass_min || (in.p[0] == '!' && !(ps->mark & MARK_PASSED))) {
        return;
    }
    r->pass = n;
    r->need = 0;
    ps->pos -= n;
    ps->mark |= MARK_PASSED;
}

static enum rsp_kind reply_kind(struct slice reply) {
    if (LIKELY(reply.p[0] != '-' && reply.p[0] != '!')) {
        return RSP_GOOD;
    }
    return slice_starts(reply, "-LOADING") ? RSP_LOADING : RSP_ERROR;
}

/* Behind the string whose '$' is at p; NULL: it is not complete, or no string. */
static inline const uint8_t *string_end(const uint8_t *p, const uint8_t *end) {
    uint32_t n;
    const uint8_t *body = resp_take_typed(p, end, '$', &n);
    if (LIKELY(body != NULL)) {
        return (size_t)(end - body) >= (size_t)n + 2 && memcmp(body + n, "\r\n", 2) == 0 ? body + n + 2 : NULL;
    }
    return end - p >= 5 && memcmp(p, "$-1\r\n", 5) == 0 ? p + 5 : NULL;
}

/* The length of a complete list of strings; 0: it is something else, or not complete. */
static __attribute__((noinline)) size_t list_len(struct slice in) {
    const uint8_t *end = in.p + in.n;
    uint32_t n;
    const uint8_t *p = resp_take_number(in.p + 1, end, &n);
    for (; p != NULL && n > 0; n--) {
        p = p < end && *p == '$' ? string_end(p, end) : NULL;
    }
    return p != NULL ? (size_t)(p - in.p) : 0;
}

/* The length of a complete string, number, +OK or list of strings; 0: not one of these, or not complete. */
static size_t plain_len(struct slice in) {
    const uint8_t *end = in.p + in.n, *p;
    uint32_t v;
    if (UNLIKELY(in.n < 4)) {
        return 0;
    }
    if (LIKELY(in.p[0] == '$')) {
        p = string_end(in.p, end);
        return p != NULL ? (size_t)(p - in.p) : 0;
    }
    if (in.p[0] == '*') {
        return list_len(in);
    }
    if (in.n >= 5 && memcmp(in.p, "+OK\r\n", 5) == 0) {
        return 5;
    }
    p = in.p[0] == ':' ? resp_take_number(in.p + 1, end, &v) : NULL;
    return p != NULL ? (size_t)(p - in.p) : 0;
}

static __attribute__((noinline)) enum parse_rc parse_slowly(struct parser *ps, struct slice in, struct rsp *r) {
    if (ps->phase == PHASE_START) {
        *ps = (struct parser){.left = 1, .phase = PHASE_HEAD, .pass_min = ps->pass_min};
    }
    r->pass = 0;
    enum parse_rc rc = scan(ps, in, r);
    if (rc == PARSE_DONE) {
        r->len = ps->pos;
        r->kind = ps->mark & MARK_PASSED ? RSP_GOOD : reply_kind(in);
        r->no_script = ps->mark & MARK_NO_SCRIPT;
    } else if (rc == PARSE_MORE && ps->pass_min > 0) {
        pass(ps, in, r);
    }
    if (rc != PARSE_MORE) {
        *ps = (struct parser){0};
    }
    return rc;
}

enum parse_rc resp_parse_rsp(struct parser *ps, const struct cmd *c, struct slice in, struct rsp *r) {
    r->need = 0;
    if (LIKELY(ps->phase == PHASE_START)) {
        r->len = plain_len(in);
        if (LIKELY(r->len > 0)) {
            r->kind = RSP_GOOD;
            return PARSE_DONE;
        }
    }
    return parse_slowly(ps, in, r);
}

size_t resp_value_len(struct slice in) {
    const uint8_t *end = in.n > 0 && in.p[0] == '$' ? string_end(in.p, in.p + in.n) : NULL;
    if (LIKELY(end != NULL)) {
        return (size_t)(end - in.p);
    }
    struct parser ps = {0};
    struct rsp r = {0};
    return in.n > 0 && resp_parse_rsp(&ps, NULL, in, &r) == PARSE_DONE ? r.len : 0;
}
