/* mem.h: the allocator. Running out of memory for a small object ends the process with a message;
 * large buffers ask with mem_try and are refused with a reason instead. Any thread. */
#ifndef KVMUX_BASE_MEM_H
#define KVMUX_BASE_MEM_H

#include "base/base.h"
#include "base/slice.h"

void mem_init(void); /* at the start of the program, before there are threads */
void *mem_alloc(size_t n);
void *mem_zalloc(size_t n);
void *mem_realloc(void *p, size_t n);
void *mem_try(size_t n); /* NULL when there is none */
void mem_free(void *p);
/* Hands what the allocator keeps for itself back to the system. Takes milliseconds after a spike, in which every thread
 * that allocates waits: for the end of a spike, not for every second of one. */
void mem_trim(void);
char *mem_strdup(const char *s);
char *mem_strndup(struct slice s); /* NUL-terminated copy */

/* Sanitizer builds bypass every pool and free list, so that a stale pointer is seen. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MEM_POOLING 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define MEM_POOLING 0
#else
#define MEM_POOLING 1
#endif
#else
#define MEM_POOLING 1
#endif

#endif
