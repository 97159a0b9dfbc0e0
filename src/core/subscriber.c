#include "core/subscriber.h"

#include "base/mem.h"
#include "core/channel.h"
#include "core/client.h"
#include "core/uplink.h"
#include "core/worker_state.h"

static struct subscription *last_subscription(const struct subscriber *sub) {
    return CONTAINER_OF(sub->subscriptions.prev, struct subscription, of_client);
}

static uint32_t count_all(const struct subscriber *sub) {
    return sub->n[CHANNEL_NAME] + sub->n[CHANNEL_PATTERN] + sub->n[CHANNEL_SHARD];
}

/* What the client is told: channels and patterns are counted together. */
static uint32_t count_shown(const struct subscriber *sub, enum channel_kind kind) {
    return kind == CHANNEL_SHARD ? sub->n[CHANNEL_SHARD] : sub->n[CHANNEL_NAME] + sub->n[CHANNEL_PATTERN];
}

static void confirm(struct subscriber *sub, struct req *r, enum channel_kind kind, bool on, struct slice name) {
    struct client *c = sub->client;
    struct out out = {&r->bytes, &c->stage};
    c->front->channels->confirm(c->session.version, kind, on, name, count_shown(sub, kind), &out);
}

/* Its answer is a message like the others: none of them may overtake it, and a client that wants no answers gets it. */
static void finish(struct subscriber *sub, struct req *r) {
    r->flags = (uint16_t)((r->flags & ~REQ_SILENT) | REQ_PUSH);
    sub->nqueued++;
    req_done(r);
}

static void unsubscribe(struct subscriber *sub, struct subscription *sb) {
    sub->n[sb->channel->kind]--;
    channel_drop(sb);
    sub->client->session.listening = count_all(sub) > 0;
}

/* ---- joining ---- */

static void on_join_timer(struct timer *);

static struct subscriber *subscriber_of(struct client *c) {
    if (c->sub == NULL) {
        c->sub = mem_zalloc(sizeof *c->sub);
        c->sub->client = c;
        list_init(&c->sub->subscriptions);
        timer_init(&c->sub->join_timer, on_join_timer);
    }
    return c->sub;
}

/* The servers agreed. */
static void join_keep(struct subscriber *sub) {
    struct list *l = sub->subscriptions.prev;
    for (; sub->join_new > 0; sub->join_new--, l = l->prev) {
        CONTAINER_OF(l, struct subscription, of_client)->joining = false;
    }
}

/* They did not: nothing of what the request asked for is left, neither messages that came already. */
static void join_undo(struct subscriber *sub, struct req *join) {
    struct client *c = sub->client;
    for (; sub->join_new > 0; sub->join_new--) {
        unsubscribe(sub, last_subscription(sub));
    }
    struct queue_link *next = queue_cut(&c->fifo, &join->client_link); /* its client was not read: messages only */
    while (next != NULL) {
        struct req *r = CONTAINER_OF(next, struct req, client_link);
        next = next->next;
        if (!(r->flags & REQ_EARLY)) {
            queue_push(&c->fifo, &r->client_link);
            continue;
        }
        size_t len = rope_len(&r->bytes);
        c->nreqs--;
        c->bytes -= len + r->size;
        c->owed -= len;
        sub->nqueued--;
        req_unlink_client(r);
    }
}

static void join_end(struct subscriber *sub) {
    struct client *c = sub->client;
    struct req *r = sub->join;
    timer_cancel(c->pool->worker->loop, &sub->join_timer);
    sub->join = NULL;
    c->waiting = false;
    if (sub->join_agreed && sub->join_refusal.n == 0) {
        join_keep(sub);
        finish(sub, r);
        return;
    }
    join_undo(sub, r);
    rope_fini(&r->bytes);
    if (sub->join_refusal.n > 0) {
        rope_move(&r->bytes, &sub->join_refusal);
        finish(sub, r);
    } else {
        req_fail(r, sub->join_why);
    }
}

static void join_answer(struct subscriber *sub, enum reason failed, struct slice refusal) {
    if (refusal.n > 0 && sub->join_refusal.n == 0) {
        rope_add_copy(&sub->join_refusal, &sub->client->stage, refusal);
    } else if (failed != REASON_NONE) {
        sub->join_why = failed;
    } else if (refusal.n == 0) {
        sub->join_agreed = true;
    }
}

