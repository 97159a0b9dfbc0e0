#include "io/io_state.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* Measured (docs/performance.md): with less to come, receiving and sending costs no more. */
#define MOVE_MIN (64u << 10)
/* One move. What the other side does not take of it has to be read back: not much more than it pays to move. */
#define MOVE_MAX (512u << 10)
#define MOVES_PER_TURN 2 /* they take as long as the receiving of half as many bytes */
#define IDLE_USEC 10000000
#define AGAIN_USEC 1000000

static void pipe_shut(struct loop *loop) {
    if (loop->pipe.in >= 0) {
        close(loop->pipe.in);
        close(loop->pipe.out);
        loop->pipe.in = loop->pipe.out = -1;
    }
}

static void pipe_on_timer(struct timer *t) {
    struct loop *loop = CONTAINER_OF(t, struct loop, pipe.idle);
    int64_t until = loop->pipe.used_at + IDLE_USEC;
    if (until > loop->now) {
        timer_set(loop, t, until);
    } else {
        pipe_shut(loop);
    }
}

void loop_pipe_init(struct loop *loop) {
    loop->pipe.in = loop->pipe.out = -1;
    timer_init(&loop->pipe.idle, pipe_on_timer);
}

void loop_pipe_fini(struct loop *loop) {
    timer_cancel(loop, &loop->pipe.idle);
    pipe_shut(loop);
}

#ifdef __linux__

static bool pipe_have(struct loop *loop) {
    struct loop_pipe *p = &loop->pipe;
    if (p->in < 0) {
        int fds[2];
        if (loop->now < p->again_at) {
            return false;
        }
        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) {
            p->again_at = loop->now + AGAIN_USEC;
            return false;
        }
        p->out = fds[0];
        p->in = fds[1];
        fcntl(p->in, F_SETPIPE_SZ, MOVE_MAX); /* refused: less fits, and a move is shorter */
        p->used_at = loop->now;
        timer_set(loop, &p->idle, loop->now + IDLE_USEC);
    }
    return true;
}

bool stream_can_move(const struct stream *from, const struct stream *to, uint64_t n) {
    return n >= MOVE_MIN && from->state == STREAM_OPEN && to->state == STREAM_OPEN && stream_plain(from) && stream_plain(to) &&
           !(to->flags & (STREAM_FAILED | STREAM_OVER)) && pipe_have(from->loop);
}

/* The first step. 0: nothing came; a FIN is told by the ordinary way of receiving. */
static size_t move_in(struct stream *s, size_t n) {
    ssize_t got = splice(s->fd, NULL, s->loop->pipe.in, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (got > 0) {
        s->received += (uint32_t)got;
        return (size_t)got;
    }
    if (got == 0) {
        stream_move_end(s);
    } else if (errno == EAGAIN) {
        s->flags &= (uint16_t)~STREAM_READABLE;
    } else if (errno == EINVAL || errno == ENOSYS || errno == EPERM) { /* a system, or a sandbox, that does not do it */
        stream_move_end(s);
        pipe_shut(s->loop);
        s->loop->pipe.again_at = INT64_MAX;
    } else if (errno != EINTR) {
        stream_move_end(s);
        stream_owe_error(s, reason_of_errno(errno));
    }
    return 0;
}

/* The second step: what of the n bytes in the pipe the other side takes. There is no MSG_NOSIGNAL here: SIGPIPE is ignored
 * (main/signals.c). */
static size_t move_out(struct stream *to, size_t n, bool more) {
    size_t done = 0;
    while (done < n) {
        ssize_t put = splice(to->loop->pipe.out, NULL, to->fd, NULL, n - done,
                             SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0));
        if (put > 0) {
            done += (size_t)put;
        } else if (put < 0 && errno == EINTR) {
            continue;
        } else if (put < 0 && errno == EAGAIN) {
            break;
        } else {
            stream_owe_error(to, put < 0 ? reason_of_errno(errno) : REASON_PIPE);
            break;
        }
    }
    if (done < n) {
        to->flags |= STREAM_SHORT;
    }
    return done;
}

/* Empties the pipe, which holds n bytes. */
static struct buf *move_back(struct loop *loop, size_t n) {
    struct buf *b = buf_new(loop->pool, n);
    while (b->len < n) {
        ssize_t got = read(loop->pipe.out, b->data + b->len, n - b->len);
        ASSERT(got > 0 || (got < 0 && errno == EINTR));
        b->len += got > 0 ? (size_t)got : 0;
    }
    return b;
}

size_t stream_move(struct stream *from, struct stream *to, size_t n, struct buf **rest) {
    struct loop *loop = from->loop;
    *rest = NULL;
    ASSERT(loop == to->loop && loop->pipe.in >= 0);
    loop->pipe.used_at = loop->now;
    size_t came = move_in(from, min_size(n, MOVE_MAX));
    size_t went = came > 0 ? move_out(to, came, came == n) : 0;
    if (went < came) {
        *rest = move_back(loop, came - went);
    }
    return came;
}

#else

bool stream_can_move(const struct stream *from, const struct stream *to, uint64_t n) {
    return false;
}

size_t stream_move(struct stream *from, struct stream *to, size_t n, struct buf **rest) {
    *rest = NULL;
    return 0;
}

#endif

void stream_move_begin(struct stream *s) {
    s->flags |= STREAM_MOVES;
    if (s->flags & STREAM_READABLE) {
        stream_left_over(s);
    }
}

void stream_move_end(struct stream *s) {
    s->flags &= (uint16_t)~STREAM_MOVES;
}

bool stream_offer(struct stream *s) {
    const unsigned all = STREAM_READABLE | STREAM_PAUSED | STREAM_MOVES | STREAM_FAILED;
    for (int i = 0; s->state == STREAM_OPEN && (s->flags & all) == (STREAM_READABLE | STREAM_MOVES); i++) {
        if (i == MOVES_PER_TURN) {
            stream_left_over(s);
            return false;
        }
        if (s->tail != NULL) {
            stream_move_end(s); /* on_recv left something: that comes first */
        } else {
            s->ops->on_bytes(s);
        }
    }
    return s->state == STREAM_OPEN;
}
