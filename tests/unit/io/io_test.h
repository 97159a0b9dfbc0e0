/* io_test.h: a loop over real loopback sockets, with the test as the raw peer. Nothing sleeps: UNTIL turns the loop until
 * a condition holds, and fails at a deadline. */
#ifndef KVMUX_TESTS_IO_TEST_H
#define KVMUX_TESTS_IO_TEST_H

#include "base/mem.h"
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#define DEADLINE_USEC 20000000

#define UNTIL(loop, cond)                                                                          \
    do {                                                                                           \
        int64_t end_ = loop_now(loop) + DEADLINE_USEC;                                             \
        while (!(cond)) {                                                                          \
            loop_turn(loop, 100000);                                                               \
            if (loop_now(loop) > end_) {                                                           \
                fail_msg("not within the deadline: %s", #cond);                                    \
            }                                                                                      \
        }                                                                                          \
    } while (0)

struct net {
    struct bufpool pool;
    struct loop *loop;
    struct addr at;
    char path[64]; /* of a unix socket, "" for TCP */
    int fd;        /* listens there; -1: not any more */
};

static inline void net_unix_path(char *path, size_t room) {
    const char *dir = getenv("TMPDIR");
    static unsigned n;
    snprintf(path, room, "%s/kvmux-%d-%u.sock", dir != NULL && strlen(dir) < 30 ? dir : "/tmp", (int)getpid(), n++);
}

static inline void net_init(struct net *t, bool is_unix) {
    struct bind_opts opts = {.backlog = 64};
    *t = (struct net){.fd = -1};
    bufpool_init(&t->pool);
    t->loop = loop_new(&t->pool);
    assert_non_null(t->loop);
    if (is_unix) {
        net_unix_path(t->path, sizeof t->path);
        assert_true(addr_unix(&t->at, slice_str(t->path)));
    } else {
        assert_true(addr_ip(&t->at, slice_str("127.0.0.1"), 0));
    }
    assert_int_equal(listen_open(&t->at, &opts, &t->fd, 1), REASON_NONE);
    t->at.len = sizeof t->at.sa;
    assert_int_equal(getsockname(t->fd, (struct sockaddr *)(void *)&t->at.sa, &t->at.len), 0);
}

static inline void net_fini(struct net *t) {
    if (t->fd >= 0) {
        close(t->fd);
    }
    if (t->path[0] != '\0') {
        unlink(t->path);
    }
    loop_free(&t->loop);
    bufpool_fini(&t->pool); /* asserts that every buf came back */
}

/* A raw connection to the address, and the other end of one: both non-blocking. */
static inline int net_raw(struct net *t) {
    int fd = socket(t->at.sa.family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)&t->at.sa, t->at.len), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static inline int net_peer(struct net *t) {
    int fd;
    int flags = fcntl(t->fd, F_GETFL);
    fcntl(t->fd, F_SETFL, flags & ~O_NONBLOCK);
    fd = accept4(t->fd, NULL, NULL, SOCK_NONBLOCK);
    fcntl(t->fd, F_SETFL, flags);
    assert_true(fd >= 0);
    return fd;
}

/* Closes so that the other end sees a reset (TCP). */
static inline void net_reset(int fd) {
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    close(fd);
}

#endif
