/* certs.h: says in the log which certificates of the configuration end soon: when it is taken, and once a day from then on. Control
 * thread. */
#ifndef KVMUX_ADMIN_CERTS_H
#define KVMUX_ADMIN_CERTS_H

#include "io/io.h"

struct control;

struct certs {
    struct control *control;
    struct timer timer;
};

void certs_init(struct certs *, struct control *);
void certs_fini(struct certs *);
void certs_look(struct certs *); /* at c->conf, which is another one */

#endif
