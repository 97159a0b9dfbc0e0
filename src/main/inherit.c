#include "main/inherit.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/handover.h"
#include "main/link.h"
#include "main/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FIRST_FD 3        /* of LISTEN_FDS */
#define TAKE_MSEC 10000   /* for the one before to say what there is */

static struct {
    int link; /* -1: nobody's successor, or over */
    int pid_fd;
    int nlisten; /* LISTEN_FDS */
    char names[512]; /* LISTEN_FDNAMES: one for each, with colons between them; for messages, addresses decide */
    uint64_t first_id;
    bool runs; /* the thread */
    pthread_t thread;
    struct threads *workers;
    uint32_t clients;  /* that came over; the thread's until it is over */
    atomic_bool over;  /* there will be no more */
} in = {.link = -1, .pid_fd = -1};

/* A whole number in the environment that is not passed on; -1: none. */
static long take_number(const char *name) {
    const char *text = getenv(name);
    char *end = NULL;
    long n = text != NULL && *text != '\0' ? strtol(text, &end, 10) : -1;
    if (end != NULL && *end != '\0') {
        n = -1;
    }
    unsetenv(name);
    return n;
}

#define LEAVE_MSEC 1000

/* A service manager waits for the end of its own children only: systemd kills a main process that is another one's child as soon as it has
 * told it to stop. So what serves must not be the child of the one before, which lives until it is drained: who is left by its
 * parent becomes the manager's. */
static void leave_the_one_before(void) {
    pid_t parent = getpid(), pid = fork();
    if (pid > 0) {
        _exit(0);
    }
    for (int i = 0; pid == 0 && getppid() == parent && i < LEAVE_MSEC; i++) {
        usleep(1000);
    }
}

