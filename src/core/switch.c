#include "core/switch.h"

#include "base/mem.h"
#include "core/channel.h"
#include "core/client.h"
#include "core/fan.h"
#include "core/lease.h"
#include "core/txn.h"
#include "core/uplink.h"
#include "core/worker_state.h"

#define NOWHERE UINT32_MAX

/* ---- users ---- */

/* Who a user is now: as before, or by name with another id, since it logs in at the servers in another way. NOWHERE: removed. */
static uint32_t user_now(const struct conf_pool *old, const struct conf_pool *now, uint32_t id) {
    const struct user *before = user_by_id(old->users, old->nusers, id);
    if (conf_has_user(now, id)) {
        return id;
    }
    for (uint32_t i = 0; before != NULL && i < now->nusers; i++) {
        if (strcmp(now->users[i].name, before->name) == 0) {
            return now->users[i].id;
        }
    }
    return NOWHERE;
}

/* False: there is no such user any more. */
static bool session_move(struct session *s, const struct conf_pool *old, const struct conf_pool *now) {
    uint32_t user = user_now(old, now, s->user);
    s->authed = s->authed || !conf_must_log_in(now);
    if (s->db == (uint32_t)old->redis_db) {
        s->db = (uint32_t)now->redis_db;
    }
    if (user != NOWHERE) {
        s->user = (uint16_t)user;
    }
    return user != NOWHERE;
}

static void client_move(struct client *c, const struct conf_pool *old, const struct conf_pool *now) {
    bool stays = session_move(&c->session, old, now);
    for (struct queue_link *l = c->fifo.head; l != NULL; l = l->next) {
        const struct fan *f = CONTAINER_OF(l, struct req, client_link)->fan;
        if (f != NULL && f->next != NULL) { /* what it is about to become */
            stays = session_move(f->next, old, now) && stays;
        }
    }
    if (!stays) {
        client_drain(c, REASON_REMOVED);
    }
}

/* ---- what the servers of a pool are ---- */

