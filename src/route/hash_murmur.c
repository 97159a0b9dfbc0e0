/* Austin Appleby's MurmurHash2, 32 bits, little-endian. */
#include "route/hash.h"

#define MURMUR_M 0x5bd1e995u
#define MURMUR_R 24

uint32_t hash_murmur(struct slice key) {
    const uint8_t *p = key.p;
    uint32_t len = (uint32_t)key.n;
    uint32_t h = (0xdeadbeefu * len) ^ len; /* the first factor is the seed: nutcracker derives it from the length */
    for (size_t left = key.n / 4; left > 0; left--, p += 4) {
        uint32_t k = hash_le32(p) * MURMUR_M;
        k ^= k >> MURMUR_R;
        h = h * MURMUR_M ^ k * MURMUR_M;
    }
    size_t tail = key.n % 4;
    if (tail > 0) {
        for (size_t i = 0; i < tail; i++) {
            h ^= (uint32_t)p[i] << (8 * i);
        }
        h *= MURMUR_M;
    }
    h ^= h >> 13;
    h *= MURMUR_M;
    h ^= h >> 15;
    return h;
}
