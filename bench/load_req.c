/* load_req.c: connections of the load generator, the requests they send. */
#include "load.h"

#include <sys/epoll.h>
#include <unistd.h>

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

void conn_init(struct conn *c, int epoll, int depth) {
    if (filler == NULL) {
        filler_init();
    }
    size_t value = opts.value <= VALUE_COPY_MAX ? opts.value : KEY_LEN;
    *c = (struct conn){.fd = tcp_connect(opts.port), .elements = -1};
    c->asked = xcalloc((size_t)depth + 1, sizeof *c->asked);
    c->out = xmalloc((size_t)depth * (96 + (size_t)opts.keys * (KEY_LEN + 8) + value));
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
void key_put(char *p, uint64_t id) {
    memcpy(p, "key:", 4);
    for (int i = KEY_LEN - 1; i >= 4; i--) {
        p[i] = (char)('0' + id % 10);
        id /= 10;
    }
}

uint64_t key_next(uint64_t *rng) {
    return (uint64_t)(((unsigned __int128)rng_next(rng) * opts.keyspace) >> 64);
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
static char *put_set(char *p, uint64_t *rng) {
    char key[KEY_LEN];
    key_put(key, key_next(rng));
    p = put(p, opts.memcached ? "set " : "*3\r\n$3\r\nSET\r\n$16\r\n");
    memcpy(p, key, KEY_LEN);
    p = put(p + KEY_LEN, opts.memcached ? " 0 0 " : "\r\n$");
    p += put_number(p, opts.value);
    p = put(p, "\r\n");
    memcpy(p, key, lead);
    return p + lead;
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
    *q = (struct asked){now, rng, set ? KIND_SET : opts.keys > 1 ? KIND_MGET : KIND_GET};
    char *begin = c->out + c->nout, *p;
    bool copy = set && opts.value <= VALUE_COPY_MAX;
    p = set ? put_set(begin, &rng) : put_get(begin, &rng, opts.keys);
    if (copy) {
        memcpy(p, filler, filler_len);
        p += filler_len;
    }
    iov_add(c, begin, (size_t)(p - begin));
    c->nout += (size_t)(p - begin);
    if (set && !copy) {
        c->iov[c->niov++] = (struct iovec){filler, filler_len};
    }
}

void conn_flush(struct conn *c, int epoll) {
    while (c->iov_at < c->niov) {
        struct msghdr mh = {.msg_iov = c->iov + c->iov_at, .msg_iovlen = min_size((size_t)(c->niov - c->iov_at), 256)};
        ssize_t n = sendmsg(c->fd, &mh, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n < 0 && errno != EINTR) {
            conn_lost(c);
            return;
        }
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
