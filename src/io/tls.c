/* tls.c: TLS streams. OpenSSL neither reads nor writes a socket: what is received lies in a buffer of the loop while it is taken apart,
 * all of it at once, so that nothing readable is ever left inside OpenSSL where no event would tell of it; what it writes is
 * gathered there as well, and goes out in one system call. What the socket does not take is kept by the stream; an idle one holds nothing.
 *
 * A handshake goes on only in tls_loop_turn, a few steps in each turn and in the order in which they became possible. It
 * reads from the socket what it needs and no more: what a client sends behind it is for on_recv. */
#include "io/call.h"
#include "io/io_state.h"
#include "io/tls_state.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>

#define RECORD 16384              /* bytes of a message in one record */
#define RECORD_MAX (18u << 10)    /* a record as it travels, at most */
#define IN_CAP (64u << 10)
#define OUT_CAP (5 * RECORD_MAX)
#define SSL_BYTES (14u << 10)     /* what OpenSSL holds for a connection, as measured, when it carries nothing */
#define KEPT_MAX (256u << 10)     /* of answers to what a peer may send, when it does not read them */
#define ROUNDS 4                  /* reads in one call that brought nothing to show */

struct tls {
    SSL *ssl; /* made when the first byte comes: who only connects costs little */
    struct tls_ctx *ctx;
    struct tls_peer *peer; /* NULL: accepted */
    struct stream *stream;
    struct list queue;     /* handshakes that can go on */
    struct timer timer;    /* end of the handshake's time */
    struct buf *kept;      /* written, and not taken by the socket; NULL: nothing */
    size_t kept_off;
    const uint8_t *in; /* what OpenSSL is reading */
    size_t in_n;
    enum reason gone; /* during the handshake the connection went away; NONE: it did not */
    uint8_t first;    /* byte that came */
    bool began;       /* it came */
    bool ended;     /* close_notify came */
    bool broken;    /* of no use any more */
    bool shut;      /* FIN follows behind what is kept */
    bool room_owed; /* on_room */
    bool ahead;     /* see tls_send */
};

struct tls_loop {
    struct list queue;
    size_t out_n;
    uint8_t in[IN_CAP], out[OUT_CAP], gather[RECORD];
};

/* ---- what OpenSSL takes for the network ---- */

static int bio_recv(BIO *bio, struct stream *s, char *to, int room) {
    struct tls *t = s->tls;
    ssize_t n = call_recv(s->fd, to, (size_t)room);
    if (n > 0) {
        t->first = t->began ? t->first : (uint8_t)to[0];
        t->began = true;
    } else if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        s->flags &= errno == EAGAIN ? (uint16_t)~STREAM_READABLE : (uint16_t)~0u;
        BIO_set_retry_read(bio);
    } else {
        t->gone = n == 0 ? REASON_EOF : reason_of_errno(errno);
    }
    return (int)n;
}

static int bio_read(BIO *bio, char *to, int room) {
    struct stream *s = BIO_get_data(bio);
    struct tls *t = s->tls;
    BIO_clear_retry_flags(bio);
    if (s->flags & STREAM_HANDSHAKE) {
        return bio_recv(bio, s, to, room);
    }
    size_t n = min_size((size_t)room, t->in_n);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(to, t->in, n);
    t->in += n;
    t->in_n -= n;
    return (int)n;
}

static int bio_write(BIO *bio, const char *from, int n) {
    struct tls_loop *l = ((struct stream *)BIO_get_data(bio))->loop->tls;
    if ((size_t)n > OUT_CAP - l->out_n) {
        return -1;
    }
    memcpy(l->out + l->out_n, from, (size_t)n);
    l->out_n += (size_t)n;
    return n;
}

