/* pool.h: this worker's view of one configured pool. */
#ifndef KVMUX_CORE_POOL_H
#define KVMUX_CORE_POOL_H

#include "base/log.h"
#include "conf/conf.h"
#include "core/scripts.h"
#include "core/server.h"

struct worker;

#define POOL_KNOWN_MAX 64

struct pool {
    struct worker *worker;
    const struct conf_pool *conf;
    const struct proto *front, *back; /* codec of the clients, codec of the servers */
    struct ring *ring;
    struct server *servers;
    uint32_t nservers, index;
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
    struct log_limit refused_log;
    struct pool_block stats;
};

void pool_init(struct pool *, struct worker *, const struct conf_pool *, uint32_t index, struct ring *);
void pool_fini(struct pool *);
/* The profile of a user that asked for nothing else. */
static inline uint64_t pool_profile(const struct pool *p, uint32_t user) {
    return p->base_profile | (uint64_t)user << 32;
}
/* How long an answer may take that a client waits for, also where requests may take as long as they like: usec. */
static inline int64_t pool_patience(const struct pool *p) {
    return p->timeout > 0 ? p->timeout : p->conf->connect_timeout * 1000;
}

void pool_set_ring(struct pool *, struct ring *); /* takes the reference */
void pool_set_learned(struct pool *, struct book *, const char *version); /* takes the reference */

/* Why this pool does not let a request through; NONE: it does. Requests of which it cannot be true are not asked about:
 * those that go to one server and name no database (MSG_OTHER_DB). */
enum reason pool_denies(const struct pool *, const struct msg *);

#endif
