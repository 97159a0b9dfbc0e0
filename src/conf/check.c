/* check.c: what one value alone cannot tell: things that are missing, given twice, or do not go together. */
#include "conf/build.h"

static struct place given_at(const struct build_pool *bp, const char *key) {
    int row = key_by_name(&keys_pool, key);
    ASSERT(row >= 0);
    return bp->key_at[row];
}

static void check_missing(const struct build *b, const struct build_pool *bp) {
    struct quoted q;
    if (bp->listen_at.line == 0) {
        problem_error(b->problems, bp->at, "pool \"%s\": the key listen: is missing", quote(&q, bp->pool.name));
    }
    if (bp->servers_at.line == 0) {
        problem_error(b->problems, bp->at, "pool \"%s\": the key servers: is missing", quote(&q, bp->pool.name));
    }
}

static void check_servers(const struct build *b, const struct build_pool *bp) {
    struct quoted q;
    for (uint32_t i = 1; i < bp->pool.nservers; i++) {
        const struct conf_server *first = &bp->pool.servers[i - 1], *s = &bp->pool.servers[i];
        if (strcmp(first->name, s->name) == 0) {
            problem_error(b->problems, bp->server_places[i], "servers: the name \"%s\" is used twice; the first is in line %u; "
                                                             "give one of them another name", quote(&q, s->name), first->line);
        }
    }
}

static const char *const redis_only[] = {"server_user", "server_password"};

static void check_redis(const struct build *b, const struct build_pool *bp) {
    const struct conf_pool *p = &bp->pool;
    struct place auth_at = given_at(bp, "redis_auth"), db_at = given_at(bp, "redis_db");
    if (!p->redis && auth_at.line != 0) {
        problem_error(b->problems, auth_at, "redis_auth: is only valid for a redis pool; allowed: with redis: true");
    }
    for (size_t i = 0; i < ARRAY_LEN(redis_only); i++) {
        struct place at = given_at(bp, redis_only[i]);
        if (!p->redis && at.line != 0) {
            problem_error(b->problems, at, "%s: is only valid for a redis pool; allowed: with redis: true", redis_only[i]);
        }
    }
    if (!p->redis && p->redis_db > 0) {
        problem_warn(b->problems, db_at, "redis_db: has no effect in a memcached pool");
    }
    if (!p->redis || p->redis_db == 0 || p->nutcracker_db0) {
        return;
    }
    if (p->redis_auth != NULL) {
        problem_warn(b->problems, db_at, "redis_db: together with redis_auth, nutcracker left all data in database 0, because its "
                                         "SELECT was refused; kvmux uses database %lld; if this pool's data comes from nutcracker, set "
                                         "nutcracker_db0: true", (long long)p->redis_db);
        return;
    }
    for (uint32_t i = 0; i < p->nservers; i++) {
        if (p->servers[i].host == NULL) {
            problem_warn(b->problems, db_at, "redis_db: for servers on unix sockets nutcracker left all data in database 0; kvmux "
                                             "uses database %lld; if this pool's data comes from nutcracker, set nutcracker_db0: "
                                             "true", (long long)p->redis_db);
            return;
        }
    }
}

static void check_users(const struct build *b, const struct build_pool *bp) {
    const struct conf_pool *p = &bp->pool;
    struct quoted q;
    if (!p->redis && bp->users_at.line != 0) {
        problem_error(b->problems, bp->users_at, "users: is only valid for a redis pool; allowed: with redis: true");
    }
    if (p->server_user != NULL && p->server_password == NULL && p->redis_auth == NULL) {
        problem_error(b->problems, given_at(bp, "server_user"), "server_user: needs a password to log in with; set server_password");
    }
    if (p->redis && (int64_t)p->nusers > p->server_profiles) {
        problem_warn(b->problems, bp->users_at, "users: there are %u, but clients of no more than %lld of them can be busy at a server at a "
                                                "time; set server_profiles to at least twice their number (RESP2 and RESP3)",
                     p->nusers, (long long)p->server_profiles);
    }
    for (uint32_t i = 0; i < p->nusers; i++) {
        const char *name = p->users[i].name;
        if (p->redis_auth != NULL && strcmp(name, "default") == 0) {
            problem_error(b->problems, bp->user_places[i], "users: \"default\" has its password in redis_auth; give it in one place only");
        }
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(p->users[k].name, name) == 0) {
                problem_error(b->problems, bp->user_places[i], "users: the name \"%s\" is used twice; the first is in line %u",
                              quote(&q, name), bp->user_places[k].line);
                break;
            }
        }
    }
}

