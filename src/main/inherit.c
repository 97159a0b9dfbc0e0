#include "main/inherit.h"

#include "base/log.h"
#include "main/link.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FIRST_FD 3        /* of LISTEN_FDS */
#define TAKE_MSEC 10000   /* for the one before to say what there is */

static struct {
    int link; /* -1: nobody's successor, or over */
    int pid_fd;
    int nlisten; /* LISTEN_FDS */
    uint64_t first_id;
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

void inherit_begin(void) {
    long link = take_number(LINK_ENV), pid = take_number("LISTEN_PID"), n = take_number("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (link >= 0 && link < 1 << 20 && fcntl((int)link, F_SETFD, FD_CLOEXEC) == 0) {
        in.link = (int)link;
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

static bool take_listen_fds(struct listeners *l, char *why, size_t room) {
    for (int i = 0; i < in.nlisten; i++) {
        if (!listeners_hand(l, FIRST_FD + i, false)) {
            snprintf(why, room, "LISTEN_FDS: descriptor %d is not a listening stream socket", FIRST_FD + i);
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
        rc = taken == nfds ? 1 : -1;
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
    const struct link_head head = {.kind = LINK_SERVING};
    return in.link < 0 || link_send(in.link, &head, sizeof head, NULL, 0, NULL, 0);
}

void inherit_failed(const char *why) {
    const struct link_head head = {.kind = LINK_FAILED};
    if (in.link >= 0) {
        link_send(in.link, &head, sizeof head, why, strnlen(why, LINK_WHY_MAX), NULL, 0);
    }
}

void inherit_end(void) {
    if (in.link >= 0) {
        close(in.link);
        in.link = -1;
    }
    if (in.pid_fd >= 0) {
        close(in.pid_fd);
        in.pid_fd = -1;
    }
}
