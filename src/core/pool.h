/* pool.h: this worker's view of one configured pool. */
#ifndef KVMUX_CORE_POOL_H
#define KVMUX_CORE_POOL_H

#include "base/log.h"
#include "conf/conf.h"
#include "core/scripts.h"
#include "core/secure.h"
#include "core/server.h"
#include "core/patience.h"

struct hot;
struct pool_times;
struct slowlog;
struct worker;

#define POOL_KNOWN_MAX 64

struct pool {
    struct worker *worker;
    const struct conf_pool *conf;
    const struct proto *front, *back; /* codec of the clients, codec of the servers */
    struct ring *ring;
    struct server **servers;
    struct list leaving; /* servers that were removed and still have something in flight (switch.h) */
    struct conf *keeps;  /* it was removed itself: the configuration that `conf` is a part of; NULL: it is the worker's */
    int64_t leave_by;    /* usec; removed: what is left then is closed */
    uint32_t id;         /* of the process (conf_inherit) */
    uint32_t nservers;
    struct list clients;
    uint32_t *nclients; /* of all workers, atomic */
    int64_t timeout;    /* usec; 0: none */
    uint64_t base_profile; /* of a client that asked for nothing */
    bool plain_dbs; /* numbers of databases are the servers' own */
    uint64_t known[POOL_KNOWN_MAX]; /* other profiles that the servers agreed to (greet.h) */
    uint32_t nknown;
    struct list channel_sets; /* channel.h */
    struct book *learned;         /* commands that only the servers know (admin/learn.h); NULL: none yet */
    char version[MAIL_VERSION_MAX]; /* of the servers, the lowest; "": not known */
    uint16_t *walk_ids; /* of the servers, for walk.c; NULL: nobody walked yet */
    struct scripts scripts;
    struct secure secure;
    struct patience patience;
    struct log_limit refused_log;
    struct pool_block stats;
    struct pool_times *times; /* times.h */
    struct hot *hot;          /* hot.h; NULL: nothing was noted yet */
    struct slowlog *slow;     /* slowlog.h; NULL: nothing was slow yet */
    uint32_t slow_usec;       /* from here on a request is slow; SLOW_OFF */
};

struct pool_start;

/* Takes its own reference of the ring. */
struct pool *pool_new(struct worker *, const struct conf_pool *, const struct pool_start *);
void pool_free(struct pool **);
struct server *server_new(struct pool *, uint32_t index);
void server_free(struct server **); /* it has no uplinks */
/* What is made of single keys of its configuration. */
void pool_derive(struct pool *);
struct server *pool_server(const struct pool *, uint32_t id); /* NULL: not there any more */
/* The profile of a user that asked for nothing else. */
static inline uint64_t pool_profile(const struct pool *p, uint32_t user) {
    return p->base_profile | (uint64_t)user << 32;
}
/* How long an answer may take that a client waits for, also where requests may take as long as they like: usec. */
static inline int64_t pool_patience(const struct pool *p) {
    return p->timeout > 0 ? p->timeout : p->conf->connect_timeout * 1000;
}

/* The request as servers get it, in one piece that `rope`, empty until now, holds. */
struct slice pool_words(struct pool *, struct stage *, const struct msg *, struct rope *);

void pool_set_ring(struct pool *, struct ring *); /* takes the reference */
void pool_set_learned(struct pool *, struct book *, const char *version); /* takes the reference */

/* Why this pool does not let a request through; NONE: it does. Requests of which it cannot be true are not asked about:
 * those that go to one server and name no database (MSG_OTHER_DB). */
enum reason pool_denies(const struct pool *, const struct msg *);

#endif
