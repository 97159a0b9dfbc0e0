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

/* Starts looking, if the server is configured by name. */
void name_init(struct name *, struct control *, uint32_t pool, uint32_t server);
void name_fini(struct name *);
/* A worker could not connect: look again, unless that was just done. */
void name_again(struct name *);

#endif