static void check_placement(const struct build *b, const struct build_pool *bp) {
    const struct conf_pool *p = &bp->pool;
    if (p->hash == HASH_CRC32 && p->distribution == DIST_KETAMA && p->nservers > 1) {
        problem_warn(b->problems, given_at(bp, "hash"), "hash: crc32 has only 15 bits; with ketama nearly every key meets one "
                                                        "server, as in nutcracker; for a new pool take crc32a or fnv1a_64");
    }
}

static bool is_any_of(const struct conf_listen *any, const struct conf_listen *l) {
    struct addr a;
    bool ipv6 = l->host != NULL && l->addr.sa.family == AF_INET6;
    return l->host != NULL && any->port == l->port && addr_ip(&a, slice_str(ipv6 ? "::" : "0.0.0.0"), l->port) &&
           addr_eq(&a, &any->addr);
}

static bool collide(const struct conf_listen *x, const struct conf_listen *y) {
    bool known = x->addr.len != 0 && y->addr.len != 0; /* --where resolves no names */
    return known && (addr_eq(&x->addr, &y->addr) || is_any_of(x, y) || is_any_of(y, x));
}

struct listen_ref {
    const struct build_pool *bp;
    uint32_t i;
};

static bool stands_after(struct place a, struct place b) {
    return a.line != b.line ? a.line > b.line : a.column > b.column;
}

static void check_collision(const struct build *b, struct listen_ref x, struct listen_ref y) {
    if (!collide(&x.bp->pool.listens[x.i], &y.bp->pool.listens[y.i])) {
        return;
    }
    if (stands_after(x.bp->listens_at[x.i], y.bp->listens_at[y.i])) {
        struct listen_ref swap = x;
        x = y;
        y = swap;
    }
    struct quoted q, pool;
    problem_error(b->problems, y.bp->listens_at[y.i], "listen: \"%s\" is the same address as in line %u (pool \"%s\")",
                  quote(&q, y.bp->pool.listens[y.i].text), x.bp->listens_at[x.i].line, quote(&pool, x.bp->pool.name));
}

static void check_listens(const struct build *b) {
    for (uint32_t p = 0; p < b->npools; p++) {
        for (uint32_t i = 0; i < b->pools[p].pool.nlistens; i++) {
            struct listen_ref x = {&b->pools[p], i};
            for (uint32_t o = 0; o <= p; o++) {
                uint32_t n = o == p ? i : b->pools[o].pool.nlistens;
                for (uint32_t j = 0; j < n; j++) {
                    check_collision(b, (struct listen_ref){&b->pools[o], j}, x);
                }
            }
        }
    }
}

void check_file(const struct build *b) {
    struct quoted q;
    for (uint32_t i = 0; i < b->npools; i++) {
        const struct build_pool *bp = &b->pools[i];
        check_missing(b, bp);
        check_servers(b, bp);
        check_redis(b, bp);
        check_users(b, bp);
        check_placement(b, bp);
        if (i > 0 && strcmp(b->pools[i - 1].pool.name, bp->pool.name) == 0) {
            problem_error(b->problems, bp->at, "there are two pools with the name \"%s\"; the first is in line %u",
                          quote(&q, bp->pool.name), b->pools[i - 1].at.line);
        }
    }
    check_listens(b);
}
