/* Fowler-Noll-Vo. The 64-bit kinds are 32-bit loops: nutcracker keeps only the low half, and the low half of a product
 * depends on the low halves alone. */
#include "route/hash.h"

#define FNV_START_32 2166136261u
#define FNV_PRIME_32 16777619u
#define FNV_START_64 0x84222325u /* low half of 0xcbf29ce484222325 */
#define FNV_PRIME_64 0x000001b3u /* low half of 0x00000100000001b3 */

/* FNV-1 multiplies first. */
static inline uint32_t fnv1(struct slice key, uint32_t h, uint32_t prime) {
    for (size_t i = 0; i < key.n; i++) {
        h *= prime;
        h ^= hash_signed(key.p[i]);
    }
    return h;
}

/* Four bytes at a time: it is the hash of nearly every key, and half of its instructions were the loop's own. */
static inline uint32_t fnv1a(struct slice key, uint32_t h, uint32_t prime) {
    const uint8_t *p = key.p, *end = p + key.n;
    for (; end - p >= 4; p += 4) {
        h = (h ^ hash_signed(p[0])) * prime;
        h = (h ^ hash_signed(p[1])) * prime;
        h = (h ^ hash_signed(p[2])) * prime;
        h = (h ^ hash_signed(p[3])) * prime;
    }
    for (; p != end; p++) {
        h = (h ^ hash_signed(*p)) * prime;
    }
    return h;
}

uint32_t hash_fnv1_64(struct slice key) {
    return fnv1(key, FNV_START_64, FNV_PRIME_64);
}

uint32_t hash_fnv1a_64(struct slice key) {
    return fnv1a(key, FNV_START_64, FNV_PRIME_64);
}

uint32_t hash_fnv1_32(struct slice key) {
    return fnv1(key, FNV_START_32, FNV_PRIME_32);
}

uint32_t hash_fnv1a_32(struct slice key) {
    return fnv1a(key, FNV_START_32, FNV_PRIME_32);
}
