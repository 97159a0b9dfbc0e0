#include "io/call.h"
#include "io/io_state.h"
#include "io/sock.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* A tail below this size is copied in front of the next bytes; from here on its buf is received into directly. */
#define TAIL_SMALL 16384
/* A shared buf with less room than this is not received into any more. 16 KiB instead of 64 costs 37 % at 16 KiB values. */
#define SHARED_ROOM (48u << 10)
#define SHARED_CAP (128u << 10) - 64
/* A tail that waits for much more grows from here by this factor: what was announced costs little until it arrives, and not
 * much is copied. */
#define TAIL_FIRST (64u << 10)
#define TAIL_GROWTH 8
#define RECVS_PER_TURN 4
/* Behind what was moved comes its end, and perhaps the head of the next large message: a large read would copy what can be moved. */
#define SIP 4096

void stream_left_over(struct stream *s) {
    if (!list_linked(&s->ready)) {
        list_push(&s->loop->ready_streams, &s->ready);
    }
}

void stream_owe_error(struct stream *s, enum reason why) {
    s->flags |= STREAM_FAILED;
    s->why = (uint8_t)why;
    stream_left_over(s);
}

/* The last callback, whoever finds the connection dead first. */
void stream_fail(struct stream *s, enum reason why) {
    if (!(s->flags & STREAM_OVER)) {
        s->flags |= STREAM_OVER;
        s->ops->on_error(s, why);
    }
}

/* ---- the tail: bytes shown and not taken ---- */

/* The bytes move to a larger buf. Not buf_grow: somebody may refer to the old one. By half at least: an array announces one element after the
 * other, and all that is there would be copied for each of them. */
static bool tail_room(struct stream *s, size_t cap) {
    struct buf *old = s->tail;
    if (old != NULL && old->cap >= cap) {
        return true;
    }
    struct buf *b = buf_new(s->loop->pool, old != NULL ? max_size(cap, old->cap + old->cap / 2) : cap);
    if (b == NULL) {
        stream_fail(s, REASON_NO_MEMORY);
        return false;
    }
    if (old != NULL) {
        memcpy(b->data, old->data, old->len);
        b->len = old->len;
    }
    buf_unref(&s->tail);
    s->tail = b;
    return true;
}

/* Capacity for a tail of `len` bytes, given what is known about the whole message. */
static size_t tail_cap(const struct stream *s, size_t len) {
    if (s->need <= TAIL_SMALL) {
        return len;
    }
    size_t grown = max_size(TAIL_FIRST, TAIL_GROWTH * len);
    return s->need > len ? min_size(s->need, grown) : len;
}

static bool tail_put(struct stream *s, struct slice rest) {
    size_t have = s->tail == NULL ? 0 : s->tail->len;
    if (!tail_room(s, tail_cap(s, have + rest.n))) {
        return false;
    }
    memcpy(s->tail->data + s->tail->len, rest.p, rest.n);
    s->tail->len += rest.n;
    return true;
}

/* The first `used` bytes of the tail were taken. False: the stream died of it. */
static bool tail_take(struct stream *s, size_t used) {
    struct buf *tail = s->tail;
    if (used == 0) {
        return true;
    }
    s->tail = NULL;
    size_t rest = tail->len - used;
    /* somebody may refer to the old bytes: the rest moves to a buf of its own */
    bool alive = rest == 0 || tail_put(s, slice(tail->data + used, rest));
    buf_unref(&tail);
    return alive;
}

/* ---- receiving ---- */

/* Returns what on_recv took. False: the stream was closed meanwhile. */
static bool stream_show(struct stream *s, struct buf *b, struct slice in, size_t *used) {
    uint32_t need = s->need;
    s->need = 0;
    *used = s->ops->on_recv(s, b, in);
    if (s->state != STREAM_OPEN) {
        return false;
    }
    ASSERT(*used <= in.n);
    if (*used == 0 && s->need == 0) {
        s->need = need; /* the same message, and nothing new is known about it */
    }
    return true;
}

/* Shows bytes that lie in the shared buf. False: the stream was closed meanwhile. */
static inline bool stream_show_shared(struct stream *s, struct buf *b, size_t off, size_t len) {
    size_t used;
    if (!stream_show(s, b, slice(b->data + off, len), &used)) {
        return false;
    }
    return used == len || tail_put(s, slice(b->data + off + used, len - used));
}

