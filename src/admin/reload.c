/* reload.c: another configuration takes the place of the one in use.
 *
 * Control builds everything beside what is there: the file is checked whole, new addresses are bound; then nothing can fail any more.
 * It takes over what stays (health, names, lessons, counts), and posts the new configuration with its rings and listeners to
 * every worker, which switches between two turns (core/switch.h) and tells where its counters are now. */
#include "admin/control_state.h"
#include "base/mem.h"
#include "conf/diff.h"
#include "conf/problem.h"
#include "proto/rules.h"

#define SHOWN_MAX 100 /* differences in the log */

/* ---- pools and servers ---- */

/* Control's own connections, which probe servers and learn from them, speak TLS as those of workers do. */
static void pool_secure(struct control *c, uint32_t pool) {
    const struct conf_pool *conf = &c->conf->pools[pool];
    struct tls_opts opts = conf_tls_connect(c->conf, conf);
    enum tls_part wrong;
    char why[256];
    struct tls_ctx *ctx = conf->server_tls ? tls_ctx_new(&opts, NULL, NULL, &wrong, why, sizeof why) : NULL;
    ASSERT(ctx != NULL || !conf->server_tls); /* tried when the configuration was read */
    for (uint32_t s = 0; s < conf->nservers; s++) {
        struct health *h = &c->pools[pool]->servers[s]->health;
        tls_peer_unref(&h->tls);
        h->tls = ctx != NULL ? tls_peer_new(ctx, conf_tls_name(conf, &conf->servers[s]), NULL) : NULL;
    }
    tls_ctx_unref(&ctx);
}

static struct control_server *server_make(struct control *c, uint32_t pool, uint32_t server) {
    struct control_server *s = mem_zalloc(sizeof *s);
    s->id = c->conf->pools[pool].servers[server].id;
    health_init(&s->health, c, pool, server);
    learn_init(&s->learn, c, pool, server);
    name_init(&s->name, c, pool, server);
    return s;
}

/* Its streams may be in the middle of this turn. */
static void server_end(struct control *c, struct control_server *s) {
    health_fini(&s->health);
    tls_peer_unref(&s->health.tls);
    learn_fini(&s->learn);
    name_fini(&s->name);
    list_push(&c->dead, &s->link);
}

void control_bury(struct control *c) {
    struct list *l;
    while ((l = list_pop(&c->dead)) != NULL) {
        mem_free(CONTAINER_OF(l, struct control_server, link));
    }
}

static void server_keep(struct control_server *s, uint32_t pool, uint32_t server, const struct conf_server *old) {
    struct control *c = s->health.control;
    const struct conf_server *now = &c->conf->pools[pool].servers[server];
    bool moved = strcmp(old->address, now->address) != 0 || !addr_eq(&old->addr, &now->addr);
    s->health.pool = s->learn.pool = s->name.pool = pool;
    s->health.server = s->learn.server = s->name.server = server;
    health_changed(&s->health, moved);
    if (moved) {
        name_fini(&s->name);
        name_init(&s->name, c, pool, server);
    }
}

void control_build_ring(struct control *c, uint32_t pool) {
    struct control_pool *p = c->pools[pool];
    bool *alive = mem_alloc(p->nservers * sizeof *alive);
    for (uint32_t s = 0; s < p->nservers; s++) {
        alive[s] = p->servers[s]->health.state == HEALTH_ALIVE;
    }
    ring_unref(&p->ring);
    p->ring = conf_ring(&c->conf->pools[pool], alive);
    mem_free(alive);
}

static struct control_server *take_server(struct control_pool *p, uint32_t id, uint32_t *index) {
    for (uint32_t i = 0; i < p->nservers; i++) {
        if (p->servers[i] != NULL && p->servers[i]->id == id) {
            struct control_server *s = p->servers[i];
            p->servers[i] = NULL;
            *index = i;
            return s;
        }
    }
    return NULL;
}

