/* names.h: keeps the addresses of servers that are configured by name: looked up at start, when they expire, and when
 * connections fail. Start does not wait for it. Control thread. */
#ifndef KVMUX_ADMIN_NAMES_H
#define KVMUX_ADMIN_NAMES_H

#include "base/list.h"
#include "io/resolve.h"

struct control;

struct name {
    struct lookup lookup;
    struct timer timer; /* the next look */
    struct control *control;
    uint32_t pool, server;
    struct addr addrs[RESOLVE_MAX];
    uint32_t naddrs;
    uint32_t failures; /* look-ups in a row that found nothing */
    int64_t looked_at; /* usec */
    bool answered;     /* workers know the outcome of one look-up at least */
};

struct names {
    struct name *v;
    uint32_t n;
};

void names_start(struct names *, struct control *);
void names_fini(struct names *);
/* A worker could not connect: look again, unless that was just done. */
void names_again(struct names *, uint32_t pool, uint32_t server);

#endif
