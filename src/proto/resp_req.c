/* resp_req.c: frames of requests. A frame that is complete when first seen (nearly every one) is taken in one pass by
 * collect(). One that dribbles in is followed by scan(), which remembers where it is and looks at every byte once;
 * when it is complete, collect() walks over its headers. Payload bytes are never touched. */
#include "proto/resp.h"

#include "base/mem.h"
#include "base/num.h"

#define ARGS_KEEP 65536u /* an argument array that grew beyond this goes back with the next request */

/* parser.phase. `left` is: low half, arguments that are missing; high half, bytes of this line already searched. */
enum { PHASE_START, PHASE_COUNT, PHASE_HEAD, PHASE_BODY, PHASE_INLINE };

/* parser.mark: `in` begins inside the request; pass_min has the length of what went before. */
enum { MARK_PASSED = 1 };

static const struct cmd nothing = {.name = "", .id = RESP_COMMANDS, .route = ROUTE_SKIP};

bool resp_int(struct slice s, int64_t *out) {
    size_t sign = s.n > 0 && s.p[0] == '-';
    if (s.n > sign && s.p[sign] == '0' && s.n > 1) {
        return false; /* 01, -0 */
    }
    return num_i64(s, out);
}

void resp_args_grow(struct msg *m) {
    m->args_cap *= 2;
    m->args = mem_realloc(m->args, m->args_cap * sizeof *m->args);
}

#define ARG_MIN 6 /* bytes of an argument with nothing in it */

/* Room for so many, if they can all be here. */
static __attribute__((noinline)) bool args_room(struct msg *m, uint32_t count, size_t n) {
    if (n / ARG_MIN < count) {
        return false;
    }
    while (count > m->args_cap) {
        resp_args_grow(m);
    }
    return true;
}

/* Takes a whole frame with its args, whose lengths are not checked. False, when it is cut, broken or empty: scan() says which. */
static inline __attribute__((always_inline)) bool collect(struct slice in, struct msg *m) {
    const uint8_t *end = in.p + in.n;
    uint32_t count, len;
    const uint8_t *p = resp_take_typed(in.p, end, '*', &count);
    if (UNLIKELY(p == NULL || count - 1 >= m->max_args || (count > m->args_cap && !args_room(m, count, in.n)))) {
        return false;
    }
    struct arg *args = m->args;
    for (uint32_t i = 0; i < count; i++) {
        p = resp_take_typed(p, end, '$', &len);
        if (UNLIKELY(p == NULL || (size_t)(end - p) < (size_t)len + 2 || memcmp(p + len, "\r\n", 2) != 0)) {
            return false;
        }
        args[i] = (struct arg){(uint32_t)(p - in.p), len};
        p += len + 2;
    }
    m->base = in.p;
    m->nargs = count;
    m->raw = slice(in.p, (size_t)(p - in.p));
    return true;
}

static enum parse_rc bad(struct parser *ps, struct slice in, struct msg *m, const char *what) {
    *ps = (struct parser){0};
    m->cmd = &nothing;
    m->base = in.p;
    m->raw = slice(in.p, 0);
    m->nargs = 0;
    resp_answer(m, "ERR Protocol error: %s", what);
    return PARSE_BAD;
}

/* A whole frame that has more of something than it may. */
static enum parse_rc over(struct parser *ps, struct slice in, struct msg *m, const char *what) {
    m->flags |= MSG_OVER;
    return bad(ps, in, m, what);
}

static enum parse_rc skip(struct parser *ps, struct slice in, struct msg *m, size_t n) {
    *ps = (struct parser){0};
    m->cmd = &nothing;
    m->route = ROUTE_SKIP;
    m->base = in.p;
    m->raw = slice(in.p, n);
    m->nargs = 0;
    return PARSE_DONE;
}

/* Bytes of this request that are shown no more. */
static size_t passed(const struct parser *ps) {
    return ps->mark == MARK_PASSED ? ps->pass_min : 0;
}

static void set_left(struct parser *ps, uint64_t args, uint64_t searched) {
    ps->left = args | searched << 32;
}

