/* listeners.h: everything the program listens on, bound before any thread runs. Main thread. */
#ifndef KVMUX_MAIN_LISTENERS_H
#define KVMUX_MAIN_LISTENERS_H

#include "core/worker.h"

struct listener_fd {
    uint32_t pool;
    unsigned worker;
    int fd;
};
/* A unix socket that we made; removed at the end if it is still the same file. */
struct listener_path {
    char *path;
    uint64_t dev, ino;
};
struct listeners {
    struct listener_fd *fds;
    uint32_t nfds;
    struct listener_path *paths;
    uint32_t npaths;
    int stats_fd; /* -1: none */
};

/* Binds the statistics (one descriptor) and every address of every pool (one descriptor per worker). False: `why` names
 * the address and the reason; listeners_fini removes what was made so far. */
bool listeners_open(struct listeners *, const struct conf *, const struct addr *stats, unsigned workers, char *why,
                    size_t room);
/* Hands worker number `index` its descriptors. */
void listeners_give(struct listeners *, unsigned index, struct worker *);
/* Removes the unix sockets; the descriptors are their takers'. */
void listeners_fini(struct listeners *);

/* Blocking; the first address that the system gives. */
conf_resolve_fn listeners_resolve;
/* For --where, which listens nowhere: takes every name and leaves the address empty. */
conf_resolve_fn listeners_resolve_nothing;

#endif
