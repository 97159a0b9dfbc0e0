#include "base/strmap.h"

#include "base/mem.h"

#define SLOTS_MIN 16u

void strmap_init(struct strmap *m, uint64_t seed) {
    *m = (struct strmap){.seed = seed};
}

void strmap_fini(struct strmap *m) {
    mem_free(m->slots);
    *m = (struct strmap){0};
}

/* FNV-1a, begun with the seed, and mixed so that every bit of the name reaches the low ones. */
static uint64_t hash_of(const struct strmap *m, struct slice name) {
    uint64_t h = 0xcbf29ce484222325u ^ m->seed;
    for (size_t i = 0; i < name.n; i++) {
        h = (h ^ name.p[i]) * 0x100000001b3u;
    }
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static struct strmap_entry **slot_of(const struct strmap *m, uint64_t hash) {
    return &m->slots[hash & (m->nslots - 1)];
}

struct strmap_entry *strmap_find(const struct strmap *m, struct slice name) {
    if (m->n == 0) {
        return NULL;
    }
    uint64_t hash = hash_of(m, name);
    struct strmap_entry *e = *slot_of(m, hash);
    while (e != NULL && (e->hash != hash || !slice_eq(e->name, name))) {
        e = e->next;
    }
    return e;
}

static void grow(struct strmap *m) {
    struct strmap old = *m;
    m->nslots = old.nslots == 0 ? SLOTS_MIN : 2 * old.nslots;
    m->slots = mem_zalloc(m->nslots * sizeof(struct strmap_entry *));
    for (size_t i = 0; i < old.nslots; i++) {
        for (struct strmap_entry *e = old.slots[i], *next; e != NULL; e = next) {
            next = e->next;
            e->next = *slot_of(m, e->hash);
            *slot_of(m, e->hash) = e;
        }
    }
    mem_free(old.slots);
}

void strmap_add(struct strmap *m, struct strmap_entry *e, struct slice name) {
    if (m->n == m->nslots) {
        grow(m);
    }
    e->name = name;
    e->hash = hash_of(m, name);
    e->next = *slot_of(m, e->hash);
    *slot_of(m, e->hash) = e;
    m->n++;
}

void strmap_remove(struct strmap *m, struct strmap_entry *e) {
    struct strmap_entry **at = slot_of(m, e->hash);
    while (*at != e) {
        ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = e->next;
    m->n--;
}

struct strmap_entry *strmap_next(const struct strmap *m, const struct strmap_entry *e) {
    if (e != NULL && e->next != NULL) {
        return e->next;
    }
    for (size_t i = e == NULL ? 0 : (e->hash & (m->nslots - 1)) + 1; i < m->nslots; i++) {
        if (m->slots[i] != NULL) {
            return m->slots[i];
        }
    }
    return NULL;
}
