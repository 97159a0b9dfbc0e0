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
    int *fds;      /* one per worker; one of the statistics */
    char *path;    /* of a unix socket that we made; removed at the end if it is still the same file */
    uint64_t dev, ino;
};
struct listeners {
    struct listening *v;
    uint32_t n;
    unsigned workers;
    int stats_fd; /* -1: none */
};

/* Binds the statistics (one descriptor) and every address of every pool (one descriptor per worker). False: `why` names
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
