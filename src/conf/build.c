#include "conf/build.h"

#include "base/mem.h"
#include "conf/entry.h"
#include "conf/near.h"
#include "proto/rules.h"

#include <stdio.h>
#include <stdlib.h>

#define SECTION "kvmux"

static struct place place_of(const struct node *n) {
    return (struct place){n->line, n->column};
}

static const struct node *find(const struct node *map, const char *name) {
    for (const struct node *key = map->first; key != NULL; key = key->next->next) {
        if (key->text != NULL && strcmp(key->text, name) == 0) {
            return key->next;
        }
    }
    return NULL;
}

/* ---- unknown keys ---- */

static void try_table(struct near *near, const struct key_table *t) {
    for (uint32_t i = 0; i < t->n; i++) {
        near_try(near, t->rows[i].name);
    }
}

static void list_keys(const struct key_table *t, char *to, size_t room) {
    size_t n = 0;
    to[0] = '\0';
    for (uint32_t i = 0; i < t->n && n < room; i++) {
        n += (size_t)snprintf(to + n, room - n, ", %s", t->rows[i].name);
    }
}

static void say_unknown(const struct build *b, const struct node *key, bool in_pool) {
    const struct key_table *table = in_pool ? &keys_pool : &keys_global, *other = in_pool ? &keys_global : &keys_pool;
    struct quoted q;
    const char *name = quote(&q, key->text);
    if (in_pool && strcmp(key->text, "sentinels") == 0) {
        problem_error(b->problems, place_of(key), "sentinels: is known, but not built yet; list the servers instead");
        return;
    }
    struct near near;
    near_init(&near, key->text);
    try_table(&near, table);
    if (in_pool) {
        near_try(&near, "listen");
        near_try(&near, "servers");
        near_try(&near, "commands");
        near_try(&near, "deny_commands");
        near_try(&near, "users");
    }
    if (key_by_name(other, key->text) >= 0) {
        problem_error(b->problems, place_of(key), in_pool ? "\"%s\" is no key of a pool; it belongs into the section " SECTION ":%s%s%s"
                                                          : "\"%s\" is a key of a pool; it does not belong into the section " SECTION ":%s%s%s",
                      name, near.best != NULL ? "; or did you mean \"" : "", near.best != NULL ? near.best : "", near.best != NULL ? "\"?" : "");
        return;
    }
    if (near.best != NULL) {
        problem_error(b->problems, place_of(key), "unknown key \"%s\"; did you mean \"%s\"?", name, near.best);
        return;
    }
    char known[PROBLEM_MAX];
    list_keys(table, known, sizeof known);
    problem_error(b->problems, place_of(key), "unknown key \"%s\"; known keys: %s%s", name,
                  in_pool ? "listen, servers, users, commands, deny_commands" : "", in_pool ? known : known + 2);
}

/* Notes where a key stands; false after telling that it was there before. */
static bool note_key(const struct build *b, struct place *seen, const struct node *key) {
    if (seen->line != 0) {
        struct quoted q;
        problem_error(b->problems, place_of(key), "%s: is given twice; the first is in line %u", quote(&q, key->text),
                      seen->line);
        return false;
    }
    *seen = place_of(key);
    return true;
}

/* ---- listen and servers ---- */

static void add_listen(struct build *b, struct build_pool *bp, const struct node *n) {
    struct conf_pool *p = &bp->pool;
    p->listens = mem_realloc(p->listens, (p->nlistens + 1) * sizeof *p->listens);
    bp->listens_at = mem_realloc(bp->listens_at, (p->nlistens + 1) * sizeof *bp->listens_at);
    if (listen_parse(n, b->resolve, b->problems, &p->listens[p->nlistens])) {
        bp->listens_at[p->nlistens++] = place_of(n);
    }
}

static void build_listen(struct build *b, struct build_pool *bp, const struct node *value) {
    if (value->kind != NODE_LIST) {
        add_listen(b, bp, value);
        return;
    }
    if (value->n == 0) {
        problem_error(b->problems, place_of(value), "listen: the list is empty");
    }
    for (const struct node *n = value->first; n != NULL; n = n->next) {
        add_listen(b, bp, n);
    }
}