/* The header line at ps->pos, without its type and line end. */
static enum parse_rc take_line(struct parser *ps, struct slice in, struct slice *line) {
    size_t seen = in.n - ps->pos, searched = (size_t)(ps->left >> 32);
    size_t limit = min_size(seen, RESP_LINE_MAX + 1);
    const uint8_t *at = in.p + ps->pos;
    const uint8_t *cr = searched < limit ? memchr(at + searched, '\r', limit - searched) : NULL;
    if (cr == NULL) {
        set_left(ps, (uint32_t)ps->left, limit);
        return seen > RESP_LINE_MAX ? PARSE_BAD : PARSE_MORE;
    }
    if (cr + 1 == in.p + in.n) {
        set_left(ps, (uint32_t)ps->left, (uint64_t)(cr - at));
        return PARSE_MORE;
    }
    set_left(ps, (uint32_t)ps->left, 0);
    /* A lone \r: an empty line is no number, so both callers find it broken. */
    *line = cr[1] == '\n' ? slice(at + 1, (size_t)(cr - at) - 1) : slice(at, 0);
    return PARSE_DONE;
}

static enum parse_rc scan_count(struct parser *ps, struct slice in, struct msg *m) {
    struct slice line;
    enum parse_rc rc = take_line(ps, in, &line);
    if (rc != PARSE_DONE) {
        return rc == PARSE_BAD ? bad(ps, in, m, "too big mbulk count string") : rc;
    }
    int64_t n;
    if (!resp_int(line, &n) || n > RESP_ARGS_MAX) {
        return bad(ps, in, m, "invalid multibulk length");
    }
    if (n > m->max_args) {
        return over(ps, in, m, "request has more arguments than client_max_arguments");
    }
    ps->pos = line.n + 3;
    if (n <= 0) {
        return skip(ps, in, m, ps->pos);
    }
    set_left(ps, (uint64_t)n, 0);
    ps->phase = PHASE_HEAD;
    return PARSE_DONE;
}

static enum parse_rc scan_head(struct parser *ps, struct slice in, struct msg *m) {
    if (ps->pos == in.n) {
        return PARSE_MORE;
    }
    uint8_t type = in.p[ps->pos];
    if (type != '$') {
        char text[] = "expected '$', got 'x'";
        text[sizeof text - 3] = (char)type;
        return bad(ps, in, m, text);
    }
    struct slice line;
    enum parse_rc rc = take_line(ps, in, &line);
    if (rc != PARSE_DONE) {
        return rc == PARSE_BAD ? bad(ps, in, m, "too big bulk count string") : rc;
    }
    int64_t n;
    if (!resp_int(line, &n) || n < 0 || n > RESP_BULK_MAX) {
        return bad(ps, in, m, "invalid bulk length");
    }
    ps->pos += line.n + 3 + (size_t)n + 2; /* the end of the payload, which may lie ahead */
    if (ps->pos + passed(ps) > m->max_bytes) {
        return over(ps, in, m, "request is larger than client_request_limit");
    }
    ps->phase = PHASE_BODY;
    return PARSE_DONE;
}

static enum parse_rc scan_body(struct parser *ps, struct slice in, struct msg *m) {
    if (in.n < ps->pos) {
        m->need = ps->pos;
        return PARSE_MORE;
    }
    if (in.p[ps->pos - 2] != '\r' || in.p[ps->pos - 1] != '\n') {
        return bad(ps, in, m, "invalid bulk length");
    }
    set_left(ps, (uint32_t)ps->left - 1, 0);
    ps->phase = PHASE_HEAD;
    return PARSE_DONE;
}

/* DONE: the whole frame is there and is valid, unless m->route says that there is nothing in it. */
static enum parse_rc scan(struct parser *ps, struct slice in, struct msg *m) {
    enum parse_rc rc = PARSE_DONE;
    if (ps->phase == PHASE_COUNT) {
        rc = scan_count(ps, in, m);
        if (ps->phase == PHASE_START) {
            return rc; /* nothing in it, or broken */
        }
    }
    while (rc == PARSE_DONE && (uint32_t)ps->left > 0) {
        rc = ps->phase == PHASE_HEAD ? scan_head(ps, in, m) : scan_body(ps, in, m);
    }
    return rc;
}

static enum parse_rc parse_inline(struct parser *ps, struct slice in, struct msg *m) {
    size_t limit = min_size(in.n, RESP_LINE_MAX + 1);
    const uint8_t *lf = ps->pos < limit ? memchr(in.p + ps->pos, '\n', limit - ps->pos) : NULL;
    if (lf == NULL) {
        ps->pos = limit;
        return in.n > RESP_LINE_MAX ? bad(ps, in, m, "too big inline request") : PARSE_MORE;
    }
    size_t n = (size_t)(lf - in.p) + 1;
    if (!resp_split_line(m, slice(in.p, n))) {
        return bad(ps, in, m, "unbalanced quotes in request");
    }
    if (m->nargs == 0) {
        return skip(ps, in, m, n);
    }
    if (n > m->max_bytes || m->nargs > m->max_args) {
        return over(ps, in, m, n > m->max_bytes ? "request is larger than client_request_limit"
                                                : "request has more arguments than client_max_arguments");
    }
    *ps = (struct parser){0};
    m->raw = slice(in.p, n);
    m->flags |= MSG_REWRITE;
    resp_judge(m);
    return PARSE_DONE;
}

