/* mailbox.h: messages between the control thread and the workers. Any thread posts, one thread takes.
 * Nothing of the data path goes this way, so a mutex is fine; that there is nothing is seen without it, once a turn. */
#ifndef KVMUX_BASE_MAILBOX_H
#define KVMUX_BASE_MAILBOX_H

#include "base/list.h"

#include <pthread.h>

/* First member of every message; what follows is between sender and receiver. The receiver frees it. */
struct mail {
    struct queue_link link;
    int kind;
};

typedef void mailbox_notify_fn(void *ctx); /* wakes the taker's loop; called by the poster's thread */

struct mailbox {
    pthread_mutex_t lock;
    struct queue mails;
    bool some; /* there are mails; atomic, written with the lock held */
    mailbox_notify_fn *notify;
    void *ctx;
};

void mailbox_init(struct mailbox *, mailbox_notify_fn *, void *ctx);
void mailbox_fini(struct mailbox *); /* frees with mem_free what nobody took */
void mailbox_post(struct mailbox *, struct mail *); /* takes the mail */
struct mail *mailbox_take(struct mailbox *);        /* oldest first; NULL: none */

#endif