static bool stream_show_tail(struct stream *s) {
    struct buf *tail = buf_ref(s->tail);
    size_t used;
    bool open = stream_show(s, tail, slice(tail->data, tail->len), &used);
    buf_unref(&tail);
    return open && tail_take(s, used);
}

/* The loop's shared buf with room behind what others still refer to. `s` may be closed during a callback: `loop` is not. */
static struct buf *shared_buf(struct loop *loop) {
    struct buf *b = loop->shared;
    if (b != NULL && b->refs == 1) {
        b->len = 0;
    }
    if (b == NULL || b->cap - b->len < SHARED_ROOM + TAIL_SMALL) {
        buf_unref(&loop->shared);
        b = loop->shared = buf_new(loop->pool, SHARED_CAP);
    }
    return b;
}

/* The peer's FIN. A large message that is cut off by it was not shown yet. */
static void stream_end(struct stream *s) {
    if (s->flags & STREAM_EOF) {
        s->flags &= (uint16_t)~STREAM_READABLE;
        return;
    }
    if (s->tail != NULL && s->need > s->tail->len && !stream_show_tail(s)) {
        return;
    }
    if (s->flags & STREAM_FAILED) { /* a failed send took the error, so this 0 may be no FIN: on_error follows */
        s->flags &= (uint16_t)~STREAM_READABLE;
        return;
    }
    if (!(s->flags & STREAM_PAUSED)) { /* else the FIN is still to be read after stream_resume */
        s->flags = (uint16_t)((s->flags & ~STREAM_READABLE) | STREAM_EOF);
        s->ops->on_eof(s);
    }
}

/* What one system call returned, `asked` bytes at most. True: there are bytes. */
static bool recv_result(struct stream *s, ssize_t n, size_t asked) {
    if (LIKELY(n > 0)) {
        s->received += (uint32_t)n;
        if ((size_t)n < asked && !(s->flags & STREAM_HUP)) {
            s->flags &= (uint16_t)~STREAM_READABLE; /* a short read means drained: news makes a new event */
        }
        return true;
    }
    if (n == 0) {
        stream_end(s);
    } else if (errno == EAGAIN) {
        s->flags &= (uint16_t)~STREAM_READABLE;
    } else if (errno == EINTR) {
        stream_left_over(s);
    } else {
        stream_fail(s, reason_of_errno(errno));
    }
    return false;
}

/* Small or no tail: it goes in front of the new bytes, in the shared buf. Receives `most` bytes at most. */
static inline bool recv_shared(struct stream *s, size_t most) {
    struct loop *loop = s->loop;
    struct buf *b = shared_buf(loop);
    size_t off = b->len, have = 0;
    if (s->tail != NULL) {
        have = s->tail->len;
        memcpy(b->data + off, s->tail->data, have);
    }
    size_t room = min_size(b->cap - off - have, most);
    bool tls = UNLIKELY(s->flags & STREAM_TLS);
    ssize_t n = tls ? tls_recv(s, &(struct iovec){b->data + off + have, room}, 1) : call_recv(s->fd, b->data + off + have, room);
    if (!recv_result(s, n, tls ? 0 : room)) {
        return false;
    }
    buf_unref(&s->tail);
    b->len = off + have + (size_t)n;
    buf_ref(b); /* a callback may make the loop take another one */
    bool go_on = stream_show_shared(s, b, off, have + (size_t)n);
    buf_unref(&b);
    return go_on;
}

