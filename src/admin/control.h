/* control.h: the control thread: health of servers and their rings, names, statistics out, drain.
 *
 * control_turn is a plain function, so that the simulator can run it beside the workers in one thread. */
#ifndef KVMUX_ADMIN_CONTROL_H
#define KVMUX_ADMIN_CONTROL_H

#include "core/worker.h"

struct control;

struct control_opts {
    struct conf *conf;     /* control takes its own reference */
    struct shared *shared;
    const struct addr *stats; /* where to serve the statistics; len 0: nowhere */
    int stats_fd;             /* bound by main before the daemon says that it is up; -1: none */
    const char *hostname;     /* "source" of the statistics */
    const char *service;      /* "service" of the statistics: "nutcracker", for existing readers */
};
struct control *control_new(const struct control_opts *);
struct mailbox *control_mailbox(struct control *);
/* The first rings, all servers alive; borrowed, for worker_opts. */
struct ring **control_rings(struct control *);
/* Tells control of a worker; before the first control_turn. Borrowed; must outlive control's last turn. */
void control_add_worker(struct control *, struct worker *);
/* Returns false when every worker has stopped. */
bool control_turn(struct control *, int64_t max_wait);
/* Starts draining: no new clients, requests in flight finish within conf->drain_timeout, then workers stop. */
void control_drain(struct control *);
void control_wake(struct control *); /* any thread; async-signal-safe */
void control_free(struct control **);

#endif