/* c->pools[pool] has the servers of before; `old`: their configuration, NULL: there are none. */
static void pool_update(struct control *c, uint32_t pool, const struct conf_pool *old) {
    struct control_pool *p = c->pools[pool];
    const struct conf_pool *now = &c->conf->pools[pool];
    struct control_server **servers = mem_alloc(now->nservers * sizeof *servers);
    uint32_t before = 0, kept = 0;
    for (uint32_t i = 0; i < now->nservers; i++) {
        servers[i] = take_server(p, now->servers[i].id, &before);
        if (servers[i] != NULL) {
            server_keep(servers[i], pool, i, &old->servers[before]);
            kept++;
        } else {
            servers[i] = server_make(c, pool, i);
        }
    }
    bool some_left = kept < p->nservers;
    for (uint32_t i = 0; i < p->nservers; i++) {
        if (p->servers[i] != NULL) {
            server_end(c, p->servers[i]);
        }
    }
    mem_free(p->servers);
    p->servers = servers;
    p->nservers = now->nservers;
    pool_secure(c, pool);
    if (old == NULL || !conf_same_ring(old, now) || old->auto_eject_hosts != now->auto_eject_hosts) {
        control_build_ring(c, pool);
    }
    if (some_left) {
        lore_tell(c, pool);
    }
}

static struct control_pool *pool_make(uint32_t id) {
    struct control_pool *p = mem_zalloc(sizeof *p);
    p->id = id;
    lore_init(&p->lore);
    return p;
}

static void pool_free(struct control *c, struct control_pool **pp) {
    struct control_pool *p = *pp;
    *pp = NULL;
    for (uint32_t i = 0; i < p->nservers; i++) {
        server_end(c, p->servers[i]);
    }
    mem_free(p->servers);
    lore_fini(&p->lore);
    ring_unref(&p->ring);
    mem_free(p);
}

/* Workers count its clients and point to its rows for a while. */
static void pool_retire(struct control *c, struct control_pool *p) {
    for (uint32_t i = 0; i < p->nservers; i++) {
        server_end(c, p->servers[i]);
    }
    p->nservers = 0;
    p->holders = c->nworkers;
    c->retired = mem_realloc(c->retired, (c->nretired + 1) * sizeof(struct control_pool *));
    c->retired[c->nretired++] = p;
}

void control_pool_gone(struct control *c, uint32_t pool) {
    for (uint32_t i = 0; i < c->nretired; i++) {
        if (c->retired[i]->id == pool && --c->retired[i]->holders == 0) {
            pool_free(c, &c->retired[i]);
            c->retired[i] = c->retired[--c->nretired];
            return;
        }
    }
}

void control_make_pools(struct control *c, const struct conf *old) {
    struct control_pool **before = c->pools;
    uint32_t nbefore = old != NULL ? old->npools : 0;
    c->pools = mem_zalloc(c->conf->npools * sizeof *c->pools);
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        const struct conf_pool *was = NULL;
        for (uint32_t i = 0; i < nbefore; i++) {
            if (before[i] != NULL && before[i]->id == c->conf->pools[p].id) {
                was = &old->pools[i];
                c->pools[p] = before[i];
                before[i] = NULL;
            }
        }
        if (was == NULL) {
            c->pools[p] = pool_make(c->conf->pools[p].id);
        }
        pool_update(c, p, was);
    }
    for (uint32_t i = 0; i < nbefore; i++) {
        if (before[i] != NULL) {
            pool_retire(c, before[i]);
        }
    }
    mem_free(before);
}

/* Requests in flight point to rows of the rules that they came by. Counting them would cost every request something; what
 * an operator writes in years costs a few kilobytes: rules stay, and equal ones are one. */
void control_keep_rules(struct control *c, struct conf *conf) {
    for (uint32_t p = 0; p < conf->npools; p++) {
        struct rules **r = &conf->pools[p].rules;
        uint32_t i = 0;
        while (*r != NULL && i < c->nrules && !rules_same(c->rules[i], *r)) {
            i++;
        }
        if (*r != NULL && i < c->nrules) {
            rules_unref(r);
            *r = rules_ref(c->rules[i]);
        } else if (*r != NULL) {
            c->rules = mem_realloc(c->rules, (c->nrules + 1) * sizeof(struct rules *));
            c->rules[c->nrules++] = rules_ref(*r);
        }
    }
}

void control_free_pools(struct control *c) {
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        pool_free(c, &c->pools[p]);
    }
    for (uint32_t i = 0; i < c->nretired; i++) {
        pool_free(c, &c->retired[i]);
    }
    for (uint32_t i = 0; i < c->nrules; i++) {
        rules_unref(&c->rules[i]);
    }
    mem_free(c->pools);
    mem_free(c->retired);
    mem_free(c->rules);
    control_bury(c);
}

