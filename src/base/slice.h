/* slice.h: a borrowed run of bytes. Passed by value; owns nothing; may hold any byte. */
#ifndef KVMUX_BASE_SLICE_H
#define KVMUX_BASE_SLICE_H

#include "base/base.h"

#include <string.h>

struct slice {
    const uint8_t *p;
    size_t n;
};

static inline struct slice slice(const void *p, size_t n) {
    return (struct slice){(const uint8_t *)p, n};
}

static inline struct slice slice_str(const char *s) {
    return slice(s, strlen(s));
}

static inline bool slice_eq(struct slice a, struct slice b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_is(struct slice a, const char *s) {
    return slice_eq(a, slice_str(s));
}

static inline uint8_t ascii_lower(uint8_t c) {
    return (c >= 'A' && c <= 'Z') ? (uint8_t)(c | 0x20) : c;
}

/* Equal but for the case of ASCII letters. */
static inline bool slice_ieq(struct slice a, struct slice b) {
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

static inline bool slice_starts(struct slice a, const char *prefix) {
    size_t n = strlen(prefix);
    return a.n >= n && memcmp(a.p, prefix, n) == 0;
}

/* The last `c` in it; NULL: there is none. (Not all systems have memrchr.) */
static inline const uint8_t *slice_last(struct slice a, char c) {
    while (a.n > 0) {
        if (a.p[--a.n] == (uint8_t)c) {
            return a.p + a.n;
        }
    }
    return NULL;
}

#endif
