/* resp_inline.c: a command typed by hand: words separated by blanks, "with escapes" or 'nearly as it is'. */
#include "proto/resp.h"

#include "base/mem.h"

#include <string.h>

static bool is_blank(uint8_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(uint8_t c) {
    uint8_t l = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

struct reader {
    const uint8_t *p, *end;
    uint8_t *to;
};

/* p is behind the backslash of a "..." word. */
static void take_escape(struct reader *r) {
    static const char from[] = "nrtba", into[] = "\n\r\t\b\a";
    if (r->end - r->p >= 3 && r->p[0] == 'x' && hex_digit(r->p[1]) >= 0 && hex_digit(r->p[2]) >= 0) {
        *r->to++ = (uint8_t)(hex_digit(r->p[1]) * 16 + hex_digit(r->p[2]));
        r->p += 3;
        return;
    }
    const char *e = *r->p != '\0' ? strchr(from, *r->p) : NULL;
    *r->to++ = e != NULL ? (uint8_t)into[e - from] : *r->p;
    r->p++;
}

/* p is behind the opening quote; afterwards behind the closing one, which must end the word. */
static bool take_quoted(struct reader *r, uint8_t quote) {
    while (r->p < r->end) {
        uint8_t c = *r->p++;
        if (c == quote) {
            return r->p == r->end || is_blank(*r->p);
        }
        if (c == '\\' && r->p < r->end && (quote == '"' || *r->p == '\'')) {
            if (quote == '"') {
                take_escape(r);
            } else {
                *r->to++ = *r->p++;
            }
        } else {
            *r->to++ = c;
        }
    }
    return false;
}

static bool take_word(struct reader *r) {
    while (r->p < r->end) {
        uint8_t c = *r->p;
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            return true;
        }
        r->p++;
        if (c == '"' || c == '\'') {
            return take_quoted(r, c);
        }
        *r->to++ = c;
    }
    return true;
}

bool resp_split_line(struct msg *m, struct slice line) {
    if (m->scratch_cap < line.n) {
        mem_free(m->scratch);
        m->scratch = mem_alloc(line.n);
        m->scratch_cap = line.n;
    }
    struct reader r = {line.p, line.p + line.n, m->scratch};
    m->base = m->scratch;
    m->nargs = 0;
    for (;;) {
        while (r.p < r.end && is_blank(*r.p)) {
            r.p++;
        }
        if (r.p == r.end) {
            return true;
        }
        uint8_t *start = r.to;
        if (!take_word(&r)) {
            return false;
        }
        if (m->nargs == m->args_cap) {
            resp_args_grow(m);
        }
        m->args[m->nargs++] = (struct arg){(uint32_t)(start - m->scratch), (uint32_t)(r.to - start)};
    }
}
