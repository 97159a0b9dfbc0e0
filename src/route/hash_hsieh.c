/* Paul Hsieh's SuperFastHash, started at 0. Of the three tails only that of three bytes extends the sign. */
#include "route/hash.h"

uint32_t hash_hsieh(struct slice key) {
    const uint8_t *p = key.p;
    uint32_t h = 0;
    for (size_t left = key.n / 4; left > 0; left--, p += 4) {
        h += hash_le16(p);
        h = h << 16 ^ (hash_le16(p + 2) << 11 ^ h);
        h += h >> 11;
    }
    switch (key.n % 4) {
    case 3:
        h += hash_le16(p);
        h ^= h << 16;
        h ^= hash_signed(p[2]) << 18;
        h += h >> 11;
        break;
    case 2:
        h += hash_le16(p);
        h ^= h << 11;
        h += h >> 17;
        break;
    case 1:
        h += p[0];
        h ^= h << 10;
        h += h >> 1;
        break;
    default:
        break;
    }
    h ^= h << 3;
    h += h >> 5;
    h ^= h << 4;
    h += h >> 17;
    h ^= h << 25;
    h += h >> 6;
    return h;
}
