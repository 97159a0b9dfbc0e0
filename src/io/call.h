/* call.h: receiving and sending without the C library's cancellation points, which cost some 45 instructions a call in a
 * program with threads, for a pthread_cancel that nobody uses. Results and errno are those of the functions that they are named
 * after. Sanitizer builds call the library, so that the memory that is read and written is checked. */
#ifndef KVMUX_IO_CALL_H
#define KVMUX_IO_CALL_H

#include "base/mem.h"

#include <sys/socket.h>
#include <sys/uio.h>

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
#endif

#endif
