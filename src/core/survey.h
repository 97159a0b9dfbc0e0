/* survey.h: questions about all clients of a pool, whatever worker they are at (ROUTE_SURVEY).
 *
 *   asker ─▶ control ─▶ worker 0 ─▶ control ─▶ worker 1 ─▶ ... ─▶ control ─▶ asker
 *
 * One mail makes the round; each worker lets the codec say something about each of its clients, or close some, and adds it.
 * The request waits in its client's FIFO as the whole of a fan of one part; the part is what a survey holds, so that the
 * client may leave meanwhile. A mail that comes home finds its survey by a token; nobody's is dropped. A worker has one mail
 * under way at a time, the others wait for it: what they hold is bounded by `gather_limit`. One worker. */
#ifndef KVMUX_CORE_SURVEY_H
#define KVMUX_CORE_SURVEY_H

#include "base/list.h"
#include "core/mail.h"
#include "io/io.h"

struct buf;
struct client;
struct msg;
struct pool;
struct portrait;
struct req;
struct worker;

struct surveys {
    struct worker *worker;
    struct list waiting; /* the first one's mail is under way */
    uint64_t tokens;     /* handed out so far */
    struct timer timer;  /* the one under way is late */
};

void surveys_init(struct surveys *, struct worker *);
bool surveys_have(const struct surveys *, const struct pool *); /* of a client of this pool, who may be gone */
void surveys_close(struct surveys *); /* the worker stops: those who wait get an error */
/* What there is to say about a client; without the addresses, which cost system calls. */
void survey_draw(struct portrait *, const struct client *, uint64_t asker);
/* Whether it is one that others may hear of. */
bool survey_counts(const struct client *);
/* A request of ROUTE_SURVEY; `m` was parsed from bytes that lie in `b`. */
void survey_start(struct req *, struct buf *b, const struct msg *m);
void survey_on_mail(struct worker *, struct mail_survey *); /* takes it */

#endif