void inherit_begin(void) {
    long link = take_number(LINK_ENV), pid = take_number("LISTEN_PID"), n = take_number("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    snprintf(in.names, sizeof in.names, "%s", names != NULL ? names : "");
    unsetenv("LISTEN_FDNAMES");
    if (link >= 0 && link < 1 << 20 && fcntl((int)link, F_SETFD, FD_CLOEXEC) == 0) {
        in.link = (int)link;
        if (getenv("NOTIFY_SOCKET") != NULL) {
            leave_the_one_before();
        }
    }
    if (pid == getpid() && n > 0 && n < 1 << 16) {
        in.nlisten = (int)n;
        for (int i = 0; i < in.nlisten; i++) {
            fcntl(FIRST_FD + i, F_SETFD, FD_CLOEXEC);
        }
    }
}

bool inherit_pending(void) {
    return in.link >= 0;
}

/* As the manager calls it; "": it does not. */
static struct slice name_of(int index) {
    const char *at = in.names;
    while (index-- > 0) {
        at += strcspn(at, ":");
        at += *at == ':';
    }
    return slice(at, strcspn(at, ":"));
}

static bool take_listen_fds(struct listeners *l, char *why, size_t room) {
    for (int i = 0; i < in.nlisten; i++) {
        if (!listeners_hand(l, FIRST_FD + i, false)) {
            struct slice name = name_of(i);
            snprintf(why, room, "LISTEN_FDS: descriptor %d%s%.*s%s is not a listening stream socket", FIRST_FD + i, name.n > 0 ? " (" : "",
                     (int)name.n, name.p, name.n > 0 ? ")" : "");
            return false;
        }
    }
    return true;
}

/* One record from the one before. 1: go on, 0: that was all, -1: it makes no sense. */
static int take_record(struct listeners *l, const void *record, size_t n, const int *fds, unsigned nfds) {
    const struct link_head *head = record;
    unsigned taken = 0;
    int rc = 1;
    if (head->kind == LINK_HELLO && n >= sizeof(struct link_hello)) {
        in.first_id = ((const struct link_hello *)record)->first_id;
    } else if (head->kind == LINK_LISTENERS) {
        while (taken < nfds && listeners_hand(l, fds[taken], head->n != 0)) {
            taken++;
        }
        rc = taken == nfds && nfds > 0 ? 1 : -1;
    } else if (head->kind == LINK_PIDFILE && nfds == 1 && in.pid_fd < 0) {
        in.pid_fd = fds[taken++];
    } else if (head->kind == LINK_BEGIN) {
        rc = 0;
    } /* else: of a later version, and not needed */
    while (taken < nfds) {
        close(fds[taken++]);
    }
    return rc;
}

static bool take_link(struct listeners *l, char *why, size_t room) {
    union {
        struct link_hello hello;
        char bytes[512];
    } record;
    int fds[LINK_FDS_MAX], rc = 1;
    unsigned nfds;
    while (rc > 0) {
        ssize_t n = link_recv(in.link, &record, sizeof record, fds, &nfds, TAKE_MSEC);
        if (n <= 0) {
            snprintf(why, room, "the running kvmux hands nothing over: %s", n == 0 ? "it is gone" : strerror(errno));
            return false;
        }
        rc = take_record(l, &record, (size_t)n, fds, nfds);
    }
    if (rc < 0) {
        snprintf(why, room, "the running kvmux hands over something that is not a listening socket");
    }
    return rc == 0;
}

bool inherit_take(struct listeners *l, char *why, size_t room) {
    return take_listen_fds(l, why, room) && (in.link < 0 || take_link(l, why, room));
}

int inherit_pid_fd(void) {
    int fd = in.pid_fd;
    in.pid_fd = -1;
    return fd;
}

uint64_t inherit_first_id(void) {
    return in.first_id;
}

bool inherit_serving(void) {
    const struct link_head head = {.kind = LINK_SERVING, .n = PASSPORT_VERSION};
    return in.link < 0 || link_send(in.link, &head, sizeof head, NULL, 0, NULL, 0);
}

void inherit_failed(const char *why) {
    const struct link_head head = {.kind = LINK_FAILED};
    if (in.link >= 0) {
        link_send(in.link, &head, sizeof head, why, strnlen(why, LINK_WHY_MAX), NULL, 0);
    }
}

/* ---- clients ---- */

/* A record of a client: to a worker, one after the other. False: it is none. */
static bool take_client(const struct link_head *head, size_t n, int fd) {
    const struct passport *p = (const struct passport *)(head + 1);
    if (head->kind != LINK_CLIENT || n < sizeof *head + sizeof *p || !passport_fits(p, n - sizeof *head)) {
        return false;
    }
    struct mail_client *m = mem_zalloc(sizeof *m + n);
    m->mail.kind = MAIL_CLIENT;
    m->fd = fd;
    memcpy(&m->passport, p, n - sizeof *head);
    mailbox_post(threads_mailbox(in.workers, in.clients++), &m->mail);
    return true;
}

static void *take_clients(void *arg) {
    struct link_head *record = mem_alloc(LINK_RECORD_MAX);
    int fds[LINK_FDS_MAX];
    unsigned nfds;
    ssize_t n;
    /* A record that is not whole, for want of descriptors perhaps, costs one client: those behind it still come. */
    while ((n = link_recv(in.link, record, LINK_RECORD_MAX, fds, &nfds, -1)) > 0 || (n < 0 && errno == EBADMSG)) {
        unsigned taken = n > 0 && nfds > 0 && take_client(record, (size_t)n, fds[0]) ? 1 : 0;
        while (taken < nfds) {
            close(fds[taken++]);
        }
    }
    mem_free(record);
    atomic_store(&in.over, true);
    control_wake(threads_control(in.workers));
    return NULL;
}

bool inherit_clients(struct threads *t) {
    if (in.link < 0) {
        return true;
    }
    in.workers = t;
    signals_block();
    int rc = pthread_create(&in.thread, NULL, take_clients, NULL);
    signals_unblock();
    in.runs = rc == 0;
    errno = rc;
    return in.runs;
}

bool inherit_over(uint32_t *clients) {
    if (!in.runs || !atomic_load(&in.over)) {
        return false;
    }
    *clients = in.clients;
    inherit_end();
    return true;
}

void inherit_end(void) {
    if (in.runs) {
        shutdown(in.link, SHUT_RDWR);
        pthread_join(in.thread, NULL);
        in.runs = false;
    }
    if (in.link >= 0) {
        close(in.link);
        in.link = -1;
    }
    if (in.pid_fd >= 0) {
        close(in.pid_fd);
        in.pid_fd = -1;
    }
}
