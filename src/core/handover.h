/* handover.h: clients go to another process that serves in our place (docs/architecture.md, "Upgrade").
 *
 * A worker that leaves reads no more of a client that could go, and lets it go as soon as everything it asked for is answered:
 * as a mail_client, whose passport is what the other process has to know. A client that is in a transaction, holds a lease or
 * listens to channels is served on until it is none of that, or until the worker is stopped. */
#ifndef KVMUX_CORE_HANDOVER_H
#define KVMUX_CORE_HANDOVER_H

#include "core/mail.h"

struct worker;

#define PASSPORT_VERSION 2 /* of struct passport: both processes must have the same */
/* Of a client that goes; of what it sent and was not looked at yet: so much fits one record (main/link.h). */
#define PASSPORT_MAX (160u << 10)

enum { PASSPORT_POOL, PASSPORT_FRONT /* codec; "": it has not said a byte */, PASSPORT_USER /* "": the pool's own */, PASSPORT_NAME,
       PASSPORT_LIB, PASSPORT_LAST /* its last request */, PASSPORT_FROM /* a struct addr; "": it came by itself */, PASSPORT_UNREAD, PASSPORT_PARTS };

struct passport {
    uint64_t id;
    uint32_t db, wrote, since, read_at;
    uint8_t version, authed, hush, zero;
    uint32_t len[PASSPORT_PARTS]; /* of what follows the passport, in this order */
};

struct mail_client {
    struct mail mail;
    int fd;
    struct passport passport;
    uint8_t bytes[];
};
/* Whether `n` bytes can be a passport with what belongs to it. */
bool passport_fits(const struct passport *, size_t n);
size_t passport_size(const struct passport *); /* with what belongs to it */

/* No client is taken any more; those that there are go to `heir`, a mailbox that outlives the worker. */
void worker_leave(struct worker *, struct mailbox *heir);
/* At the end of each turn of a worker that leaves. */
void worker_hand_over(struct worker *);
/* A client of another process. What cannot be served here (its pool or its user are not there) is closed. */
void worker_take_client(struct worker *, const struct mail_client *);

#endif
