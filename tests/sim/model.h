/* model.h: a small server in memory that answers what a script or a random client sends through the proxy.
 *
 * It is strict: a request that is not exactly framed fails the test, since the proxy must never forward such. Keys that
 * begin with "u:" need not be set: "u:ANYTHING:LEN" has a value of LEN bytes made of the key, so that a reply proves
 * which request it answers. */
#ifndef KVMUX_TESTS_SIM_MODEL_H
#define KVMUX_TESTS_SIM_MODEL_H

#include "sim_net.h"

/* Scripts that the model knows: they do what the command does that they are named after. */
#define MODEL_SCRIPTS 3
extern const char *const model_scripts[MODEL_SCRIPTS]; /* get, set, incr */
#define MODEL_DIGEST 41
void model_digest(uint32_t script, char hex[MODEL_DIGEST]);

enum model_kind { MODEL_REDIS, MODEL_MEMCACHED };

struct model;
struct model_conn;
struct model_more;

struct model_opts {
    enum model_kind kind;
    const char *password; /* NULL: none */
    uint32_t db;          /* keys must come with this database selected ... */
    uint32_t other_db;    /* ... or this one */
    /* A command with this key was carried out, on this connection. May be NULL. */
    void (*on_key)(void *ctx, struct slice key, struct model_conn *);
    /* This element was taken off a list and sent. May be NULL. */
    void (*on_pop)(void *ctx, struct slice element);
    /* PUBLISH: to be told (model_tell) to all connections of the server; returns how many heard it. May be NULL. */
    uint32_t (*on_publish)(void *ctx, struct model *, struct slice channel, struct slice payload);
    bool (*refuses)(void *ctx); /* a channel that is asked for; may be NULL */
    void *ctx;
};

struct model *model_new(const struct model_opts *);
void model_free(struct model **);
void model_forget_scripts(struct model *);

/* One connection's state. */
struct model_conn {
    bool authed;
    uint8_t version; /* 3 after HELLO 3 */
    uint32_t db;
    uint32_t mark; /* on_key's own; 0 again when a transaction is over */
    uint64_t served;
    uint32_t listens; /* bits of names */
    bool is_feed;     /* it asked for a channel once */
    struct model_more *more; /* transactions and waiting */
};
void model_conn_fini(struct model_conn *);
/* EXEC is being carried out on it. */
bool model_in_exec(const struct model_conn *);
/* Serves at most `max` requests that have arrived whole; returns how many. */
uint32_t model_serve(struct model *, struct model_conn *, struct sim_conn *, uint32_t max);

/* A pop waits on this connection. */
bool model_waits(const struct model_conn *);

/* Names to listen to: channels, then patterns. */
#define MODEL_CHANNELS 4
#define MODEL_NAMES 6
const char *model_name(uint32_t);
uint32_t model_name_find(struct slice); /* MODEL_NAMES: none */
bool model_name_hears(uint32_t, struct slice channel);
/* Sends the message to this connection, once for each of its names that hear it; returns how often. */
uint32_t model_tell(const struct model_conn *, struct sim_conn *, struct slice channel, struct slice payload);

/* The value of a "u:" key. False: not such a key. The caller frees with mem_free. */
bool model_value(struct slice key, uint8_t **value, size_t *len);

#endif
