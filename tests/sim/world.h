/* world.h: the whole proxy, some workers and control, in one thread with virtual time. */
#ifndef KVMUX_TESTS_SIM_WORLD_H
#define KVMUX_TESTS_SIM_WORLD_H

#include "sim_net.h"

#include "base/slice.h"

#define WORLD_WORKERS 16

struct world;

struct world_opts {
    const char *name;     /* of the configuration, for its problems */
    struct slice config;
    uint32_t workers;
    struct sim_policy policy;
    struct sim_servers servers;
    bool learns; /* control asks servers about themselves: one more connection to each */
    /* Lets the peers act on what they received; returns true when one of them did something. NULL: they are scripted. */
    bool (*peers)(void *ctx);
    void *peers_ctx;
    void (*before_start)(void *ctx); /* names to be known, called when the world has begun; may be NULL */
    void *before_ctx;
};

/* Starts everything. A configuration that is not taken fails the test. */
struct world *world_new(const struct world_opts *);
/* Runs until nobody moves any more at this moment. Fails the test when that never happens (something spins). */
void world_settle(struct world *);
void world_advance(struct world *, int64_t usec);
/* One turn of everything; true when anything moved or could. */
bool world_round(struct world *);
/* Another configuration, as SIGHUP takes it. False: it was not taken, the log says why. */
bool world_reload(struct world *, struct slice config);
void world_drain(struct world *);
bool world_stopped(const struct world *);
/* Drains, waits for it, frees everything and looks for leaks. The peers must have let go of their connections. */
void world_free(struct world **);

uint32_t world_pools(const struct world *);
/* The sum over all workers. False: there is no such metric. `pool` NULL: of the workers; `server` NULL: of the pool. */
bool world_metric(const struct world *, const char *pool, const char *server, const char *name, int64_t *value);
/* Everything logged so far. */
const char *world_log(const struct world *);
/* Where the first (or the named) pool listens. */
const struct addr *world_listen(const struct world *, const char *pool);
size_t world_buffers(const struct world *); /* bytes of buffers that the workers hold */

#endif
