/* load_req.c: connections of the load generator, the requests they send. */
#include "load.h"

#include <sys/epoll.h>
#include <unistd.h>

#define FLUSH_MAX (4 << 20) /* of one connection before it is another one's turn */
#define VALUE_COPY_MAX 2048 /* larger values are written from one shared buffer */

static char *filler; /* the part of a value behind its key, with the line end; same for all */
static size_t filler_len, lead; /* a value is `lead` bytes of its key, then the filler */

static void filler_init(void) {
    lead = min_size(opts.value, KEY_LEN);
    filler_len = opts.value - lead + 2;
    filler = xmalloc(filler_len);
    memset(filler, 'x', filler_len);
    memcpy(filler + filler_len - 2, "\r\n", 2);
}

/* HELLO 3 and PING; what comes before +PONG must be a map. */
static void say_hello(int fd) {
    static const char ask[] = "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*1\r\n$4\r\nPING\r\n", end[] = "+PONG\r\n";
    char got[4096];
    size_t n = 0;
    if (write(fd, ask, sizeof ask - 1) != (ssize_t)(sizeof ask - 1)) {
        die("write");
    }
    while (n < sizeof end - 1 || memcmp(got + n - (sizeof end - 1), end, sizeof end - 1) != 0) {
        ssize_t k = read(fd, got + n, sizeof got - n);
        if (k <= 0) {
            die("HELLO 3: %.*s", (int)n, got);
        }
        n += (size_t)k;
    }
    errno = 0;
    if (got[0] != '%') {
        die("HELLO 3: %.*s", (int)min_size(n, 100), got);
    }
}

void conn_init(struct conn *c, int epoll, int port, int depth) {
    if (filler == NULL) {
        filler_init();
    }
    size_t value = opts.value <= VALUE_COPY_MAX ? opts.value : KEY_LEN;
    *c = (struct conn){.fd = connect_to(opts.path, opts.path ? port : opts.port + port), .elements = -1};
    if (opts.resp3) {
        say_hello(c->fd);
    }
    nonblocking(c->fd);
    c->asked = xcalloc((size_t)depth + 1, sizeof *c->asked);
    if (opts.txn > 0 && (opts.memcached || opts.value > VALUE_COPY_MAX)) {
        errno = 0;
        die("transactions are Redis', with values of at most %d bytes", VALUE_COPY_MAX);
    }
    size_t commands = opts.txn > 0 ? (size_t)opts.txn + 1 : 1;
    c->out = xmalloc((size_t)depth * commands * (96 + (size_t)opts.keys * (KEY_LEN + 8) + value));
    c->iov = xcalloc((size_t)depth * 2, sizeof *c->iov);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0) {
        die("epoll_ctl");
    }
}

void conn_lost(struct conn *c) {
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
        tally.lost++;
    }
}

/* ---- requests ---- */
static void put_padded(char *p, int n, uint64_t v) {
    for (int i = n - 1; i >= 0; i--) {
        p[i] = (char)('0' + v % 10);
        v /= 10;
    }
}

void key_put(char *p, uint64_t id) {
    memcpy(p, opts.prefix, 4);
    put_padded(p + 4, KEY_LEN - 4, id);
}

void key_put_tagged(char *p, uint64_t id, int i) {
    p[0] = '{';
    put_padded(p + 1, KEY_LEN - 3, id);
    p[KEY_LEN - 2] = '}';
    p[KEY_LEN - 1] = (char)('0' + i);
}

uint64_t key_next(uint64_t *rng) {
    uint64_t i = (uint64_t)(((unsigned __int128)rng_next(rng) * opts.keyspace) >> 64);
    return opts.key_list ? opts.key_list[i] : i;
}

static char *put(char *p, const char *text) {
    size_t n = strlen(text);
    memcpy(p, text, n);
    return p + n;
}

static char *put_key(char *p, uint64_t *rng) {
    key_put(p, key_next(rng));
    return p + KEY_LEN;
}

static char *put_get(char *p, uint64_t *rng, int keys) {
    if (opts.memcached) {
        p = put(p, "get");
        for (int i = 0; i < keys; i++) {
            p = put_key(put(p, " "), rng);
        }
        return put(p, "\r\n");
    }
    p = put(p, "*");
    p += put_number(p, (uint64_t)keys + 1);
    p = put(p, keys > 1 ? "\r\n$4\r\nMGET\r\n" : "\r\n$3\r\nGET\r\n");
    for (int i = 0; i < keys; i++) {
        p = put(put_key(put(p, "$16\r\n"), rng), "\r\n");
    }
    return p;
}

