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

/* Lower case of the ASCII letters among eight bytes; every other byte stays what it is. */
static inline uint64_t resp_lower8(uint64_t w) {
    const uint64_t ones = 0x0101010101010101u, high = 0x80 * ones;
    uint64_t low7 = w & ~high;
    uint64_t from_a = low7 + (0x80 - 'A') * ones, past_z = low7 + (0x7f - 'Z') * ones;
    return w | (((from_a ^ past_z) & ~w & high) >> 2);
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
    return (struct resp_words){resp_lower8(w.a), resp_lower8(w.b)};
}

/* `parent` is 0, or 1 + the row of the container whose subcommand this is. */
static inline uint64_t resp_hash(struct resp_words w, size_t n, uint32_t parent) {
    uint64_t h = w.a * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 29) ^ w.b ^ ((uint64_t)n << 56) ^ ((uint64_t)parent << 40)) * 0xbf58476d1ce4e5b9u;
    return h ^ (h >> 32);
}

static inline uint32_t resp_bucket(uint64_t h) {
    return (uint32_t)h & (RESP_BUCKETS - 1);
}

static inline uint32_t resp_place(uint64_t h, uint32_t shift) {
    return ((uint32_t)(h >> 8) + shift * ((uint32_t)(h >> 20) | 1)) & (RESP_SLOTS - 1);
}

#endif
