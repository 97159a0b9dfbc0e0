/* retire.c: servers whose configuration changed or went, and the uplinks that this replaces. */
#include "base/mem.h"
#include "core/channel.h"
#include "core/lease.h"
#include "core/uplink_state.h"

static bool is_empty(const struct uplink *u) {
    return u->nsend + u->nwait == 0;
}

/* It leads nowhere yet. */
static bool is_underway(const struct uplink *u) {
    return u->state <= UPLINK_CONNECTING;
}

/* `stay`: those that are under way keep their slots. */
static void slots_retire(struct profile *p, enum retire how, bool stay) {
    struct server *s = p->server;
    for (uint32_t i = 0; i < p->nslots; i++) {
        struct uplink *u = p->slots[i];
        if (u == NULL || (stay && is_underway(u))) {
            continue;
        }
        if (is_empty(u)) {
            uplink_close(u, REASON_IDLE);
            continue;
        }
        p->slots[i] = NULL;
        u->aside = true;
        list_push(&s->aside, &u->link);
        s->naside++;
    }
    LIST_EACH(&s->aside, l) { /* those that left their slots before do not return either */
        struct uplink *u = CONTAINER_OF(l, struct uplink, link);
        if (u->profile == p) {
            u->retired = (uint8_t)(u->retired > how ? u->retired : how);
            u->slot = 0;
        }
    }
    LIST_EACH(&s->suspects, l) {
        struct uplink *u = CONTAINER_OF(l, struct uplink, link);
        if (u->profile == p) {
            u->retired = (uint8_t)(u->retired > how ? u->retired : how);
            u->slot = 0;
        }
    }
}

/* A client waits there for a key, or watches it: what it waits for happens elsewhere. (What goes from server to server ends by itself.) */
static bool is_held(const struct lease *l) {
    return l != NULL && l->client != NULL && (l->blocked || l->watching) && (l->nnoted > 0 || l->vague);
}

/* From the beginning each time: whoever loses one may take and close others. */
static struct uplink *lease_to_close(struct server *s) {
    LIST_EACH(&s->leases, l) {
        struct uplink *u = CONTAINER_OF(l, struct uplink, link);
        bool is_free = u->lease == NULL && is_empty(u);
        if ((u->retired != RETIRE_NOT && is_free) || (u->retired == RETIRE_MOVED && (is_held(u->lease) || u->state < UPLINK_READY))) {
            return u;
        }
    }
    return NULL;
}

static void leases_retire(struct server *s, const struct profile *p, enum retire how) {
    LIST_EACH(&s->leases, l) {
        struct uplink *u = CONTAINER_OF(l, struct uplink, link);
        if (p == NULL || u->profile == p) {
            u->retired = (uint8_t)(u->retired > how ? u->retired : how);
        }
    }
    for (struct uplink *u; (u = lease_to_close(s)) != NULL;) {
        uplink_close(u, u->lease == NULL ? REASON_IDLE : REASON_MOVED);
    }
}

void server_retire(struct server *s, const struct profile *only, enum retire how) {
    if (only == NULL || only == &s->base) {
        slots_retire(&s->base, how, false);
    }
    LIST_EACH(&s->others, l) {
        struct profile *p = CONTAINER_OF(l, struct profile, link);
        if (only == NULL || only == p) {
            slots_retire(p, how, false);
        }
    }
    leases_retire(s, only, how);
    worker_want_upkeep(s->pool->worker); /* closes them when they are empty */
}

static void profile_resize(struct profile *p) {
    slots_retire(p, RETIRE_SAME, false); /* clients find their uplinks by the number of slots: a client's requests keep their order */
    mem_free(p->slots);
    p->nslots = (uint32_t)p->server->pool->conf->server_connections;
    p->slots = mem_zalloc(p->nslots * sizeof(struct uplink *));
}

void server_resize(struct server *s) {
    profile_resize(&s->base);
    LIST_EACH(&s->others, l) {
        profile_resize(CONTAINER_OF(l, struct profile, link));
    }
    worker_want_upkeep(s->pool->worker);
}

/* ---- another address ---- */

static void feeds_close(struct server *s) {
    struct pool *p = s->pool;
    LIST_EACH_SAFE(&p->channel_sets, l) {
        struct channels *set = CONTAINER_OF(l, struct channels, link);
        feed_close(set->feeds[s->index]);
        if (set->nsubscriptions > 0) {
            timer_set(p->worker->loop, &set->retry, worker_now(p->worker));
        }
    }
}

