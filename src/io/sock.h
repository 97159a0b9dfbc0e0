/* sock.h: what systems do differently about sockets; everything else of io is POSIX, the back end and call.h. */
#ifndef KVMUX_IO_SOCK_H
#define KVMUX_IO_SOCK_H

#include "io/addr.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: the process ignores SIGPIPE anyway */
#endif

/* Stream sockets that neither block nor survive an exec. -1 and errno. */
#ifdef SOCK_NONBLOCK
static inline int sock_open(int family) {
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}
static inline int sock_accept(int fd, struct addr *peer) {
    return accept4(fd, (struct sockaddr *)(void *)&peer->sa, &peer->len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
#else /* macOS */
static inline int sock_prepare(int fd) {
    if (fd >= 0) {
        fcntl(fd, F_SETFL, O_NONBLOCK);
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    }
    return fd;
}
static inline int sock_open(int family) {
    return sock_prepare(socket(family, SOCK_STREAM, 0));
}
static inline int sock_accept(int fd, struct addr *peer) {
    return sock_prepare(accept(fd, (struct sockaddr *)(void *)&peer->sa, &peer->len));
}
#endif

/* An option that the system lacks is not worth a failure. */
static inline void sock_set(int fd, int level, int name, int value) {
    setsockopt(fd, level, name, &value, sizeof value);
}

static inline void sock_keepalive(int fd, int idle, int interval, int count) { /* seconds */
    sock_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef TCP_KEEPIDLE
    sock_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle);
#else
    sock_set(fd, IPPROTO_TCP, TCP_KEEPALIVE, idle); /* macOS */
#endif
    sock_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval);
    sock_set(fd, IPPROTO_TCP, TCP_KEEPCNT, count);
}

/* How long bytes that were sent may stay unacknowledged. FreeBSD has no such option: there, keepalive has to find it out. */
static inline void sock_user_timeout(int fd, uint32_t msec) {
#ifdef TCP_USER_TIMEOUT
    sock_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)msec);
#elif defined(TCP_RXT_CONNDROPTIME) /* macOS; seconds */
    sock_set(fd, IPPROTO_TCP, TCP_RXT_CONNDROPTIME, (int)((msec + 999) / 1000));
#endif
}

#endif
