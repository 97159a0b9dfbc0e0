#include "io/io_state.h"

#include "base/mem.h"
#include "io/call.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define EVENTS_MAX 512

_Static_assert(READY_IN == (int)EPOLLIN && READY_OUT == (int)EPOLLOUT && READY_ERR == (int)EPOLLERR &&
                   READY_HUP == (int)(EPOLLHUP | EPOLLRDHUP),
               "events are passed on as they are");

/* An event carries the object's address; the two low bits, free in any aligned pointer, say what it is. A resolver's
 * descriptor is carried as a number. */
struct backend {
    int epoll;
    struct guest wake; /* an eventfd */
    int at, n; /* events[at] is being called back, of n */
    struct epoll_event events[EVENTS_MAX];
};

static uint64_t tag(const void *p, enum watch_kind kind) {
    return (uint64_t)(uintptr_t)p | (uint64_t)kind;
}

const char *loop_backend(void) {
    return "epoll";
}

static void backend_on_wake(struct guest *wake) {
    uint64_t count;
    while (read(wake->fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
}

struct backend *backend_new(void) {
    struct backend *b = mem_zalloc(sizeof *b);
    b->epoll = epoll_create1(EPOLL_CLOEXEC);
    b->wake = (struct guest){.fn = backend_on_wake, .fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (b->epoll < 0 || b->wake.fd < 0 || !backend_watch_guest(b, &b->wake)) {
        backend_free(&b);
    }
    return b;
}

void backend_free(struct backend **bp) {
    struct backend *b = *bp;
    *bp = NULL;
    if (b != NULL) {
        if (b->epoll >= 0) {
            close(b->epoll);
        }
        if (b->wake.fd >= 0) {
            close(b->wake.fd);
        }
        mem_free(b);
    }
}

bool backend_watch_stream(struct backend *b, struct stream *s) {
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = tag(s, WATCH_STREAM)};
    return epoll_ctl(b->epoll, EPOLL_CTL_ADD, s->fd, &e) == 0;
}

void backend_forget_events(struct backend *b, const struct stream *s) {
    for (int i = b->at + 1; i < b->n; i++) {
        if (b->events[i].data.u64 == tag(s, WATCH_STREAM)) {
            b->events[i].events = 0;
        }
    }
}

bool backend_watch_listener(struct backend *b, struct listener *l, bool shared) {
    /* EPOLLEXCLUSIVE: of several loops that watch one unix socket, one wakes up. */
    struct epoll_event e = {.events = EPOLLIN | (shared ? (uint32_t)EPOLLEXCLUSIVE : 0u), .data.u64 = tag(l, WATCH_LISTENER)};
    return epoll_ctl(b->epoll, EPOLL_CTL_ADD, l->fd, &e) == 0;
}

bool backend_watch_guest(struct backend *b, struct guest *g) {
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = tag(g, WATCH_GUEST)};
    return epoll_ctl(b->epoll, EPOLL_CTL_ADD, g->fd, &e) == 0;
}

void backend_unwatch(struct backend *b, int fd) {
    epoll_ctl(b->epoll, EPOLL_CTL_DEL, fd, NULL);
}

void backend_watch_resolver(struct backend *b, int fd, unsigned want) {
    struct epoll_event e = {.events = want, .data.u64 = (uint64_t)fd << 2 | WATCH_RESOLVER};
    if (want == 0) {
        epoll_ctl(b->epoll, EPOLL_CTL_DEL, fd, NULL);
    } else if (epoll_ctl(b->epoll, EPOLL_CTL_MOD, fd, &e) != 0 && errno == ENOENT) {
        epoll_ctl(b->epoll, EPOLL_CTL_ADD, fd, &e);
    }
}

static void backend_dispatch(struct backend *b, struct loop *loop, const struct epoll_event *e) {
    void *object = (void *)(uintptr_t)(e->data.u64 & ~UINT64_C(3));
    switch ((enum watch_kind)(e->data.u64 & 3)) {
    case WATCH_STREAM:
        stream_on_ready(object, e->events);
        break;
    case WATCH_LISTENER:
        listener_on_ready(object);
        break;
    case WATCH_RESOLVER:
        if (loop->resolver_fn != NULL) {
            loop->resolver_fn(loop->resolver_ctx, (int)(e->data.u64 >> 2), e->events);
        }
        break;
    case WATCH_GUEST: {
        struct guest *g = object;
        g->fn(g);
        break;
    }
    }
}

void backend_poll(struct backend *b, struct loop *loop, int64_t usec, int64_t *now) {
    int64_t msec = usec < 0 ? -1 : (usec + 999) / 1000;
    b->n = call_epoll_wait(b->epoll, b->events, EVENTS_MAX, msec > 3600000 ? 3600000 : (int)msec);
    *now = clock_now();
    for (b->at = 0; b->at < b->n; b->at++) {
        backend_dispatch(b, loop, &b->events[b->at]);
    }
}

void backend_wake(struct backend *b) {
    uint64_t one = 1;
    int saved = errno; /* may run in a signal handler */
    while (write(b->wake.fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
    errno = saved;
}
