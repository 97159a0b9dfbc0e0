/* util.h: what the load generator and the null server share. Loopback only. */
#ifndef BENCH_UTIL_H
#define BENCH_UTIL_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static inline size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Says what failed, with the text of errno when it is set, and ends the program. */
__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *fmt, ...) {
    int e = errno;
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "%s%s\n", e ? ": " : "", e ? strerror(e) : "");
    exit(1);
}

static inline void *xmalloc(size_t n) {
    void *p = malloc(n);
    if (p == NULL) {
        die("malloc(%zu)", n);
    }
    return p;
}

static inline void *xcalloc(size_t n, size_t size) {
    void *p = calloc(n, size);
    if (p == NULL) {
        die("calloc(%zu, %zu)", n, size);
    }
    return p;
}

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t rng_next(uint64_t *s) { /* xorshift64; *s != 0 */
    uint64_t x = *s;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *s = x;
}

/* Decimal digits of v at p, not terminated; how many. */
static inline size_t put_number(char *p, uint64_t v) {
    char t[24];
    size_t n = 0;
    do {
        t[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    for (size_t i = 0; i < n; i++) {
        p[i] = t[n - 1 - i];
    }
    return n;
}

static inline void more_descriptors(void) {
    struct rlimit rl;
    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);
}

/* An address on loopback: a port, or with `path` the unix socket named PATH and the number behind it. */
union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_un un;
};

static inline socklen_t address_of(union address *a, const char *path, int number) {
    *a = (union address){0};
    if (path != NULL) {
        a->un.sun_family = AF_UNIX;
        snprintf(a->un.sun_path, sizeof a->un.sun_path, "%s%d", path, number);
        return sizeof a->un;
    }
    a->in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)number)};
    a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof a->in;
}

static inline void no_delay(int fd) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

static inline int listen_at(const char *path, int number) {
    union address a;
    socklen_t n = address_of(&a, path, number);
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (path != NULL) {
        unlink(a.un.sun_path);
    }
    if (bind(fd, &a.any, n) < 0 || listen(fd, 4096) < 0) {
        die("listen at %s%d", path ? path : "port ", number);
    }
    return fd;
}

/* Connected; reads and writes block until nonblocking(). */
static inline int connect_to(const char *path, int number) {
    union address a;
    socklen_t n = address_of(&a, path, number);
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, &a.any, n) < 0) {
        die("connect to %s%d", path ? path : "port ", number);
    }
    no_delay(fd);
    return fd;
}

static inline void nonblocking(int fd) {
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

#endif
