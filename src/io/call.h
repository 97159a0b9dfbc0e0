/* call.h: receiving, sending and waiting without the C library's cancellation points, which cost some 45 instructions a call in a
 * program with threads, for a pthread_cancel that nobody uses. Results and errno are those of the functions that they are named
 * after. Sanitizer builds call the library, so that the memory that is read and written is checked. */
#ifndef KVMUX_IO_CALL_H
#define KVMUX_IO_CALL_H

#include "base/mem.h"

#include <sys/socket.h>
#include <sys/uio.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

#if defined(__linux__) && MEM_POOLING
#include <sys/syscall.h>
#include <unistd.h>

static inline ssize_t call_recv(int fd, void *to, size_t room) {
    return syscall(SYS_recvfrom, fd, to, room, 0, NULL, NULL);
}
static inline ssize_t call_send(int fd, const void *from, size_t n, int flags) {
    return syscall(SYS_sendto, fd, from, n, flags, NULL, 0);
}
static inline ssize_t call_sendmsg(int fd, const struct msghdr *m, int flags) {
    return syscall(SYS_sendmsg, fd, m, flags);
}
static inline ssize_t call_readv(int fd, const struct iovec *iov, int n) {
    return syscall(SYS_readv, fd, iov, n);
}
static inline int call_epoll_wait(int fd, struct epoll_event *events, int n, int msec) {
    return (int)syscall(SYS_epoll_pwait, fd, events, n, msec, NULL, sizeof(uint64_t)); /* not every architecture has epoll_wait */
}
#else
static inline ssize_t call_recv(int fd, void *to, size_t room) {
    return recv(fd, to, room, 0);
}
static inline ssize_t call_send(int fd, const void *from, size_t n, int flags) {
    return send(fd, from, n, flags);
}
static inline ssize_t call_sendmsg(int fd, const struct msghdr *m, int flags) {
    return sendmsg(fd, m, flags);
}
static inline ssize_t call_readv(int fd, const struct iovec *iov, int n) {
    return readv(fd, iov, n);
}
#ifdef __linux__
static inline int call_epoll_wait(int fd, struct epoll_event *events, int n, int msec) {
    return epoll_wait(fd, events, n, msec);
}
#endif
#endif

#endif
