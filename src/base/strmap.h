/* strmap.h: a hash table of names. Each entry is part of its object, which owns the bytes of the name; the map owns its
 * slots only. Names come from strangers, so each map hashes with a seed of its own. One thread. */
#ifndef KVMUX_BASE_STRMAP_H
#define KVMUX_BASE_STRMAP_H

#include "base/slice.h"

struct strmap_entry {
    struct strmap_entry *next;
    uint64_t hash;
    struct slice name;
};

struct strmap {
    struct strmap_entry **slots;
    size_t nslots; /* a power of two, or 0 */
    size_t n;
    uint64_t seed;
};

void strmap_init(struct strmap *, uint64_t seed);
void strmap_fini(struct strmap *); /* frees the slots; the entries are their owners' */
struct strmap_entry *strmap_find(const struct strmap *, struct slice name); /* NULL: there is none */
/* The name must not be there yet. */
void strmap_add(struct strmap *, struct strmap_entry *, struct slice name);
void strmap_remove(struct strmap *, struct strmap_entry *);
/* The entry behind this one, in no order that means anything; NULL: the first. NULL when there are no more. The map must not
 * get entries meanwhile; the last one that was returned may only leave once the next is known. */
struct strmap_entry *strmap_next(const struct strmap *, const struct strmap_entry *);

#endif
