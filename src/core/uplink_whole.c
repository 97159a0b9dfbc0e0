/* uplink_whole.c: large replies that are received whole: parts of a split request, translated ones, all with `cut_through: 0`.
 *
 * Room for them is asked for before they are received: what all workers have promised in this way and what they hold must fit into
 * buffer_limit together. What has arrived of a reply counts again when it has to grow, since it is copied then: so an array that
 * announces one large value after the other may have half of the limit. Who asks for more gets an error, alone, and the reply is dropped as
 * it comes. */
#include "core/fan.h"
#include "core/uplink_state.h"

/* Smaller replies are not counted. */
#define WHOLE_MIN 65536

void uplink_whole_end(struct uplink *u) {
    __atomic_sub_fetch(&u->worker->opts.shared->promised_bytes, u->whole, __ATOMIC_RELAXED);
    u->whole = 0;
}

/* Is there room for it? Then it is taken. */
static bool whole_begin(struct uplink *u, size_t size) {
    struct worker *w = u->worker;
    struct shared *shared = w->opts.shared;
    size_t cap = u->stream.tail != NULL ? u->stream.tail->cap : 0;
    if (cap >= size) {
        return true; /* it has its room already */
    }
    u->whole = max_size(size, cap + cap / 2); /* as stream.c lets it grow */
    uint64_t promised = __atomic_add_fetch(&shared->promised_bytes, u->whole, __ATOMIC_RELAXED);
    uint64_t held = worker_held(w) + w->bufs.used - w->told_bytes;
    if (promised + held <= (uint64_t)w->opts.conf->buffer_limit) {
        return true;
    }
    uplink_whole_end(u);
    return false;
}

bool uplink_whole(struct uplink *u, struct req *r, const struct rsp *rsp, size_t have) {
    size_t size = max_size((size_t)rsp->need, have);
    enum reason why = REASON_REPLY_LIMIT;
    if (size < WHOLE_MIN) {
        return true;
    }
    if (r != NULL && (r->flags & REQ_PART) && r->fan != NULL && !fan_has_room(r, size)) {
        why = REASON_GATHER_LIMIT;
    } else if (whole_begin(u, size)) {
        return true;
    }
    if (r == NULL || r->state == REQ_QUEUED || r->skip > 0) {
        uplink_close(u, REASON_TOO_LARGE); /* no server that is one says so much there */
        return false;
    }
    if (req_is_wanted(r)) {
        metric_add(&r->pool->stats.v[POOL_refused_replies], 1);
        req_expire(r, why);
    }
    return false;
}
