/* clients.h: the list of clients that /clients waits for. Control thread. */
#ifndef KVMUX_ADMIN_CLIENTS_H
#define KVMUX_ADMIN_CLIENTS_H

#include "io/io.h"

struct control;
struct mail_roll;
struct request;

struct clients {
    struct control *control;
    struct request *asker; /* NULL: no round is under way */
    uint64_t token;        /* of the last one: a mail with another is late */
    struct timer timer;
};

void clients_init(struct clients *, struct control *);
void clients_fini(struct clients *); /* before http_free: who waits is told */
/* A mail on its round (core/roll.h). Takes it. */
void clients_on_mail(struct control *, struct mail_roll *);

#endif
