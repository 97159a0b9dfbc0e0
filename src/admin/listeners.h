/* listeners.h: everything the program listens on. Bound before any thread runs, and again when a reload wants other addresses.
 * Control thread. */
#ifndef KVMUX_ADMIN_LISTENERS_H
#define KVMUX_ADMIN_LISTENERS_H

#include "core/mail.h"
#include "core/worker.h"

/* One address. */
struct listening {
    struct addr addr;
    unsigned mode; /* of a unix socket */
    bool stats;    /* or the admin port: not a pool's */
    bool fresh;    /* its descriptors are still ours */
    bool handed;   /* somebody else bound it */
    bool ours;     /* of a unix socket: the path is ours to remove, or will be (listeners_settle) */
    int *fds;      /* one per worker at least, given to them in turn; one of the statistics */
    uint32_t nfds;
    char *path;    /* of a unix socket that we made; removed at the end if it is still the same file */
    uint64_t dev, ino;
};
/* A descriptor that somebody else bound, and that no address was found for yet. */
struct handed {
    struct addr addr;
    int fd;
    bool ours; /* the path of a unix socket is ours to remove */
};
struct listeners {
    struct listening *v;
    uint32_t n;
    unsigned workers;
    int stats_fd; /* -1: none */
    struct handed *handed;
    uint32_t nhanded;
};

/* Before listeners_open: takes a descriptor that clients can be accepted on, which is then not bound again. False: it is none, and
 * stays the caller's. */
bool listeners_hand(struct listeners *, int fd, bool ours);
/* We serve, and whoever handed descriptors lets go of them: paths are ours from now on, and what nobody wants is closed. */
void listeners_settle(struct listeners *);
/* The other way round: somebody else serves what is ours. Paths are not removed at our end. */
void listeners_lend(struct listeners *);

/* On listeners that are zero but for what listeners_hand took. Binds the statistics (one descriptor) and every address of every pool (one descriptor per worker). False: `why` names
 * the address and the reason; listeners_fini removes what was made so far. */
bool listeners_open(struct listeners *, const struct conf *, const struct addr *stats, unsigned workers, char *why,
                    size_t room);
/* The admin port: one descriptor, for the caller to hand on. */
bool listeners_open_admin(struct listeners *, const struct addr *, int *fd, char *why, size_t room);
/* Hands worker number `index` its descriptors. */
void listeners_give(const struct listeners *, const struct conf *, unsigned index, struct worker *);
/* Removes the unix sockets; the descriptors are their takers'. */
void listeners_fini(struct listeners *);

/* Another configuration: binds what it wants and we do not have. False: the problems say why; listeners_undo closes the rest. */
bool listeners_change(struct listeners *, const struct conf *, struct conf_problems *);
void listeners_undo(struct listeners *);
/* What is fresh, for one worker. Allocated; returns how many there are. */
uint32_t listeners_fresh(const struct listeners *, const struct conf *, unsigned worker, struct new_listener **);
/* Everybody has what is fresh, and is told what is not wanted any more. */
void listeners_commit(struct listeners *, const struct conf *);

/* Blocking; the first address that the system gives. */
conf_resolve_fn listeners_resolve;
/* For --where and --diff, which listen nowhere: takes every name and leaves the address empty. */
conf_resolve_fn listeners_resolve_nothing;

#endif
