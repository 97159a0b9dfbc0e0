#include "core/feed.h"

#include "base/mem.h"
#include "core/channel.h"
#include "core/subscriber.h"
#include "core/uplink.h"
#include "core/worker_state.h"

/* The first try comes soon: a server that restarts is back in a moment. Later ones follow the server's own back-off. */
#define RETRY_USEC 50000
/* A server that refuses what it took before is asked again this often. */
#define REFUSED_USEC 1000000

struct ask {
    struct queue_link link;
    struct channel *channel;
    struct subscriber *waits;
    int64_t at; /* usec */
    bool on;
};

struct feed *feed_new(struct channels *set, struct server *s) {
    struct feed *f = mem_zalloc(sizeof *f);
    f->set = set;
    f->server = s;
    queue_init(&f->asks);
    return f;
}

void feed_free(struct feed **fp) {
    feed_close(*fp);
    mem_free(*fp);
    *fp = NULL;
}

static struct channel_at *place_of(const struct feed *f, struct channel *ch) {
    return &ch->at[f->server->index];
}

/* The channel behind this one, of whatever kind; NULL: the first. NULL when there are no more. */
static struct channel *next_channel(const struct feed *f, const struct channel *ch) {
    const struct strmap_entry *last = ch != NULL ? &ch->entry : NULL;
    for (unsigned k = ch != NULL ? ch->kind : 0; k < CHANNEL_KINDS; k++, last = NULL) {
        struct strmap_entry *e = strmap_next(&f->set->maps[k], last);
        if (e != NULL) {
            return CONTAINER_OF(e, struct channel, entry);
        }
    }
    return NULL;
}

void feed_ask(struct feed *f, struct channel *ch, bool on, struct subscriber *waits) {
    struct pool *pool = f->set->pool;
    if (f->uplink == NULL) {
        return;
    }
    struct ask *a = mem_zalloc(sizeof *a);
    *a = (struct ask){.channel = ch, .waits = waits, .at = worker_now(pool->worker), .on = on};
    queue_push(&f->asks, &a->link);
    place_of(f, ch)->asked++;
    place_of(f, ch)->on = false;
    struct req *r = req_new(pool, NULL, NULL); /* bytes only: answers are told apart here */
    r->flags = REQ_GHOST;
    struct out out = {&r->bytes, &f->uplink->stage};
    pool->back->channels->ask(ch->kind, on, ch->entry.name, &out);
    r->size = (uint32_t)rope_len(&r->bytes);
    uplink_queue(f->uplink, r);
}

/* What clients listen to and the server does not send: all of it, when the feed is new. */
static void ask_missing(struct feed *f) {
    f->refused = false;
    for (struct channel *ch = next_channel(f, NULL); ch != NULL; ch = next_channel(f, ch)) {
        if (ch->nlisteners > 0 && !place_of(f, ch)->on && place_of(f, ch)->asked == 0) {
            feed_ask(f, ch, true, NULL);
        }
    }
}

enum reason feed_open(struct feed *f) {
    enum reason why = REASON_NONE;
    if (f->uplink == NULL) {
        f->uplink = server_feed(f->server, f->set->profile, &why);
        if (f->uplink != NULL) {
            f->uplink->feed = f;
            ask_missing(f);
        }
    }
    return why;
}

void feed_close(struct feed *f) {
    if (f->uplink != NULL) {
        uplink_close(f->uplink, REASON_IDLE);
    }
}

void feed_resolved(struct feed *f) {
    if (f->uplink != NULL) {
        uplink_resolved(f->uplink);
    }
}

/* ---- answers ---- */

static struct ask *first_ask(const struct feed *f) {
    return f->asks.head == NULL ? NULL : CONTAINER_OF(f->asks.head, struct ask, link);
}

/* Nobody waits to be told: its clients listen already, and hear nothing of this server until it agrees. */
static void ask_refused(struct feed *f, struct slice refusal) {
    struct channels *set = f->set;
    struct worker *w = set->pool->worker;
    char text[256];
    f->refused = true;
    if (!timer_is_set(&set->retry)) {
        timer_set(w->loop, &set->retry, worker_now(w) + REFUSED_USEC);
    }
    if (log_pass(&w->log_limit, worker_now(w), 1000000, 10)) {
        log_line(LOG_WARN, "subscription_refused pool=%s server=%s answer=\"%s\"", set->pool->conf->name, f->server->conf->name,
                 log_quote(text, sizeof text, slice(refusal.p, refusal.n > 2 ? refusal.n - 2 : 0)));
    }
}

/* `refusal`: what the server said, if it was no. */
static void ask_end(struct feed *f, enum reason failed, struct slice refusal) {
    struct ask *a = CONTAINER_OF(queue_pop(&f->asks), struct ask, link);
    struct channel *ch = a->channel;
    struct channel_at *at = place_of(f, ch);
    at->asked--;
    at->on = at->asked == 0 && a->on && failed == REASON_NONE && refusal.n == 0;
    struct subscriber *waits = a->waits;
    if (refusal.n > 0 && a->on && waits == NULL && ch->nlisteners > 0) {
        ask_refused(f, refusal);
    }
    mem_free(a);
    channel_settle(ch); /* stays when somebody waits: that one listens */
    if (waits != NULL) {
        subscriber_answered(waits, failed, refusal);
    }
}

