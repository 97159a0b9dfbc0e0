/* nullbackend: answers Redis (RESP2) or memcached (text) requests in the right shape at the least cost and stores
 * nothing, so that a proxy in front of it is the only bottleneck. One process listens on N ports: 64 servers are not
 * 64 processes that fight for one core.
 *
 * A value that is asked for begins with its own key, which lets the load generator see a reply that went astray. Keys that
 * begin with "big:" have values of a length of their own. */
#include "util.h"

#include <getopt.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#define READ_MAX (256 * 1024)
#define OUT_MAX (1024 * 1024)
#define IOV_MAX_ 512
#define REF_MIN 8192 /* fillers of this size are written from where they are */
#define EVENTS_MAX 512

struct conn {
    int fd;
    bool listener;
    size_t skip; /* bytes of a large value still to come; they are not looked at */
    char *carry; /* input not used yet: part of a request, or all that came behind a reply that did not fit */
    size_t ncarry;
    struct piece *pending; /* output that the socket did not take; while there is some, nothing is read */
    size_t npending, pending_at;
    struct txn *txn; /* between MULTI and EXEC */
};

struct piece {
    char *p;
    size_t n;
    char *mem; /* to be freed; NULL: a part of a filler */
};

#define TXN_MAX 64
struct txn {
    int n;
    struct {
        bool get;
        size_t nkey;
        char key[64];
    } cmds[TXN_MAX];
};

static int base_port, nports = 4, epoll;
static const char *path;
static bool memcached;

static struct filler {
    size_t len;
    char *bytes; /* len, and a line end */
    char head[48];
    size_t nhead;
} usual = {.len = 64}, big = {.len = 1 << 20};

static char input[2 * READ_MAX];
static char out[OUT_MAX];
static size_t nout;
static struct iovec iov[IOV_MAX_];
static int niov;

/* ---- output ---- */
static void watch_for(struct conn *c, uint32_t events) {
    struct epoll_event ev = {.events = events, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &ev);
}

static bool is_part_of(const struct filler *f, const char *p) {
    return p >= f->bytes && p < f->bytes + f->len + 2;
}

/* Fillers are not copied: 64 clients may wait for the rest of 64 MiB each. */
static void pending_add(struct conn *c, char *p, size_t n) {
    if (c->npending == 0) {
        watch_for(c, EPOLLOUT);
    }
    c->pending = realloc(c->pending, (c->npending + 1) * sizeof *c->pending);
    if (c->pending == NULL) {
        die("realloc");
    }
    struct piece *e = &c->pending[c->npending++];
    *e = (struct piece){p, n, NULL};
    if (!is_part_of(&usual, p) && !is_part_of(&big, p)) {
        e->p = e->mem = xmalloc(n);
        memcpy(e->mem, p, n);
    }
}

static void pending_free(struct conn *c) {
    for (size_t i = c->pending_at; i < c->npending; i++) {
        free(c->pending[i].mem);
    }
    free(c->pending);
    c->pending = NULL;
    c->npending = c->pending_at = 0;
}

