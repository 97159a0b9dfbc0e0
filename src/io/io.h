/* io.h: event loop, streams, listeners, timers. With addr.h and resolve.h: the only system calls and the only clock.
 *
 * One loop belongs to one thread; only loop_wake may be called by others. A callback never runs inside the call that
 * started its operation; it runs inside loop_turn. The simulator implements this same interface with virtual time
 * (tests/sim), so everything above runs there unchanged.
 *
 * Sending is "try now, be told when there is room again": stream_send writes at once as much as fits. Everything else
 * is completion style: accept, connect, recv, timer. */
#ifndef KVMUX_IO_IO_H
#define KVMUX_IO_IO_H

#include "base/buf.h"
#include "base/list.h"
#include "base/reason.h"
#include "io/addr.h"

#include <sys/uio.h>

struct loop;
struct tls_ctx;
struct tls_peer;

/* Bufs for received bytes come from `pool`, which must outlive the loop. NULL: no descriptors. */
struct loop *loop_new(struct bufpool *pool);
void loop_free(struct loop **);       /* all streams, listeners and timers must be closed */
const char *loop_backend(void);       /* how the system tells what is ready */
int64_t loop_now(const struct loop *); /* usec, monotonic, read once per turn */
int64_t loop_wall(const struct loop *); /* usec since the epoch */
/* Waits until something happens, at most max_wait usec (-1: as long as it takes), then runs the callbacks that are due.
 * Work per stream and turn is bounded; what is left over runs in the next turn, which then does not wait. */
void loop_turn(struct loop *, int64_t max_wait);
/* Makes the current or next loop_turn return soon. Any thread; async-signal-safe. */
void loop_wake(struct loop *);

/* ---- timers: a wheel; precision one millisecond, never early ---- */

struct timer;
typedef void timer_fn(struct timer *);
struct timer {
    struct list link;
    int64_t at; /* usec on loop_now's clock */
    timer_fn *fn;
};
void timer_init(struct timer *, timer_fn *);
void timer_set(struct loop *, struct timer *, int64_t at); /* moves it if it is set already */
void timer_cancel(struct loop *, struct timer *);          /* fine when not set */
static inline bool timer_is_set(const struct timer *t) {
    return list_linked(&t->link);
}

/* ---- streams: one connected socket, embedded in its owner ---- */

struct stream;
struct stream_ops {
    /* Bytes arrived. `in` lies in `b` and begins with what the last call did not take. Returns how many bytes were taken;
     * the rest is kept and shown again, with more behind it. To keep bytes longer, reference `b`. */
    size_t (*on_recv)(struct stream *, struct buf *b, struct slice in);
    /* The peer will send no more (FIN); everything it sent was shown before. Sending is still possible. */
    void (*on_eof)(struct stream *);
    /* Connected; of one that was accepted: the load balancer's header was read, stream_address is the client's. */
    void (*on_connect)(struct stream *);
    /* There is room again after a short stream_send. */
    void (*on_room)(struct stream *);
    /* The connection is dead, or could not be made. No other callback follows. Call stream_close. */
    void (*on_error)(struct stream *, enum reason);
    /* The peer's FIN arrived while the stream is paused; on_eof follows behind the bytes before it. May come again. May be NULL. */
    void (*on_hup)(struct stream *);
    /* After stream_move_begin, instead of on_recv: there may be bytes. Call stream_move or stream_move_end. */
    void (*on_bytes)(struct stream *);
};

enum stream_state { STREAM_CLOSED, STREAM_CONNECTING, STREAM_OPEN };

struct stream {
    struct loop *loop;
    const struct stream_ops *ops;
    int fd;
    uint8_t state;  /* enum stream_state */
    uint8_t why;    /* io's own: enum reason of the on_error that is owed */
    uint16_t flags; /* io's own */
    struct list ready; /* io's own: in the list of streams with work left over */
    struct buf *tail;  /* bytes shown and not taken; NULL: none */
    uint32_t need;     /* see stream_need */
    uint32_t received; /* bytes so far, modulo 2^32, also those of a large message that on_recv has not seen yet: does it move? */
    struct tls *tls;   /* io's own; NULL: plain */
};

struct connect_opts {
    bool keepalive;           /* TCP keepalive, probes after 30 s of silence */
    uint32_t user_timeout_ms; /* TCP_USER_TIMEOUT; 0: the system's */
    struct tls_peer *tls;     /* who has to be there (tls.h); NULL: no TLS */
};

/* Starts connecting; exactly one of on_connect and on_error follows. Returns 0, or a reason at once (then the stream
 * is closed and no callback comes). */
enum reason stream_connect(struct loop *, struct stream *, const struct stream_ops *, const struct addr *,
                           const struct connect_opts *);
/* Writes as much as fits of n >= 1 pieces. Returns the number of bytes taken; when short, on_room comes later. Errors come through
 * on_error in a later turn (the return value is then 0), behind bytes that had arrived before. */
size_t stream_send(struct stream *, const struct iovec *, int n);
/* Stops and restarts reading. While paused a FIN waits with the bytes before it, but the death of the connection (a
 * reset, a failed send) is reported. After resume, bytes that were
 * left over are shown again, also when nothing new arrives. */
void stream_pause(struct stream *);
void stream_resume(struct stream *);
bool stream_paused(const struct stream *);
/* The peer's FIN has arrived, perhaps behind bytes that are not shown yet. */
bool stream_hung_up(const struct stream *);
/* The message that the tail begins with has at least `total` bytes: they are received into one buf of that size
 * without copying. Called inside on_recv; forgotten when the tail is taken. */
