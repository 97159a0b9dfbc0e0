#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static _Noreturn void out_of_memory(size_t n) {
    fprintf(stderr, "kvmux: out of memory: %zu bytes could not be allocated\n", n);
    abort();
}

void *mem_try(size_t n) {
    return malloc(n);
}

void *mem_alloc(size_t n) {
    void *p = malloc(n != 0 ? n : 1);
    if (UNLIKELY(p == NULL)) {
        out_of_memory(n);
    }
    return p;
}

/* glibc's calloc takes nothing from the thread's own cache (chunks of up to 1,032 bytes): it locks the arena, and then free does,
 * too, since nothing empties that cache. */
#define CACHED_MAX 1032

void *mem_zalloc(size_t n) {
    if (n <= CACHED_MAX) {
        void *small = mem_alloc(n);
        __asm__("" : "+r"(small)); /* or the compiler makes calloc of the two */
        return memset(small, 0, n);
    }
    void *p = calloc(1, n);
    if (UNLIKELY(p == NULL)) {
        out_of_memory(n);
    }
    return p;
}

void *mem_realloc(void *p, size_t n) {
    void *q = realloc(p, n != 0 ? n : 1);
    if (UNLIKELY(q == NULL)) {
        out_of_memory(n);
    }
    return q;
}

void mem_free(void *p) {
    free(p);
}

/* glibc moves both limits up to these when large blocks are freed: so it is what a busy proxy has anyway, from the start. With lower
 * ones, values of 4 MiB cost twice the CPU for the page faults of fresh memory. */
#define OWN_MAPPING (32 << 20)
#define HEAP_END (64 << 20)
/* A free block of this size makes glibc look at the end of the heap that it lies in. */
#define LOOK_AT_END (64 << 10)

void mem_init(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, OWN_MAPPING);
    mallopt(M_TRIM_THRESHOLD, HEAP_END);
#endif
}

void mem_trim(void) {
#ifdef __GLIBC__
    /* free() gives back only what lies at the end of a heap, and a small survivor lies behind the rest; malloc_trim gives back the
     * rest, but not the end of a thread's heap. */
    char *volatile p = malloc(LOOK_AT_END); /* volatile: compilers know that a block that is only freed is not needed */
    mallopt(M_TRIM_THRESHOLD, 0);
    free(p);
    mallopt(M_TRIM_THRESHOLD, HEAP_END);
    malloc_trim(0);
#endif
}

char *mem_strndup(struct slice s) {
    char *copy = mem_alloc(s.n + 1);
    if (s.n != 0) {
        memcpy(copy, s.p, s.n);
    }
    copy[s.n] = '\0';
    return copy;
}

char *mem_strdup(const char *s) {
    return mem_strndup(slice_str(s));
}