/* Nothing was sent yet: the new address is as good. */
static void profile_reconnect(struct profile *p) {
    for (uint32_t i = 0; i < p->nslots; i++) {
        struct uplink *u = p->slots[i];
        if (u != NULL && u->state == UPLINK_CONNECTING && p->server->naddrs == 0) {
            stream_close(&u->stream);
            u->tries = 0;
            uplink_move(u, UPLINK_RESOLVING);
        } else if (u != NULL && u->state == UPLINK_CONNECTING) {
            u->tries = 0;
            uplink_connect_failed(u, REASON_HOST_DOWN); /* tries the next address: the first new one */
        } else if (u != NULL && u->state == UPLINK_RESOLVING && p->server->naddrs > 0) {
            uplink_resolved(u);
        }
    }
}

static void profile_move(struct profile *p) {
    slots_retire(p, RETIRE_MOVED, true);
    profile_reconnect(p);
}

void server_move(struct server *s) {
    s->naddrs = s->conf->addr.len > 0 ? 1 : 0; /* a name: control tells */
    s->addrs[0] = s->conf->addr;
    s->good_addr = 0;
    s->unresolvable = s->told_up = false;
    s->connect_fails = 0;
    s->retry_at = 0;
    feeds_close(s);
    profile_move(&s->base);
    LIST_EACH(&s->others, l) { /* what fails at the new address is not tried again, so the list stays as it is */
        profile_move(CONTAINER_OF(l, struct profile, link));
    }
    leases_retire(s, NULL, RETIRE_MOVED);
    worker_want_upkeep(s->pool->worker);
}

/* ---- the end ---- */

void server_leave(struct server *s, struct conf *keeps, int64_t by) {
    s->keeps = conf_ref(keeps);
    s->leave_by = by;
    list_push(&s->pool->leaving, &s->link);
    feeds_close(s);
    server_retire(s, NULL, RETIRE_MOVED);
}

bool server_is_empty(const struct server *s) {
    return list_empty(&s->leases) && list_empty(&s->uploads) && list_empty(&s->suspects) && list_empty(&s->aside);
}

/* ---- another time-out ---- */

/* Queues stay in the order of deadlines: what is new comes later than now and the new time-out. */
static void queue_reclock(struct queue *q, int64_t latest) {
    for (struct queue_link *l = q->head; l != NULL; l = l->next) {
        struct req *r = CONTAINER_OF(l, struct req, uplink_link);
        bool waited_for = r->client != NULL || ((r->flags & REQ_PART) && r->fan != NULL);
        if (waited_for && !(r->flags & (REQ_EXPIRED | REQ_GHOST)) && (r->deadline > latest || latest == INT64_MAX)) {
            r->deadline = latest;
        }
    }
}

static void uplink_reclock(struct uplink *u) {
    int64_t timeout = u->server->pool->timeout;
    int64_t latest = timeout > 0 ? uplink_now(u) + timeout : INT64_MAX;
    if (timeout > 0 && u->leased) {
        return; /* what waits there has a time of its own */
    }
    queue_reclock(&u->send, latest);
    queue_reclock(&u->wait, latest);
    if (u->state == UPLINK_READY && timeout == 0) {
        timer_cancel(u->worker->loop, &u->timer);
    }
    uplink_arm(u, uplink_next_deadline(u));
    if (u->passing && stream_paused(&u->stream)) {
        uplink_arm(u, u->patient_until); /* others may wait for the client that it waits for (uplink_pass.c) */
    }
}

static void list_reclock(struct list *uplinks) {
    LIST_EACH(uplinks, l) {
        uplink_reclock(CONTAINER_OF(l, struct uplink, link));
    }
}

static void profile_reclock(struct profile *p) {
    for (uint32_t i = 0; i < p->nslots; i++) {
        if (p->slots[i] != NULL) {
            uplink_reclock(p->slots[i]);
        }
    }
}

void server_reclock(struct server *s) {
    profile_reclock(&s->base);
    LIST_EACH(&s->others, l) {
        profile_reclock(CONTAINER_OF(l, struct profile, link));
    }
    list_reclock(&s->aside);
    list_reclock(&s->leases);
}