static __attribute__((noinline)) void args_shrink(struct msg *m) {
    m->args_cap = 64;
    mem_free(m->args);
    m->args = mem_alloc(m->args_cap * sizeof *m->args);
}

static void reset(struct msg *m) {
    m->flags = 0;
    m->need = 0;
    m->answer_len = 0;
    m->first_key = m->nkeys = m->key_gap = 0;
    m->key_step = 1;
    if (UNLIKELY(m->args_cap > ARGS_KEEP)) {
        args_shrink(m);
    }
}

/* The arguments before the one that is under way. Returns the length of all that stands before its payload. */
static size_t collect_head(struct slice in, struct msg *m, uint32_t nargs) {
    const uint8_t *end = in.p + in.n;
    uint32_t len;
    const uint8_t *p = resp_take_number(in.p + 1, end, &len);
    for (uint32_t i = 0; i <= nargs; i++) {
        p = resp_take_number(p + 1, end, &len);
        ASSERT(p != NULL);
        if (i == m->args_cap) {
            resp_args_grow(m);
        }
        m->args[i] = (struct arg){(uint32_t)(p - in.p), len};
        p += i < nargs ? len + 2 : 0;
    }
    m->base = in.p;
    m->nargs = nargs;
    return (size_t)(p - in.p);
}

/* What of an unfinished request may go ahead: the payload that is under way, without its line end, or what is understood. */
static void pass(struct parser *ps, struct slice in, struct msg *m) {
    size_t n = ps->phase == PHASE_BODY ? ps->pos - 2 : ps->pos, head = 0;
    if (ps->mark != MARK_PASSED) {
        uint32_t total;
        if (ps->phase != PHASE_BODY || n < in.n + ps->pass_min || resp_take_number(in.p + 1, in.p + in.n, &total) == NULL) {
            return;
        }
        head = collect_head(in, m, total - (uint32_t)ps->left);
        if (!resp_judge_head(m, total)) {
            return;
        }
    }
    ps->pass_min = (uint32_t)(passed(ps) + n);
    ps->mark = MARK_PASSED;
    ps->pos -= n;
    m->raw = slice(in.p, head);
    m->pass = n - head;
    m->need = 0;
}

/* Everything but a whole frame at first sight. Apart, so that the plain path saves no registers for it. */
static __attribute__((noinline)) enum parse_rc parse_slowly(struct parser *ps, struct slice in, struct msg *m) {
    if (in.n == 0) {
        return PARSE_MORE;
    }
    if (ps->phase == PHASE_START) {
        ps->phase = in.p[0] == '*' ? PHASE_COUNT : PHASE_INLINE;
    }
    if (ps->phase == PHASE_INLINE) {
        return parse_inline(ps, in, m);
    }
    m->route = ROUTE_LOCAL; /* anything but SKIP, which scan() sets */
    m->pass = 0;
    enum parse_rc rc = scan(ps, in, m);
    if (ps->mark == MARK_PASSED && rc == PARSE_DONE) {
        m->raw = slice(in.p, ps->pos);
        *ps = (struct parser){0};
        return rc;
    }
    if (rc == PARSE_MORE && ps->pass_min > 0) {
        pass(ps, in, m);
    }
    if (rc == PARSE_DONE && m->route != ROUTE_SKIP) {
        bool whole = collect(slice(in.p, ps->pos), m);
        ASSERT(whole);
        *ps = (struct parser){0};
        resp_judge(m);
    }
    return rc;
}

enum parse_rc resp_parse_req(struct parser *ps, struct slice in, struct msg *m) {
    reset(m);
    /* in what is not longer than an argument and a request may be, none is longer */
    if (LIKELY(ps->phase == PHASE_START && collect(slice(in.p, min_size(min_size(in.n, RESP_BULK_MAX), m->max_bytes)), m))) {
        resp_judge(m);
        return PARSE_DONE;
    }
    return parse_slowly(ps, in, m);
}
