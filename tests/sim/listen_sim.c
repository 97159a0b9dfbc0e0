/* listen_sim.c: in place of io/listen.c: addresses that simulated clients connect to. */
#include "sim_int.h"

const struct addr *listener_peer(const struct listener *ln) {
    return &ln->peer;
}

enum reason listen_open(const struct addr *a, const struct bind_opts *opts, int *fds, unsigned n) {
    for (unsigned i = 0; i < SIM_LISTENS; i++) {
        if (sim.listens[i].used && addr_eq(&sim.listens[i].addr, a)) {
            return REASON_IN_USE;
        }
    }
    unsigned got = 0;
    for (unsigned i = 0; i < SIM_LISTENS && got < n; i++) {
        if (!sim.listens[i].used) {
            sim.listens[i] = (struct sim_listen){.used = true, .fd = sim.next_fd++, .addr = *a};
            fds[got++] = sim.listens[i].fd;
        }
    }
    return got == n ? REASON_NONE : REASON_NO_FDS;
}

static struct sim_listen *listen_of(int fd) {
    for (unsigned i = 0; i < SIM_LISTENS; i++) {
        if (sim.listens[i].used && sim.listens[i].fd == fd) {
            return &sim.listens[i];
        }
    }
    sim_fail("a listening descriptor that is not there: %d", fd);
}

void listen_discard(int fd) {
    listen_of(fd)->used = false;
}

void listener_start(struct loop *l, struct listener *ln, const struct listener_ops *ops, int fd) {
    *ln = (struct listener){.loop = l, .ops = ops, .fd = fd};
    struct sim_listen *s = listen_of(fd);
    SIM_RULE(s->listener == NULL, "listener_start of a descriptor that listens already");
    s->listener = ln;
}

void listener_close(struct listener *ln) {
    if (ln->fd < 0) {
        return;
    }
    struct sim_listen *s = listen_of(ln->fd);
    LIST_EACH(&sim.conns, m) {
        struct sim_conn *c = CONTAINER_OF(m, struct sim_conn, link);
        if (c->state == CONN_BACKLOG && c->fd == ln->fd) {
            c->state = CONN_CLOSED;
        }
    }
    s->used = false;
    s->listener = NULL;
    ln->fd = -1;
}
