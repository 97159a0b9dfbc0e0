/* control_state.h: the inside of control, for the files of admin. */
#ifndef KVMUX_ADMIN_CONTROL_STATE_H
#define KVMUX_ADMIN_CONTROL_STATE_H

#include "admin/access.h"
#include "admin/certs.h"
#include "admin/control.h"
#include "admin/health.h"
#include "admin/history.h"
#include "admin/learn.h"
#include "admin/names.h"
#include "admin/round.h"
#include "admin/stats_port.h"
#include "admin/watch.h"
#include "base/log.h"
#include "core/mail.h"
#include "io/resolve.h"

/* What control knows of one server, and of one pool. They do not move: streams and timers are inside, and workers count clients. */
struct control_server {
    struct list link; /* of control's dead */
    uint32_t id;      /* of the process (conf_inherit) */
    struct health health;
    struct learn learn;
    struct name name;
};

struct control_pool {
    uint32_t id;
    uint32_t clients; /* of all workers, atomic */
    uint32_t holders; /* it was removed: workers that have not let go of it */
    uint32_t nservers;
    struct control_server **servers; /* in the order of the configuration */
    struct ring *ring;               /* the one that workers use now */
    struct lore lore;
    struct pool_block block;         /* what control itself counts: server_ejects */
};

struct control {
    struct control_opts opts;
    struct conf *conf;
    struct shared *shared;
    struct bufpool bufs;
    struct loop *loop;
    struct mailbox mailbox;
    struct resolver *resolver;
    struct control_pool **pools;   /* in the order of the configuration */
    struct control_pool **retired; /* that were removed and have holders */
    uint32_t nretired;
    struct list dead;              /* servers that went in this turn */
    struct rules **rules;          /* all that ever were in use: requests point into them */
    uint32_t nrules;
    struct worker **workers;
    struct mail_view **views;      /* where the counters of each worker are */
    uint32_t nworkers, stopped;
    uint32_t switching;            /* workers that have not taken the last configuration yet */
    uint32_t reloads;              /* that were tried */
    bool refused;                  /* the last one was */
    bool reload_wanted;            /* as soon as they have */
    struct stats_port stats_port;
    struct http *http; /* NULL: there is no admin port */
    struct round clients, hotkeys, slow;
    struct access_log access;
    struct history *history; /* NULL: nobody could ask for it */
    struct timer drain_timer;
    struct watch watch;
    struct certs certs;
    struct request *upgrade_asker; /* who waits for the outcome of an upgrade; NULL: nobody */
    bool upgrade_wanted;           /* main has not heard of it yet */
    bool leaving;                  /* clients go to another process */
    bool draining;                 /* it will not become ready again */
    struct log_limit log_limit, deeds_log;
};

/* Every pool of c->conf anew, with what stays of c->pools; `old` NULL: at start. reload.c */
void control_make_pools(struct control *, const struct conf *old);
void control_keep_rules(struct control *, struct conf *);
void control_free_pools(struct control *);
void control_build_ring(struct control *, uint32_t pool); /* by the health of its servers */
void control_bury(struct control *); /* at the end of a turn */
/* A worker tells: it has switched; it has let go of a pool. Takes the view. */
void control_switched(struct control *, struct mail_view *);
void control_pool_gone(struct control *, uint32_t pool);

/* To every worker. */
void control_post_ring(struct control *, uint32_t pool);
void control_post_commands(struct control *, uint32_t pool);
void control_post_watch(struct control *, uint32_t pool, uint32_t server);
void control_post_addrs(struct control *, uint32_t pool, uint32_t server, const struct addr *, uint32_t n);

#endif
