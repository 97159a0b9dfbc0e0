#include "core/channel.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/subscriber.h"
#include "core/worker_state.h"

/* ---- sets ---- */

struct channels *channels_of(struct pool *p, uint64_t profile) {
    LIST_EACH(&p->channel_sets, l) {
        struct channels *set = CONTAINER_OF(l, struct channels, link);
        if (set->profile == profile) {
            return set;
        }
    }
    struct channels *set = mem_zalloc(sizeof *set);
    set->pool = p;
    set->profile = profile;
    for (unsigned k = 0; k < CHANNEL_KINDS; k++) {
        strmap_init(&set->maps[k], (uint64_t)rng_u32(&p->worker->rng) << 32 | rng_u32(&p->worker->rng));
    }
    set->feeds = mem_alloc(p->nservers * sizeof *set->feeds);
    for (uint32_t s = 0; s < p->nservers; s++) {
        set->feeds[s] = feed_new(set, p->servers[s]);
    }
    timer_init(&set->retry, feeds_on_retry);
    stage_init(&set->stage, &p->worker->bufs);
    list_push(&p->channel_sets, &set->link);
    worker_want_upkeep(p->worker);
    return set;
}

static bool is_empty(const struct channels *set) {
    size_t n = 0;
    for (unsigned k = 0; k < CHANNEL_KINDS; k++) {
        n += set->maps[k].n;
    }
    return n == 0;
}

static void channels_free(struct channels *set) {
    for (uint32_t s = 0; s < set->pool->nservers; s++) {
        feed_free(&set->feeds[s]);
    }
    ASSERT(is_empty(set));
    for (unsigned k = 0; k < CHANNEL_KINDS; k++) {
        strmap_fini(&set->maps[k]);
    }
    timer_cancel(set->pool->worker->loop, &set->retry);
    stage_release(&set->stage);
    list_remove(&set->link);
    mem_free(set->feeds);
    mem_free(set);
}

bool channels_upkeep(struct pool *p) {
    LIST_EACH_SAFE(&p->channel_sets, l) {
        struct channels *set = CONTAINER_OF(l, struct channels, link);
        bool idle = is_empty(set);
        stage_release(&set->stage);
        for (uint32_t s = 0; s < p->nservers; s++) {
            feed_upkeep(set->feeds[s]);
        }
        if (idle && set->idle) {
            channels_free(set);
        } else {
            set->idle = idle;
        }
    }
    return !list_empty(&p->channel_sets);
}

void channels_fini(struct pool *p) {
    while (!list_empty(&p->channel_sets)) {
        channels_free(CONTAINER_OF(list_first(&p->channel_sets), struct channels, link));
    }
}

static void channel_move(struct channel *ch, const uint32_t *now, uint32_t n) {
    struct channel_at *at = mem_zalloc(ch->set->pool->nservers * sizeof *at);
    for (uint32_t s = 0; s < n; s++) {
        if (now[s] != UINT32_MAX) {
            at[now[s]] = ch->at[s];
        }
    }
    mem_free(ch->at);
    ch->at = at;
}

static void set_move(struct channels *set, const uint32_t *now, uint32_t n) {
    struct pool *p = set->pool;
    struct feed **feeds = mem_zalloc(p->nservers * sizeof *feeds);
    for (uint32_t s = 0; s < n; s++) {
        if (now[s] != UINT32_MAX) {
            feeds[now[s]] = set->feeds[s];
        } else {
            ASSERT(set->feeds[s]->uplink == NULL);
            feed_free(&set->feeds[s]);
        }
    }
    mem_free(set->feeds);
    set->feeds = feeds;
    for (unsigned k = 0; k < CHANNEL_KINDS; k++) {
        for (struct strmap_entry *e = strmap_next(&set->maps[k], NULL); e != NULL; e = strmap_next(&set->maps[k], e)) {
            channel_move(CONTAINER_OF(e, struct channel, entry), now, n);
        }
    }
    for (uint32_t s = 0; s < p->nservers; s++) {
        if (feeds[s] == NULL) {
            feeds[s] = feed_new(set, p->servers[s]);
        }
    }
    if (set->nsubscriptions > 0) {
        timer_set(p->worker->loop, &set->retry, worker_now(p->worker)); /* opens what is not */
    }
}

void channels_move(struct pool *p, const uint32_t *now, uint32_t n) {
    LIST_EACH(&p->channel_sets, l) {
        set_move(CONTAINER_OF(l, struct channels, link), now, n);
    }
}