void subscriber_answered(struct subscriber *sub, enum reason failed, struct slice refusal) {
    join_answer(sub, failed, refusal);
    if (--sub->join_left == 0) {
        join_end(sub);
    }
}

/* Servers that said nothing lose their feed: it is opened again without anybody waiting. */
static void on_join_timer(struct timer *t) {
    struct subscriber *sub = CONTAINER_OF(t, struct subscriber, join_timer);
    for (uint32_t s = 0; s < sub->client->pool->nservers && sub->join != NULL; s++) {
        struct feed *f = sub->set->feeds[s];
        if (feed_owes(f, sub)) {
            uplink_close(f->uplink, REASON_SILENT);
        }
    }
}

static void join_channel(struct subscriber *sub, enum channel_kind kind, struct slice name) {
    struct channel *ch = channel_get(sub->set, kind, name);
    if (channel_subscription(ch, sub->client, &sub->subscriptions) != NULL) {
        return;
    }
    channel_add(ch, sub->client, &sub->subscriptions);
    last_subscription(sub)->joining = true;
    sub->n[kind]++;
    sub->join_new++;
    for (uint32_t s = 0; s < sub->client->pool->nservers; s++) {
        struct feed *f = sub->set->feeds[s];
        if (ch->at[s].on) {
            sub->join_agreed = true;
        } else if (f->uplink != NULL) {
            sub->join_left++;
            feed_ask(f, ch, true, sub);
        }
    }
}

/* NONE: enough servers can be reached. */
static enum reason open_feeds(struct subscriber *sub) {
    struct pool *pool = sub->client->pool;
    enum reason last = REASON_NONE;
    bool any = false;
    for (uint32_t s = 0; s < pool->nservers; s++) {
        enum reason why = feed_open(sub->set->feeds[s]);
        any = any || why == REASON_NONE;
        last = why != REASON_NONE ? why : last;
    }
    if (any && last != REASON_NONE && !timer_is_set(&sub->set->retry)) {
        timer_set(pool->worker->loop, &sub->set->retry, worker_now(pool->worker)); /* those that are down, when they can be tried */
    }
    return any ? REASON_NONE : last;
}

void subscriber_join(struct client *c, struct req *r, const struct msg *m) {
    const struct conf_pool *conf = c->pool->conf;
    struct subscriber *sub = subscriber_of(c);
    enum channel_kind kind = cmd_channel_kind(m->cmd);
    if (count_all(sub) + m->nargs - 1 > (uint64_t)conf->client_channels) {
        req_fail(r, REASON_CHANNELS);
        return;
    }
    if (count_all(sub) == 0) {
        sub->set = channels_of(c->pool, pool_profile(c->pool, c->session.user));
    } else if (session_profile_user(sub->set->profile) != c->session.user) {
        req_fail(r, REASON_CHANNEL_USER);
        return;
    }
    enum reason why = open_feeds(sub);
    if (why != REASON_NONE) {
        req_fail(r, why);
        return;
    }
    sub->join = r;
    sub->join_new = 0;
    sub->join_left = 1; /* this loop */
    sub->join_agreed = false;
    sub->join_why = REASON_EOF;
    for (uint32_t i = 1; i < m->nargs; i++) {
        join_channel(sub, kind, msg_arg(m, i));
        confirm(sub, r, kind, true, msg_arg(m, i));
    }
    sub->join_agreed = sub->join_agreed || sub->join_new == 0;
    c->session.listening = count_all(sub) > 0;
    c->waiting = true;
    timer_set(c->pool->worker->loop, &sub->join_timer, worker_now(c->pool->worker) + pool_patience(c->pool));
    if (--sub->join_left == 0) {
        join_end(sub);
    }
}

/* ---- parting ---- */

static struct subscription *find_subscription(const struct client *c, enum channel_kind kind, struct slice name) {
    const struct subscriber *sub = c->sub;
    return sub == NULL || sub->n[kind] == 0 ? NULL : channel_subscription(channel_find(sub->set, kind, name), c, &sub->subscriptions);
}

bool subscriber_listens(const struct client *c, enum channel_kind kind, struct slice name) {
    return find_subscription(c, kind, name) != NULL;
}

