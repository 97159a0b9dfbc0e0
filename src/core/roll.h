/* roll.h: a list of the clients of all workers, for the operator.
 *
 *   control ─▶ worker 0 ─▶ control ─▶ worker 1 ─▶ ... ─▶ control
 *
 * One mail makes the round; each worker adds an entry for each of its clients, while there is room for it. */
#ifndef KVMUX_CORE_ROLL_H
#define KVMUX_CORE_ROLL_H

#include "core/mail.h"

#define ROLL_TEXT 64 /* longer names are cut */

struct roll_entry {
    uint64_t id;
    uint32_t worker, version, db; /* version: of the protocol, if the client chose one */
    uint32_t waiting, channels; /* requests that are not answered yet; what it listens to */
    int64_t age_sec, idle_sec;
    int64_t txn;                /* requests kept in its transaction; -1: none */
    uint64_t unread, unsent;    /* bytes */
    bool blocked;
    char addr[ADDR_TEXT_MAX];
    char pool[ROLL_TEXT], user[ROLL_TEXT], name[ROLL_TEXT], lib[ROLL_TEXT], command[ROLL_TEXT]; /* "": nothing to say */
};

struct mail_roll {
    struct mail mail;
    uint32_t next;  /* control: the worker to be asked next */
    uint64_t token; /* control's own */
    uint64_t total; /* clients, those without an entry too */
    uint32_t max, n;
    struct roll_entry v[];
};

struct worker;
/* Adds this worker's clients and sends it back. */
void roll_on_mail(struct worker *, struct mail_roll *); /* takes it */

#endif
