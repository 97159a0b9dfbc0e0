/* mail.h: what control and workers say to each other. Each message is allocated by the sender and freed by the receiver. */
#ifndef KVMUX_CORE_MAIL_H
#define KVMUX_CORE_MAIL_H

#include "base/mailbox.h"
#include "base/reason.h"
#include "io/addr.h"
#include "proto/proto.h"
#include "route/ring.h"

struct book;
struct conf;
struct pool_times;
struct server_times;

enum mail_kind {
    /* control to worker */
    MAIL_CONF,    /* mail_conf: another configuration, with its rings and new listeners */
    MAIL_SEEN,    /* mail: control has the view that followed MAIL_CONF, and looks at no older one */
    MAIL_RING,    /* mail_ring: from now on keys go by this ring */
    MAIL_ADDRS,   /* mail_addrs: where a server lives */
    MAIL_COMMANDS, /* mail_commands: what the servers of a pool say of themselves */
    MAIL_WATCH,   /* mail_health: a server failed somewhere; report its next good reply with MAIL_WORKS */
    MAIL_LEAVE,   /* mail_leave: another process serves: stop taking clients, and give it those that there are (handover.h) */
    MAIL_CLIENT,  /* mail_client (handover.h): a client of another process; and from a worker to the one that takes it there */
    MAIL_DRAIN,   /* mail: stop taking clients, finish what is in flight */
    MAIL_STOP,    /* mail: close everything now */
    /* worker to control, and control to every worker */
    MAIL_SCRIPT,  /* mail_script: a body that the worker saw for the first time */
    MAIL_FORGET,  /* mail_script without a body: all of a pool are forgotten */
    /* worker to control */
    MAIL_FAILED,   /* mail_health: a connection to a server failed */
    MAIL_WORKS,    /* mail_health: a good reply after a reported failure */
    MAIL_UP,       /* mail_health: the first connection to a server, or the first since one was lost, is of use */
    MAIL_RESOLVE,  /* mail_health: the addresses of a server do not work any more, look its name up again */
    MAIL_VIEW,     /* mail_view: MAIL_CONF is done, and here are the counters of what there is now */
    MAIL_GONE,     /* mail_worker: a pool that was removed has ended in this worker */
    MAIL_STOPPED,  /* mail_worker: it has closed everything, after MAIL_STOP or at the end of draining */
    MAIL_LOG,      /* mail_log: a line to write */
    /* both ways */
    MAIL_ROLL,     /* mail_roll (core/roll.h): all clients, for the operator; from control to one worker after the other */
    MAIL_SLOW,     /* mail_slow (core/slowlog.h): the log of slow requests, in the same way */
    MAIL_HOT,      /* mail_hot (core/hot.h): hot keys and big requests, in the same way */
    MAIL_SURVEY,   /* mail_survey: from worker to worker by way of control, and back to the one that asked */
};

/* Pools and servers travel by their ids (conf_inherit): a mail that is late names something that is gone, never another thing. */

/* What workers need of a pool beside its configuration. */
struct pool_start {
    struct ring *ring;  /* in mails: one reference */
    uint32_t *clients;  /* of all workers, atomic; control's, until every worker has let go of the pool (MAIL_GONE) */
};

struct new_listener {
    struct addr addr;
    uint32_t pool; /* index in the configuration */
    int fd;
};

struct mail_conf {
    struct mail mail;
    struct conf *conf;              /* one reference */
    struct pool_start *starts;      /* in the order of conf->pools; allocated */
    struct new_listener *listeners; /* allocated */
    uint32_t nlisteners;
};

/* Where the counters of a worker are: for each pool those of the pool (server: 0) and then of its servers, in the order of
 * the configuration. What they point to stays until MAIL_SEEN answers a later view. */
struct mail_view {
    struct mail mail;
    uint32_t worker, n;
    struct view_at {
        uint32_t pool, server;
        const uint64_t *v;
        union { /* histograms: read the pointer with acquire; NULL: none yet */
            struct pool_times *const *pool_times;
            struct server_times *const *server_times;
        };
    } at[];
};

struct mail_leave {
    struct mail mail;
    struct mailbox *heir; /* for the clients; outlives the workers */
};

struct mail_ring {
    struct mail mail;
    uint32_t pool;
    struct ring *ring; /* one reference */
};

#define MAIL_VERSION_MAX 32
struct mail_commands {
    struct mail mail;
    uint32_t pool;
    struct book *book; /* one reference */
    char version[MAIL_VERSION_MAX]; /* the lowest; "": not known */
};

#define MAIL_ADDRS_MAX 16
struct mail_addrs {
    struct mail mail;
    uint32_t pool, server;
    uint32_t n; /* 0: the name does not resolve */
    struct addr addrs[MAIL_ADDRS_MAX];
};

struct mail_health {
    struct mail mail;
    uint32_t worker, pool, server;
    enum reason reason;
    int64_t opened_at; /* when the connection was started, and */
    int64_t at;        /* when this happened: usec, on the clock that all loops of the process share */
};

struct mail_script {
    struct mail mail;
    uint32_t worker, pool; /* who saw it, of which pool (id) */
    uint32_t len;
    uint8_t digest[SCRIPT_DIGEST];
    uint8_t body[];
};

struct mail_worker {
    struct mail mail;
    uint32_t worker, pool; /* pool: MAIL_GONE */
};

/* One question about the clients of a pool on its round (core/survey.h). One piece of memory: whoever finds it in a
 * mailbox that nobody reads any more frees it as any other mail. */
struct mail_survey {
    struct mail mail;
    uint32_t pool, asker; /* the worker that asked */
    uint32_t next;        /* control: the worker to be asked next */
    bool home;            /* all were asked: this is for the asker */
    bool over;            /* the answers were larger than `limit`, and were dropped */
    uint64_t token;       /* the asker's own */
    uint64_t client;      /* session.id of the client that asked */
    uint64_t deeds;       /* clients closed */
    size_t limit;         /* bytes of answers */
    size_t nquestion, nsaid;
    uint8_t bytes[]; /* the question, then what was said so far */
};

struct mail_log {
    struct mail mail;
    int level;
    uint32_t len;
    char line[];
};

#endif