static long bio_ctrl(BIO *bio, int what, long n, void *p) {
    return what == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *bio_method;

static void bio_make_method(void) {
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    ASSERT(bio_method != NULL);
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

/* ---- beginning ---- */

static void tls_ssl_new(struct tls *t) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, bio_make_method);
    BIO *bio = BIO_new(bio_method);
    t->ssl = SSL_new(t->ctx->ssl);
    ASSERT(bio != NULL && t->ssl != NULL); /* memory only, as for mem_alloc */
    bufpool_count(t->stream->loop->pool, SSL_BYTES);
    BIO_set_data(bio, t->stream);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    struct tls_peer *p = t->peer;
    if (p == NULL) {
        SSL_set_accept_state(t->ssl);
        return;
    }
    SSL_set_connect_state(t->ssl);
    SSL_set_app_data(t->ssl, p);
    struct addr ip;
    bool is_name = !addr_ip(&ip, slice_str(p->name), 0);
    if (is_name) {
        SSL_set_tlsext_host_name(t->ssl, p->name);
    }
    if (t->ctx->check_name) {
        SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        ASSERT(is_name ? SSL_set1_host(t->ssl, p->name) == 1 : X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), p->name) == 1);
    }
    if (p->session != NULL) { /* a copy: OpenSSL uses one of TLS 1.3 but once, and several connections may begin together */
        SSL_SESSION *copy = SSL_SESSION_dup(p->session);
        SSL_set_session(t->ssl, copy);
        SSL_SESSION_free(copy);
    }
}

static void tls_queue(struct tls *t) {
    if (!list_linked(&t->queue)) {
        list_push(&t->stream->loop->tls->queue, &t->queue);
    }
}

static void tls_tell(const struct tls *t, enum tls_news news, const char *words) {
    if (t->ctx->news != NULL) {
        t->ctx->news(t->peer != NULL ? t->peer->owner : t->ctx->owner, t->stream, news, words);
    }
}

static void tls_on_timer(struct timer *timer) {
    struct tls *t = CONTAINER_OF(timer, struct tls, timer);
    tls_tell(t, TLS_TIMEDOUT, "the handshake takes too long");
    stream_fail(t->stream, REASON_TLS_LATE);
}

static struct tls *tls_begin(struct stream *s, struct tls_ctx *ctx) {
    struct loop *loop = s->loop;
    if (loop->tls == NULL) {
        loop->tls = mem_alloc(sizeof *loop->tls);
        list_init(&loop->tls->queue);
        loop->tls->out_n = 0;
    }
    struct tls *t = s->tls = mem_zalloc(sizeof *t);
    t->ctx = tls_ctx_ref(ctx);
    t->stream = s;
    timer_init(&t->timer, tls_on_timer);
    if (ctx->patience > 0) {
        timer_set(loop, &t->timer, loop->now + ctx->patience);
    }
    s->flags |= STREAM_TLS;
    return t;
}

void tls_accept(struct stream *s, struct tls_ctx *ctx) {
    tls_begin(s, ctx);
    s->flags |= STREAM_HANDSHAKE;
}

void tls_connect(struct stream *s, struct tls_peer *peer) {
    struct tls *t = tls_begin(s, peer->ctx);
    peer->refs++;
    t->peer = peer;
}

/* ---- writing ---- */

static void keep(struct stream *s, const uint8_t *from, size_t n) {
    struct tls *t = s->tls;
    size_t had = t->kept != NULL ? t->kept->len - t->kept_off : 0;
    struct buf *b = buf_new(s->loop->pool, had + n);
    if (had > 0) {
        memcpy(b->data, t->kept->data + t->kept_off, had);
    }
    memcpy(b->data + had, from, n);
    b->len = had + n;
    buf_unref(&t->kept);
    t->kept = b;
    t->kept_off = 0;
    s->flags |= STREAM_SHORT;
}

/* Hands to the socket what OpenSSL wrote, behind what is kept. NONE, or why the connection is dead. */
static enum reason tls_push(struct stream *s) {
    struct tls_loop *l = s->loop->tls;
    struct tls *t = s->tls;
    size_t n = l->out_n, done = 0;
    l->out_n = 0;
    if (n == 0) {
        return REASON_NONE;
    }
    if (t->kept == NULL) {
        ssize_t sent = call_send(s->fd, l->out, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return reason_of_errno(errno);
        }
        done = sent < 0 ? 0 : (size_t)sent;
    } else if (t->kept->len > KEPT_MAX) {
        return REASON_SLOW_READER;
    }
    if (done < n) {
        keep(s, l->out + done, n - done);
    }
    return REASON_NONE;
}