struct sorted_server {
    struct conf_server server;
    struct place at;
};

static int compare_servers(const void *a, const void *b) {
    const struct sorted_server *x = a, *y = b;
    int order = name_compare(x->server.name, y->server.name);
    /* equal names are an error that is told at the later one */
    if (order == 0) {
        order = x->at.line != y->at.line ? (x->at.line < y->at.line ? -1 : 1) : x->at.column < y->at.column ? -1 : 1;
    }
    return order;
}

static void build_servers(struct build *b, struct build_pool *bp, const struct node *value) {
    if (value->kind != NODE_LIST || value->n == 0) {
        problem_error(b->problems, place_of(value), "servers: %s; allowed: one or more \"- host:port:weight [name]\"",
                      value->kind == NODE_LIST ? "the list is empty" : "a list is wanted");
        return;
    }
    struct sorted_server *list = mem_alloc(value->n * sizeof *list);
    uint32_t n = 0;
    for (const struct node *entry = value->first; entry != NULL; entry = entry->next) {
        if (server_parse(entry, b->problems, &list[n].server)) {
            list[n++].at = place_of(entry);
        }
    }
    qsort(list, n, sizeof *list, compare_servers);
    bp->pool.servers = mem_alloc(n * sizeof *bp->pool.servers);
    bp->server_places = mem_alloc(n * sizeof *bp->server_places);
    bp->pool.nservers = n;
    for (uint32_t i = 0; i < n; i++) {
        bp->pool.servers[i] = list[i].server;
        bp->server_places[i] = list[i].at;
    }
    mem_free(list);
}

static void build_users(struct build *b, struct build_pool *bp, const struct node *value) {
    if (value->kind != NODE_LIST || value->n == 0 || value->n > USERS_MAX) {
        problem_error(b->problems, place_of(value), "users: %s; allowed: 1 to %u \"- {name: N, password: P}\"",
                      value->kind != NODE_LIST ? "a list is wanted" : value->n == 0 ? "the list is empty" : "there are too many",
                      USERS_MAX);
        return;
    }
    bp->pool.users = mem_zalloc(value->n * sizeof *bp->pool.users);
    bp->user_places = mem_zalloc(value->n * sizeof *bp->user_places);
    for (const struct node *entry = value->first; entry != NULL; entry = entry->next) {
        if (user_parse(entry, b->problems, &bp->pool.users[bp->pool.nusers])) {
            bp->user_places[bp->pool.nusers++] = place_of(entry);
        }
    }
}

/* ---- pools and the section ---- */

static void build_key(struct build *b, struct build_pool *bp, const struct node *key) {
    const struct node *value = key->next;
    int row;
    if (strcmp(key->text, "listen") == 0) {
        if (note_key(b, &bp->listen_at, key)) {
            build_listen(b, bp, value);
        }
    } else if (strcmp(key->text, "servers") == 0) {
        if (note_key(b, &bp->servers_at, key)) {
            build_servers(b, bp, value);
        }
    } else if (strcmp(key->text, "commands") == 0) {
        bp->commands = note_key(b, &bp->commands_at, key) ? value : bp->commands;
    } else if (strcmp(key->text, "deny_commands") == 0) {
        bp->deny = note_key(b, &bp->deny_at, key) ? value : bp->deny;
    } else if (strcmp(key->text, "users") == 0) {
        if (note_key(b, &bp->users_at, key)) {
            build_users(b, bp, value);
        }
    } else if ((row = key_by_name(&keys_pool, key->text)) < 0) {
        say_unknown(b, key, true);
    } else if (note_key(b, &bp->key_at[row], key)) {
        key_set(&keys_pool.rows[row], &bp->pool, value, b->problems);
    }
}