void stream_need(struct stream *, size_t total);
/* Sends FIN after everything accepted by stream_send. */
void stream_shutdown(struct stream *);
/* Closes at once; no callback follows. May be called from any callback; fine when closed already.
 * The memory of the stream must stay until the end of the turn. */
void stream_close(struct stream *);
/* What is sent and received are the very bytes on the wire: no TLS. */
static inline bool stream_plain(const struct stream *s) {
    return s->tls == NULL;
}
/* The connection goes to another program: the stream is closed here, and its descriptor is the caller's. Not inside a callback. What was
 * shown and not taken is in the tail until then. -1, and nothing happened: it is ending, or something is owed. */
int stream_detach(struct stream *);
/* The other way round: takes a descriptor that was a stream's of another program. `unread` is shown first. */
void stream_adopt(struct loop *, int fd, struct stream *, const struct stream_ops *, struct slice unread);
/* "ip:port" or the path of the peer, for logs: costs a system call. Behind a load balancer: of whom its header says. Returns `to`. */
const char *stream_peer(const struct stream *, char *to, size_t room);
/* Of one that was adopted: it is a client behind a load balancer. */
void stream_comes_from(struct stream *, const struct addr *);
/* The address that a load balancer's header gave; NULL: there was none. Borrowed until the stream is closed. */
const struct addr *stream_proxied(const struct stream *);
/* The same of our end. */
const char *stream_here(const struct stream *, char *to, size_t room);

/* ---- bytes that go from one stream to another and not through this program ---- */

/* Is it possible, and worth it when `n` more bytes of a message are to come? Both are of one loop. Not when one of them is not
 * open, or when the system gives no descriptors for it. */
bool stream_can_move(const struct stream *from, const struct stream *to, uint64_t n);
/* From now on nothing is received: on_bytes comes instead, not before the next turn. Inside on_recv, which must take all it was
 * shown (what it leaves is shown again, and this is over). A FIN and errors end it by themselves and are told as ever. */
void stream_move_begin(struct stream *);
void stream_move_end(struct stream *);
/* Inside on_bytes of `from`, while stream_can_move. Gives up to `n` bytes that have arrived to `to`, behind all that stream_send
 * took. Returns how many left `from`. The last of them that `to` did not take are in *rest, which is the caller's (NULL: it took
 * all); then on_room of `to` follows as behind a short stream_send, or on_error. The n-th byte must not be the last of its
 * message: it may be held back until more is sent. */
size_t stream_move(struct stream *from, struct stream *to, size_t n, struct buf **rest);
/* Descriptors that a loop uses for this while it is used, and gives back some seconds later. */
#define LOOP_MOVE_FDS 2

/* ---- listeners ---- */

struct bind_opts {
    int backlog;
    bool share;        /* more than one loop will accept on this address */
    unsigned unix_mode; /* permission bits of a unix socket; 0: the default */
};
/* Binds and listens. A TCP address that another process holds is noticed (REASON_IN_USE), also when that process shares
 * its ports; a unix path with a living owner too, while a left-over path is replaced.
 * `fds` gets `n` descriptors, one per loop. 0, or a reason with nothing bound. Any thread, outside any loop. */
enum reason listen_open(const struct addr *, const struct bind_opts *, int *fds, unsigned n);

void listen_discard(int fd); /* one of them that no listener took */
/* A descriptor that somebody else bound: false if it is none that clients can be accepted on. Else it is as listen_open's, and
 * *addr is where it listens. */
bool listen_adopt(int fd, struct addr *);
int listen_again(int fd); /* another descriptor of the same socket, for one more loop; -1: none to be had */

struct listener;
struct listener_ops {
    /* A client is there: take it with stream_accept inside this call, or it is closed. */
    void (*on_accept)(struct listener *, int fd);
    /* Accepting stops for want of descriptors (or of more than `spare`) or memory, and starts again by itself. */
    void (*on_paused)(struct listener *, enum reason);
};
struct listener {
    struct loop *loop;
    const struct listener_ops *ops;
    int fd;
    uint32_t spare;     /* descriptors that accepting leaves free, at most half of the limit; may be set after listener_start */
    struct tls_ctx *tls; /* clients speak TLS (tls.h): for those who come from now on; the owner's reference; NULL: plain */
    int fd_limit;       /* io's own: RLIMIT_NOFILE */
    int fd_offered;     /* io's own: what on_accept may take */
    struct addr peer;   /* io's own: of that */
    struct timer again; /* io's own */
};
void listener_start(struct loop *, struct listener *, const struct listener_ops *, int fd);
void listener_close(struct listener *); /* closes the descriptor too */
struct accept_opts {
    bool keepalive;
    bool proxied; /* the first bytes say who the client is (proxy2.h): on_connect follows, or on_error; nothing else before */
};
void stream_accept(struct listener *, int fd, struct stream *, const struct stream_ops *, const struct accept_opts *);
/* Inside on_accept: who is at the other end. */
const struct addr *listener_peer(const struct listener *);
/* The same for who does without a stream, such as a library with sockets of its own: the descriptor is the caller's now.
 * `peer`: whose it is. */
void listener_take(struct listener *, int fd, struct addr *peer);
void listener_hang_up(int fd); /* a descriptor that was taken: its owner sees the connection end */

/* ---- a descriptor of a library that waits for its own sockets with epoll: told when there is something to do ---- */

struct guest;
typedef void guest_fn(struct guest *);
struct guest {
    struct loop *loop; /* NULL: not watched */
    guest_fn *fn;
    int fd;
};
/* Called in every turn for as long as the descriptor can be read. False: no memory. The descriptor stays the caller's. */
bool guest_start(struct loop *, struct guest *, int fd, guest_fn *);
/* No callback follows; fine when not watched. Not inside a callback of another object. */
void guest_end(struct guest *);

#endif
