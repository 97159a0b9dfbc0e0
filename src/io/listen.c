#include "io/io_state.h"
#include "io/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define ACCEPT_AGAIN_USEC 100000

/* ---- binding ---- */

static int sock_bind(int fd, const struct addr *a) {
    return bind(fd, (const struct sockaddr *)(const void *)&a->sa, a->len);
}

/* One TCP socket, bound. errno is set when it fails. */
static int bind_tcp(const struct addr *a, bool share) {
    int fd = sock_open(a->sa.family);
    if (fd < 0) {
        return -1;
    }
    sock_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (share) {
        sock_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (sock_bind(fd, a) != 0) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

/* Without SO_REUSEPORT the system refuses an address that anybody holds, also one who shares it. */
static enum reason listen_tcp(const struct addr *a, const struct bind_opts *o, int *fds, unsigned n) {
    bool share = o->share || n > 1;
    if (share) {
        int probe = bind_tcp(a, false);
        if (probe < 0 || listen(probe, 1) != 0) {
            enum reason why = reason_of_errno(errno);
            if (probe >= 0) {
                close(probe);
            }
            return why;
        }
        close(probe);
    }
    for (unsigned i = 0; i < n; i++) {
        fds[i] = bind_tcp(a, share);
        if (fds[i] < 0 || listen(fds[i], o->backlog) != 0) {
            enum reason why = reason_of_errno(errno);
            for (unsigned k = 0; k <= i; k++) {
                if (fds[k] >= 0) {
                    close(fds[k]);
                }
            }
            return why;
        }
    }
    return REASON_NONE;
}

/* A path that nobody answers on is left over from a crash and is replaced. Nothing but a socket is ever removed, and only
 * when its owner is known to be gone: one that we may not reach, or of another type, has a living owner. */
static enum reason unix_clear(const struct addr *a) {
    const char *path = (const char *)a->sa.bytes + offsetof(struct sockaddr_un, sun_path);
    struct stat st;
    if (lstat(path, &st) != 0) {
        return REASON_NONE;
    }
    if (!S_ISSOCK(st.st_mode)) {
        return REASON_IN_USE;
    }
    int fd = sock_open(a->sa.family);
    if (fd < 0) {
        return reason_of_errno(errno);
    }
    int err = connect(fd, (const struct sockaddr *)(const void *)&a->sa, a->len) == 0 ? 0 : errno;
    close(fd);
    if (err != ECONNREFUSED) {
        return err == EACCES || err == EPERM ? REASON_ACCESS : REASON_IN_USE;
    }
    return unlink(path) == 0 ? REASON_NONE : reason_of_errno(errno);
}

static enum reason listen_unix(const struct addr *a, const struct bind_opts *o, int *fds, unsigned n) {
    const char *path = (const char *)a->sa.bytes + offsetof(struct sockaddr_un, sun_path);
    enum reason why = unix_clear(a);
    if (why != REASON_NONE) {
        return why;
    }
    fds[0] = sock_open(a->sa.family);
    if (fds[0] < 0) {
        return reason_of_errno(errno);
    }
    if (sock_bind(fds[0], a) != 0) {
        why = reason_of_errno(errno);
        close(fds[0]);
        return why;
    }
    unsigned have = 1;
    /* the permission bits before listen: until then nobody can connect */
    if ((o->unix_mode == 0 || chmod(path, (mode_t)o->unix_mode) == 0) && listen(fds[0], o->backlog) == 0) {
        while (have < n && (fds[have] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0)) >= 0) {
            have++;
        }
        if (have == n) {
            return REASON_NONE;
        }
    }
    why = reason_of_errno(errno);
    unlink(path);
    while (have > 0) {
        close(fds[--have]);
    }
    return why;
}

enum reason listen_open(const struct addr *a, const struct bind_opts *o, int *fds, unsigned n) {
    return addr_is_unix(a) ? listen_unix(a, o, fds, n) : listen_tcp(a, o, fds, n);
}

void listen_discard(int fd) {
    close(fd);
}

bool listen_adopt(int fd, struct addr *a) {
    int type = 0, listens = 0;
    socklen_t type_len = sizeof type, listens_len = sizeof listens;
    *a = (struct addr){.len = sizeof a->sa};
    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_len) == 0 && listens != 0 &&
           getsockname(fd, (struct sockaddr *)(void *)&a->sa, &a->len) == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
           fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

int listen_again(int fd) {
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

/* ---- accepting ---- */

static bool is_unix(int fd) {
    struct addr a = {0};
    socklen_t len = sizeof a.sa;
    return getsockname(fd, (struct sockaddr *)(void *)&a.sa, &len) == 0 && a.sa.family == AF_UNIX;
}

static void listener_watch(struct listener *l) {
    if (!backend_watch_listener(l->loop->backend, l, is_unix(l->fd))) {
        timer_set(l->loop, &l->again, l->loop->now + ACCEPT_AGAIN_USEC); /* no memory: try again */
    }
}

/* The system gives the lowest free number: one this high means that no more than the spare ones are free. */
static bool is_spare(const struct listener *l, int fd) {
    int spare = (int)min_size(l->spare, (size_t)l->fd_limit / 2);
    return spare > 0 && fd >= l->fd_limit - spare;
}

static void listener_on_timer(struct timer *t) {
    struct listener *l = CONTAINER_OF(t, struct listener, again);
    if (l->spare > 0) {
        int lowest = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
        if (lowest >= 0) {
            close(lowest);
        }
        if (lowest < 0 || is_spare(l, lowest)) {
            timer_set(l->loop, &l->again, l->loop->now + ACCEPT_AGAIN_USEC);
            return;
        }
    }
    listener_watch(l);
}

static int descriptor_limit(void) {
    struct rlimit limit;
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < INT_MAX ? (int)limit.rlim_cur : INT_MAX;
}

void listener_start(struct loop *loop, struct listener *l, const struct listener_ops *ops, int fd) {
    *l = (struct listener){.loop = loop, .ops = ops, .fd = fd, .fd_limit = descriptor_limit(), .fd_offered = -1};
    timer_init(&l->again, listener_on_timer);
    listener_watch(l);
}

/* Out of descriptors or memory, or something that would come back at once: leave the queue to the kernel for a while
 * instead of spinning. */
static void listener_pause(struct listener *l, int err) {
    backend_unwatch(l->loop->backend, l->fd);
    timer_set(l->loop, &l->again, l->loop->now + ACCEPT_AGAIN_USEC);
    l->ops->on_paused(l, reason_of_errno(err));
}

void listener_on_ready(struct listener *l) {
    for (int i = 0; i < ACCEPTS_PER_TURN && l->fd >= 0; i++) {
        l->peer.len = sizeof l->peer.sa;
        int fd = sock_accept(l->fd, &l->peer);
        if (fd < 0) {
            int err = errno;
            if (err == ECONNABORTED || err == EINTR) {
                continue; /* that client is gone already */
            }
            if (err != EAGAIN) {
                listener_pause(l, err);
            }
            return;
        }
        sock_set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* fails on a unix socket, harmlessly */
        l->fd_offered = fd;
        l->ops->on_accept(l, fd);
        if (l->fd_offered == fd) {
            close(fd);
            l->fd_offered = -1;
        }
        if (is_spare(l, fd) && l->fd >= 0) {
            listener_pause(l, EMFILE); /* the rest is for connections to servers: without those clients are of no use */
            return;
        }
    }
}

void listener_take(struct listener *l, int fd, struct addr *peer) {
    ASSERT(l->fd_offered == fd);
    l->fd_offered = -1;
    *peer = l->peer;
}

const struct addr *listener_peer(const struct listener *l) {
    return &l->peer;
}

void listener_hang_up(int fd) {
    shutdown(fd, SHUT_RDWR);
}

void listener_close(struct listener *l) {
    if (l->fd >= 0) {
        timer_cancel(l->loop, &l->again);
        backend_unwatch(l->loop->backend, l->fd); /* a dup of it may live on in another loop */
        close(l->fd);
        l->fd = -1;
    }
}
