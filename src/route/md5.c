#include "route/md5.h"

#include "route/hash.h"

/* floor(2^32 * |sin(i + 1)|), the RFC's T. */
static const uint32_t sines[64] = {
    0xd76aa478u, 0xe8c7b756u, 0x242070dbu, 0xc1bdceeeu, 0xf57c0fafu, 0x4787c62au, 0xa8304613u, 0xfd469501u,
    0x698098d8u, 0x8b44f7afu, 0xffff5bb1u, 0x895cd7beu, 0x6b901122u, 0xfd987193u, 0xa679438eu, 0x49b40821u,
    0xf61e2562u, 0xc040b340u, 0x265e5a51u, 0xe9b6c7aau, 0xd62f105du, 0x02441453u, 0xd8a1e681u, 0xe7d3fbc8u,
    0x21e1cde6u, 0xc33707d6u, 0xf4d50d87u, 0x455a14edu, 0xa9e3e905u, 0xfcefa3f8u, 0x676f02d9u, 0x8d2a4c8au,
    0xfffa3942u, 0x8771f681u, 0x6d9d6122u, 0xfde5380cu, 0xa4beea44u, 0x4bdecfa9u, 0xf6bb4b60u, 0xbebfbc70u,
    0x289b7ec6u, 0xeaa127fau, 0xd4ef3085u, 0x04881d05u, 0xd9d4d039u, 0xe6db99e5u, 0x1fa27cf8u, 0xc4ac5665u,
    0xf4292244u, 0x432aff97u, 0xab9423a7u, 0xfc93a039u, 0x655b59c3u, 0x8f0ccc92u, 0xffeff47du, 0x85845dd1u,
    0x6fa87e4fu, 0xfe2ce6e0u, 0xa3014314u, 0x4e0811a1u, 0xf7537e82u, 0xbd3af235u, 0x2ad7d2bbu, 0xeb86d391u,
};

/* Rotation of step i: row i / 16, column i % 4. */
static const unsigned turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

/* One step: what the four words are called moves round by one each time. */
static inline void step(uint32_t s[4], uint32_t f, uint32_t word, unsigned i) {
    uint32_t b = s[1] + hash_rotl(s[0] + f + word + sines[i], turns[i / 16][i % 4]);
    s[0] = s[3];
    s[3] = s[2];
    s[2] = s[1];
    s[1] = b;
}

static void block(uint32_t state[4], const uint8_t *p) {
    uint32_t x[16];
    uint32_t s[4];
    memcpy(s, state, sizeof s);
    for (unsigned i = 0; i < 16; i++) {
        x[i] = hash_le32(p + 4 * i);
    }
    for (unsigned i = 0; i < 16; i++) {
        step(s, (s[1] & s[2]) | (~s[1] & s[3]), x[i], i);
    }
    for (unsigned i = 16; i < 32; i++) {
        step(s, (s[1] & s[3]) | (s[2] & ~s[3]), x[(5 * i + 1) % 16], i);
    }
    for (unsigned i = 32; i < 48; i++) {
        step(s, s[1] ^ s[2] ^ s[3], x[(3 * i + 5) % 16], i);
    }
    for (unsigned i = 48; i < 64; i++) {
        step(s, s[2] ^ (s[1] | ~s[3]), x[7 * i % 16], i);
    }
    for (unsigned i = 0; i < 4; i++) {
        state[i] += s[i];
    }
}

static void put_le32(uint8_t *to, uint32_t v) {
    for (unsigned i = 0; i < 4; i++) {
        to[i] = (uint8_t)(v >> (8 * i));
    }
}

void md5(struct slice text, uint8_t digest[MD5_LEN]) {
    uint32_t state[4] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u};
    uint64_t bits = (uint64_t)text.n * 8;
    for (; text.n >= 64; text = slice(text.p + 64, text.n - 64)) {
        block(state, text.p);
    }
    /* A one bit, zeroes, and the length in the last eight bytes of a block: one block more, or two. */
    uint8_t end[128] = {0};
    size_t len = text.n < 56 ? 64 : 128;
    if (text.n > 0) {
        memcpy(end, text.p, text.n);
    }
    end[text.n] = 0x80;
    put_le32(end + len - 8, (uint32_t)bits);
    put_le32(end + len - 4, (uint32_t)(bits >> 32));
    for (size_t at = 0; at < len; at += 64) {
        block(state, end + at);
    }
    for (unsigned i = 0; i < 4; i++) {
        put_le32(digest + 4 * i, state[i]);
    }
}
