/* resolve.h: names to addresses, without blocking (c-ares; /etc/hosts is honoured). Driven by the loop that it was made for. */
#ifndef KVMUX_IO_RESOLVE_H
#define KVMUX_IO_RESOLVE_H

#include "io/io.h"

#define RESOLVE_MAX 16 /* addresses kept of one name */

struct resolver;
struct resolver *resolver_new(struct loop *);
void resolver_free(struct resolver **); /* lookups under way end without a callback */

struct lookup;
/* `n` addresses with port set, in the order to try them, and for how long they are good (seconds); n == 0: failed, `why`
 * says how, in words. Called once per lookup, inside loop_turn. */
typedef void lookup_fn(struct lookup *, const struct addr *, unsigned n, uint32_t ttl_sec, const char *why);
struct lookup {
    lookup_fn *fn;
    struct resolver *resolver; /* NULL: not under way */
    uint16_t port;
    void *query; /* resolve.c's own */
};
void lookup_start(struct resolver *, struct lookup *, const char *host, uint16_t port, lookup_fn *);
void lookup_cancel(struct lookup *); /* no callback follows; fine when not under way */

#endif
