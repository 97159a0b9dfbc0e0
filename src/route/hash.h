/* hash.h: what the hash_*.c files share; not for other folders (they use hash_key of ring.h).
 *
 * Every function gives the same value on every CPU: bytes are put together by shifts, and where nutcracker on x86
 * extends the sign of a key byte, so do we, also where `char` is unsigned. */
#ifndef KVMUX_ROUTE_HASH_H
#define KVMUX_ROUTE_HASH_H

#include "base/slice.h"

typedef uint32_t hash_fn(struct slice key);

/* By enum hash. */
extern hash_fn *const hash_fns[];

#define HASH(id, name, help) hash_fn hash_##name;
#include "route/hash.def"
#undef HASH

/* A key byte as x86 sees a plain char: 0x80..0xff become 0xffffff80..0xffffffff. */
static inline uint32_t hash_signed(uint8_t c) {
    return (uint32_t)(int32_t)(int8_t)c;
}

static inline uint32_t hash_le16(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static inline uint32_t hash_le32(const uint8_t *p) {
    return hash_le16(p) | hash_le16(p + 2) << 16;
}

static inline uint32_t hash_rotl(uint32_t v, unsigned by) {
    return v << by | v >> (32 - by);
}

#endif