/* A large message is being received: straight into its own buf, and what is behind it into the shared one. */
static bool recv_tail(struct stream *s) {
    struct loop *loop = s->loop;
    struct buf *tail = s->tail, *b = shared_buf(loop);
    size_t want = s->need > tail->len ? s->need : tail->cap + tail->cap / 2;
    bool tls = (s->flags & STREAM_TLS) != 0;
    bool full = tail->cap - tail->len < min_size(want - tail->len, tls ? TLS_ROOM : TAIL_SMALL);
    if (full && !tail_room(s, min_size(want, TAIL_GROWTH * tail->cap + TAIL_FIRST))) {
        return false;
    }
    tail = s->tail;
    size_t room = min_size(tail->cap, want) - tail->len, off = b->len;
    /* only a tail that gets all it needs has anything behind it */
    size_t behind = tail->len + room == want ? b->cap - off : 0;
    struct iovec iov[2] = {{tail->data + tail->len, room}, {b->data + off, behind}};
    ssize_t n = tls ? tls_recv(s, iov, 2) : call_readv(s->fd, iov, behind > 0 ? 2 : 1);
    if (!recv_result(s, n, tls ? 0 : room + behind)) {
        return false;
    }
    size_t mine = min_size((size_t)n, room), extra = (size_t)n - mine;
    tail->len += mine;
    if (s->need > tail->len) {
        return true; /* not worth a look before it is all there */
    }
    b->len = off + extra;
    buf_ref(b);
    bool go_on = stream_show_tail(s);
    if (go_on && extra > 0) {
        if (s->tail == NULL && !(s->flags & STREAM_PAUSED)) {
            go_on = stream_show_shared(s, b, off, extra);
        } else {
            go_on = tail_put(s, slice(b->data + off, extra)) && ((s->flags & STREAM_PAUSED) || stream_show_tail(s));
        }
    }
    buf_unref(&b);
    return go_on;
}

/* Not when closed: then it has no flags. SHOW: resumed inside on_recv, which comes again before anything new does. */
static inline bool stream_readable(const struct stream *s) {
    return (s->flags & (STREAM_READABLE | STREAM_PAUSED | STREAM_SHOW | STREAM_MOVES)) == STREAM_READABLE;
}

static void stream_read(struct stream *s) {
    for (int i = 0; i < RECVS_PER_TURN; i++) {
        bool large = s->tail != NULL && (s->need > TAIL_SMALL || s->tail->len > TAIL_SMALL);
        if (!(large ? recv_tail(s) : recv_shared(s, SIZE_MAX)) || !stream_readable(s)) {
            return;
        }
    }
    stream_left_over(s);
}

/* ---- events ---- */

static void stream_connected(struct stream *s, unsigned ready) {
    int err = 0;
    socklen_t len = sizeof err;
    struct addr peer;
    socklen_t peer_len = sizeof peer.sa;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err != 0) {
        stream_fail(s, reason_of_errno(err));
        return;
    }
    if (!(ready & READY_OUT) || getpeername(s->fd, (struct sockaddr *)(void *)&peer.sa, &peer_len) != 0) {
        return;
    }
    if (UNLIKELY(s->flags & STREAM_TLS)) {
        s->flags |= STREAM_HANDSHAKE;
        tls_on_ready(s, ready);
        return;
    }
    s->state = STREAM_OPEN;
    s->ops->on_connect(s);
}

/* What SO_ERROR says, once: it is forgotten when it is read. */
static enum reason stream_sock_error(const struct stream *s) {
    int err = 0;
    socklen_t len = sizeof err;
    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    return err != 0 ? reason_of_errno(err) : REASON_RESET;
}

/* What comes before receiving: the tail if it is owed, and what is to be moved. False: the stream was closed meanwhile. */
static __attribute__((noinline)) bool stream_run_first(struct stream *s) {
    if ((s->flags & (STREAM_SHOW | STREAM_PAUSED)) == STREAM_SHOW) {
        s->flags &= (uint16_t)~STREAM_SHOW;
        if (s->tail != NULL && !stream_show_tail(s)) {
            return false;
        }
    }
    if ((s->flags & STREAM_MOVES) && stream_offer(s) && stream_readable(s) && !(s->flags & STREAM_FAILED) && s->tail == NULL) {
        recv_shared(s, SIP);
    }
    return s->state == STREAM_OPEN;
}

/* Then what there is to receive, then the news that the connection is dead: at once when paused, else behind the last byte.
 * recv tells no error behind a FIN, so the event has to. */
void stream_run(struct stream *s) {
    if (UNLIKELY(s->flags & (STREAM_SHOW | STREAM_MOVES)) && !stream_run_first(s)) {
        return;
    }
    if (stream_readable(s)) {
        stream_read(s);
    }
    if (UNLIKELY(s->flags & STREAM_ERROR) && s->state == STREAM_OPEN &&
        ((s->flags & STREAM_PAUSED) || !(s->flags & (STREAM_READABLE | STREAM_SHOW)))) {
        stream_fail(s, stream_sock_error(s));
    }
}

