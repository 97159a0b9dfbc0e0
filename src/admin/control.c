#include "admin/control.h"

#include "admin/control_state.h"
#include "base/mem.h"

#define LAST_USEC 1000000 /* the last word to clients that another process cannot take */

static void control_notify(void *ctx) {
    loop_wake(ctx);
}

static void control_on_drain_timer(struct timer *);

struct control *control_new(const struct control_opts *opts) {
    struct control *c = mem_zalloc(sizeof *c);
    c->opts = *opts;
    c->conf = conf_ref(opts->conf);
    c->shared = opts->shared;
    bufpool_init(&c->bufs);
    c->loop = loop_new(&c->bufs);
    c->resolver = c->loop != NULL ? resolver_new(c->loop) : NULL;
    bool admin = opts->admin.fd >= 0;
    c->http = c->resolver != NULL && admin ? http_new(c, &opts->admin) : NULL;
    if (c->resolver == NULL || (admin && c->http == NULL)) {
        resolver_free(&c->resolver);
        loop_free(&c->loop);
        conf_unref(&c->conf);
        mem_free(c);
        return NULL;
    }
    mailbox_init(&c->mailbox, control_notify, c->loop);
    timer_init(&c->drain_timer, control_on_drain_timer);
    list_init(&c->dead);
    control_keep_rules(c, c->conf);
    control_make_pools(c, NULL);
    watch_init(&c->watch, c, opts->sources);
    certs_init(&c->certs, c);
    stats_port_start(&c->stats_port, c, opts->stats_fd);
    round_init(&c->clients, c);
    round_init(&c->hotkeys, c);
    round_init(&c->slow, c);
    access_init(&c->access, c);
    c->history = admin ? history_new(c) : NULL;
    return c;
}

struct mailbox *control_mailbox(struct control *c) {
    return &c->mailbox;
}

struct pool_start *control_starts(struct control *c) {
    struct pool_start *starts = mem_alloc(c->conf->npools * sizeof *starts);
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        starts[p] = (struct pool_start){.ring = c->pools[p]->ring, .clients = &c->pools[p]->clients};
    }
    return starts;
}

void control_add_worker(struct control *c, struct worker *w) {
    c->workers = mem_realloc(c->workers, (c->nworkers + 1) * sizeof(struct worker *));
    c->views = mem_realloc(c->views, (c->nworkers + 1) * sizeof(struct mail_view *));
    c->views[c->nworkers] = worker_view(w);
    c->workers[c->nworkers++] = w;
}

void control_wake(struct control *c) {
    loop_wake(c->loop);
}

/* ---- to the workers ---- */

static void control_post_all(struct control *c, int kind) {
    for (uint32_t i = 0; i < c->nworkers; i++) {
        struct mail *m = mem_zalloc(sizeof *m);
        m->kind = kind;
        mailbox_post(worker_mailbox(c->workers[i]), m);
    }
}

void control_post_ring(struct control *c, uint32_t pool) {
    struct control_pool *p = c->pools[pool];
    control_build_ring(c, pool);
    for (uint32_t i = 0; i < c->nworkers; i++) {
        struct mail_ring *m = mem_zalloc(sizeof *m);
        *m = (struct mail_ring){.mail.kind = MAIL_RING, .pool = p->id, .ring = ring_ref(p->ring)};
        mailbox_post(worker_mailbox(c->workers[i]), &m->mail);
    }
}

void control_post_addrs(struct control *c, uint32_t pool, uint32_t server, const struct addr *addrs, uint32_t n) {
    struct control_pool *p = c->pools[pool];
    struct health *h = &p->servers[server]->health;
    n = n < MAIL_ADDRS_MAX ? n : MAIL_ADDRS_MAX;
    if (n > 0) {
        memcpy(h->addrs, addrs, n * sizeof *addrs);
        h->naddrs = n;
    }
    for (uint32_t i = 0; i < c->nworkers; i++) {
        struct mail_addrs *m = mem_zalloc(sizeof *m);
        *m = (struct mail_addrs){.mail.kind = MAIL_ADDRS, .pool = p->id, .server = p->servers[server]->id, .n = n};
        if (n > 0) {
            memcpy(m->addrs, addrs, n * sizeof *addrs);
        }
        mailbox_post(worker_mailbox(c->workers[i]), &m->mail);
    }
}