static bool same_text(const char *a, const char *b) {
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* How the pool's own connections to a server are replaced, since they greet it in another way. */
static enum retire greeting_change(const struct conf_pool *a, const struct conf_server *at_a, const struct conf_pool *b,
                                   const struct conf_server *at_b) {
    struct greeting x = conf_greeting(a, 0), y = conf_greeting(b, 0);
    if (conf_server_db(a, at_a) != conf_server_db(b, at_b)) {
        return RETIRE_MOVED; /* other data */
    }
    return same_text(x.user, y.user) && same_text(x.password, y.password) ? RETIRE_NOT : RETIRE_SAME;
}

/* Users whose ids went: nothing new will go over their connections. */
static void retire_users(struct server *s, const struct conf_pool *now) {
    LIST_EACH(&s->others, l) {
        const struct profile *p = CONTAINER_OF(l, struct profile, link);
        if (!conf_has_user(now, session_profile_user(p->key))) {
            server_retire(s, p, RETIRE_SAME);
        }
    }
}

/* Those of the pool's own user, in whichever database. */
static void retire_own(struct server *s, enum retire how) {
    server_retire(s, &s->base, how);
    LIST_EACH(&s->others, l) {
        const struct profile *p = CONTAINER_OF(l, struct profile, link);
        if (session_profile_user(p->key) == 0) {
            server_retire(s, p, how);
        }
    }
}

/* pool->conf is the new one already. */
static void server_change(struct server *s, uint32_t index, const struct conf_pool *old) {
    const struct conf_pool *now = s->pool->conf;
    const struct conf_server *before = s->conf;
    s->conf = &now->servers[index];
    s->index = index;
    s->base.key = s->pool->base_profile;
    if (strcmp(before->address, s->conf->address) != 0 || !addr_eq(&before->addr, &s->conf->addr)) {
        server_move(s); /* first: what is being connected goes there, whatever replaces it */
    }
    if (old->server_connections != now->server_connections) {
        server_resize(s);
    }
    enum retire how = greeting_change(old, before, now, s->conf);
    if (how != RETIRE_NOT) {
        retire_own(s, how);
    }
    if (secure_differs(old, now)) {
        server_retire(s, NULL, RETIRE_SAME);
    }
    retire_users(s, now);
    if (old->timeout != now->timeout) {
        server_reclock(s);
    }
}

/* ---- one pool that stays ---- */

/* The new place of every server; NOWHERE: it went. */
static uint32_t *new_places(const struct pool *p, const struct conf_pool *now) {
    uint32_t *places = mem_alloc((p->nservers + 1) * sizeof *places);
    for (uint32_t i = 0; i < p->nservers; i++) {
        places[i] = NOWHERE;
        for (uint32_t k = 0; k < now->nservers; k++) {
            if (now->servers[k].id == p->servers[i]->id) {
                places[i] = k;
            }
        }
    }
    return places;
}

static uint32_t wrote_now(uint32_t wrote, const uint32_t *places, uint32_t n) {
    uint32_t now = 0;
    for (uint32_t i = 0; i < n; i++) {
        if ((wrote & client_server_bit(i)) && places[i] != NOWHERE) {
            now |= client_server_bit(places[i]);
        }
    }
    return now;
}

static void servers_leave(struct pool *p, const uint32_t *places, struct conf *old) {
    for (uint32_t i = 0; i < p->nservers; i++) {
        struct server *s = p->servers[i];
        if (places[i] != NOWHERE) {
            continue;
        }
        LIST_EACH(&p->clients, l) {
            const struct client *c = CONTAINER_OF(l, struct client, link);
            if (c->txn != NULL) {
                txn_server_left(c->txn, s);
            }
        }
        server_leave(s, old, worker_now(p->worker) + p->worker->opts.conf->drain_timeout * 1000);
    }
}

/* The servers of the new configuration, in its order, old and new ones; p->conf is the new one. */
static void servers_place(struct pool *p, const uint32_t *places) {
    struct server **servers = mem_zalloc(p->conf->nservers * sizeof *servers);
    for (uint32_t i = 0; i < p->nservers; i++) {
        if (places[i] != NOWHERE) {
            servers[places[i]] = p->servers[i];
        }
    }
    mem_free(p->servers);
    p->servers = servers;
    p->nservers = p->conf->nservers;
    for (uint32_t i = 0; i < p->nservers; i++) {
        if (servers[i] == NULL) {
            servers[i] = server_new(p, i);
        }
    }
}

static void sets_move(struct pool *p, const struct conf_pool *old) {
    LIST_EACH(&p->channel_sets, l) {
        struct channels *set = CONTAINER_OF(l, struct channels, link);
        uint32_t user = user_now(old, p->conf, session_profile_user(set->profile));
        set->profile = pool_profile(p, user != NOWHERE ? user : session_profile_user(set->profile));
    }
}

static void pool_change(struct pool *p, const struct conf_pool *now, const struct pool_start *start, struct conf *before) {
    const struct conf_pool *old = p->conf;
    uint32_t *places = new_places(p, now), n = p->nservers;
    servers_leave(p, places, before); /* by the old ring still: what fails there may look for another server */
    p->conf = now;
    pool_derive(p);
    p->nknown = 0;
    servers_place(p, places);
    secure_change(p, before, old);
    if (start->ring != p->ring) {
        ring_unref(&p->ring);
        p->ring = ring_ref(start->ring);
    }
    mem_free(p->walk_ids);
    p->walk_ids = NULL;
    for (uint32_t i = 0; i < n; i++) { /* places before anything that may look at them */
        if (places[i] != NOWHERE) {
            p->servers[places[i]]->index = places[i];
        }
    }
    channels_move(p, places, n);
    sets_move(p, old);
    LIST_EACH_SAFE(&p->clients, l) {
        struct client *c = CONTAINER_OF(l, struct client, link);
        client_learn(c, 0, 0); /* client_max_requests may be less now */
        c->wrote = wrote_now(c->wrote, places, n);
        client_move(c, old, now);
    }
    for (uint32_t i = 0; i < p->nservers; i++) {
        server_change(p->servers[i], i, old);
    }
    lease_moved(p);
    scripts_shrink(&p->scripts);
    mem_free(places);
}

/* ---- all pools ---- */

static struct pool *take_pool(struct worker *w, uint32_t id) {
    for (uint32_t i = 0; i < w->npools; i++) {
        struct pool *p = w->pools[i];
        if (p != NULL && p->id == id) {
            w->pools[i] = NULL;
            return p;
        }
    }
    return NULL;
}

static void pool_leave(struct pool *p, struct conf *old) {
    struct worker *w = p->worker;
    p->keeps = conf_ref(old);
    p->leave_by = worker_now(w) + w->opts.conf->drain_timeout * 1000;
    w->leaving = mem_realloc(w->leaving, (w->nleaving + 1) * sizeof(struct pool *));
    w->leaving[w->nleaving++] = p;
    LIST_EACH_SAFE(&p->clients, l) {
        client_drain(CONTAINER_OF(l, struct client, link), REASON_REMOVED);
    }
}

/* For the pools of before, which are still asked while they change, and for those to come. */
static void make_room(struct worker *w, const struct conf *now) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < w->npools; i++) {
        most = w->pools[i]->nservers > most ? w->pools[i]->nservers : most;
    }
    for (uint32_t i = 0; i < now->npools; i++) {
        most = now->pools[i].nservers > most ? now->pools[i].nservers : most;
    }
    worker_size_group(w, most);
}

