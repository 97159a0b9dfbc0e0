#include "base/str.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>

#define FORMAT_MAX 512

static char *room(struct str *t, size_t n) {
    if (t->cap - t->n < n) {
        t->cap = max_size(t->cap * 2, t->n + n);
        t->p = mem_realloc(t->p, t->cap);
    }
    return t->p + t->n;
}

void str_put_slice(struct str *t, struct slice s) {
    if (s.n > 0) {
        memcpy(room(t, s.n), s.p, s.n);
        t->n += s.n;
    }
}

void str_put(struct str *t, const char *s) {
    str_put_slice(t, slice_str(s));
}

void str_put_i64(struct str *t, int64_t v) {
    t->n += num_put_i64(room(t, NUM_MAX), v);
}

void str_format(struct str *t, const char *format, ...) {
    char *to = room(t, FORMAT_MAX);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(to, FORMAT_MAX, format, args);
    va_end(args);
    ASSERT(n >= 0 && n < FORMAT_MAX);
    t->n += (size_t)n;
}

/* The length of the UTF-8 sequence that begins here (RFC 3629), 0: none. */
static size_t utf8_len(struct slice s) {
    uint8_t c = s.p[0];
    size_t n = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 && c >= 0xc2 ? 2 : (c & 0xf0) == 0xe0 ? 3 : (c & 0xf8) == 0xf0 && c <= 0xf4 ? 4 : 0;
    if (n == 0 || n > s.n) {
        return 0;
    }
    for (size_t i = 1; i < n; i++) {
        if ((s.p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (c == 0xe0 && s.p[1] < 0xa0) || (c == 0xf0 && s.p[1] < 0x90);
    bool surrogate = c == 0xed && s.p[1] >= 0xa0;
    bool beyond = c == 0xf4 && s.p[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : n;
}

/* `to` has room for 6 * s.n + 2. Returns the length. */
static size_t quote(char *to, struct slice s) {
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    to[n++] = '"';
    while (s.n > 0) {
        size_t len = utf8_len(s);
        uint8_t c = s.p[0];
        if (c == '"' || c == '\\') {
            to[n++] = '\\';
            to[n++] = (char)c;
        } else if (c < 0x20 || c == 0x7f || len == 0) {
            memcpy(to + n, "\\u00", 4);
            to[n + 4] = hex[c >> 4];
            to[n + 5] = hex[c & 15];
            n += 6;
            len = 1;
        } else {
            memcpy(to + n, s.p, len);
            n += len;
        }
        len = len == 0 ? 1 : len;
        s = slice(s.p + len, s.n - len);
    }
    to[n++] = '"';
    return n;
}

void str_quote(struct str *t, struct slice s) {
    t->n += quote(room(t, 6 * s.n + 2), s);
}

void str_fini(struct str *t) {
    mem_free(t->p);
    *t = (struct str){0};
}
