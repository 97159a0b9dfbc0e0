#include "core/apart.h"

#include "core/client.h"
#include "core/lease.h"
#include "core/server.h"
#include "core/uplink.h"
#include "core/worker_state.h"

static void send_part(struct fan *f, uint32_t i, struct server *s, struct buf *b, const struct msg *m) {
    struct req *part = f->parts[i].req;
    struct pool *pool = s->pool;
    enum reason why;
    struct lease *l = lease_new(NULL, s, part->profile, LEASE_WAITS, &why);
    if (l == NULL) {
        req_fail(part, why);
        return;
    }
    f->parts[i].lease = l;
    struct out out = {&part->bytes, &l->uplink->stage};
    if (f->marks) {
        pool->back->probe(&out);
        part->skip = 1;
    }
    f->whole->client->front->build(m, b, NULL, 0, &out);
    if (f->waits) {
        req_start_wait(part, f->whole->client->front->waits->limit(m));
    } else {
        req_start_clock(part);
    }
    uplink_queue(l->uplink, part);
}

/* To the servers that `wanted` has a bit for. */
static void send_to(struct fan *f, uint32_t wanted, struct buf *b, const struct msg *m) {
    struct req *whole = f->whole;
    struct pool *pool = whole->pool;
    uint32_t n = f->nparts;
    f->apart = true;
    whole->client->waiting = true;
    whole->client->parked = f->waits;
    for (uint32_t i = 0; i < n; i++) {
        struct req *part = fan_part_new(f, i);
        part->profile = session_profile_plain(whole->profile);
        part->flags |= REQ_RETRIED; /* nowhere else */
    }
    for (uint32_t s = 0, i = 0; s < pool->nservers && i < n; s++) {
        if (wanted & client_server_bit(s)) {
            send_part(f, i++, pool->servers[s], b, m); /* the last one that fails ends the fan */
        }
    }
}

void apart_all(struct req *whole, struct buf *b, const struct msg *m) {
    struct fan *f = fan_new(whole, whole->pool->nservers, 0);
    send_to(f, UINT32_MAX, b, m);
}

void apart_written(struct req *whole, struct buf *b, const struct msg *m) {
    struct pool *pool = whole->pool;
    uint32_t wrote = whole->client->wrote;
    uint32_t n = 0;
    for (uint32_t s = 0; s < pool->nservers; s++) {
        n += (wrote & client_server_bit(s)) != 0;
    }
    struct fan *f = fan_new(whole, n > 0 ? n : pool->nservers, 0);
    f->waits = true;
    f->marks = n > 0;
    f->lenient = n == 0; /* a server that is down has nothing of it */
    send_to(f, n > 0 ? wrote : UINT32_MAX, b, m);
}

void apart_part_ended(struct fan *f, const struct req *part) {
    struct fan_part *p = &f->parts[part->part];
    if (part->flags & REQ_UNSURE) {
        p->failed = REASON_UNMARKED;
    }
    if (p->lease != NULL) {
        lease_free(&p->lease);
    }
}

void apart_done(struct fan *f) {
    f->whole->client->parked = false;
    lease_settle(f->whole->client);
}

void apart_abandon(struct fan *f) {
    for (uint32_t i = 0; i < f->nparts; i++) {
        struct lease *l = f->parts[i].lease;
        if (l != NULL && l->uplink != NULL) {
            uplink_close(l->uplink, REASON_IDLE); /* ends the part, and its lease */
        }
    }
}
