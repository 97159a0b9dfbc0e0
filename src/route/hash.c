/* The table of hash functions and their names. */
#include "route/hash.h"

#include "route/ring.h"

hash_fn *const hash_fns[HASH_COUNT] = {
#define HASH(id, name, help) hash_##name,
#include "route/hash.def"
#undef HASH
};

static const char *const names[HASH_COUNT] = {
#define HASH(id, name, help) #name,
#include "route/hash.def"
#undef HASH
};

const char *hash_name(enum hash h) {
    ASSERT(h < HASH_COUNT);
    return names[h];
}

int hash_by_name(struct slice name) {
    for (int i = 0; i < HASH_COUNT; i++) {
        if (slice_is(name, names[i])) {
            return i;
        }
    }
    return -1;
}

uint32_t hash_key(enum hash h, struct slice key) {
    ASSERT(h < HASH_COUNT);
    return hash_fns[h](key);
}
