/* resp_hash.h: how a command's name becomes a place in the command index. Shared by the program that makes the index at
 * build time (resp_gen.c) and by the lookup, so it includes nothing of kvmux.
 *
 * Two loads cover a name of up to 16 bytes completely, so equal words and length mean equal names. */
#ifndef KVMUX_PROTO_RESP_HASH_H
#define KVMUX_PROTO_RESP_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RESP_SLOTS   1024u
#define RESP_BUCKETS 128u
#define RESP_WHOLE   16u /* longer names are compared byte by byte as well */

struct resp_words {
    uint64_t a, b;
};

static inline uint64_t resp_load(const uint8_t *p, size_t n) {
    uint64_t v = 0;
    memcpy(&v, p, n);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

/* The bit in which the cases of a letter differ. The hash ignores it in every byte; the comparison only where the row has
 * a letter (resp_case). */
#define RESP_CASE 0x2020202020202020u

static inline uint64_t resp_case(uint64_t w) {
    uint64_t mask = 0;
    for (int shift = 0; shift < 64; shift += 8) {
        uint8_t c = (uint8_t)(w >> shift);
        mask |= (uint64_t)(c >= 'a' && c <= 'z' ? 0x20 : 0) << shift;
    }
    return mask;
}

static inline struct resp_words resp_words(const uint8_t *p, size_t n) {
    struct resp_words w = {0, 0};
    if (n >= 8) {
        w = (struct resp_words){resp_load(p, 8), resp_load(p + n - 8, 8)};
    } else if (n >= 4) {
        w = (struct resp_words){resp_load(p, 4), resp_load(p + n - 4, 4)};
    } else if (n >= 2) {
        w = (struct resp_words){resp_load(p, 2), resp_load(p + n - 2, 2)};
    } else if (n == 1) {
        w.a = p[0];
    }
    return w;
}

/* `parent` is 0, or 1 + the row of the container whose subcommand this is. */
static inline uint64_t resp_hash(struct resp_words w, size_t n, uint32_t parent) {
    uint64_t h = (w.a | RESP_CASE) + (w.b | RESP_CASE) * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 31) ^ (n << 24 | parent)) * 0xbf58476d1ce4e5b9u;
    return h >> 32;
}

static inline uint32_t resp_bucket(uint64_t h) {
    return (uint32_t)h & (RESP_BUCKETS - 1);
}

static inline uint32_t resp_place(uint64_t h, uint32_t shift) {
    return ((uint32_t)(h >> 8) + shift * ((uint32_t)(h >> 18) | 1)) & (RESP_SLOTS - 1);
}

#endif
