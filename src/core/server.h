/* server.h: this worker's view of one configured server: its uplinks, addresses, back-off and counters. */
#ifndef KVMUX_CORE_SERVER_H
#define KVMUX_CORE_SERVER_H

#include "base/list.h"
#include "base/reason.h"
#include "core/mail.h"
#include "io/addr.h"
#include "stats/metric.h"

struct client;
struct conf_server;
struct pool;
struct server_times;
struct tls_peer;
struct uplink;

/* The uplinks of one profile (proto.h) to one server. */
struct profile {
    struct server *server;
    uint64_t key;
    struct list link;      /* of server->others */
    struct uplink **slots; /* nslots of them; NULL: not open */
    uint32_t nslots;       /* server_connections; of all profiles of a server the same */
    int64_t used_at;       /* usec */
    int64_t retry_at;      /* the server refused its greeting: not tried again before */
    uint32_t feeds;        /* connections of it that listen (feed.h) */
    bool takes_txn;        /* proved since the last connection was made (txn.h) */
};

/* What leased uplinks are for. Each kind has its own budget. */
enum lease_kind {
    LEASE_NONE,  /* it is shared */
    LEASE_WAITS, /* `server_leases` */
    LEASE_LARGE, /* `server_uploads`; core/upload.h counts them */
    LEASE_READS, /* `server_downloads`: clients whose replies are large */
    LEASE_KINDS
};

struct server {
    struct pool *pool;
    const struct conf_server *conf;
    uint32_t index; /* in the pool */
    uint32_t id;    /* of the process (conf_inherit) */
    struct list link;     /* of pool->leaving */
    struct conf *keeps;   /* it was removed: the configuration that `conf` is a part of; NULL: it is the pool's */
    int64_t leave_by;     /* usec; removed: what is left then is closed */
    struct tls_peer *tls; /* NULL: plain (secure.h) */
    struct profile base;   /* nearly every client's */
    struct list others;    /* profiles that clients asked for; opened on first use, closed when idle */
    uint32_t nothers;
    struct list leases;    /* leased uplinks: the free ones in front */
    uint32_t nleases[LEASE_KINDS];
    struct list uploads;   /* large requests that wait for their turn (upload.h) */
    uint32_t nuploads;     /* those under way, but for those of clients that have a lease */
    struct list suspects;
    uint32_t nsuspects;
    struct list aside;     /* uplinks that carry a large reply and left their slots */
    uint32_t naside;
    uint32_t nqueued;     /* requests in all its queues */
    uint32_t waiting;     /* of these: sent */
    uint64_t queued_bytes, waiting_bytes;
    struct addr addrs[MAIL_ADDRS_MAX];
    uint32_t naddrs, good_addr; /* good_addr: the one that worked last */
    bool unresolvable;    /* control said that the name does not resolve */
    bool told_up;         /* control knows that it is there, and none of its connections was lost since */
    bool told_failed;     /* control knows of a failure and waits to hear that the server works */
    /* back-off: after failed connects in a row no new one is tried before retry_at */
    uint32_t connect_fails;
    int64_t connect_failed_at;
    int64_t retry_at;
    enum reason last_failure;
    struct server_block stats;
    bool keeps_heads;    /* until heads_until, for the log of slow requests (slowlog.h) */
    int64_t heads_until; /* usec */
    struct server_times *times; /* NULL: it was never connected to (times.h) */
};

void server_init(struct server *, struct pool *, uint32_t index);
void server_fini(struct server *);
/* The uplink of a profile for the next request of this client: requests of one client to one server go over one uplink
 * while any is outstanding. Opens one when there is none. NULL, and why: back-off, no address, a limit. */
struct uplink *server_uplink(struct server *, const struct client *, uint64_t profile, enum reason *why);
/* A leased uplink of the kind that is free, or a new one. NULL, and why: as above, or its budget is used up. */
struct uplink *server_lease(struct server *, uint64_t profile, enum lease_kind, enum reason *why);
/* A connection that only listens (feed.h): the caller's until it closes. NULL, and why. */
struct uplink *server_feed(struct server *, uint64_t profile, enum reason *why);
void server_preconnect(struct server *);
void server_set_addrs(struct server *, const struct addr *, uint32_t n);
/* A connection that was started at `opened_at` could not be made or died with work on it. Reported to control. */
void server_failed(struct server *, enum reason, int64_t opened_at);
void server_connect_failed(struct server *, enum reason, int64_t opened_at); /* before it was of use: starts the back-off */
/* The server refused a greeting: a failure for the base profile, else the profile's own trouble. */
void server_refused(struct server *, struct profile *, int64_t opened_at);
void server_close_all(struct server *, enum reason);
void server_up(struct server *); /* a connection to it is of use */
void server_works(struct server *); /* a reply came after a failure was reported */
/* ---- another configuration (switch.c) ---- */

/* How an uplink is replaced: what is on it finishes, then it closes. */
enum retire {
    RETIRE_NOT,
    RETIRE_SAME,  /* the server stays: a client that waits for something there sends what follows there too, in order */
    RETIRE_MOVED, /* what it leads to is not the server any more: nothing new goes there, and who waits there for a key is told */
};
/* The uplinks of one profile, or of all (NULL). */
void server_retire(struct server *, const struct profile *, enum retire);
void server_resize(struct server *);  /* server_connections changed */
void server_move(struct server *);    /* its address changed */
/* It is in no ring any more. `keeps`: takes a reference. */
void server_leave(struct server *, struct conf *keeps, int64_t by);
bool server_is_empty(const struct server *); /* it has no uplinks */
void server_reclock(struct server *); /* the time-out changed, for what is in flight too */

/* The uplink left its slot or the list of suspects: nothing new goes there. */
/* Closes uplinks that nobody used for a while. Returns true while there are any that it would close one day. */
bool server_upkeep(struct server *);
void server_forget(struct server *, struct uplink *, enum reason);
void server_suspect(struct server *, struct uplink *);
/* An uplink that carries a large reply leaves its slot, if not too many did. Fine when it is in none. */
void server_set_aside(struct server *, struct uplink *);
/* ... and returns, if nobody took its place. Fine when it did not leave. */
void server_readmit(struct server *, struct uplink *);

#endif
