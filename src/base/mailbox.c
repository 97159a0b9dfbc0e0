#include "base/mailbox.h"

#include "base/mem.h"

void mailbox_init(struct mailbox *m, mailbox_notify_fn *notify, void *ctx) {
    pthread_mutex_init(&m->lock, NULL);
    queue_init(&m->mails);
    m->some = false;
    m->notify = notify;
    m->ctx = ctx;
}

void mailbox_fini(struct mailbox *m) {
    struct mail *mail;
    while ((mail = mailbox_take(m)) != NULL) {
        mem_free(mail);
    }
    pthread_mutex_destroy(&m->lock);
}

void mailbox_post(struct mailbox *m, struct mail *mail) {
    pthread_mutex_lock(&m->lock);
    bool first = m->mails.head == NULL;
    queue_push(&m->mails, &mail->link);
    __atomic_store_n(&m->some, true, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&m->lock);
    if (first && m->notify != NULL) {
        m->notify(m->ctx);
    }
}

struct mail *mailbox_take(struct mailbox *m) {
    if (!__atomic_load_n(&m->some, __ATOMIC_ACQUIRE)) {
        return NULL; /* whoever posts just now wakes the taker's loop afterwards */
    }
    pthread_mutex_lock(&m->lock);
    struct queue_link *link = queue_pop(&m->mails);
    __atomic_store_n(&m->some, m->mails.head != NULL, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&m->lock);
    return link == NULL ? NULL : CONTAINER_OF(link, struct mail, link);
}