/* All but the filler. */
static char *put_set(char *p, const char key[KEY_LEN]) {
    p = put(p, opts.memcached ? "set " : "*3\r\n$3\r\nSET\r\n$16\r\n");
    memcpy(p, key, KEY_LEN);
    p = put(p + KEY_LEN, opts.memcached ? " 0 0 " : "\r\n$");
    p += put_number(p, opts.value);
    p = put(p, "\r\n");
    memcpy(p, key, lead);
    return p + lead;
}

/* SET and GET by turns of keys with one tag. */
static char *put_txn(char *p, uint64_t *rng) {
    uint64_t tag = key_next(rng);
    char key[KEY_LEN];
    p = put(p, "*1\r\n$5\r\nMULTI\r\n");
    for (int i = 0; i < opts.txn; i++) {
        key_put_tagged(key, tag, i);
        if (i % 2 == 0) {
            p = put_set(p, key);
            memcpy(p, filler, filler_len);
            p += filler_len;
        } else {
            p = put(p, "*2\r\n$3\r\nGET\r\n$16\r\n");
            memcpy(p, key, KEY_LEN);
            p = put(p + KEY_LEN, "\r\n");
        }
    }
    return put(p, "*1\r\n$4\r\nEXEC\r\n");
}

static void iov_add(struct conn *c, char *p, size_t n) {
    struct iovec *last = c->niov > 0 ? &c->iov[c->niov - 1] : NULL;
    if (last != NULL && (char *)last->iov_base + last->iov_len == p) {
        last->iov_len += n;
    } else {
        c->iov[c->niov++] = (struct iovec){p, n};
    }
}

static void request_add(struct conn *c, uint64_t now) {
    struct asked *q = &c->asked[c->nasked++];
    uint64_t r = rng_next(&opts.seed), rng = r | 1;
    bool set = opts.set_percent > 0 && (int)((r >> 33) % 100) < opts.set_percent;
    *q = (struct asked){now, rng, opts.txn > 0 ? KIND_TXN : set ? KIND_SET : opts.keys > 1 ? KIND_MGET : KIND_GET};
    char *begin = c->out + c->nout, *p, key[KEY_LEN];
    bool copy = q->kind == KIND_SET && opts.value <= VALUE_COPY_MAX;
    if (q->kind == KIND_SET) {
        key_put(key, key_next(&rng));
        p = put_set(begin, key);
    } else {
        p = q->kind == KIND_TXN ? put_txn(begin, &rng) : put_get(begin, &rng, opts.keys);
    }
    if (copy) {
        memcpy(p, filler, filler_len);
        p += filler_len;
    }
    iov_add(c, begin, (size_t)(p - begin));
    c->nout += (size_t)(p - begin);
    if (q->kind == KIND_SET && !copy) {
        c->iov[c->niov++] = (struct iovec){filler, filler_len};
    }
}

void conn_flush(struct conn *c, int epoll) {
    size_t most = FLUSH_MAX;
    while (c->iov_at < c->niov && most > 0) {
        struct msghdr mh = {.msg_iov = c->iov + c->iov_at, .msg_iovlen = min_size((size_t)(c->niov - c->iov_at), 256)};
        ssize_t n = sendmsg(c->fd, &mh, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            conn_lost(c);
            return;
        }
        tally.bytes += n > 0 ? (uint64_t)n : 0;
        most -= min_size(most, n > 0 ? (size_t)n : 0);
        for (size_t left = n > 0 ? (size_t)n : 0; left > 0;) {
            struct iovec *v = &c->iov[c->iov_at];
            size_t k = min_size(left, v->iov_len);
            v->iov_base = (char *)v->iov_base + k;
            v->iov_len -= k;
            left -= k;
            c->iov_at += v->iov_len == 0;
        }
    }
    bool blocked = c->iov_at < c->niov;
    if (blocked != c->blocked) {
        struct epoll_event ev = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0u), .data.ptr = c};
        epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &ev);
        c->blocked = blocked;
    }
}

void conn_send(struct conn *c, int epoll, int n, uint64_t now) {
    c->nasked = c->nanswered = 0;
    c->nout = 0;
    c->niov = c->iov_at = 0;
    for (int i = 0; i < n; i++) {
        request_add(c, now);
    }
    conn_flush(c, epoll);
}
