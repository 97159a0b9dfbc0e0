/* build.h: what conf.c, build.c and check.c share. */
#ifndef KVMUX_CONF_BUILD_H
#define KVMUX_CONF_BUILD_H

#include "conf/keys.h"

/* Where things stand in the file, for messages of the cross checks; nothing of it outlives conf_parse. */
struct build_pool {
    struct conf_pool pool;
    struct place at;                  /* its name */
    struct place key_at[KEYS_MAX];    /* line 0: the key is not given */
    struct place listen_at, servers_at, users_at, commands_at, deny_at;
    const struct node *commands, *deny; /* `commands:` and `deny_commands:`; NULL: not given */
    /* one per entry, in the order of pool.listens, pool.servers and pool.users */
    struct place *listens_at, *server_places, *user_places;
};

struct build {
    struct conf_problems *problems;
    conf_resolve_fn *resolve;
    struct conf *conf; /* pools stay in `pools` until the end */
    struct build_pool *pools;
    uint32_t npools;
    struct place section_at; /* of `kvmux:`; line 0: there is none */
};

/* Fills `build` from the tree: pools and servers in nutcracker's order. Frees nothing on error: build_fini does. */
void build_file(struct build *, const struct node *root);
void build_fini(struct build *);
/* Moves the pools into build->conf. */
void build_finish(struct build *);
void conf_pool_fini(struct conf_pool *);

/* inherit.c: the first ids. */
void conf_number(struct conf *);

/* commands.c: makes pool.rules of `commands:` and `deny_commands:`, once all keys are known. */
void commands_build(struct build *, struct build_pool *);

/* tls.c: reads the files of tls_... and server_tls_... and checks them, once all keys are known. */
void tls_build(struct build *, struct build_pool *);
void conf_pem_fini(struct conf_pem *);

/* What one value alone cannot tell. */
void check_file(const struct build *);

#endif