/* True: nothing is kept. */
static bool tls_push_kept(struct stream *s) {
    struct tls *t = s->tls;
    if (t->kept == NULL) {
        return true;
    }
    ssize_t n = call_send(s->fd, t->kept->data + t->kept_off, t->kept->len - t->kept_off, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        stream_owe_error(s, reason_of_errno(errno));
        return false;
    }
    t->kept_off += n < 0 ? 0 : (size_t)n;
    if (t->kept_off < t->kept->len) {
        return false;
    }
    buf_unref(&t->kept);
    if (t->shut) {
        shutdown(s->fd, SHUT_WR);
    }
    return true;
}

bool tls_has_room(struct stream *s) {
    struct tls *t = s->tls;
    if (!tls_push_kept(s)) {
        return false;
    }
    s->flags &= (uint16_t)~STREAM_SHORT;
    bool owed = t->room_owed;
    t->room_owed = false;
    return owed;
}

/* A place in what is to be sent. */
struct cursor {
    const struct iovec *iov;
    int n;
    size_t off; /* in the first of them */
};

static void cursor_skip(struct cursor *c) {
    while (c->n > 0 && c->off == c->iov->iov_len) {
        *c = (struct cursor){c->iov + 1, c->n - 1, 0};
    }
}

/* The next bytes, at most a record: where they lie, or gathered from several places. */
static struct slice cursor_next(struct cursor *c, uint8_t *gather) {
    size_t n = min_size(c->iov->iov_len - c->off, RECORD), have = 0;
    if (n == RECORD || c->n == 1) {
        c->off += n;
        return slice((const uint8_t *)c->iov->iov_base + c->off - n, n);
    }
    while (c->n > 0 && have < RECORD) {
        n = min_size(c->iov->iov_len - c->off, RECORD - have);
        memcpy(gather + have, (const uint8_t *)c->iov->iov_base + c->off, n);
        have += n;
        c->off += n;
        cursor_skip(c);
    }
    return slice(gather, have);
}

/* Encrypts until the loop's buffer is full. Returns how many bytes; SIZE_MAX: the connection is dead. */
static size_t tls_seal(struct stream *s, struct cursor *c) {
    struct tls_loop *l = s->loop->tls;
    size_t done = 0;
    ERR_clear_error();
    while (c->n > 0 && OUT_CAP - l->out_n >= RECORD_MAX) {
        struct slice next = cursor_next(c, l->gather);
        if (SSL_write(s->tls->ssl, next.p, (int)next.n) != (int)next.n) {
            return SIZE_MAX;
        }
        done += next.n;
        cursor_skip(c);
    }
    return done;
}

/* As long as anything is kept, the last byte that was encrypted counts as not sent: who shuts down or closes when all is sent
 * does so when the system has it. That byte is skipped when it is offered again. */
size_t tls_send(struct stream *s, const struct iovec *iov, int n) {
    struct tls *t = s->tls;
    struct cursor c = {iov, n, 0};
    size_t done = 0;
    if ((s->flags & STREAM_HANDSHAKE) || t->kept != NULL || t->broken) {
        s->flags |= STREAM_SHORT;
        t->room_owed = true;
        return 0;
    }
    cursor_skip(&c);
    if (t->ahead && c.n > 0) {
        t->ahead = false;
        done = c.off = 1;
        cursor_skip(&c);
    }
    while (c.n > 0 && t->kept == NULL) {
        size_t sealed = tls_seal(s, &c);
        enum reason why = sealed != SIZE_MAX ? tls_push(s) : REASON_TLS;
        if (why != REASON_NONE) {
            s->loop->tls->out_n = 0;
            stream_owe_error(s, why);
            return 0;
        }
        done += sealed;
    }
    if (t->kept != NULL) {
        t->room_owed = true;
        if (c.n == 0) {
            t->ahead = true;
            done--;
        }
    }
    return done;
}

