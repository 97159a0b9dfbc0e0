#include "main/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS, which has no such socket pairs either: link_pair says so */
#endif

bool link_pair(int ends[2], int msec) {
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) {
        return false;
    }
    const struct timeval limit = {.tv_sec = msec / 1000, .tv_usec = msec % 1000 * 1000};
    const int room = 1 << 20;
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        setsockopt(ends[i], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room); /* fewer are only slower */
    }
    return true;
}

union control_room {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(LINK_FDS_MAX * sizeof(int))];
};

bool link_send(int link, const void *head, size_t nhead, const void *bytes, size_t n, const int *fds, unsigned nfds) {
    ASSERT(nfds <= LINK_FDS_MAX && nhead + n <= LINK_RECORD_MAX);
    struct iovec iov[2] = {{(void *)(uintptr_t)head, nhead}, {(void *)(uintptr_t)bytes, n}};
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = n > 0 ? 2 : 1};
    union control_room control = {0};
    if (nfds > 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(nfds * sizeof *fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(nfds * sizeof *fds);
        memcpy(CMSG_DATA(c), fds, nfds * sizeof *fds);
    }
    ssize_t sent;
    do {
        sent = sendmsg(link, &m, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

static unsigned take_fds(struct msghdr *m, int *fds) {
    unsigned n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            size_t bytes = c->cmsg_len - CMSG_LEN(0);
            memcpy(fds + n, CMSG_DATA(c), bytes);
            n += (unsigned)(bytes / sizeof *fds);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
    }
    return n;
}

static bool wait_for(int link, int msec) {
    struct pollfd p = {.fd = link, .events = POLLIN};
    int rc;
    do {
        rc = poll(&p, 1, msec);
    } while (rc < 0 && errno == EINTR);
    if (rc == 0) {
        errno = ETIMEDOUT;
    }
    return rc > 0;
}

ssize_t link_recv(int link, void *to, size_t room, int *fds, unsigned *nfds, int msec) {
    struct iovec iov = {to, room};
    union control_room control;
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t n;
    *nfds = 0;
    if (!wait_for(link, msec)) {
        return -1;
    }
    do {
        n = recvmsg(link, &m, 0); /* ECONNRESET: it left without reading all; said once, and what it wrote is behind that */
    } while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    if (n < 0) {
        return n;
    }
    *nfds = take_fds(&m, fds);
    bool whole = (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0 && (size_t)n >= sizeof(struct link_head);
    if (!whole && (n > 0 || *nfds > 0)) { /* else it is the end */
        while (*nfds > 0) {
            close(fds[--*nfds]);
        }
        errno = EBADMSG;
        return -1;
    }
    return n;
}