static void switch_pools(struct worker *w, const struct mail_conf *m, struct conf *old) {
    struct conf *now = m->conf;
    struct pool **pools = mem_alloc(now->npools * sizeof *pools);
    make_room(w, now);
    for (uint32_t i = 0; i < now->npools; i++) {
        struct pool *p = take_pool(w, now->pools[i].id);
        pools[i] = p;
        if (p != NULL) {
            pool_change(p, &now->pools[i], &m->starts[i], old);
        } else {
            pools[i] = pool_new(w, &now->pools[i], &m->starts[i]);
        }
    }
    struct pool **before = w->pools;
    uint32_t nbefore = w->npools;
    w->pools = pools;
    w->npools = now->npools;
    for (uint32_t i = 0; i < nbefore; i++) {
        if (before[i] != NULL) {
            pool_leave(before[i], old);
        }
    }
    mem_free(before);
}

/* ---- listeners ---- */

/* The pool that listens at this address; NULL: nobody does. */
static struct pool *pool_at(const struct worker *w, const struct addr *addr) {
    for (uint32_t p = 0; p < w->npools; p++) {
        const struct conf_pool *conf = w->pools[p]->conf;
        for (uint32_t i = 0; i < conf->nlistens; i++) {
            if (addr_eq(&conf->listens[i].addr, addr)) {
                return w->pools[p];
            }
        }
    }
    return NULL;
}

static void switch_listeners(struct worker *w, const struct mail_conf *m) {
    for (uint32_t i = 0; i < w->nlisteners;) {
        struct worker_listener *l = w->listeners[i];
        struct pool *pool = pool_at(w, &l->addr);
        if (pool != NULL) {
            l->pool = pool; /* perhaps another one, at the same address */
            secure_listener(pool, &l->addr, &l->listener);
            i++;
        } else {
            worker_end_listener(w, i);
        }
    }
    for (uint32_t i = 0; i < m->nlisteners; i++) {
        worker_listen(w, m->listeners[i].pool, &m->listeners[i].addr, m->listeners[i].fd);
    }
    worker_set_spare(w);
}

/* ---- counters ---- */

struct mail_view *worker_view(const struct worker *w) {
    uint32_t n = 0, k = 0;
    for (uint32_t i = 0; i < w->npools; i++) {
        n += 1 + w->pools[i]->nservers;
    }
    struct mail_view *view = mem_zalloc(sizeof *view + n * sizeof view->at[0]);
    *view = (struct mail_view){.mail.kind = MAIL_VIEW, .worker = w->opts.index, .n = n};
    for (uint32_t i = 0; i < w->npools; i++) {
        const struct pool *p = w->pools[i];
        view->at[k++] = (struct view_at){.pool = p->id, .v = p->stats.v, .pool_times = &p->times};
        for (uint32_t s = 0; s < p->nservers; s++) {
            const struct server *server = p->servers[s];
            view->at[k++] = (struct view_at){
                .pool = p->id, .server = server->id, .v = server->stats.v, .server_times = &server->times};
        }
    }
    return view;
}

