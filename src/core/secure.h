/* secure.h: TLS of a pool: this worker's contexts for its listeners and its servers, and who is told of what happens. */
#ifndef KVMUX_CORE_SECURE_H
#define KVMUX_CORE_SECURE_H

#include "base/log.h"

struct addr;
struct conf;
struct conf_pool;
struct conf_server;
struct listener;
struct pool;
struct server;

struct secure {
    struct tls_ctx *clients, *servers; /* NULL: the configuration has none */
    struct log_limit log_limit;
};

/* Makes the contexts of pool->conf. Before there are servers. */
void secure_open(struct pool *);
void secure_close(struct pool *);
/* pool->conf is another one than `before`: new contexts where anything is different, and peers for the servers. Connections that are
 * there keep what they began with; the listeners are still to be told. */
void secure_change(struct pool *, const struct conf *conf, const struct conf_pool *before);
/* Whoever comes by a listener of this address from now on speaks TLS, or does not, as the configuration says. */
void secure_listener(const struct pool *, const struct addr *, struct listener *);
/* Whom a server's connections have to find; NULL: they are plain. One reference. */
struct tls_peer *secure_peer(const struct pool *, const struct conf_server *, struct server *);
/* Connections to the servers are made in another way: those that are there are to be replaced. */
bool secure_differs(const struct conf_pool *, const struct conf_pool *);

#endif
