/* The back end of FreeBSD and macOS (kqueue(2)). */
#include "io/io_state.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/event.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX 512

/* As with epoll, an event carries the object's address with the kind in its two low bits; a resolver's descriptor is `ident`. A
 * stream may get two events in one poll, one for each direction. */
struct backend {
    int queue;
    int at, n; /* events[at] is being called back, of n */
    struct kevent events[EVENTS_MAX];
};

static void *tag(const void *p, enum watch_kind kind) {
    return (void *)((uintptr_t)p | (uintptr_t)kind);
}

static int change(struct backend *b, struct kevent *changes, int n) {
    int rc;
    do {
        rc = kevent(b->queue, changes, n, NULL, 0, NULL);
    } while (rc < 0 && errno == EINTR);
    return rc;
}

static bool add(struct backend *b, int fd, short filter, unsigned flags, void *data) {
    struct kevent e;
    EV_SET(&e, (uintptr_t)fd, filter, (unsigned short)(EV_ADD | flags), 0, 0, data);
    return change(b, &e, 1) == 0;
}

static void delete(struct backend *b, int fd, short filter) {
    struct kevent e;
    EV_SET(&e, (uintptr_t)fd, filter, EV_DELETE, 0, 0, NULL);
    change(b, &e, 1); /* fails when it is not watched, harmlessly */
}

const char *loop_backend(void) {
    return "kqueue";
}

struct backend *backend_new(void) {
    struct backend *b = mem_zalloc(sizeof *b);
    b->queue = kqueue();
    if (b->queue >= 0) {
        fcntl(b->queue, F_SETFD, FD_CLOEXEC);
    }
    if (b->queue < 0 || !add(b, 0, EVFILT_USER, EV_CLEAR, tag(NULL, WATCH_GUEST))) {
        backend_free(&b);
    }
    return b;
}

void backend_free(struct backend **bp) {
    struct backend *b = *bp;
    *bp = NULL;
    if (b != NULL) {
        if (b->queue >= 0) {
            close(b->queue);
        }
        mem_free(b);
    }
}

bool backend_watch_stream(struct backend *b, struct stream *s) {
    struct kevent e[2];
    EV_SET(&e[0], (uintptr_t)s->fd, EVFILT_READ, EV_ADD | EV_CLEAR, 0, 0, tag(s, WATCH_STREAM));
    EV_SET(&e[1], (uintptr_t)s->fd, EVFILT_WRITE, EV_ADD | EV_CLEAR, 0, 0, tag(s, WATCH_STREAM));
    return change(b, e, 2) == 0;
}

void backend_forget_events(struct backend *b, const struct stream *s) {
    for (int i = b->at + 1; i < b->n; i++) {
        if (b->events[i].udata == tag(s, WATCH_STREAM)) {
            b->events[i].udata = NULL;
        }
    }
}

bool backend_watch_listener(struct backend *b, struct listener *l, bool shared) {
    /* All loops that share a unix socket wake up; those that come late find nothing to accept. */
    return add(b, l->fd, EVFILT_READ, 0, tag(l, WATCH_LISTENER));
}

bool backend_watch_guest(struct backend *b, struct guest *g) {
    return add(b, g->fd, EVFILT_READ, 0, tag(g, WATCH_GUEST));
}

void backend_unwatch(struct backend *b, int fd) {
    delete(b, fd, EVFILT_READ);
}

void backend_watch_resolver(struct backend *b, int fd, unsigned want) {
    static const struct {
        unsigned bit;
        short filter;
    } rows[] = {{READY_IN, EVFILT_READ}, {READY_OUT, EVFILT_WRITE}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (want & rows[i].bit) {
            add(b, fd, rows[i].filter, 0, tag(NULL, WATCH_RESOLVER));
        } else {
            delete(b, fd, rows[i].filter);
        }
    }
}

/* EV_EOF is the peer's FIN on the reading side, and a dead connection on the writing one; `fflags` has its error. */
static unsigned ready_of(const struct kevent *e) {
    unsigned ready = e->filter == EVFILT_READ ? READY_IN : READY_OUT;
    if (e->flags & EV_EOF) {
        ready |= READY_HUP | (e->fflags != 0 ? READY_ERR : 0u);
    }
    return ready;
}

static void backend_dispatch(struct loop *loop, const struct kevent *e) {
    uintptr_t data = (uintptr_t)e->udata;
    void *object = (void *)(data & ~(uintptr_t)3);
    switch ((enum watch_kind)(data & 3)) {
    case WATCH_STREAM:
        if (object != NULL) { /* NULL: forgotten */
            stream_on_ready(object, ready_of(e));
        }
        break;
    case WATCH_LISTENER:
        listener_on_ready(object);
        break;
    case WATCH_RESOLVER:
        if (loop->resolver_fn != NULL) {
            loop->resolver_fn(loop->resolver_ctx, (int)e->ident, ready_of(e));
        }
        break;
    case WATCH_GUEST:
        if (object != NULL) { /* NULL: somebody only woke us */
            struct guest *g = object;
            g->fn(g);
        }
        break;
    }
}

void backend_poll(struct backend *b, struct loop *loop, int64_t usec, int64_t *now) {
    int64_t most = 3600000000;
    usec = usec > most ? most : usec;
    struct timespec wait = {.tv_sec = usec / 1000000, .tv_nsec = usec % 1000000 * 1000};
    b->n = kevent(b->queue, NULL, 0, b->events, EVENTS_MAX, usec < 0 ? NULL : &wait);
    *now = clock_now();
    for (b->at = 0; b->at < b->n; b->at++) {
        backend_dispatch(loop, &b->events[b->at]);
    }
}

/* May run in a signal handler: one system call. */
void backend_wake(struct backend *b) {
    struct kevent e;
    int saved = errno;
    EV_SET(&e, 0, EVFILT_USER, 0, NOTE_TRIGGER, 0, tag(NULL, WATCH_GUEST));
    change(b, &e, 1);
    errno = saved;
}
