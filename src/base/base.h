/* base.h: what every file needs: integer types, assertions, a few macros.
 *
 * Assertions stay on in production: a failed one is our bug. What a peer sends is never asserted. */
#ifndef KVMUX_BASE_BASE_H
#define KVMUX_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The object of `type` whose `member` this pointer points to. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (UNLIKELY(!(cond))) {                                                                   \
            assert_fail(#cond, __FILE__, __LINE__);                                                \
        }                                                                                          \
    } while (0)

#define UNREACHABLE(what) assert_fail(what, __FILE__, __LINE__)

/* Reports through the log and aborts. */
_Noreturn void assert_fail(const char *what, const char *file, int line);

static inline size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

#endif
