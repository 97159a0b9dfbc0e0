/* A queue is an epoll descriptor. epoll has one entry for a descriptor where kqueue has one for each direction, so what is watched
 * stands in a table here. EV_CLEAR becomes EPOLLET: an edge in one direction reports both, which a caller has to bear anyway. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FDS_MAX 65536
#define BATCH 256

enum { READS, WRITES, DIRECTIONS };

struct note {
    bool on, clear;
    void *udata;
};
struct queue {
    int user;         /* the eventfd behind EVFILT_USER; -1: not added */
    struct note wake;
    struct note notes[FDS_MAX][DIRECTIONS];
};

/* By descriptor. What a closed queue leaves goes when its number is used again. */
static struct queue *queues[FDS_MAX];

int kqueue(void) {
    int fd = epoll_create1(0);
    if (fd < 0 || fd >= FDS_MAX) {
        return -1;
    }
    if (queues[fd] != NULL && queues[fd]->user >= 0) {
        close(queues[fd]->user);
    }
    free(queues[fd]);
    queues[fd] = calloc(1, sizeof **queues);
    queues[fd]->user = -1;
    return fd;
}

static int watch(int queue, int fd, const struct note *notes) {
    struct epoll_event e = {.data.fd = fd};
    for (int i = 0; i < DIRECTIONS; i++) {
        if (notes[i].on) {
            e.events |= (i == READS ? EPOLLIN | EPOLLRDHUP : EPOLLOUT) | (notes[i].clear ? EPOLLET : 0u);
        }
    }
    if (e.events == 0) {
        return epoll_ctl(queue, EPOLL_CTL_DEL, fd, NULL);
    }
    return epoll_ctl(queue, EPOLL_CTL_MOD, fd, &e) == 0 ? 0 : epoll_ctl(queue, EPOLL_CTL_ADD, fd, &e);
}

static int change_direction(int queue, const struct kevent *c) {
    int fd = (int)c->ident, i = c->filter == EVFILT_READ ? READS : WRITES;
    struct note *notes = queues[queue]->notes[fd];
    struct epoll_event none = {.data.fd = fd};
    if (epoll_ctl(queue, EPOLL_CTL_MOD, fd, &none) != 0) { /* closed since: the kernel has forgotten the notes */
        memset(notes, 0, DIRECTIONS * sizeof *notes);
    }
    if ((c->flags & EV_DELETE) && !notes[i].on) {
        errno = ENOENT;
        return -1;
    }
    notes[i] = (struct note){.on = (c->flags & EV_ADD) != 0, .clear = (c->flags & EV_CLEAR) != 0, .udata = c->udata};
    return watch(queue, fd, notes);
}

static int change_user(int queue, const struct kevent *c) {
    struct queue *q = queues[queue];
    if (c->flags & EV_ADD) {
        struct epoll_event e = {.events = EPOLLIN};
        q->user = e.data.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        q->wake = (struct note){.on = true, .udata = c->udata};
        return epoll_ctl(queue, EPOLL_CTL_ADD, q->user, &e);
    }
    uint64_t one = 1;
    return (c->fflags & NOTE_TRIGGER) && write(q->user, &one, sizeof one) < 0 ? -1 : 0;
}

/* At most two. */
static int translate(struct queue *q, const struct epoll_event *from, struct kevent *to) {
    int fd = from->data.fd, n = 0;
    if (fd == q->user) {
        uint64_t count;
        if (read(fd, &count, sizeof count) > 0) {
            EV_SET(&to[n], 0, EVFILT_USER, 0, 0, 0, q->wake.udata);
            n++;
        }
        return n;
    }
    static const struct {
        short filter;
        uint32_t ready, eof;
    } rows[DIRECTIONS] = {
        {EVFILT_READ, EPOLLIN, EPOLLRDHUP | EPOLLHUP | EPOLLERR},
        {EVFILT_WRITE, EPOLLOUT, EPOLLHUP | EPOLLERR},
    };
    for (int i = 0; i < DIRECTIONS; i++) {
        const struct note *note = &q->notes[fd][i];
        if (note->on && (from->events & (rows[i].ready | rows[i].eof))) {
            EV_SET(&to[n], (uintptr_t)fd, rows[i].filter, (from->events & rows[i].eof) ? EV_EOF : 0,
                   (from->events & EPOLLERR) ? ECONNRESET : 0, 0, note->udata);
            n++;
        }
    }
    return n;
}

int kevent(int queue, const struct kevent *changes, int nchanges, struct kevent *events, int nevents, const struct timespec *wait) {
    for (int i = 0; i < nchanges; i++) {
        int rc = changes[i].filter == EVFILT_USER ? change_user(queue, &changes[i]) : change_direction(queue, &changes[i]);
        if (rc != 0) {
            return -1;
        }
    }
    if (nevents == 0) {
        return 0;
    }
    struct epoll_event ready[BATCH];
    int room = nevents / DIRECTIONS < BATCH ? nevents / DIRECTIONS : BATCH, n = 0;
    int msec = wait == NULL ? -1 : (int)(wait->tv_sec * 1000 + (wait->tv_nsec + 999999) / 1000000);
    int got = epoll_wait(queue, ready, room, msec);
    for (int i = 0; i < got; i++) {
        n += translate(queues[queue], &ready[i], &events[n]);
    }
    return got < 0 ? -1 : n;
}
