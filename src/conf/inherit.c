/* inherit.c: what a new configuration takes over from the one that it replaces: who is who, and values that need a restart. */
#include "conf/build.h"

void conf_number(struct conf *c) {
    for (uint32_t p = 0; p < c->npools; p++) {
        struct conf_pool *pool = &c->pools[p];
        pool->id = ++c->last_id;
        for (uint32_t s = 0; s < pool->nservers; s++) {
            pool->servers[s].id = ++c->last_id;
        }
        for (uint32_t u = 0; u < pool->nusers; u++) {
            pool->users[u].id = pool->last_user = (uint16_t)(u + 1);
        }
    }
}

static const struct conf_pool *pool_before(const struct conf *old, const struct conf_pool *pool) {
    int i = conf_pool_by_name(old, pool->name);
    /* what speaks another protocol now is another pool */
    return i >= 0 && old->pools[i].redis == pool->redis ? &old->pools[i] : NULL;
}

static void inherit_server(struct conf_server *s, const struct conf_pool *old) {
    for (uint32_t i = 0; old != NULL && i < old->nservers; i++) {
        if (strcmp(old->servers[i].name, s->name) == 0) {
            s->id = old->servers[i].id;
        }
    }
}

static bool same_user(const struct user *a, const struct user *b) {
    return strcmp(a->name, b->name) == 0 && strcmp(a->server_user, b->server_user) == 0 &&
           strcmp(a->server_password, b->server_password) == 0;
}

/* An id that neither a user of before nor one of now has. `last` goes round. */
static uint16_t fresh_user_id(const struct conf_pool *pool, const struct conf_pool *old, uint16_t last) {
    do {
        last = last == UINT16_MAX ? 1 : (uint16_t)(last + 1);
    } while (user_by_id(pool->users, pool->nusers, last) != NULL || user_by_id(old->users, old->nusers, last) != NULL);
    return last;
}

static void inherit_users(struct conf_pool *pool, const struct conf_pool *old) {
    pool->last_user = old->last_user;
    for (uint32_t u = 0; u < pool->nusers; u++) {
        pool->users[u].id = 0;
        for (uint32_t i = 0; i < old->nusers; i++) {
            if (same_user(&pool->users[u], &old->users[i])) {
                pool->users[u].id = old->users[i].id;
            }
        }
    }
    for (uint32_t u = 0; u < pool->nusers; u++) {
        if (pool->users[u].id == 0) {
            pool->users[u].id = pool->last_user = fresh_user_id(pool, old, pool->last_user);
        }
    }
}

static void inherit_keys(const struct key_table *t, void *to, const void *from) {
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->rows[i].change == KEY_RESTART) {
            key_copy(&t->rows[i], to, from);
        }
    }
}

void conf_inherit(struct conf *c, const struct conf *old) {
    c->last_id = old->last_id;
    inherit_keys(&keys_global, c, old);
    for (uint32_t p = 0; p < c->npools; p++) {
        struct conf_pool *pool = &c->pools[p];
        const struct conf_pool *before = pool_before(old, pool);
        pool->id = before != NULL ? before->id : ++c->last_id;
        for (uint32_t s = 0; s < pool->nservers; s++) {
            pool->servers[s].id = 0;
            inherit_server(&pool->servers[s], before);
            pool->servers[s].id = pool->servers[s].id != 0 ? pool->servers[s].id : ++c->last_id;
        }
        if (before != NULL) {
            inherit_users(pool, before);
            inherit_keys(&keys_pool, pool, before);
        }
    }
}

bool conf_same_ring(const struct conf_pool *a, const struct conf_pool *b) {
    bool tag = a->hash_tag.set == b->hash_tag.set && memcmp(a->hash_tag.bytes, b->hash_tag.bytes, sizeof a->hash_tag.bytes) == 0;
    bool same = tag && a->distribution == b->distribution && a->hash == b->hash && a->nservers == b->nservers;
    for (uint32_t s = 0; same && s < a->nservers; s++) {
        same = strcmp(a->servers[s].name, b->servers[s].name) == 0 && a->servers[s].weight == b->servers[s].weight;
    }
    return same;
}
