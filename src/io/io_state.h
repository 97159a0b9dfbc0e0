/* io_state.h: the inside of a loop, for the files of io. */
#ifndef KVMUX_IO_IO_STATE_H
#define KVMUX_IO_IO_STATE_H

#include "io/io.h"
#include "io/wheel.h"

/* What a descriptor that the back end watches belongs to. */
enum watch_kind { WATCH_STREAM, WATCH_LISTENER, WATCH_RESOLVER, WATCH_GUEST };

/* Readiness. The values are epoll's, so that there nothing has to be translated. */
enum {
    READY_IN = 0x1,
    READY_OUT = 0x4,
    READY_ERR = 0x8,
    READY_HUP = 0x2010, /* one bit or both: the peer closed its side: read on until the end */
};

typedef void resolver_fn(void *ctx, int fd, unsigned ready);

struct backend;

/* What bytes go through that one socket gives to another (splice.c). It is empty between two calls. */
struct loop_pipe {
    int in, out; /* -1: there is none */
    int64_t used_at, again_at; /* again_at: there was none to be had, ask no earlier */
    struct timer idle;
};

struct loop {
    struct backend *backend;
    struct bufpool *pool;
    struct buf *shared; /* bytes are received here; only what is not taken is kept per connection */
    struct wheel wheel;
    struct loop_pipe pipe;
    int64_t now;
    struct list ready_streams; /* with work left over from this turn */
    struct tls_loop *tls;      /* NULL: no stream speaks it yet */
    struct proxied **proxied;  /* by descriptor: who is behind a load balancer (proxied.c); NULL: nobody */
    uint32_t nproxied;         /* places in it */
    resolver_fn *resolver_fn;  /* of the one resolver of this loop */
    void *resolver_ctx;
};

/* Bits of stream.flags. */
enum {
    STREAM_PAUSED = 1u << 0,
    STREAM_READABLE = 1u << 1, /* there may be bytes to receive */
    STREAM_HUP = 1u << 2,      /* the peer closed: a short read does not mean drained */
    STREAM_EOF = 1u << 3,      /* on_eof was called */
    STREAM_SHORT = 1u << 4,    /* a send did not fit: on_room is owed */
    STREAM_SHOW = 1u << 5,     /* the tail is to be shown again */
    STREAM_FAILED = 1u << 6,   /* on_error is owed in the next turn, with the reason in `why` */
    STREAM_ERROR = 1u << 7,    /* the system reported an error: on_error is owed behind what can still be received */
    STREAM_OVER = 1u << 8,     /* on_error was called: no other callback follows */
    STREAM_MOVES = 1u << 9,    /* on_bytes instead of receiving */
    STREAM_TLS = 1u << 10,
    STREAM_HANDSHAKE = 1u << 11, /* TLS: neither on_connect nor anything else yet */
    STREAM_HEADER = 1u << 12,    /* a load balancer's header is read before anything else, a handshake too */
};

enum reason reason_of_errno(int err);

/* stream.c */
void stream_on_ready(struct stream *, unsigned ready);
void stream_on_left_over(struct stream *);
void stream_left_over(struct stream *); /* it runs again in the next turn */
void stream_run(struct stream *); /* shows what there is to show, and receives */
void stream_fail(struct stream *, enum reason); /* on_error, unless it was called */
void stream_owe_error(struct stream *, enum reason); /* on_error from the next turn: never inside the call that found it */
/* splice.c */
bool stream_offer(struct stream *); /* on_bytes, as often as it is due in this turn. False: closed meanwhile, or enough for this turn */
void loop_pipe_init(struct loop *);
void loop_pipe_fini(struct loop *);
/* proxied.c */
void proxied_begin(struct stream *);
void proxied_on_ready(struct stream *, unsigned ready); /* while STREAM_HEADER */
void proxied_end(const struct stream *); /* before the descriptor goes; fine for any stream */
void proxied_free(struct loop *);
/* tls.c: the same for streams that speak TLS, with STREAM_HANDSHAKE at first */
void tls_accept(struct stream *, struct tls_ctx *);
void tls_connect(struct stream *, struct tls_peer *); /* before the connection is made */
void tls_on_ready(struct stream *, unsigned ready);   /* during the handshake */
/* Receiving wants so much room, since what has half arrived before comes out with it. */
#define TLS_ROOM (40u << 10)
/* As readv; clears STREAM_READABLE itself when the socket is drained. */
ssize_t tls_recv(struct stream *, const struct iovec *, int n);
size_t tls_send(struct stream *, const struct iovec *, int n);
bool tls_has_room(struct stream *); /* true: on_room is owed, and due */
void tls_shutdown(struct stream *);
void tls_close(struct stream *); /* before the descriptor */
/* Once loop->tls is set. */
bool tls_loop_waits(const struct loop *); /* handshakes are left for the next turn */
void tls_loop_turn(struct loop *);
void tls_loop_free(struct loop *);
/* listen.c */
void listener_on_ready(struct listener *);

/* The back end: io_epoll.c, later io_kqueue.c. Streams are watched for everything, once, edge-triggered; listeners
 * level-triggered; resolver descriptors level-triggered for what is asked. */
struct backend *backend_new(void);
void backend_free(struct backend **);
bool backend_watch_stream(struct backend *, struct stream *); /* false: no memory */
bool backend_watch_listener(struct backend *, struct listener *, bool shared);
/* A stream begins in memory that an earlier one may have used in this turn: events of that one that were fetched already
 * are not this one's. */
void backend_forget_events(struct backend *, const struct stream *);
bool backend_watch_guest(struct backend *, struct guest *); /* level-triggered, for reading */
void backend_unwatch(struct backend *, int fd);
/* unsigned READY_IN | READY_OUT; 0: not any more */
void backend_watch_resolver(struct backend *, int fd, unsigned want);
/* Waits at most `usec` (-1: for ever) and calls back. `*now` is set after the wait and before the callbacks. */
void backend_poll(struct backend *, struct loop *, int64_t usec, int64_t *now);
void backend_wake(struct backend *);
int64_t clock_now(void);

#endif