void tls_shutdown(struct stream *s) {
    struct tls *t = s->tls;
    if (!(s->flags & STREAM_HANDSHAKE) && !t->broken) {
        SSL_shutdown(t->ssl);
        ERR_clear_error();
        if (tls_push(s) == REASON_NONE && t->kept != NULL) {
            t->shut = true;
            return;
        }
    }
    shutdown(s->fd, SHUT_WR);
}

/* ---- reading ---- */

static void tls_break(struct tls *t) {
    char words[256];
    t->broken = true;
    tls_tell(t, TLS_FAILED, tls_words(t->ssl, words, sizeof words));
}

/* Takes apart all that was received. Returns how many bytes there are to show. */
static size_t tls_open(struct tls *t, struct slice in, const struct iovec *iov, int n) {
    size_t done = 0, off = 0;
    t->in = in.p;
    t->in_n = in.n;
    ERR_clear_error();
    while (n > 0 && !t->broken && !t->ended) {
        if (off == iov->iov_len) {
            iov++;
            n--;
            off = 0;
            continue;
        }
        int got = SSL_read(t->ssl, (uint8_t *)iov->iov_base + off, (int)min_size(iov->iov_len - off, RECORD));
        if (got > 0) {
            off += (size_t)got;
            done += (size_t)got;
            continue;
        }
        int why = SSL_get_error(t->ssl, got);
        if (why == SSL_ERROR_WANT_READ) {
            break;
        }
        t->ended = why == SSL_ERROR_ZERO_RETURN;
        if (!t->ended) {
            tls_break(t);
        }
    }
    ASSERT(t->in_n == 0 || t->ended || t->broken); /* there was room for everything */
    t->in = NULL;
    return done;
}

static size_t iov_len(const struct iovec *iov, int n) {
    size_t len = 0;
    for (int i = 0; i < n; i++) {
        len += iov[i].iov_len;
    }
    return len;
}

ssize_t tls_recv(struct stream *s, const struct iovec *iov, int niov) {
    struct tls_loop *l = s->loop->tls;
    struct tls *t = s->tls;
    size_t room = iov_len(iov, niov), want = min_size(IN_CAP, room - RECORD_MAX);
    ASSERT(room >= TLS_ROOM);
    for (int i = 0; i < ROUNDS; i++) {
        if (t->ended) {
            return 0;
        }
        if (t->broken) {
            errno = EPROTO;
            return -1;
        }
        ssize_t n = call_recv(s->fd, l->in, want);
        if (n <= 0) {
            return n;
        }
        size_t done = tls_open(t, slice(l->in, (size_t)n), iov, niov);
        enum reason why = tls_push(s);
        if (why != REASON_NONE) {
            stream_owe_error(s, why);
        }
        bool drained = (size_t)n < want && !t->ended && !t->broken && !(s->flags & STREAM_HUP);
        s->flags &= drained ? (uint16_t)~STREAM_READABLE : (uint16_t)~0u;
        if (done > 0) {
            return (ssize_t)done;
        }
        if (drained) {
            errno = EAGAIN;
            return -1;
        }
    }
    errno = EINTR; /* others have their turn */
    return -1;
}

/* ---- handshakes ---- */

static void tls_done(struct stream *s) {
    struct tls *t = s->tls;
    timer_cancel(s->loop, &t->timer);
    s->flags &= (uint16_t)~STREAM_HANDSHAKE;
    s->flags |= STREAM_READABLE;
    tls_tell(t, SSL_session_reused(t->ssl) ? TLS_RESUMED : TLS_DONE, "");
    if (s->state == STREAM_CONNECTING) {
        s->state = STREAM_OPEN;
        s->ops->on_connect(s);
    } else if ((s->flags & STREAM_SHORT) && tls_has_room(s)) {
        s->ops->on_room(s);
    }
    if (s->state == STREAM_OPEN) {
        stream_run(s);
    }
}