/* False: nobody asked for that. */
static bool feed_take(struct feed *f, struct buf *b, struct slice value) {
    struct push push;
    const struct ask *a = first_ask(f);
    f->set->pool->back->channels->read(value, &push);
    if (push.what == PUSH_MESSAGE) {
        channel_publish(f, &push, b, value);
        return true;
    }
    if (a == NULL) {
        return false;
    }
    if (push.what == PUSH_OTHER) {
        ask_end(f, REASON_NONE, value);
        return true;
    }
    bool fits = (push.what == PUSH_JOINED) == a->on && push.kind == a->channel->kind && slice_eq(push.name, a->channel->entry.name);
    if (fits) {
        ask_end(f, REASON_NONE, slice(NULL, 0));
    }
    return fits;
}

size_t feed_on_recv(struct uplink *u, struct buf *b, struct slice in) {
    const struct proto *back = u->server->pool->back;
    uint64_t *v = u->server->stats.v;
    size_t used = 0, count = 0;
    while (used < in.n && u->state != UPLINK_CLOSED) {
        struct slice rest = slice(in.p + used, in.n - used);
        struct rsp rsp = {0};
        enum parse_rc rc = back->parse_rsp(&u->parser, NULL, rest, &rsp);
        if (rc == PARSE_MORE) {
            if (rsp.need > 0) {
                stream_need(&u->stream, (size_t)rsp.need);
            }
            break;
        }
        used += rc == PARSE_DONE ? rsp.len : 0;
        count++;
        if (rc == PARSE_BAD || !feed_take(u->feed, b, slice(rest.p, rsp.len))) {
            uplink_close(u, REASON_BAD_REPLY);
        }
    }
    metric_add(&v[SERVER_responses], count);
    metric_add(&v[SERVER_response_bytes], used);
    return u->state == UPLINK_CLOSED ? in.n : used;
}

/* ---- loss and return ---- */

/* A server that takes connections and says nothing: it is left, and asked again on another one. */
void feed_upkeep(struct feed *f) {
    struct pool *pool = f->set->pool;
    const struct ask *a = first_ask(f);
    if (a != NULL && worker_now(pool->worker) - a->at > pool_patience(pool)) {
        uplink_close(f->uplink, REASON_SILENT);
    }
}

void feed_lost(struct uplink *u, enum reason why) {
    struct feed *f = u->feed;
    struct channels *set = f->set;
    uint32_t lost = 0;
    u->feed = NULL;
    u->profile->feeds--;
    f->uplink = NULL;
    for (struct channel *ch = next_channel(f, NULL); ch != NULL; ch = next_channel(f, ch)) {
        lost += place_of(f, ch)->on;
        place_of(f, ch)->on = false;
    }
    while (f->asks.head != NULL) {
        ask_end(f, why, slice(NULL, 0));
    }
    struct worker *w = set->pool->worker;
    if (set->nsubscriptions > 0 && why != REASON_DRAIN) {
        timer_set(w->loop, &set->retry, worker_now(w) + RETRY_USEC);
    }
    if (lost > 0 && why != REASON_IDLE && why != REASON_DRAIN && log_pass(&w->log_limit, worker_now(w), 1000000, 10)) {
        log_line(LOG_WARN, "subscriptions_lost pool=%s server=%s channels=%u reason=\"%s\"", set->pool->conf->name,
                 f->server->conf->name, lost, reason_words(why));
    }
}

void feeds_on_retry(struct timer *t) {
    struct channels *set = CONTAINER_OF(t, struct channels, retry);
    struct worker *w = set->pool->worker;
    int64_t now = worker_now(w), next = INT64_MAX;
    for (uint32_t s = 0; s < set->pool->nservers && set->nsubscriptions > 0; s++) {
        struct feed *f = set->feeds[s];
        if (feed_open(f) != REASON_NONE) {
            int64_t at = f->server->retry_at > now + RETRY_USEC ? f->server->retry_at : now + RETRY_USEC;
            next = at < next ? at : next;
        } else if (f->refused) {
            ask_missing(f);
        }
    }
    if (next != INT64_MAX && !timer_is_set(t)) {
        timer_set(w->loop, t, next);
    }
}

/* ---- those who wait ---- */

void feed_forget(struct feed *f, const struct subscriber *sub) {
    for (struct queue_link *l = f->asks.head; l != NULL; l = l->next) {
        struct ask *a = CONTAINER_OF(l, struct ask, link);
        if (a->waits == sub) {
            a->waits = NULL;
        }
    }
}

bool feed_owes(const struct feed *f, const struct subscriber *sub) {
    for (struct queue_link *l = f->asks.head; l != NULL; l = l->next) {
        if (CONTAINER_OF(l, struct ask, link)->waits == sub) {
            return true;
        }
    }
    return false;
}
