/* Bob Jenkins' two: one-at-a-time (1997) and lookup3 (2006). */
#include "route/hash.h"

uint32_t hash_one_at_a_time(struct slice key) {
    uint32_t h = 0;
    for (size_t i = 0; i < key.n; i++) {
        h += hash_signed(key.p[i]);
        h += h << 10;
        h ^= h >> 6;
    }
    h += h << 3;
    h ^= h >> 11;
    h += h << 15;
    return h;
}

struct abc {
    uint32_t a, b, c;
};

/* Between blocks of 12 bytes; reversible. */
static inline struct abc mix(struct abc s) {
    static const unsigned turn[2][3] = {{4, 6, 8}, {16, 19, 4}};
    for (int i = 0; i < 2; i++) {
        s.a = (s.a - s.c) ^ hash_rotl(s.c, turn[i][0]);
        s.c += s.b;
        s.b = (s.b - s.a) ^ hash_rotl(s.a, turn[i][1]);
        s.a += s.c;
        s.c = (s.c - s.b) ^ hash_rotl(s.b, turn[i][2]);
        s.b += s.a;
    }
    return s;
}

/* After the last block: every bit reaches c. */
static inline uint32_t final(struct abc s) {
    s.c = (s.c ^ s.b) - hash_rotl(s.b, 14);
    s.a = (s.a ^ s.c) - hash_rotl(s.c, 11);
    s.b = (s.b ^ s.a) - hash_rotl(s.a, 25);
    s.c = (s.c ^ s.b) - hash_rotl(s.b, 16);
    s.a = (s.a ^ s.c) - hash_rotl(s.c, 4);
    s.b = (s.b ^ s.a) - hash_rotl(s.a, 14);
    s.c = (s.c ^ s.b) - hash_rotl(s.b, 24);
    return s.c;
}

static inline struct abc add_block(struct abc s, const uint8_t *p) {
    s.a += hash_le32(p);
    s.b += hash_le32(p + 4);
    s.c += hash_le32(p + 8);
    return s;
}

uint32_t hash_jenkins(struct slice key) {
    uint32_t start = 0xdeadbeefu + (uint32_t)key.n + 13; /* 13: the initval that nutcracker gives */
    struct abc s = {start, start, start};
    if (key.n == 0) {
        return s.c;
    }
    /* The last block, even a full one, gets the final mix instead of the ordinary one. */
    while (key.n > 12) {
        s = mix(add_block(s, key.p));
        key = slice(key.p + 12, key.n - 12);
    }
    uint8_t tail[12] = {0};
    memcpy(tail, key.p, key.n);
    return final(add_block(s, tail));
}