static void part_all(struct subscriber *sub, struct req *r, enum channel_kind kind) {
    if (sub->n[kind] == 0) {
        confirm(sub, r, kind, false, slice(NULL, 0));
    }
    LIST_EACH_SAFE(&sub->subscriptions, l) {
        struct subscription *sb = CONTAINER_OF(l, struct subscription, of_client);
        if (sb->channel->kind == kind) {
            struct buf *b = buf_new(&sub->client->pool->worker->bufs, sb->channel->entry.name.n + 1);
            struct slice name = slice(b->data, sb->channel->entry.name.n); /* the channel may go with it */
            memcpy(b->data, sb->channel->entry.name.p, name.n);
            unsubscribe(sub, sb);
            confirm(sub, r, kind, false, name);
            buf_unref(&b);
        }
    }
}

void subscriber_part(struct client *c, struct req *r, const struct msg *m) {
    struct subscriber *sub = subscriber_of(c);
    enum channel_kind kind = cmd_channel_kind(m->cmd);
    if (m->nargs == 1) {
        part_all(sub, r, kind);
    }
    for (uint32_t i = 1; i < m->nargs; i++) {
        struct subscription *sb = find_subscription(c, kind, msg_arg(m, i));
        if (sb != NULL) {
            unsubscribe(sub, sb);
        }
        confirm(sub, r, kind, false, msg_arg(m, i));
    }
    finish(sub, r);
}

void subscriber_leave(struct client *c) {
    while (c->sub != NULL && !list_empty(&c->sub->subscriptions)) {
        unsubscribe(c->sub, last_subscription(c->sub));
    }
}

void subscriber_free(struct client *c) {
    struct subscriber *sub = c->sub;
    if (sub == NULL) {
        return;
    }
    if (sub->join != NULL) {
        timer_cancel(c->pool->worker->loop, &sub->join_timer);
        for (uint32_t s = 0; s < c->pool->nservers; s++) {
            feed_forget(sub->set->feeds[s], sub);
        }
    }
    subscriber_leave(c);
    rope_fini(&sub->join_refusal);
    c->sub = NULL;
    mem_free(sub);
}

/* ---- messages ---- */

/* Is the first reply written in part? */
static bool head_begun(const struct client *c) {
    return c->sent_off > 0 || (c->fifo.head != NULL && (CONTAINER_OF(c->fifo.head, struct req, client_link)->flags & REQ_BEGUN));
}

/* A message goes in front of what the client still waits for, so that a slow reply does not hold it up; but never between
 * the parts of a reply, and never past an earlier message or the answer to SUBSCRIBE. In the plain version it looks like a reply: there it
 * never overtakes one, and nothing slow is in front of it, as the client may ask for little else. */
static void place_message(struct subscriber *sub, struct req *r) {
    struct client *c = sub->client;
    bool ahead = c->session.version != 0 && sub->nqueued == sub->nahead && sub->join == NULL;
    sub->nqueued++;
    if (!ahead) {
        queue_push(&c->fifo, &r->client_link);
        return;
    }
    struct queue_link *behind = sub->last_ahead != NULL ? &sub->last_ahead->client_link : head_begun(c) ? c->fifo.head : NULL;
    queue_push_behind(&c->fifo, behind, &r->client_link);
    sub->nahead++;
    sub->last_ahead = r;
}

void subscriber_tell(const struct subscription *sb, struct rope *form) {
    struct client *c = sb->client;
    struct pool *pool = c->pool;
    if (c->state != CLIENT_OPEN && c->state != CLIENT_EOF) {
        return;
    }
    struct req *r = req_new(pool, NULL, c);
    r->flags = sb->joining ? REQ_PUSH | REQ_EARLY : REQ_PUSH;
    r->size = sizeof *r; /* what it costs beside its bytes */
    rope_add_all(&r->bytes, form);
    c->nreqs++;
    c->bytes += r->size;
    place_message(c->sub, r);
    req_done(r);
    metric_add(&pool->stats.v[POOL_messages], 1);
    if (c->bytes > (uint64_t)pool->conf->subscriber_limit) {
        metric_add(&pool->stats.v[POOL_client_slow], 1);
        client_close(c, REASON_SLOW_READER);
    }
}

void subscriber_told(struct client *c) {
    struct subscriber *sub = c->sub;
    ASSERT(sub->nqueued > 0);
    sub->nqueued--;
    if (sub->nahead > 0 && --sub->nahead == 0) {
        sub->last_ahead = NULL;
    }
}
