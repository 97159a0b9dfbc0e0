/* patience.h: how long clients may take: to ask for the first time, to send a request whole, and between two requests. Once a second a
 * pool looks at its clients, when any of that is limited; requests cost nothing. One worker. */
#ifndef KVMUX_CORE_PATIENCE_H
#define KVMUX_CORE_PATIENCE_H

#include "io/io.h"

struct pool;

struct patience {
    struct timer timer;
    int64_t looked_at; /* usec: when it was last noted who is in the middle of a request */
};

/* The configuration of the pool is there, or another one. */
void patience_derive(struct pool *);
void patience_end(struct pool *);

#endif
