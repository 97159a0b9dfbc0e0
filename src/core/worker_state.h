/* worker_state.h: the inside of a worker, for the files of core. */
#ifndef KVMUX_CORE_WORKER_STATE_H
#define KVMUX_CORE_WORKER_STATE_H

#include "base/freelist.h"
#include "core/mail.h"
#include "core/pool.h"
#include "core/sample.h"
#include "core/survey.h"
#include "core/worker.h"

struct traces;

#define PIECED_SLOTS 64u
/* Of a request that came in pieces, for the log of slow requests (slowlog_received); of two in the same slot the later one stays. */
struct pieced {
    const struct req *req; /* not looked at: with `whole_at` it tells which one this is of */
    uint32_t whole_at, usec; /* times_now, when it was here whole; how long that took */
};

enum worker_phase { WORKER_RUNNING, WORKER_DRAINING, WORKER_LEAVING, WORKER_STOPPED };

struct worker_listener {
    struct listener listener;
    struct addr addr;
    struct pool *pool;
};

struct worker {
    struct worker_opts opts;
    struct bufpool bufs;
    struct loop *loop;
    struct mailbox mailbox;
    struct freelist reqs, clients;
    struct pool **pools; /* in the order of the configuration */
    uint32_t npools;
    struct pool **leaving; /* that were removed and have something left to do (switch.h) */
    uint32_t nleaving;
    uint32_t unseen;  /* views that control has not got yet */
    bool reaping;     /* something is leaving */
    struct worker_listener **listeners;
    uint32_t nlisteners;
    /* to be written at the end of this turn: every batch in one system call */
    struct list flush_uplinks;
    struct queue flush_clients;
    /* closed in this turn: their memory goes at its end, so that no callback returns into a freed object */
    struct list dead_uplinks, dead_clients;
    struct msg msg;     /* the request being dispatched */
    struct msg again;   /* rotation.c: one that is taken apart once more */
    struct rng rng;
    struct sample sample;
    struct pieced pieced[PIECED_SLOTS];
    struct traces *traces; /* trace.h; NULL: there never was an access log */
    uint32_t *group;    /* fan_split: part of each server of the largest pool; UINT32_MAX: none */
    uint32_t *keys;     /* fan_split: keys in the order of their parts */
    uint32_t keys_cap;
    uint64_t next_client; /* how many there were */
    uint32_t nclients, nuplinks;
    size_t told_bytes; /* what this worker added to shared->buffer_bytes */
    bool tight;        /* all workers together are above buffer_limit: ask worker_tight */
    size_t high;       /* the most bytes of buffers in use since mem_trim */
    struct timer upkeep; /* gives idle memory back; set while there is any */
    struct surveys surveys;
    enum worker_phase phase;
    struct mailbox *heir; /* WORKER_LEAVING: where clients go */
    struct log_limit log_limit;
    struct worker_block stats;
};

static inline int64_t worker_now(const struct worker *w) {
    return loop_now(w->loop);
}

/* Counts a connection that begins or ends: clients and listeners. */
void worker_connection(struct worker *, int change);
/* Bytes of buffers that all workers hold, as of the last turn of each. */
static inline uint64_t worker_held(const struct worker *w) {
    return __atomic_load_n(&w->opts.shared->buffer_bytes, __ATOMIC_RELAXED);
}
/* Is the process above its memory limit? Set once per turn, cleared as soon as it is no longer true. */
static inline bool worker_tight(struct worker *w) {
    if (UNLIKELY(w->tight)) {
        w->tight = worker_held(w) > (uint64_t)w->opts.conf->buffer_limit;
    }
    return w->tight;
}

/* NULL: not there any more. */
struct pool *worker_pool(const struct worker *, uint32_t id);
/* For another configuration: scratch for so many servers, one listener less, and descriptors that are kept free. */
void worker_size_group(struct worker *, uint32_t servers);
void worker_end_listener(struct worker *, uint32_t index);
void worker_set_spare(struct worker *);
void pool_preconnect(struct pool *);
void pool_close_all(struct pool *, enum reason);

/* Something will have to be given back one day: worker_on_upkeep looks once a second until there is nothing. */
void worker_want_upkeep(struct worker *);

void worker_tell(struct worker *, struct server *, int kind, enum reason, int64_t opened_at);

#endif
