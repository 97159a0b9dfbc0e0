/* admin_port.h: where the admin port listens, and who may use it (admin/guard.h). Main thread. */
#ifndef KVMUX_MAIN_ADMIN_PORT_H
#define KVMUX_MAIN_ADMIN_PORT_H

#include "admin/http.h"
#include "admin/listeners.h"
#include "conf/conf.h"
#include "main/args.h"

struct admin_port {
    struct http_opts opts; /* fd -1: there is none; it points into this struct */
    char *host, *token;
};

/* Binds the address of --admin and reads the file of --admin-token-file. An address that was not given and is taken is a
 * warning. False: `why` says what is wrong. */
bool admin_port_open(struct admin_port *, const struct args *, const struct conf *, struct listeners *, char *why, size_t room);
void admin_port_fini(struct admin_port *); /* the descriptor is its taker's */

#endif
