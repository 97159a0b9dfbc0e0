/* load_tls.c: makes loadgen-tls of loadgen: TLS below the three system calls of its connections. The linker leads connect, recv and
 * sendmsg here (meson.build), so that the load generator itself is the same program whatever it speaks. */
#include "util.h"

#include <openssl/ssl.h>
#include <signal.h>
#include <sys/uio.h>

#define FDS_MAX 65536
#define RECORD 16384

int __real_connect(int fd, const struct sockaddr *to, socklen_t n);
int __wrap_connect(int fd, const struct sockaddr *to, socklen_t n);
ssize_t __wrap_recv(int fd, void *to, size_t room, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);

static SSL *ssl_of[FDS_MAX];

static _Noreturn void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static SSL_CTX *context(void) {
    static SSL_CTX *ctx;
    if (ctx == NULL) {
        signal(SIGPIPE, SIG_IGN);
        ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_read_ahead(ctx, 1);
    }
    return ctx;
}

/* The socket still blocks: the handshake is done when this returns. */
int __wrap_connect(int fd, const struct sockaddr *to, socklen_t n) {
    int rc = __real_connect(fd, to, n);
    if (rc == 0 && fd < FDS_MAX) {
        SSL_free(ssl_of[fd]); /* of an earlier connection */
        ssl_of[fd] = SSL_new(context());
        SSL_set_fd(ssl_of[fd], fd);
        if (SSL_connect(ssl_of[fd]) != 1) {
            fail("no TLS there");
        }
    }
    return rc;
}

/* All that there is: nothing may be left where epoll does not see it. */
ssize_t __wrap_recv(int fd, void *to, size_t room, int flags) {
    size_t have = 0;
    while (have < room) {
        int n = SSL_read(ssl_of[fd], (char *)to + have, (int)(room - have));
        if (n <= 0) {
            bool later = SSL_get_error(ssl_of[fd], n) == SSL_ERROR_WANT_READ;
            errno = EAGAIN;
            return have > 0 ? (ssize_t)have : later ? -1 : 0;
        }
        have += (size_t)n;
    }
    if (SSL_pending(ssl_of[fd]) > 0) {
        fail("values are too large for TLS here");
    }
    return (ssize_t)have;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags) {
    char record[RECORD];
    size_t n = 0;
    for (size_t i = 0; i < m->msg_iovlen && n < RECORD; i++) {
        size_t k = m->msg_iov[i].iov_len < RECORD - n ? m->msg_iov[i].iov_len : RECORD - n;
        memcpy(record + n, m->msg_iov[i].iov_base, k);
        n += k;
    }
    int sent = SSL_write(ssl_of[fd], record, (int)n);
    if (sent <= 0) {
        errno = SSL_get_error(ssl_of[fd], sent) == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
        return -1;
    }
    return sent;
}