/* ---- the log ---- */

static const char *quoted(char *to, size_t room, const char *text) {
    return log_quote(to, room, slice_str(text != NULL ? text : ""));
}

static void log_diff(void *ctx, const struct diff *d) {
    uint32_t *left = ctx;
    char name[256], from[512], to[512];
    if (*left > 0) {
        --*left;
        log_line(LOG_NOTICE, "reload_diff pool=%s what=\"%s\" name=\"%s\" change=%s from=\"%s\" to=\"%s\" restart=%s",
                 d->pool != NULL ? d->pool : "-", d->what, quoted(name, sizeof name, d->name), diff_word(d->kind),
                 quoted(from, sizeof from, d->from), quoted(to, sizeof to, d->to), d->restart ? "needed" : "no");
    }
}

/* ---- the switch ---- */

static void post_conf(struct control *c, uint32_t worker) {
    struct mail_conf *m = mem_zalloc(sizeof *m);
    m->mail.kind = MAIL_CONF;
    m->conf = conf_ref(c->conf);
    m->starts = control_starts(c);
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        ring_ref(m->starts[p].ring);
    }
    m->nlisteners = listeners_fresh(c->opts.listeners, c->conf, worker, &m->listeners);
    mailbox_post(worker_mailbox(c->workers[worker]), &m->mail);
}

/* Nothing can fail from here on. */
static void take(struct control *c, struct conf *now) {
    struct conf *old = c->conf;
    uint32_t left = SHOWN_MAX;
    uint32_t n = conf_diff(old, now, log_diff, &left);
    conf_inherit(now, old);
    control_keep_rules(c, now);
    c->conf = now;
    access_follow(&c->access);
    http_read_token(c->http);
    control_make_pools(c, old);
    c->switching = c->nworkers;
    for (uint32_t i = 0; i < c->nworkers; i++) {
        post_conf(c, i);
    }
    listeners_commit(c->opts.listeners, now);
    watch_set(&c->watch);
    log_line(LOG_NOTICE, "reload config=%s pools=%u differences=%u", now->file, now->npools, n);
    certs_look(&c->certs);
    conf_unref(&old);
}

bool control_switch(struct control *c, struct conf **conf, struct conf_problems *ps) {
    struct conf *now = *conf;
    const struct place whole_file = {0, 0};
    bool ok = false;
    *conf = NULL;
    if (c->draining) {
        problem_error(ps, whole_file, "kvmux is shutting down");
    } else if (c->switching > 0) {
        problem_error(ps, whole_file, "another reload is under way");
    } else if (now != NULL) {
        ok = listeners_change(c->opts.listeners, now, ps);
    }
    conf_problems_log(ps, c->conf->file);
    c->reloads++;
    c->refused = !ok;
    if (ok) {
        take(c, now);
    } else {
        listeners_undo(c->opts.listeners);
        conf_unref(&now);
        log_line(LOG_ERROR, "reload_failed config=%s errors=%u note=\"nothing was changed\"", c->conf->file, conf_errors(ps));
    }
    return ok;
}

bool control_reload(struct control *c, struct conf_problems *ps) {
    struct conf *now = conf_read(c->conf->file, c->opts.resolve, ps);
    watch_taken(&c->watch, &ps->sources);
    return control_switch(c, &now, ps);
}

void control_want_reload(struct control *c) {
    c->reload_wanted = c->switching > 0;
    if (!c->reload_wanted) {
        struct conf_problems ps = {0};
        control_reload(c, &ps);
        conf_problems_fini(&ps);
    }
}

void control_switched(struct control *c, struct mail_view *view) {
    if (view->worker >= c->nworkers) {
        mem_free(view); /* they are all gone */
        return;
    }
    struct mail *seen = mem_zalloc(sizeof *seen);
    mem_free(c->views[view->worker]);
    c->views[view->worker] = view;
    seen->kind = MAIL_SEEN;
    mailbox_post(worker_mailbox(c->workers[view->worker]), seen);
    if (--c->switching == 0) {
        log_line(LOG_NOTICE, "reload_done workers=%u", c->nworkers);
        if (c->reload_wanted) {
            control_want_reload(c);
        }
    }
}
