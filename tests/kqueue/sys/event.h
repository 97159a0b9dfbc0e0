/* sys/event.h: as much of kqueue(2) as io/io_kqueue.c uses, over Linux's epoll, so that the back end of FreeBSD and macOS is
 * compiled and run by the tests here. Names and meanings are those of FreeBSD's manual page; one thread a queue. */
#ifndef KVMUX_TESTS_KQUEUE_SYS_EVENT_H
#define KVMUX_TESTS_KQUEUE_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

enum { EVFILT_READ = -1, EVFILT_WRITE = -2, EVFILT_USER = -11 };
enum { EV_ADD = 0x0001, EV_DELETE = 0x0002, EV_CLEAR = 0x0020, EV_EOF = 0x8000 };
enum { NOTE_TRIGGER = 0x01000000 };

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned fflags;
    int64_t data;
    void *udata;
};

#define EV_SET(e, i, f, fl, ff, d, u) \
    (*(e) = (struct kevent){.ident = (i), .filter = (f), .flags = (fl), .fflags = (ff), .data = (d), .udata = (u)})

int kqueue(void);
int kevent(int queue, const struct kevent *changes, int nchanges, struct kevent *events, int nevents, const struct timespec *wait);

#endif
