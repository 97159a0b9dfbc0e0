#include "core/worker.h"

#include "base/mem.h"
#include "core/channel.h"
#include "core/client.h"
#include "core/handover.h"
#include "core/hot.h"
#include "core/roll.h"
#include "core/slowlog.h"
#include "core/switch.h"
#include "core/trace.h"
#include "core/uplink.h"
#include "core/worker_state.h"
#include "proto/book.h"

#define UPKEEP_USEC 1000000     /* how often idle memory is given back */
#define RELIEF_USEC 100000      /* the same above the memory limit */
#define RELIEF_MIN (64u << 10)  /* a client that holds less of a request is not worth closing */
#define REQS_KEPT 256
#define SPIKE_BYTES (256u << 10) /* so much less in use than before: a spike, and the allocator must let go of it, too */
#define TELL_BYTES (256u << 10) /* a smaller change of the buffered bytes is not told */

void worker_connection(struct worker *w, int change) {
    if (change > 0) {
        metric_add(&w->stats.v[WORKER_total_connections], 1);
        metric_add(&w->stats.v[WORKER_curr_connections], 1);
    } else {
        metric_sub(&w->stats.v[WORKER_curr_connections], 1);
    }
}

void worker_tell(struct worker *w, struct server *s, int kind, enum reason reason, int64_t opened_at) {
    struct mail_health *m = mem_zalloc(sizeof *m);
    *m = (struct mail_health){
        .mail.kind = kind,
        .worker = w->opts.index,
        .pool = s->pool->id,
        .server = s->id,
        .reason = reason,
        .opened_at = opened_at,
        .at = worker_now(w),
    };
    mailbox_post(w->opts.control, &m->mail);
}

/* ---- listeners ---- */

static void worker_on_accept(struct listener *l, int fd) {
    client_accept(CONTAINER_OF(l, struct worker_listener, listener)->pool, l, fd);
}

static void worker_on_paused(struct listener *l, enum reason why) {
    struct pool *pool = CONTAINER_OF(l, struct worker_listener, listener)->pool;
    struct worker *w = pool->worker;
    metric_add(&w->stats.v[WORKER_accept_paused], 1);
    if (log_pass(&pool->refused_log, worker_now(w), 10000000, 1)) {
        log_line(LOG_WARN, "accept_paused pool=%s reason=\"%s\" connections=%llu", pool->conf->name, reason_words(why),
                 (unsigned long long)w->stats.v[WORKER_curr_connections]);
    }
}

static const struct listener_ops listener_ops = {.on_accept = worker_on_accept, .on_paused = worker_on_paused};