static void build_pool(struct build *b, const struct node *name) {
    const struct node *map = name->next;
    struct build_pool *bp = &b->pools[b->npools++];
    *bp = (struct build_pool){.at = place_of(name)};
    bp->pool.name = mem_strdup(name->text);
    bp->pool.line = name->line;
    keys_init(&keys_pool, &bp->pool);
    struct quoted q;
    if (name->text[0] == '\0') {
        problem_error(b->problems, place_of(name), "a pool must have a name");
    }
    if (map->kind != NODE_MAP || map->n == 0) {
        problem_error(b->problems, place_of(name), "pool \"%s\": its keys are missing; at least listen: and servers: stand "
                                                   "below it, indented", quote(&q, name->text));
        /* said once is enough: the checks need not find listen and servers missing */
        bp->listen_at = bp->servers_at = place_of(name);
        return;
    }
    for (const struct node *key = map->first; key != NULL; key = key->next->next) {
        build_key(b, bp, key);
    }
    bp->pool.client_proto = bp->pool.server_proto = bp->pool.redis ? PROTO_RESP : PROTO_MC;
    commands_build(b, bp);
    tls_build(b, bp);
}

static void build_section(struct build *b, const struct node *name) {
    const struct node *map = name->next;
    struct place seen[KEYS_MAX] = {{0, 0}};
    if (!note_key(b, &b->section_at, name)) {
        return;
    }
    if (map->kind != NODE_MAP) {
        problem_error(b->problems, place_of(map), "section " SECTION ": must hold \"key: value\" lines");
        return;
    }
    for (const struct node *key = map->first; key != NULL; key = key->next->next) {
        int row = key_by_name(&keys_global, key->text);
        if (row < 0) {
            say_unknown(b, key, false);
        } else if (note_key(b, &seen[row], key)) {
            key_set(&keys_global.rows[row], b->conf, key->next, b->problems);
        }
    }
}

static bool is_section(const struct node *name) {
    return strcmp(name->text, SECTION) == 0 &&
           (name->next->kind != NODE_MAP || (find(name->next, "listen") == NULL && find(name->next, "servers") == NULL));
}

static int compare_pools(const void *a, const void *b) {
    const struct build_pool *x = a, *y = b;
    int order = name_compare(x->pool.name, y->pool.name);
    if (order == 0) {
        order = x->at.line != y->at.line ? (x->at.line < y->at.line ? -1 : 1) : x->at.column < y->at.column ? -1 : 1;
    }
    return order;
}

void build_file(struct build *b, const struct node *root) {
    keys_init(&keys_global, b->conf);
    if (root->kind != NODE_MAP) {
        problem_error(b->problems, place_of(root), "the file must consist of pools: a name and a colon, and its keys below it, "
                                                   "indented");
        return;
    }
    b->pools = mem_alloc(root->n / 2 * sizeof *b->pools);
    for (const struct node *name = root->first; name != NULL; name = name->next->next) {
        if (is_section(name)) {
            build_section(b, name);
        } else {
            build_pool(b, name);
        }
    }
    qsort(b->pools, b->npools, sizeof *b->pools, compare_pools);
}

void build_finish(struct build *b) {
    b->conf->pools = mem_alloc(b->npools * sizeof *b->conf->pools);
    b->conf->npools = b->npools;
    for (uint32_t i = 0; i < b->npools; i++) {
        b->conf->pools[i] = b->pools[i].pool;
        b->pools[i].pool = (struct conf_pool){0};
    }
}

void conf_pool_fini(struct conf_pool *p) {
    for (uint32_t i = 0; i < p->nlistens; i++) {
        listen_fini(&p->listens[i]);
    }
    for (uint32_t i = 0; i < p->nservers; i++) {
        conf_server_fini(&p->servers[i]);
    }
    for (uint32_t i = 0; i < p->nusers; i++) {
        user_fini(&p->users[i]);
    }
    mem_free(p->listens);
    mem_free(p->servers);
    rules_unref(&p->rules);
    conf_pem_fini(&p->tls_pem);
    conf_pem_fini(&p->server_tls_pem);
    mem_free(p->commands);
    mem_free(p->deny_commands);
    mem_free(p->users);
    mem_free(p->name);
    keys_fini(&keys_pool, p);
}

void build_fini(struct build *b) {
    for (uint32_t i = 0; i < b->npools; i++) {
        conf_pool_fini(&b->pools[i].pool);
        mem_free(b->pools[i].listens_at);
        mem_free(b->pools[i].server_places);
        mem_free(b->pools[i].user_places);
    }
    mem_free(b->pools);
}