/* Writes what it can; false: the connection is broken. */
static bool pending_send(struct conn *c) {
    struct iovec v[64];
    size_t n = min_size(c->npending - c->pending_at, 64);
    for (size_t i = 0; i < n; i++) {
        v[i] = (struct iovec){c->pending[c->pending_at + i].p, c->pending[c->pending_at + i].n};
    }
    struct msghdr mh = {.msg_iov = v, .msg_iovlen = n};
    ssize_t sent = sendmsg(c->fd, &mh, MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    for (size_t left = (size_t)sent; left > 0;) {
        struct piece *e = &c->pending[c->pending_at];
        size_t k = min_size(left, e->n);
        e->p += k;
        e->n -= k;
        left -= k;
        if (e->n == 0) {
            free(e->mem);
            c->pending_at++;
        }
    }
    return true;
}

static void flush(struct conn *c) {
    size_t sent = 0;
    if (niov > 0 && c->pending == NULL) {
        struct msghdr mh = {.msg_iov = iov, .msg_iovlen = (size_t)niov};
        ssize_t n = sendmsg(c->fd, &mh, MSG_NOSIGNAL);
        sent = n > 0 ? (size_t)n : 0;
    }
    for (int i = 0; i < niov; i++) {
        size_t k = min_size(sent, iov[i].iov_len);
        sent -= k;
        if (k < iov[i].iov_len) {
            pending_add(c, (char *)iov[i].iov_base + k, iov[i].iov_len - k);
        }
    }
    niov = 0;
    nout = 0;
}

static char *reserve(struct conn *c, size_t n) {
    if (nout + n > OUT_MAX || niov > IOV_MAX_ - 2) {
        flush(c);
    }
    if (n > OUT_MAX) {
        errno = 0;
        die("reply of %zu bytes", n);
    }
    char *p = out + nout;
    nout += n;
    if (niov > 0 && (char *)iov[niov - 1].iov_base + iov[niov - 1].iov_len == p) {
        iov[niov - 1].iov_len += n;
    } else {
        iov[niov++] = (struct iovec){p, n};
    }
    return p;
}

static void put(struct conn *c, const char *p, size_t n) {
    memcpy(reserve(c, n), p, n);
}

static void put_text(struct conn *c, const char *text) {
    put(c, text, strlen(text));
}

/* The head of a value, and the value. */
static void put_value(struct conn *c, const char *key, size_t nkey) {
    struct filler *f = nkey >= 4 && memcmp(key, "big:", 4) == 0 ? &big : &usual;
    size_t lead = min_size(nkey, f->len), rest = f->len - lead + 2;
    put(c, f->head, f->nhead);
    if (rest >= REF_MIN) {
        put(c, key, lead);
        if (niov > IOV_MAX_ - 2) {
            flush(c);
        }
        iov[niov++] = (struct iovec){f->bytes + lead, rest};
        return;
    }
    char *p = reserve(c, lead + rest);
    memcpy(p, key, lead);
    memcpy(p + lead, f->bytes + lead, rest);
}

/* ---- requests: each function returns how many bytes it used, 0 when the request is not complete ---- */
struct arg {
    char *p;
    size_t n;
};

/* "$n CRLF bytes CRLF" at *p. 1: taken. 0: not all there; `a` may still tell its length when bytes of it are. */
static int arg_take(char **p, char *end, struct arg *a) {
    char *q = *p;
    *a = (struct arg){NULL, 0};
    char *nl = q < end ? memchr(q, '\n', (size_t)(end - q)) : NULL;
    if (nl == NULL) {
        return 0;
    }
    if (*q != '$') {
        errno = 0;
        die("this is no request: %.*s", (int)min_size((size_t)(end - q), 60), q);
    }
    *a = (struct arg){nl + 1, strtoull(q + 1, NULL, 10)};
    if ((size_t)(end - a->p) < a->n + 2) {
        return 0;
    }
    *p = a->p + a->n + 2;
    return 1;
}

static bool is(const struct arg *a, const char *name) {
    return a->n == strlen(name) && strncasecmp(a->p, name, a->n) == 0;
}

static void resp_mget(struct conn *c, char *p, char *end, size_t n) {
    char head[24];
    struct arg a;
    put(c, head, (size_t)snprintf(head, sizeof head, "*%zu\r\n", n));
    for (size_t i = 0; i < n; i++) {
        arg_take(&p, end, &a);
        put_value(c, a.p, a.n);
    }
}

static void resp_answer(struct conn *c, const struct arg *cmd, const struct arg *key, size_t n) {
    if (is(cmd, "get")) {
        put_value(c, key->p, key->n);
    } else if (is(cmd, "set") || is(cmd, "mset") || is(cmd, "select") || is(cmd, "auth")) {
        put_text(c, "+OK\r\n");
    } else if (is(cmd, "ping")) {
        put_text(c, "+PONG\r\n");
    } else if (is(cmd, "hello")) {
        put_text(c, "%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n");
    } else if (is(cmd, "multi")) {
        c->txn = xcalloc(1, sizeof *c->txn);
        put_text(c, "+OK\r\n");
    } else if (is(cmd, "del") || is(cmd, "unlink") || is(cmd, "touch") || is(cmd, "exists")) {
        char text[24];
        put(c, text, (size_t)snprintf(text, sizeof text, ":%zu\r\n", n));
    } else {
        put_text(c, "*0\r\n");
    }
}

/* A command behind MULTI. */
static void resp_queue(struct conn *c, const struct arg *cmd, const struct arg *key) {
    struct txn *t = c->txn;
    if (!is(cmd, "exec")) {
        if (t->n == TXN_MAX || key->n > sizeof t->cmds[0].key || !(is(cmd, "get") || is(cmd, "set"))) {
            errno = 0;
            die("no such command in a transaction: %.*s", (int)cmd->n, cmd->p);
        }
        t->cmds[t->n].get = is(cmd, "get");
        t->cmds[t->n].nkey = key->n;
        memcpy(t->cmds[t->n++].key, key->p, key->n);
        put_text(c, "+QUEUED\r\n");
        return;
    }
    char head[24];
    put(c, head, (size_t)snprintf(head, sizeof head, "*%d\r\n", t->n));
    for (int i = 0; i < t->n; i++) {
        if (t->cmds[i].get) {
            put_value(c, t->cmds[i].key, t->cmds[i].nkey);
        } else {
            put_text(c, "+OK\r\n");
        }
    }
    free(t);
    c->txn = NULL;
}

static size_t resp_request(struct conn *c, char *begin, char *end) {
    char *p = memchr(begin, '\n', (size_t)(end - begin));
    struct arg cmd, key = {NULL, 0}, a;
    if (p == NULL) {
        return 0;
    }
    p++;
    if (*begin != '*') {
        put_text(c, "+PONG\r\n");
        return (size_t)(p - begin);
    }
    size_t n = strtoull(begin + 1, NULL, 10);
    if (n == 0 || !arg_take(&p, end, &cmd)) {
        return 0;
    }
    char *args = p;
    for (size_t i = 1; i < n; i++) {
        if (!arg_take(&p, end, &a)) {
            if (i == 2 && n == 3 && a.n >= REF_MIN && is(&cmd, "set")) { /* the value is thrown away as it comes */
                c->skip = a.n + 2 - (size_t)(end - a.p);
                return (size_t)(end - begin);
            }
            return 0;
        }
        key = i == 1 ? a : key;
    }
    if (c->txn != NULL) {
        resp_queue(c, &cmd, &key);
    } else if (is(&cmd, "mget")) {
        resp_mget(c, args, end, n - 1);
    } else {
        resp_answer(c, &cmd, &key, n - 1);
    }
    return (size_t)(p - begin);
}

static void mc_get(struct conn *c, char *p, char *end) {
    while (p < end) {
        char *key = p + 1;
        char *blank = memchr(key, ' ', (size_t)(end - key));
        p = blank ? blank : end;
        if (p > key) {
            put_text(c, "VALUE ");
            put(c, key, (size_t)(p - key));
            put_value(c, key, (size_t)(p - key));
        }
    }
    put_text(c, "END\r\n");
}

static size_t mc_request(struct conn *c, char *begin, char *end) {
    char *nl = memchr(begin, '\n', (size_t)(end - begin));
    if (nl == NULL) {
        return 0;
    }
    char *line_end = nl > begin && nl[-1] == '\r' ? nl - 1 : nl, *blank = memchr(begin, ' ', (size_t)(nl - begin));
    if (blank != NULL && strncmp(begin, "get ", 4) == 0) {
        mc_get(c, blank, line_end);
    } else if (strncmp(begin, "set ", 4) == 0) {
        char *last = line_end;
        while (last > begin && last[-1] != ' ') {
            last--;
        }
        size_t n = strtoull(last, NULL, 10) + 2, here = (size_t)(end - nl - 1);
        if (here < n) {
            if (n < REF_MIN) {
                return 0;
            }
            c->skip = n - here;
            return (size_t)(end - begin);
        }
        put_text(c, "STORED\r\n");
        return (size_t)(nl + 1 - begin) + n;
    } else {
        put_text(c, strncmp(begin, "version", 7) == 0 ? "VERSION 1.6.18\r\n" : "ERROR\r\n");
    }
    return (size_t)(nl + 1 - begin);
}

/* ---- connections ---- */
static void conn_close(struct conn *c) {
    close(c->fd);
    free(c->carry);
    free(c->txn);
    pending_free(c);
    free(c);
}

/* Answers what is in [p, end) until the socket is full; the rest is kept. */
static void requests(struct conn *c, char *p, char *end) {
    while (p < end && c->pending == NULL) {
        size_t used;
        if (c->skip > 0) {
            used = min_size(c->skip, (size_t)(end - p));
            c->skip -= used;
            if (c->skip == 0) {
                put_text(c, memcached ? "STORED\r\n" : "+OK\r\n");
            }
        } else {
            used = memcached ? mc_request(c, p, end) : resp_request(c, p, end);
        }
        if (used == 0) {
            break;
        }
        p += used;
    }
    flush(c);
    c->ncarry = (size_t)(end - p);
    if (c->ncarry > READ_MAX) {
        errno = 0;
        die("request of more than %d bytes", READ_MAX);
    }
    if (c->ncarry > 0 && c->carry == NULL) {
        c->carry = xmalloc(READ_MAX);
    }
    if (c->ncarry > 0) {
        memcpy(c->carry, p, c->ncarry);
    }
}

static void on_readable(struct conn *c) {
    if (c->ncarry > 0) {
        memcpy(input, c->carry, c->ncarry);
    }
    ssize_t n = recv(c->fd, input + c->ncarry, READ_MAX, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        conn_close(c);
    } else if (n > 0) {
        requests(c, input, input + c->ncarry + n);
    }
}

static void on_writable(struct conn *c) {
    if (!pending_send(c)) {
        conn_close(c);
        return;
    }
    if (c->pending_at < c->npending) {
        return;
    }
    pending_free(c);
    watch_for(c, EPOLLIN);
    size_t have = c->ncarry;
    if (have > 0) {
        memcpy(input, c->carry, have);
        requests(c, input, input + have);
    }
}

static void conn_add(int fd, bool listener) {
    struct conn *c = xcalloc(1, sizeof *c);
    c->fd = fd;
    c->listener = listener;
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
}

static void on_client(struct conn *listener) {
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        no_delay(fd);
        conn_add(fd, false);
    }
}

