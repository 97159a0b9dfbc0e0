#include "base/num.h"

bool num_u64(struct slice s, uint64_t *out) {
    uint64_t v = 0;
    if (s.n == 0 || s.n > 20) {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        uint8_t d = (uint8_t)(s.p[i] - '0');
        if (d > 9 || v > (UINT64_MAX - d) / 10) {
            return false;
        }
        v = v * 10 + d;
    }
    *out = v;
    return true;
}

bool num_i64(struct slice s, int64_t *out) {
    bool neg = s.n > 0 && s.p[0] == '-';
    uint64_t v;
    if (neg) {
        s = slice(s.p + 1, s.n - 1);
    }
    if (!num_u64(s, &v) || v > (uint64_t)INT64_MAX + (neg ? 1 : 0)) {
        return false;
    }
    *out = neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

size_t num_put_u64(char *to, uint64_t v) {
    char digits[NUM_MAX];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    for (size_t i = 0; i < n; i++) {
        to[i] = digits[n - 1 - i];
    }
    return n;
}

size_t num_put_i64(char *to, int64_t v) {
    if (v >= 0) {
        return num_put_u64(to, (uint64_t)v);
    }
    to[0] = '-';
    return 1 + num_put_u64(to + 1, 0 - (uint64_t)v);
}

static int hex_digit(uint8_t c) {
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool num_hex(struct slice text, uint8_t *to, size_t *n) {
    for (size_t i = 0; i + 1 < text.n; i += 2) {
        int high = hex_digit(text.p[i]), low = hex_digit(text.p[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        to[i / 2] = (uint8_t)(high * 16 + low);
    }
    *n = text.n / 2;
    return text.n % 2 == 0;
}