/* Descriptors that all workers together need for their servers, and some for control. */
static uint32_t worker_spare(const struct worker *w) {
    const struct conf *conf = w->opts.conf;
    uint64_t n = 0;
    for (uint32_t i = 0; i < conf->npools; i++) {
        n += (uint64_t)conf->pools[i].server_connections * conf->pools[i].nservers;
    }
    n = (n + LOOP_MOVE_FDS) * w->opts.shared->workers + 32;
    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

void worker_listen(struct worker *w, uint32_t pool, const struct addr *addr, int fd) {
    struct worker_listener *l = mem_zalloc(sizeof *l);
    l->pool = w->pools[pool];
    l->addr = *addr;
    w->listeners = mem_realloc(w->listeners, (w->nlisteners + 1) * sizeof(struct worker_listener *));
    w->listeners[w->nlisteners++] = l;
    listener_start(w->loop, &l->listener, &listener_ops, fd);
    l->listener.spare = worker_spare(w);
    secure_listener(l->pool, addr, &l->listener);
    worker_connection(w, +1);
}

void worker_end_listener(struct worker *w, uint32_t i) {
    struct worker_listener *l = w->listeners[i];
    listener_close(&l->listener);
    mem_free(l);
    w->listeners[i] = w->listeners[--w->nlisteners];
    worker_connection(w, -1);
}

void worker_set_spare(struct worker *w) {
    for (uint32_t i = 0; i < w->nlisteners; i++) {
        w->listeners[i]->listener.spare = worker_spare(w);
    }
}

static void worker_unlisten(struct worker *w) {
    while (w->nlisteners > 0) {
        worker_end_listener(w, w->nlisteners - 1);
    }
}

/* ---- upkeep ---- */

/* What would be there again if this client went: of a request that has not arrived whole, or of replies that it does not read. */
static size_t client_holds(const struct client *c) {
    size_t tail = c->stream.tail != NULL ? c->stream.tail->cap : 0;
    bool slow = c->blocked && c->owed > (uint64_t)c->pool->conf->client_buffer_limit;
    return max_size(tail, slow ? c->owed : 0);
}

/* Above the limit: the client that holds most loses its connection. */
static void worker_relieve(struct worker *w) {
    struct client *worst = NULL;
    size_t most = RELIEF_MIN;
    for (uint32_t i = 0; i < w->npools; i++) {
        LIST_EACH(&w->pools[i]->clients, l) {
            struct client *c = CONTAINER_OF(l, struct client, link);
            size_t holds = client_holds(c);
            if (holds > most) {
                most = holds;
                worst = c;
            }
        }
    }
    if (worst != NULL) {
        client_close(worst, REASON_MEMORY_LIMIT);
    }
}

void worker_want_upkeep(struct worker *w) {
    if (!timer_is_set(&w->upkeep)) {
        timer_set(w->loop, &w->upkeep, worker_now(w) + (w->tight ? RELIEF_USEC : UPKEEP_USEC));
    }
}

static void worker_on_upkeep(struct timer *t) {
    struct worker *w = CONTAINER_OF(t, struct worker, upkeep);
    size_t used = w->bufs.used;
    bool falling = w->bufs.peak - used > SPIKE_BYTES;
    w->high = max_size(w->high, w->bufs.peak);
    bool more = bufpool_trim(&w->bufs) || w->reqs.n > REQS_KEPT;
    freelist_trim(&w->reqs, w->reqs.n > 2 * REQS_KEPT ? w->reqs.n / 2 : REQS_KEPT);
    metric_set(&w->stats.v[WORKER_buffer_bytes], w->bufs.used);
    for (uint32_t i = 0; i < w->npools; i++) {
        for (uint32_t s = 0; s < w->pools[i]->nservers; s++) {
            more = server_upkeep(w->pools[i]->servers[s]) || more;
        }
        more = channels_upkeep(w->pools[i]) || more;
    }
    if (worker_tight(w)) {
        worker_relieve(w);
    }
    bool spiked = w->high - used > SPIKE_BYTES;
    if (spiked && !falling) {
        mem_trim(); /* once, when it is over: under a lasting load of large values every second would be one */
        w->high = used;
    }
    if (more || spiked || w->tight || w->reaping) {
        timer_set(w->loop, t, worker_now(w) + (w->tight ? RELIEF_USEC : UPKEEP_USEC));
    }
}

/* ---- begin and end ---- */

static void worker_notify(void *ctx) {
    loop_wake(ctx);
}

struct worker *worker_new(const struct worker_opts *opts) {
    struct worker *w = mem_zalloc(sizeof *w);
    w->opts = *opts;
    w->opts.conf = conf_ref(opts->conf);
    bufpool_init(&w->bufs);
    w->loop = loop_new(&w->bufs);
    if (w->loop == NULL) {
        conf_unref(&w->opts.conf);
        mem_free(w);
        return NULL;
    }
    mailbox_init(&w->mailbox, worker_notify, w->loop);
    freelist_init(&w->reqs, sizeof(struct req), 4096);
    freelist_init(&w->clients, sizeof(struct client), 64);
    list_init(&w->flush_uplinks);
    queue_init(&w->flush_clients);
    list_init(&w->dead_uplinks);
    list_init(&w->dead_clients);
    timer_init(&w->upkeep, worker_on_upkeep);
    surveys_init(&w->surveys, w);
    msg_init(&w->msg);
    msg_init(&w->again);
    rng_seed(&w->rng, opts->seed);
    sample_derive(w);
    w->npools = opts->conf->npools;
    w->pools = mem_alloc(w->npools * sizeof *w->pools);
    uint32_t most = 0;
    for (uint32_t i = 0; i < w->npools; i++) {
        w->pools[i] = pool_new(w, &opts->conf->pools[i], &opts->starts[i]);
        most = w->pools[i]->nservers > most ? w->pools[i]->nservers : most;
    }
    worker_size_group(w, most);
    for (uint32_t i = 0; i < w->npools; i++) {
        pool_preconnect(w->pools[i]);
    }
    return w;
}

void worker_size_group(struct worker *w, uint32_t servers) {
    w->group = mem_realloc(w->group, (servers + 1) * sizeof *w->group);
    memset(w->group, 0xff, (servers + 1) * sizeof *w->group);
}

void pool_preconnect(struct pool *p) {
    for (uint32_t s = 0; p->conf->preconnect && s < p->nservers; s++) {
        server_preconnect(p->servers[s]);
    }
}

struct pool *worker_pool(const struct worker *w, uint32_t id) {
    for (uint32_t i = 0; i < w->npools; i++) {
        if (w->pools[i]->id == id) {
            return w->pools[i];
        }
    }
    return NULL;
}

static void worker_bury(struct worker *w) {
    struct list *l;
    while ((l = list_pop(&w->dead_clients)) != NULL) {
        freelist_put(&w->clients, CONTAINER_OF(l, struct client, link));
    }
    while ((l = list_pop(&w->dead_uplinks)) != NULL) {
        mem_free(CONTAINER_OF(l, struct uplink, link));
    }
}

static void worker_close_all(struct worker *w) {
    worker_unlisten(w);
    surveys_close(&w->surveys);
    for (uint32_t i = 0; i < w->npools; i++) {
        pool_close_all(w->pools[i], REASON_DRAIN);
    }
    for (uint32_t i = 0; i < w->nleaving; i++) {
        pool_close_all(w->leaving[i], REASON_DRAIN);
    }
    queue_init(&w->flush_clients);
    worker_bury(w);
}

void worker_free(struct worker **wp) {
    struct worker *w = *wp;
    *wp = NULL;
    if (w == NULL) {
        return;
    }
    worker_close_all(w);
    timer_cancel(w->loop, &w->upkeep);
    for (uint32_t i = 0; i < w->npools; i++) {
        pool_free(&w->pools[i]);
    }
    for (uint32_t i = 0; i < w->nleaving; i++) {
        pool_free(&w->leaving[i]);
    }
    mem_free(w->pools);
    mem_free(w->leaving);
    mem_free(w->listeners);
    mem_free(w->group);
    mem_free(w->keys);
    trace_free(w);
    msg_fini(&w->msg);
    msg_fini(&w->again);
    struct mail *m;
    while ((m = mailbox_take(&w->mailbox)) != NULL) {
        if (m->kind == MAIL_RING) {
            ring_unref(&((struct mail_ring *)(void *)m)->ring);
        } else if (m->kind == MAIL_COMMANDS) {
            book_unref(&((struct mail_commands *)(void *)m)->book);
        } else if (m->kind == MAIL_CLIENT) {
            listen_discard(((struct mail_client *)(void *)m)->fd);
        } else if (m->kind == MAIL_CONF) {
            mail_conf_refuse((struct mail_conf *)(void *)m);
        }
        mem_free(m);
    }
    mailbox_fini(&w->mailbox);
    freelist_trim(&w->reqs, 0);
    freelist_trim(&w->clients, 0);
    loop_free(&w->loop);
    __atomic_sub_fetch(&w->opts.shared->buffer_bytes, w->told_bytes, __ATOMIC_RELAXED);
    bufpool_fini(&w->bufs);
    conf_unref(&w->opts.conf);
    mem_free(w);
}

/* ---- a turn ---- */

static void worker_drain(struct worker *w) {
    w->phase = WORKER_DRAINING;
    worker_unlisten(w);
    for (uint32_t i = 0; i < w->npools; i++) {
        LIST_EACH_SAFE(&w->pools[i]->clients, l) {
            client_drain(CONTAINER_OF(l, struct client, link), REASON_DRAIN);
        }
    }
}

static void worker_take_addrs(struct worker *w, const struct mail_addrs *m) {
    struct pool *pool = worker_pool(w, m->pool);
    struct server *s = pool != NULL ? pool_server(pool, m->server) : NULL;
    if (s != NULL) {
        server_set_addrs(s, m->addrs, m->n);
    }
}

static void worker_take_watch(const struct worker *w, const struct mail_health *m) {
    const struct pool *pool = worker_pool(w, m->pool);
    struct server *s = pool != NULL ? pool_server(pool, m->server) : NULL;
    if (s != NULL) {
        s->told_failed = true;
    }
}

static void worker_take_script(const struct worker *w, const struct mail_script *m) {
    struct pool *pool = worker_pool(w, m->pool);
    if (pool != NULL && m->mail.kind == MAIL_SCRIPT) {
        scripts_told(&pool->scripts, m);
    } else if (pool != NULL) {
        scripts_clear(&pool->scripts);
    }
}

static void worker_take_ring(const struct worker *w, struct mail_ring *m) {
    struct pool *pool = worker_pool(w, m->pool);
    if (pool != NULL) {
        pool_set_ring(pool, m->ring);
    } else {
        ring_unref(&m->ring);
    }
}

static void worker_take_commands(const struct worker *w, struct mail_commands *m) {
    struct pool *pool = worker_pool(w, m->pool);
    if (pool != NULL) {
        pool_set_learned(pool, m->book, m->version);
    } else {
        book_unref(&m->book);
    }
}

static void worker_take(struct worker *w, struct mail *mail) {
    switch (mail->kind) {
    case MAIL_CONF:
        worker_switch(w, (struct mail_conf *)(void *)mail);
        w->reaping = true;
        break;
    case MAIL_SEEN: w->unseen--; break;
    case MAIL_RING: worker_take_ring(w, (struct mail_ring *)(void *)mail); break;
    case MAIL_ADDRS: worker_take_addrs(w, (const struct mail_addrs *)(void *)mail); break;
    case MAIL_COMMANDS: worker_take_commands(w, (struct mail_commands *)(void *)mail); break;
    case MAIL_WATCH: worker_take_watch(w, (const struct mail_health *)(void *)mail); break;
    case MAIL_SCRIPT:
    case MAIL_FORGET: worker_take_script(w, (const struct mail_script *)(void *)mail); break;
    case MAIL_DRAIN: worker_drain(w); break;
    case MAIL_LEAVE:
        worker_unlisten(w);
        worker_leave(w, ((const struct mail_leave *)(void *)mail)->heir);
        break;
    case MAIL_CLIENT: worker_take_client(w, (const struct mail_client *)(void *)mail); break;
    case MAIL_STOP: w->phase = WORKER_STOPPED; break;
    default: ASSERT(false && "mail that no worker understands");
    }
}

static void worker_read_mail(struct worker *w) {
    struct mail *mail;
    while ((mail = mailbox_take(&w->mailbox)) != NULL) {
        if (mail->kind == MAIL_SURVEY) {
            survey_on_mail(w, (struct mail_survey *)(void *)mail); /* it travels on */
        } else if (mail->kind == MAIL_ROLL) {
            roll_on_mail(w, (struct mail_roll *)(void *)mail);
        } else if (mail->kind == MAIL_SLOW) {
            slowlog_on_mail(w, (struct mail_slow *)(void *)mail);
        } else if (mail->kind == MAIL_HOT) {
            hot_on_mail(w, (struct mail_hot *)(void *)mail);
        } else {
            worker_take(w, mail);
            mem_free(mail);
        }
    }
}

/* What came in during this turn goes out now, one system call per connection: the most valuable thing that a proxy can
 * do for its CPU time (docs/performance.md). */
static void worker_flush(struct worker *w) {
    struct list *l;
    while ((l = list_pop(&w->flush_uplinks)) != NULL) {
        uplink_flush(CONTAINER_OF(l, struct uplink, flush_link));
    }
    struct queue_link *c;
    while ((c = queue_pop(&w->flush_clients)) != NULL) {
        client_flush(CONTAINER_OF(c, struct client, flush_link));
    }
}

/* Nothing is owed any more, neither to a client nor by a server. */
static bool worker_idle(const struct worker *w) {
    if (w->nclients > 0) {
        return false;
    }
    for (uint32_t i = 0; i < w->npools; i++) {
        for (uint32_t s = 0; s < w->pools[i]->nservers; s++) {
            if (w->pools[i]->servers[s]->nqueued > 0) {
                return false;
            }
        }
    }
    return true;
}

static void worker_account(struct worker *w) {
    struct shared *shared = w->opts.shared;
    size_t used = w->bufs.used;
    if (used > w->told_bytes + TELL_BYTES || used + TELL_BYTES < w->told_bytes) {
        __atomic_add_fetch(&shared->buffer_bytes, used - w->told_bytes, __ATOMIC_RELAXED);
        w->told_bytes = used;
        metric_set(&w->stats.v[WORKER_buffer_bytes], used);
    }
    w->tight = worker_held(w) > (uint64_t)w->opts.conf->buffer_limit;
    if (UNLIKELY(w->bufs.peak > used)) {
        worker_want_upkeep(w);
    }
}

static void worker_say_stopped(struct worker *w) {
    struct mail_worker *m = mem_zalloc(sizeof *m);
    m->mail.kind = MAIL_STOPPED;
    m->worker = w->opts.index;
    mailbox_post(w->opts.control, &m->mail);
}

/* Of a worker that drains or leaves. False: it has ended. */
static bool worker_end_turn(struct worker *w) {
    if (w->phase == WORKER_LEAVING) {
        worker_hand_over(w);
        worker_bury(w);
    }
    if (w->phase != WORKER_STOPPED && worker_idle(w)) {
        w->phase = WORKER_STOPPED;
    }
    if (w->phase == WORKER_STOPPED) {
        worker_close_all(w);
        worker_say_stopped(w);
    }
    return w->phase != WORKER_STOPPED;
}

bool worker_turn(struct worker *w, int64_t max_wait) {
    loop_turn(w->loop, max_wait);
    metric_add(&w->stats.v[WORKER_turns], 1);
    worker_read_mail(w);
    worker_flush(w);
    worker_bury(w);
    worker_account(w);
    if (UNLIKELY(w->reaping)) {
        w->reaping = worker_reap(w);
    }
    return LIKELY(w->phase == WORKER_RUNNING) || worker_end_turn(w);
}

struct mailbox *worker_mailbox(struct worker *w) {
    return &w->mailbox;
}

struct loop *worker_loop(struct worker *w) {
    return w->loop;
}

const struct worker_block *worker_block(const struct worker *w) {
    return &w->stats;
}
