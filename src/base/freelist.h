/* freelist.h: keeps a bounded number of freed objects of one size for the next use. One worker. */
#ifndef KVMUX_BASE_FREELIST_H
#define KVMUX_BASE_FREELIST_H

#include "base/mem.h"

struct freelist {
    void *head; /* linked through the first word of each free object */
    uint32_t size;
    uint32_t n, max; /* kept now; kept at most: what a spike brought beyond goes back to the system */
};

static inline void freelist_init(struct freelist *f, size_t size, uint32_t max) {
    ASSERT(size >= sizeof(void *));
    *f = (struct freelist){.size = (uint32_t)size, .max = MEM_POOLING ? max : 0};
}

static inline void *freelist_get(struct freelist *f) {
    void *p = f->head;
    if (LIKELY(p != NULL)) {
        memcpy(&f->head, p, sizeof(void *));
        f->n--;
        return p;
    }
    return mem_alloc(f->size);
}

static inline void freelist_put(struct freelist *f, void *p) {
    if (UNLIKELY(f->n >= f->max)) {
        mem_free(p);
        return;
    }
    memcpy(p, &f->head, sizeof(void *));
    f->head = p;
    f->n++;
}

/* Gives back all but `keep` objects. */
static inline void freelist_trim(struct freelist *f, uint32_t keep) {
    while (f->n > keep) {
        void *p = f->head;
        memcpy(&f->head, p, sizeof(void *));
        f->n--;
        mem_free(p);
    }
}

#endif
