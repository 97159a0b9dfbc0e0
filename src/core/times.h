/* times.h: counts where the time of requests goes (stats/times.h). One worker.
 *
 * req.born is when it was queued, req.since when the part of its life began that it is in: queued, written, answered; in
 * microseconds of the turn's time, cut to 32 bits. born 0: it is not counted (a request whose turn began at just that
 * microsecond, once in 71 minutes, is lost). The clock is read once a turn, so what happens in one turn took no time.
 *
 * Every request has the two, but one in TIMES_SAMPLE only is added to the histograms, and counts that often: those of a turn that
 * began at a microsecond which TIMES_SAMPLE divides. How long the earlier turns took decides it, which is as good as chance.
 *
 * Between the reply and its being written lie two parts. While a client has room, everything that is its turn is written in the turn
 * in which it becomes so: what is late then waited for an earlier request. While it has none (client.stalled_at), what is
 * answered waits for it to read, and whether an earlier request is late as well is not asked. */
#ifndef KVMUX_CORE_TIMES_H
#define KVMUX_CORE_TIMES_H

#include "core/req.h"
#include "core/worker_state.h"

#define TIMES_SAMPLE 32u

static inline uint32_t times_now(const struct worker *w) {
    return (uint32_t)worker_now(w);
}

static inline bool times_sampled(const struct req *r) {
    return UNLIKELY(r->born % TIMES_SAMPLE == 0);
}

/* It is queued. */
static inline void times_queued(struct req *r, uint32_t now) {
    r->born = r->since = now;
}

/* It waits because it was asked to: not counted. */
static inline void times_never(struct req *r) {
    r->born = r->since = 0;
}

void times_sent_late(struct server *, struct req *, uint32_t now);
/* It is written to the server. */
static inline void times_sent(struct server *s, struct req *r, uint32_t now) {
    if (UNLIKELY(r->since != now)) {
        times_sent_late(s, r, now);
    }
}

void times_add_server(const struct server *, const struct req *, uint32_t now);
/* Its reply is here, or it was waited for in vain. */
static inline void times_replied(const struct server *s, struct req *r, uint32_t now) {
    if (times_sampled(r)) {
        times_add_server(s, r, now);
    }
    r->since = now;
}

void times_part_ended(struct req *whole, const struct req *part);
void times_failed(struct req *); /* its error is made now */

void times_add_pool(const struct pool *, const struct req *, uint32_t now);
/* The client has its reply. */
static inline void times_written(const struct pool *p, const struct req *r, uint32_t now) {
    if (times_sampled(r)) {
        times_add_pool(p, r, now);
    }
}

/* What lies between its reply and now, when it is written: waiting for earlier requests, and for the client to read. */
void times_late(const struct req *, uint32_t now, uint32_t *order, uint32_t *client);

/* A request that came in pieces is whole, `usec` after its first bytes. Each is counted, since they are rare. */
void times_received(const struct pool *, uint32_t usec);

/* ---- begin and end ---- */

/* The histograms of a server are made when it is connected to for the first time, so that those that nobody uses cost nothing. */
void times_need(struct server *);

#endif