void control_post_commands(struct control *c, uint32_t pool) {
    const struct lore *lore = &c->pools[pool]->lore;
    for (uint32_t i = 0; i < c->nworkers; i++) {
        struct mail_commands *m = mem_zalloc(sizeof *m);
        *m = (struct mail_commands){.mail.kind = MAIL_COMMANDS, .pool = c->pools[pool]->id, .book = book_ref(lore->book)};
        memcpy(m->version, lore->version, sizeof m->version);
        mailbox_post(worker_mailbox(c->workers[i]), &m->mail);
    }
}

void control_post_watch(struct control *c, uint32_t pool, uint32_t server) {
    const struct control_pool *p = c->pools[pool];
    for (uint32_t i = 0; i < c->nworkers; i++) {
        struct mail_health *m = mem_zalloc(sizeof *m);
        *m = (struct mail_health){.mail.kind = MAIL_WATCH, .pool = p->id, .server = p->servers[server]->id};
        mailbox_post(worker_mailbox(c->workers[i]), &m->mail);
    }
}

/* What one worker learned, and the news that it arrived for that one. */
static void control_post_script(struct control *c, const struct mail_script *news) {
    for (uint32_t i = 0; i < c->nworkers; i++) {
        bool own = i == news->worker;
        struct mail_script *m = mem_alloc(sizeof *m + (own ? 0 : news->len));
        memcpy(m, news, sizeof *m + (own ? 0 : news->len));
        m->mail = (struct mail){.kind = news->mail.kind};
        mailbox_post(worker_mailbox(c->workers[i]), &m->mail);
    }
}

/* ---- from the workers ---- */

/* A survey goes to one worker after the other and then home. A worker that stopped meanwhile keeps it: the asker waits no
 * longer than it said. */
static void control_pass_on(struct control *c, struct mail_survey *m) {
    uint32_t to = m->next < c->nworkers ? m->next : m->asker;
    if (to >= c->nworkers) {
        mem_free(m); /* they are all gone */
        return;
    }
    m->home = m->next >= c->nworkers;
    m->next++;
    mailbox_post(worker_mailbox(c->workers[to]), &m->mail);
}

/* NULL: it went while the mail was on its way. */
static struct control_server *server_of(const struct control *c, const struct mail_health *m) {
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        const struct control_pool *pool = c->pools[p];
        for (uint32_t s = 0; pool->id == m->pool && s < pool->nservers; s++) {
            if (pool->servers[s]->id == m->server) {
                return pool->servers[s];
            }
        }
    }
    return NULL;
}

static void control_hear(struct control *c, const struct mail_health *m) {
    struct control_server *s = server_of(c, m);
    if (s == NULL) {
        return;
    }
    switch (m->mail.kind) {
    case MAIL_FAILED: health_failed(&s->health, m); break;
    case MAIL_WORKS: health_works(&s->health, m); break;
    case MAIL_UP: learn_up(&s->learn); break;
    default: name_again(&s->name);
    }
}

static void control_read_mail(struct control *c) {
    struct mail *mail;
    while ((mail = mailbox_take(&c->mailbox)) != NULL) {
        const struct mail_log *l = (const struct mail_log *)(void *)mail;
        switch (mail->kind) {
        case MAIL_SURVEY:
            control_pass_on(c, (struct mail_survey *)(void *)mail);
            continue;
        case MAIL_VIEW:
            control_switched(c, (struct mail_view *)(void *)mail);
            continue;
        case MAIL_ROLL:
            clients_on_mail(c, (struct mail_roll *)(void *)mail);
            continue;
        case MAIL_SLOW:
            slow_on_mail(c, (struct mail_slow *)(void *)mail);
            continue;
        case MAIL_HOT:
            hotkeys_on_mail(c, (struct mail_hot *)(void *)mail);
            continue;
        case MAIL_FAILED:
        case MAIL_WORKS:
        case MAIL_UP:
        case MAIL_RESOLVE:
            control_hear(c, (const struct mail_health *)(void *)mail);
            break;
        case MAIL_GONE:
            control_pool_gone(c, ((const struct mail_worker *)(void *)mail)->pool);
            break;
        case MAIL_SCRIPT:
        case MAIL_FORGET:
            control_post_script(c, (const struct mail_script *)(void *)mail);
            break;
        case MAIL_STOPPED:
            c->stopped++;
            break;
        case MAIL_LOG:
            log_line((enum log_level)l->level, "%.*s", (int)l->len, l->line);
            break;
        default:
            ASSERT(false && "mail that control does not understand");
        }
        mem_free(mail);
    }
}

