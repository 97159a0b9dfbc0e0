/* model_int.h: shared by model.c, model_more.c and model_mc.c. */
#ifndef KVMUX_TESTS_SIM_MODEL_INT_H
#define KVMUX_TESTS_SIM_MODEL_INT_H

#include "model.h"

#define MODEL_BUCKETS 1024
#define MODEL_ARGS_MAX 1024

struct model_key {
    struct model_key *next;
    uint8_t *key, *value;
    size_t key_len, value_len;
    uint32_t flags;
    uint64_t cas;
};

struct model {
    struct model_opts opts;
    uint64_t cas;
    struct model_conn *serving; /* whose request this is */
    bool has_script[MODEL_SCRIPTS];
    struct model_key *buckets[MODEL_BUCKETS];
};

struct model_key *model_find(struct model *, struct slice key);
void model_put(struct model *, struct slice key, struct slice value, uint32_t flags);
bool model_del(struct model *, struct slice key);
bool model_get(struct model *, struct slice key, uint8_t **value, size_t *len, uint32_t *flags);
void model_touched(struct model *, struct slice key);
void model_say(struct sim_conn *, const char *text);
void model_say_int(struct sim_conn *, int64_t);
void model_say_bulk(struct sim_conn *, struct slice);
/* Bytes of the whole request, 0: not there yet. Anything that is not an exact array of bulks fails the test. */
size_t model_read_request(struct slice in, struct slice *args, uint32_t *nargs);
void model_serve_redis(struct model *, struct model_conn *, struct sim_conn *, struct slice raw, const struct slice *args,
                       uint32_t nargs);
void model_hello(struct model *, struct model_conn *, struct sim_conn *, const struct slice *args, uint32_t nargs);
/* False: not its command. */
bool model_serve_more(struct model *, struct model_conn *, struct sim_conn *, struct slice raw, const struct slice *args,
                      uint32_t nargs);
/* Channels (model_listen.c). False: not its command. */
bool model_serve_listen(struct model *, struct model_conn *, struct sim_conn *, const struct slice *args, uint32_t nargs);
/* A pop waits on this connection; true when it was answered now. */
bool model_wait_ends(struct model *, struct model_conn *, struct sim_conn *);
/* Serves the request that `in` begins with; returns its length, 0: it is not there whole. */
size_t model_mc_serve(struct model *, struct sim_conn *, struct slice in);

#endif
