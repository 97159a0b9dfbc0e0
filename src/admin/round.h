/* round.h: one request to the admin port that waits while a mail goes from worker to worker and comes back to control with what each
 * added. One at a time of a kind; a second one is told to ask again. Control thread.
 *
 *   round_begin, the first *_on_mail ─▶ a worker ─▶ *_on_mail ─▶ the next ─▶ ... ─▶ *_on_mail: the answer, round_end */
#ifndef KVMUX_ADMIN_ROUND_H
#define KVMUX_ADMIN_ROUND_H

#include "io/io.h"

struct control;
struct mail_hot;
struct mail_roll;
struct mail_slow;
struct request;

struct round {
    struct control *control;
    struct request *asker; /* NULL: none is under way */
    uint64_t token;        /* of the last one: a mail with another is late */
    struct timer timer;
};

void round_init(struct round *, struct control *);
void round_fini(struct round *); /* before http_free: who waits is told */
/* The request waits. False: it was told that another one does. */
bool round_begin(struct round *, struct request *);
/* A mail with this token is back, and somebody still waits for it: an answer, and round_end, are due. */
static inline bool round_wants(const struct round *r, uint64_t token) {
    return r->asker != NULL && r->token == token;
}
void round_end(struct round *); /* after the answer */

/* Mails on their rounds (core/roll.h, core/hot.h, core/slowlog.h). Each takes its own. */
void clients_on_mail(struct control *, struct mail_roll *);
void hotkeys_on_mail(struct control *, struct mail_hot *);
void slow_on_mail(struct control *, struct mail_slow *);

#endif