static void filler_init(struct filler *f) {
    f->bytes = xmalloc(f->len + 2);
    memset(f->bytes, 'x', f->len);
    memcpy(f->bytes + f->len, "\r\n", 2);
    f->nhead = (size_t)snprintf(f->head, sizeof f->head, memcached ? " 0 %zu\r\n" : "$%zu\r\n", f->len);
}

static void init(void) {
    more_descriptors();
    filler_init(&usual);
    filler_init(&big);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < nports; i++) {
        conn_add(listen_at(path, path ? i : base_port + i), true);
    }
}

int main(int argc, char **argv) {
    for (int ch; (ch = getopt(argc, argv, "p:u:n:v:V:m:")) != -1;) {
        switch (ch) {
        case 'p': base_port = atoi(optarg); break;
        case 'u': path = optarg; break;
        case 'n': nports = atoi(optarg); break;
        case 'v': usual.len = strtoull(optarg, NULL, 10); break;
        case 'V': big.len = strtoull(optarg, NULL, 10); break;
        case 'm': memcached = strcmp(optarg, "memcached") == 0; break;
        default: base_port = 0, path = NULL; break;
        }
    }
    if ((base_port <= 0) == (path == NULL)) {
        fputs("nullbackend -p FIRST-PORT | -u PATH-PREFIX  [-n PORTS] [-v VALUE-BYTES] [-V VALUE-BYTES-OF-KEYS-big:...] [-m redis|memcached]\n", stderr);
        return 2;
    }
    init();
    for (;;) {
        static struct epoll_event evs[EVENTS_MAX];
        int n = epoll_wait(epoll, evs, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            struct conn *c = evs[i].data.ptr;
            if (c->listener) {
                on_client(c);
            } else if (evs[i].events & EPOLLOUT) {
                on_writable(c);
            } else {
                on_readable(c);
            }
        }
    }
}
