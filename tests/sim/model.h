/* model.h: a small server in memory that answers what a script or a random client sends through the proxy.
 *
 * It is strict: a request that is not exactly framed fails the test, since the proxy must never forward such. Keys that
 * begin with "u:" need not be set: "u:ANYTHING:LEN" has a value of LEN bytes made of the key, so that a reply proves
 * which request it answers. */
#ifndef KVMUX_TESTS_SIM_MODEL_H
#define KVMUX_TESTS_SIM_MODEL_H

#include "sim_net.h"

enum model_kind { MODEL_REDIS, MODEL_MEMCACHED };

struct model;

struct model_opts {
    enum model_kind kind;
    const char *password; /* NULL: none */
    uint32_t db;          /* keys must come with this database selected */
    /* A command with this key was carried out. May be NULL. */
    void (*on_key)(void *ctx, struct slice key);
    void *ctx;
};

struct model *model_new(const struct model_opts *);
void model_free(struct model **);

/* One connection's state. */
struct model_conn {
    bool authed;
    uint32_t db;
    uint64_t served;
};
/* Serves at most `max` requests that have arrived whole; returns how many. */
uint32_t model_serve(struct model *, struct model_conn *, struct sim_conn *, uint32_t max);

/* The value of a "u:" key. False: not such a key. The caller frees with mem_free. */
bool model_value(struct slice key, uint8_t **value, size_t *len);

#endif