/* ---- drain ---- */

static void control_on_drain_timer(struct timer *t) {
    struct control *c = CONTAINER_OF(t, struct control, drain_timer);
    if (c->leaving) { /* those who could not go are told by a FIN, behind their answers */
        c->leaving = false;
        control_post_all(c, MAIL_DRAIN);
        timer_set(c->loop, t, loop_now(c->loop) + LAST_USEC);
        return;
    }
    log_line(LOG_WARN, "drain_timeout msec=%lld note=\"closing what is left\"", (long long)c->conf->drain_timeout);
    control_post_all(c, MAIL_STOP);
}

static void control_begin_drain(struct control *c) {
    c->draining = true;
    timer_set(c->loop, &c->drain_timer, loop_now(c->loop) + c->conf->drain_timeout * 1000);
}

void control_drain(struct control *c) {
    if (!c->draining) {
        control_begin_drain(c);
        control_post_all(c, MAIL_DRAIN);
    }
}

void control_leave(struct control *c, struct mailbox *heir) {
    for (uint32_t i = 0; !c->draining && i < c->nworkers; i++) {
        struct mail_leave *m = mem_zalloc(sizeof *m);
        *m = (struct mail_leave){.mail.kind = MAIL_LEAVE, .heir = heir};
        mailbox_post(worker_mailbox(c->workers[i]), &m->mail);
    }
    if (!c->draining) {
        c->leaving = true;
        control_begin_drain(c);
        stats_port_shut(&c->stats_port);
        http_shut(c->http);
    }
}

const struct conf *control_conf(const struct control *c) {
    return c->conf;
}

void control_reopen(struct control *c) {
    access_reopen(&c->access);
}

bool control_draining(const struct control *c) {
    return c->draining;
}

bool control_reloading(const struct control *c) {
    return c->switching > 0;
}

uint32_t control_reloads(const struct control *c) {
    return c->reloads;
}

bool control_refused(const struct control *c) {
    return c->refused;
}

uint64_t control_connections(const struct control *c) {
    uint64_t most = 0;
    for (uint32_t i = 0; i < c->nworkers; i++) {
        uint64_t n = metric_get(&worker_block(c->workers[i])->v[WORKER_total_connections]);
        most = n > most ? n : most;
    }
    return most;
}

bool control_turn(struct control *c, int64_t max_wait) {
    loop_turn(c->loop, max_wait);
    control_read_mail(c);
    stats_port_bury(&c->stats_port);
    control_bury(c);
    if (c->stopped < c->nworkers || c->nworkers == 0) {
        return true;
    }
    access_write(&c->access); /* the last lines */
    return false;
}

void control_free(struct control **cp) {
    struct control *c = *cp;
    *cp = NULL;
    if (c == NULL) {
        return;
    }
    access_fini(&c->access);
    for (uint32_t i = 0; i < c->nworkers; i++) {
        mem_free(c->views[i]);
    }
    mem_free(c->views);
    c->nworkers = 0; /* they are gone: what their last mails bring about is posted to nobody */
    c->draining = true;
    control_read_mail(c);
    timer_cancel(c->loop, &c->drain_timer);
    watch_fini(&c->watch);
    certs_fini(&c->certs);
    stats_port_fini(&c->stats_port);
    round_fini(&c->clients);
    round_fini(&c->hotkeys);
    round_fini(&c->slow);
    control_upgrade_answer(c, false, "the process ends");
    http_free(&c->http);
    history_free(&c->history);
    control_free_pools(c);
    mem_free(c->workers);
    resolver_free(&c->resolver);
    mailbox_fini(&c->mailbox);
    loop_free(&c->loop);
    bufpool_fini(&c->bufs);
    conf_unref(&c->conf);
    mem_free(c);
}