/* Closing with something unread would make the kernel reset the connection, and our last words would be lost. */
static void tls_drain(struct stream *s) {
    for (int i = 0; i < ROUNDS && call_recv(s->fd, s->loop->tls->in, IN_CAP) > 0; i++) {
    }
}

static void tls_failed(struct stream *s) {
    struct tls *t = s->tls;
    char words[256];
    enum reason why = t->gone;
    tls_words(t->ssl, words, sizeof words);
    if (why == REASON_NONE || t->began) {
        bool plain = t->began && (t->first < 20 || t->first > 24); /* types of records */
        why = plain ? REASON_NOT_TLS : why != REASON_NONE ? why : REASON_TLS;
        tls_tell(t, TLS_FAILED, why == REASON_TLS ? words : reason_words(why));
    } /* else it never said a word: no news */
    if (t->peer != NULL) {
        tls_peer_keep(t->peer, NULL); /* perhaps it was the session's fault */
    }
    t->broken = true;
    if (tls_push(s) == REASON_NONE) {
        tls_drain(s);
    }
    stream_fail(s, why);
}

static void tls_step(struct stream *s) {
    struct tls *t = s->tls;
    if (t->ssl == NULL) {
        tls_ssl_new(t);
    }
    ERR_clear_error();
    int rc = SSL_do_handshake(t->ssl);
    int why = rc == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, rc);
    if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ) {
        tls_failed(s);
        return;
    }
    enum reason broken = tls_push(s);
    if (broken != REASON_NONE) {
        t->broken = true;
        stream_fail(s, broken);
    } else if (why == SSL_ERROR_NONE) {
        tls_done(s);
    } else if (s->flags & STREAM_READABLE) {
        tls_queue(t); /* interrupted */
    }
}

void tls_on_ready(struct stream *s, unsigned ready) {
    struct tls *t = s->tls;
    if (ready & (READY_IN | READY_HUP | READY_ERR)) {
        s->flags |= STREAM_READABLE | ((ready & (READY_HUP | READY_ERR)) ? STREAM_HUP : 0);
    }
    if ((ready & READY_OUT) && t->kept != NULL && !tls_push_kept(s) && (s->flags & STREAM_FAILED)) {
        stream_fail(s, s->why);
    } else if ((s->flags & STREAM_READABLE) || (t->peer != NULL && t->ssl == NULL)) {
        tls_queue(t); /* who connects speaks first */
    }
}

bool tls_loop_waits(const struct loop *loop) {
    return !list_empty(&loop->tls->queue);
}

void tls_loop_turn(struct loop *loop) {
    struct list *l = list_pop(&loop->tls->queue);
    uint32_t steps = 0;
    for (; l != NULL; l = list_pop(&loop->tls->queue)) {
        struct tls *t = CONTAINER_OF(l, struct tls, queue);
        if (steps++ == t->ctx->steps) {
            list_push_front(&loop->tls->queue, &t->queue);
            tls_tell(t, TLS_PUT_OFF, "");
            return;
        }
        tls_step(t->stream);
    }
}

void tls_loop_free(struct loop *loop) {
    mem_free(loop->tls);
    loop->tls = NULL;
}

/* ---- end ---- */

void tls_close(struct stream *s) {
    struct tls *t = s->tls;
    if (t->ssl != NULL) {
        if (!(s->flags & (STREAM_HANDSHAKE | STREAM_OVER | STREAM_FAILED)) && !t->broken && t->kept == NULL) {
            SSL_shutdown(t->ssl);
            tls_push(s);
        }
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* however it ended, its session is good */
        SSL_free(t->ssl);
        bufpool_discount(s->loop->pool, SSL_BYTES);
        ERR_clear_error();
    }
    timer_cancel(s->loop, &t->timer);
    list_remove(&t->queue);
    buf_unref(&t->kept);
    tls_peer_unref(&t->peer);
    tls_ctx_unref(&t->ctx);
    mem_free(t);
    s->tls = NULL;
}
