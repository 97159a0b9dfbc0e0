/* control.h: the control thread: health of servers and their rings, names, statistics out, drain.
 *
 * control_turn is a plain function, so that the simulator can run it beside the workers in one thread. */
#ifndef KVMUX_ADMIN_CONTROL_H
#define KVMUX_ADMIN_CONTROL_H

#include "admin/http.h"
#include "admin/listeners.h"
#include "core/worker.h"

struct control;

struct control_opts {
    struct conf *conf;     /* control takes its own reference */
    struct conf_sources *sources; /* what it was read from: taken over, and left empty; NULL: no files */
    struct shared *shared;
    const struct addr *stats; /* where to serve the statistics; len 0: nowhere */
    int stats_fd;             /* bound by main before the daemon says that it is up; -1: none */
    struct http_opts admin;
    const char *hostname;     /* "source" of the statistics */
    const char *service;      /* "service" of the statistics: "nutcracker", for existing readers */
    struct listeners *listeners; /* of the pools; borrowed */
    conf_resolve_fn *resolve;    /* for names in `listen` when the file is read again */
};
struct control *control_new(const struct control_opts *);
struct mailbox *control_mailbox(struct control *);
/* What the first workers need of each pool; all servers are alive. The caller frees the array; what is in it is borrowed. */
struct pool_start *control_starts(struct control *);
/* Tells control of a worker; before the first control_turn. Borrowed; must outlive control's last turn. */
void control_add_worker(struct control *, struct worker *);
/* Returns false when every worker has stopped. */
bool control_turn(struct control *, int64_t max_wait);
/* Starts draining: no new clients, requests in flight finish within conf->drain_timeout, then workers stop. */
void control_drain(struct control *);
/* The same, but clients go to another process: as mail_client to this mailbox, which outlives the workers. */
void control_leave(struct control *, struct mailbox *heir);
bool control_draining(const struct control *);
bool control_reloading(const struct control *); /* not all workers have the last configuration yet */
uint32_t control_reloads(const struct control *); /* how many were tried */
bool control_refused(const struct control *);   /* the last one was refused: the file is not what is in use */
uint64_t control_connections(const struct control *); /* that any one worker ever had, at most */
const struct conf *control_conf(const struct control *); /* the one in use, until the next control_turn */
/* Reads the file of the configuration again and puts it in the place of the one in use. False, and nothing was changed: the
 * problems say why. Both is logged, with what is different. Another reload that is under way is a problem too. */
bool control_reload(struct control *, struct conf_problems *);
/* The same as soon as it can be; whoever asks is told by the log. */
void control_want_reload(struct control *);
/* The same for a configuration that was read already; takes it. */
bool control_switch(struct control *, struct conf **, struct conf_problems *);
/* Somebody asks over the admin port for an upgrade (main/upgrade.h); said once. Then one call of control_upgrade_answer, in whatever
 * turn; without anybody who waits it does nothing. */
bool control_upgrade_wanted(struct control *);
void control_upgrade_answer(struct control *, bool done, const char *words);
void control_reopen(struct control *); /* the access log, whose file was renamed */
void control_wake(struct control *); /* any thread; async-signal-safe */
void control_free(struct control **);

#endif
