/* worker.h: one worker: a loop, listeners, clients, uplinks, counters, and nothing shared with other workers.
 *
 * worker_new, worker_turn and worker_free are called by the thread that owns the worker (in the simulator one thread owns
 * them all); the functions marked "any thread" by control too. */
#ifndef KVMUX_CORE_WORKER_H
#define KVMUX_CORE_WORKER_H

#include "base/mailbox.h"
#include "conf/conf.h"
#include "io/io.h"
#include "stats/metric.h"

/* One per process: limits that count over all workers. Touched when a client comes or goes, never per request. */
struct shared {
    uint64_t buffer_bytes; /* of all workers, atomic; each worker adds the change since its last turn */
    uint64_t promised_bytes; /* atomic: of large replies that are received whole now (uplink_whole.c) */
    int64_t started_wall;  /* usec since the epoch */
    uint32_t pid;
    uint32_t workers;
    uint64_t first_client; /* no client gets a lower id: lower ones are of a program whose successor we are */
};

struct mail_view;
struct pool_start;
struct worker;

struct worker_opts {
    uint32_t index;
    struct conf *conf;        /* the worker takes its own reference */
    const struct pool_start *starts; /* per pool; the worker takes its own references of the rings */
    struct shared *shared;    /* outlives the worker */
    struct mailbox *control;  /* where to report; outlives the worker */
    uint64_t seed;            /* for jitter and `distribution: random` */
};
struct worker *worker_new(const struct worker_opts *);
/* Takes a bound descriptor; clients accepted on it are the pool's (index in the configuration). */
void worker_listen(struct worker *, uint32_t pool, const struct addr *, int fd);
/* One turn of the loop; returns false when the worker has stopped (MAIL_STOP, or drained) and may be freed. */
bool worker_turn(struct worker *, int64_t max_wait);
void worker_free(struct worker **);

struct mailbox *worker_mailbox(struct worker *); /* any thread may post */
struct loop *worker_loop(struct worker *);
/* Where its counters are, for control (mail.h): before it runs; later it tells by itself. The caller frees it. */
struct mail_view *worker_view(const struct worker *);
/* Any thread, with metric_get. */
const struct worker_block *worker_block(const struct worker *);

#endif