static __attribute__((noinline)) void stream_on_news(struct stream *s, unsigned ready) {
    if (s->flags & (STREAM_OVER | STREAM_HEADER | STREAM_HANDSHAKE)) {
        if (!(s->flags & STREAM_OVER)) {
            (s->flags & STREAM_HEADER) ? proxied_on_ready(s, ready) : tls_on_ready(s, ready);
        }
        return;
    }
    /* Noted first: kqueue tells the two directions apart, and the first bytes may come before "connected". */
    if (ready & (READY_IN | READY_HUP | READY_ERR)) {
        s->flags |= STREAM_READABLE | ((ready & (READY_HUP | READY_ERR)) ? STREAM_HUP : 0) |
                    ((ready & READY_ERR) ? STREAM_ERROR : 0);
    }
    if (s->state == STREAM_CONNECTING) {
        stream_connected(s, ready);
        ready &= ~(unsigned)READY_OUT; /* that was on_connect */
    }
    if (s->state != STREAM_OPEN) {
        return;
    }
    if (UNLIKELY((ready & READY_HUP) && (s->flags & STREAM_PAUSED)) && s->ops->on_hup != NULL) {
        s->ops->on_hup(s);
        if (s->state != STREAM_OPEN) {
            return;
        }
    }
    if ((ready & READY_OUT) && (s->flags & STREAM_SHORT) && (LIKELY(!(s->flags & STREAM_TLS)) || tls_has_room(s))) {
        s->flags &= (uint16_t)~STREAM_SHORT;
        s->ops->on_room(s);
        if (s->state != STREAM_OPEN) {
            return;
        }
    }
    stream_run(s);
}

void stream_on_ready(struct stream *s, unsigned ready) {
    if (LIKELY((ready & ~(unsigned)READY_OUT) == READY_IN && s->flags == 0 && s->state == STREAM_OPEN)) {
        s->flags = STREAM_READABLE; /* bytes, and nothing else that is new or owed: nearly every event */
        stream_read(s);
    } else {
        stream_on_news(s, ready);
    }
}

void stream_on_left_over(struct stream *s) {
    if (s->state != STREAM_OPEN || (s->flags & STREAM_OVER)) {
        return;
    }
    bool failed = (s->flags & STREAM_FAILED) != 0;
    if (UNLIKELY(s->flags & STREAM_HEADER)) {
        proxied_on_ready(s, 0);
    } else if (LIKELY(!(s->flags & STREAM_HANDSHAKE))) {
        stream_run(s);
    }
    if (failed && s->state == STREAM_OPEN) {
        stream_fail(s, (enum reason)s->why);
    }
}

/* ---- calls ---- */

static void stream_begin(struct stream *s, struct loop *loop, const struct stream_ops *ops, int fd, enum stream_state state) {
    *s = (struct stream){.loop = loop, .ops = ops, .fd = fd, .state = (uint8_t)state};
}

static void set_keepalive(int fd) {
    sock_keepalive(fd, 30, 10, 3);
}

enum reason stream_connect(struct loop *loop, struct stream *s, const struct stream_ops *ops, const struct addr *addr,
                           const struct connect_opts *opts) {
    ASSERT(s->state == STREAM_CLOSED);
    int fd = sock_open(addr->sa.family);
    if (fd < 0) {
        return reason_of_errno(errno);
    }
    if (!addr_is_unix(addr)) {
        sock_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        if (opts->keepalive) {
            set_keepalive(fd);
        }
        if (opts->user_timeout_ms > 0) {
            sock_user_timeout(fd, opts->user_timeout_ms);
        }
    }
    if (connect(fd, (const struct sockaddr *)(const void *)&addr->sa, addr->len) != 0 && errno != EINPROGRESS) {
        enum reason why = reason_of_errno(errno);
        close(fd);
        return why;
    }
    stream_begin(s, loop, ops, fd, STREAM_CONNECTING);
    if (opts->tls != NULL) {
        tls_connect(s, opts->tls);
    }
    backend_forget_events(loop->backend, s);
    if (!backend_watch_stream(loop->backend, s)) {
        stream_close(s);
        return REASON_NO_MEMORY;
    }
    return REASON_NONE;
}

