/* uplink_state.h: what the files of an uplink share: uplink.c (begin and end), uplink_send.c (queues and writing),
 * uplink_recv.c (replies), uplink_pass.c and uplink_whole.c (large ones), uplink_time.c (deadlines). */
#ifndef KVMUX_CORE_UPLINK_STATE_H
#define KVMUX_CORE_UPLINK_STATE_H

#include "core/uplink.h"
#include "core/worker_state.h"

static inline int64_t uplink_now(const struct uplink *u) {
    return worker_now(u->worker);
}

/* Requests can be written. */
static inline bool uplink_up(const struct uplink *u) {
    return u->state == UPLINK_READY || u->state == UPLINK_SUSPECT;
}

static inline struct req *uplink_first(const struct queue *q) {
    return q->head == NULL ? NULL : CONTAINER_OF(q->head, struct req, uplink_link);
}

/* uplink.c */
void uplink_move(struct uplink *, enum uplink_state); /* the one place where the state changes */
void uplink_ready(struct uplink *);
void uplink_connect_failed(struct uplink *, enum reason); /* tries the next address, or closes */

/* uplink_send.c */
void uplink_wake(struct uplink *);  /* flush it at the end of this turn */
void uplink_count(struct uplink *); /* brings the gauges of its server up to date */
void uplink_put(struct uplink *, struct req *, bool again); /* `again`: it was queued on another uplink; keeps its place in time */
struct req *uplink_pop_send(struct uplink *);
void uplink_leave(struct uplink *, struct req *); /* the request leaves the server: answered, failed, withdrawn or moved */
/* The head of the send queue, written in part, parts with its bytes: a new request without a client takes them over and
 * stands in its place, so that the server gets what it was promised. Returns that one; the old one is in no queue. */
struct req *uplink_carry_on(struct uplink *, uint16_t flags);

/* uplink_recv.c */
size_t uplink_on_recv(struct stream *, struct buf *, struct slice);

/* uplink_pass.c */
/* The reply to `r`, of which `in` is a part and `rsp` says MORE, goes on while it arrives if it may. Both return how many bytes
 * they took. u->pass_left: so many of what follows are uplink_pass's. */
size_t uplink_pass_more(struct uplink *, struct req *, struct buf *, struct slice in, struct rsp *);
size_t uplink_pass(struct uplink *, struct buf *, struct slice in);
void uplink_on_bytes(struct stream *);
bool uplink_impatient(struct uplink *); /* it is paused for the client of that reply, and others waited long enough */
/* u->passing: the end of it is there. From here on it is a reply like any other. */
void uplink_pass_end(struct uplink *, struct req *);

/* uplink_whole.c */
/* May the reply to `r` (NULL: to the greeting), of which `have` bytes are here, be collected? False: whoever waited got an error, or the
 * uplink is closed. */
bool uplink_whole(struct uplink *, struct req *r, const struct rsp *, size_t have);
void uplink_whole_end(struct uplink *); /* what was counted for it is not to come any more */

/* uplink_time.c */
void uplink_arm(struct uplink *, int64_t at); /* the timer runs at this time at the latest */
int64_t uplink_next_deadline(const struct uplink *);
void uplink_on_timer(struct timer *);

#endif