/* ---- channels ---- */

struct channel *channel_find(struct channels *set, enum channel_kind kind, struct slice name) {
    struct strmap_entry *e = strmap_find(&set->maps[kind], name);
    return e != NULL ? CONTAINER_OF(e, struct channel, entry) : NULL;
}

struct channel *channel_get(struct channels *set, enum channel_kind kind, struct slice name) {
    struct channel *known = channel_find(set, kind, name);
    if (known != NULL) {
        return known;
    }
    size_t head = sizeof(struct channel);
    struct channel *ch = mem_zalloc(head + name.n);
    ch->at = mem_zalloc(set->pool->nservers * sizeof *ch->at);
    ch->set = set;
    ch->kind = kind;
    list_init(&ch->listeners);
    memcpy((char *)ch + head, name.p, name.n);
    strmap_add(&set->maps[kind], &ch->entry, slice((char *)ch + head, name.n));
    metric_add(&set->pool->stats.v[POOL_channels], 1);
    return ch;
}

void channel_settle(struct channel *ch) {
    for (uint32_t s = 0; s < ch->set->pool->nservers; s++) {
        if (ch->at[s].asked > 0) {
            return;
        }
    }
    if (ch->nlisteners == 0) {
        strmap_remove(&ch->set->maps[ch->kind], &ch->entry);
        metric_sub(&ch->set->pool->stats.v[POOL_channels], 1);
        mem_free(ch->at);
        mem_free(ch);
    }
}

/* Walks along both lists at once: one of them is short nearly always. */
struct subscription *channel_subscription(const struct channel *ch, const struct client *c, const struct list *subscriptions) {
    if (ch == NULL) {
        return NULL;
    }
    const struct list *mine = subscriptions->next, *others = ch->listeners.next;
    for (; mine != subscriptions && others != &ch->listeners; mine = mine->next, others = others->next) {
        struct subscription *a = CONTAINER_OF(mine, struct subscription, of_client);
        struct subscription *b = CONTAINER_OF(others, struct subscription, of_channel);
        if (a->channel == ch) {
            return a;
        }
        if (b->client == c) {
            return b;
        }
    }
    return NULL;
}

void channel_add(struct channel *ch, struct client *c, struct list *subscriptions) {
    struct subscription *sb = mem_zalloc(sizeof *sb);
    sb->client = c;
    sb->channel = ch;
    list_push(subscriptions, &sb->of_client);
    list_push(&ch->listeners, &sb->of_channel);
    ch->nlisteners++;
    ch->set->nsubscriptions++;
    metric_add(&ch->set->pool->stats.v[POOL_subscriptions], 1);
}

void channel_drop(struct subscription *sb) {
    struct channel *ch = sb->channel;
    list_remove(&sb->of_client);
    list_remove(&sb->of_channel);
    mem_free(sb);
    ch->set->nsubscriptions--;
    metric_sub(&ch->set->pool->stats.v[POOL_subscriptions], 1);
    if (--ch->nlisteners > 0) {
        return;
    }
    for (uint32_t s = 0; s < ch->set->pool->nservers; s++) {
        if (ch->at[s].on || ch->at[s].asked > 0) {
            feed_ask(ch->set->feeds[s], ch, false, NULL);
        }
    }
    channel_settle(ch);
}

void channel_publish(struct feed *f, const struct push *push, struct buf *b, struct slice message) {
    struct channels *set = f->set;
    struct channel *ch = channel_find(set, push->kind, push->name);
    if (ch == NULL || !(ch->at[f->server->index].on || ch->at[f->server->index].asked > 0)) {
        return; /* the last one left, and the server has not heard of it yet */
    }
    /* What is on or asked for keeps `ch`, also when its last listener is closed below. */
    struct rope forms[2] = {{.n = 0}, {.n = 0}}; /* of the plain version and of others */
    LIST_EACH_SAFE(&ch->listeners, l) {
        const struct subscription *sb = CONTAINER_OF(l, struct subscription, of_channel);
        const struct client *c = sb->client;
        struct rope *form = &forms[c->session.version != 0];
        if (form->n == 0) {
            struct out out = {form, &set->stage};
            c->front->channels->tell(c->session.version, b, message, &out);
        }
        subscriber_tell(sb, form);
    }
    rope_fini(&forms[0]);
    rope_fini(&forms[1]);
}