/* ---- the switch ---- */

static void mail_conf_fini(struct mail_conf *m) {
    for (uint32_t i = 0; m->starts != NULL && i < m->conf->npools; i++) {
        ring_unref(&m->starts[i].ring);
    }
    mem_free(m->starts);
    mem_free(m->listeners);
    conf_unref(&m->conf);
}

void mail_conf_refuse(struct mail_conf *m) {
    for (uint32_t i = 0; i < m->nlisteners; i++) {
        listen_discard(m->listeners[i].fd);
    }
    mail_conf_fini(m);
}

void worker_switch(struct worker *w, struct mail_conf *m) {
    struct conf *old = w->opts.conf;
    w->opts.conf = conf_ref(m->conf);
    switch_pools(w, m, old);
    switch_listeners(w, m);
    sample_derive(w);
    for (uint32_t i = 0; i < w->npools; i++) {
        pool_preconnect(w->pools[i]);
    }
    w->unseen++;
    mailbox_post(w->opts.control, &worker_view(w)->mail);
    worker_want_upkeep(w);
    mail_conf_fini(m);
    conf_unref(&old);
}

/* ---- what leaves ---- */

static bool owes_nothing(const struct pool *p) {
    for (uint32_t s = 0; s < p->nservers; s++) {
        if (p->servers[s]->nqueued > 0) {
            return false;
        }
    }
    return list_empty(&p->clients) && list_empty(&p->leaving) && !surveys_have(&p->worker->surveys, p);
}

/* Servers that were removed. */
static bool reap_servers(struct pool *p, int64_t now) {
    LIST_EACH_SAFE(&p->leaving, l) {
        struct server *s = CONTAINER_OF(l, struct server, link);
        server_upkeep(s);
        if (now >= s->leave_by) {
            server_close_all(s, REASON_REMOVED);
        }
        if (server_is_empty(s) && p->worker->unseen == 0) {
            list_remove(&s->link);
            server_free(&s);
        }
    }
    return !list_empty(&p->leaving);
}

static void pool_say_gone(struct pool *p) {
    struct mail_worker *m = mem_zalloc(sizeof *m);
    *m = (struct mail_worker){.mail.kind = MAIL_GONE, .worker = p->worker->opts.index, .pool = p->id};
    mailbox_post(p->worker->opts.control, &m->mail);
}

void pool_close_all(struct pool *p, enum reason why) {
    while (!list_empty(&p->clients)) {
        client_close(CONTAINER_OF(list_first(&p->clients), struct client, link), why);
    }
    channels_fini(p);
    for (uint32_t s = 0; s < p->nservers; s++) {
        server_close_all(p->servers[s], why);
    }
    LIST_EACH_SAFE(&p->leaving, l) {
        server_close_all(CONTAINER_OF(l, struct server, link), why);
    }
}

static bool reap_pool(struct pool *p, int64_t now) {
    reap_servers(p, now);
    bool late = now >= p->leave_by, over = owes_nothing(p);
    if (late || over) {
        pool_close_all(p, REASON_REMOVED);
    }
    if (owes_nothing(p) && p->worker->unseen == 0) {
        pool_say_gone(p);
        pool_free(&p);
        return true;
    }
    return false;
}

bool worker_reap(struct worker *w) {
    int64_t now = worker_now(w);
    bool any = false;
    for (uint32_t i = 0; i < w->npools; i++) {
        any = reap_servers(w->pools[i], now) || any;
    }
    for (uint32_t i = 0; i < w->nleaving;) {
        if (reap_pool(w->leaving[i], now)) {
            w->leaving[i] = w->leaving[--w->nleaving];
        } else {
            i++;
        }
    }
    return any || w->nleaving > 0;
}