void stream_accept(struct listener *l, int fd, struct stream *s, const struct stream_ops *ops, const struct accept_opts *opts) {
    ASSERT(l->fd_offered == fd);
    l->fd_offered = -1;
    stream_begin(s, l->loop, ops, fd, STREAM_OPEN);
    if (opts->keepalive) {
        set_keepalive(fd);
    }
    if (opts->proxied) {
        proxied_begin(s);
    }
    if (l->tls != NULL) {
        tls_accept(s, l->tls);
    }
    if (!backend_watch_stream(l->loop->backend, s)) {
        stream_owe_error(s, REASON_NO_MEMORY);
    }
}

size_t stream_send(struct stream *s, const struct iovec *iov, int n) {
    ASSERT(s->state == STREAM_OPEN && n > 0);
    if (UNLIKELY(s->flags & (STREAM_FAILED | STREAM_OVER | STREAM_TLS))) {
        return s->flags & (STREAM_FAILED | STREAM_OVER) ? 0 : tls_send(s, iov, n);
    }
    size_t total = iov->iov_len;
    ssize_t sent;
    if (LIKELY(n == 1)) {
        sent = call_send(s->fd, iov->iov_base, total, MSG_NOSIGNAL);
    } else {
        struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)n};
        for (int i = 1; i < n; i++) {
            total += iov[i].iov_len;
        }
        sent = call_sendmsg(s->fd, &m, MSG_NOSIGNAL);
    }
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        stream_owe_error(s, reason_of_errno(errno));
        return 0;
    }
    size_t done = sent < 0 ? 0 : (size_t)sent;
    if (done < total) {
        s->flags |= STREAM_SHORT;
    }
    return done;
}

void stream_pause(struct stream *s) {
    s->flags |= STREAM_PAUSED;
}

void stream_resume(struct stream *s) {
    if (s->flags & STREAM_PAUSED) {
        s->flags &= (uint16_t)~STREAM_PAUSED;
        s->flags |= STREAM_SHOW; /* inside on_recv, what it will not have taken is no tail yet */
        stream_left_over(s);
    }
}

bool stream_hung_up(const struct stream *s) {
    return (s->flags & STREAM_HUP) != 0;
}

bool stream_paused(const struct stream *s) {
    return (s->flags & STREAM_PAUSED) != 0;
}

void stream_need(struct stream *s, size_t total) {
    s->need = (uint32_t)min_size(total, UINT32_MAX);
}

void stream_shutdown(struct stream *s) {
    if (s->state == STREAM_OPEN && s->tls != NULL) {
        tls_shutdown(s);
    } else if (s->state == STREAM_OPEN) {
        shutdown(s->fd, SHUT_WR);
    }
}

void stream_close(struct stream *s) {
    if (s->state == STREAM_CLOSED) {
        return;
    }
    if (UNLIKELY(s->tls != NULL)) {
        tls_close(s);
    }
    s->state = STREAM_CLOSED;
    s->flags = 0;
    list_remove(&s->ready);
    buf_unref(&s->tail);
    proxied_end(s);
    close(s->fd);
    s->fd = -1;
}

/* `failed`: what the system said when it was asked for `a`. */
static const char *addr_or_unknown(bool failed, const struct addr *a, char *to, size_t room) {
    if (failed) {
        snprintf(to, room, "unknown");
        return to;
    }
    addr_text(a, to, room);
    if (to[0] == '\0') {
        snprintf(to, room, "unix"); /* a client's own end has no path */
    }
    return to;
}

const char *stream_peer(const struct stream *s, char *to, size_t room) {
    const struct addr *from = stream_proxied(s);
    struct addr a = {.len = sizeof a.sa};
    if (from != NULL) {
        return addr_text(from, to, room);
    }
    bool failed = s->state == STREAM_CLOSED || getpeername(s->fd, (struct sockaddr *)(void *)&a.sa, &a.len) != 0;
    return addr_or_unknown(failed, &a, to, room);
}

const char *stream_here(const struct stream *s, char *to, size_t room) {
    struct addr a = {.len = sizeof a.sa};
    bool failed = s->state == STREAM_CLOSED || getsockname(s->fd, (struct sockaddr *)(void *)&a.sa, &a.len) != 0;
    return addr_or_unknown(failed, &a, to, room);
}
