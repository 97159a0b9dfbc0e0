/* stats_port.h: nutcracker's statistics port: on connect one JSON object and a newline, then close (compat part 7).
 * Nothing is read; the numbers are of this moment. Control thread. */
#ifndef KVMUX_ADMIN_STATS_PORT_H
#define KVMUX_ADMIN_STATS_PORT_H

#include "io/io.h"

struct control;

struct stats_port {
    struct control *control;
    struct listener listener;
    struct list readers;
    struct list dead; /* closed in this turn */
    uint32_t nreaders;
    bool open;
};

/* fd -1: no port. Takes the descriptor. */
void stats_port_start(struct stats_port *, struct control *, int fd);
void stats_port_shut(struct stats_port *); /* takes no more readers: another process does */
void stats_port_bury(struct stats_port *); /* at the end of a turn: frees the readers that were closed in it */
void stats_port_fini(struct stats_port *);

#endif
