#include "conf/conf.h"

#include "base/mem.h"
#include "conf/build.h"

#include <errno.h>
#include <stdio.h>

#define FILE_MAX (64u << 20) /* bytes; what is larger is no configuration */
#define READ_STEP (64u << 10)

static const struct place whole_file = {0, 0};

struct conf *conf_parse(const char *file_name, struct slice text, conf_resolve_fn *resolve, struct conf_problems *ps) {
    struct conf *conf = mem_zalloc(sizeof *conf);
    conf->refs = 1;
    conf->file = mem_strdup(file_name);
    struct build b = {.problems = ps, .resolve = resolve, .conf = conf};
    uint32_t before = conf_errors(ps);
    struct node *root = text_parse(text, ps);
    bool broken = conf_errors(ps) != before;
    if (root != NULL) {
        build_file(&b, root);
        check_file(&b);
        build_finish(&b);
        conf_number(conf);
    }
    if (!broken && conf->npools == 0 && conf_errors(ps) == before) {
        problem_error(ps, (struct place){1, 1}, "there are no pools in the file");
    }
    node_free(&root);
    build_fini(&b);
    problems_sort(ps);
    if (conf_errors(ps) != before) {
        conf_unref(&conf);
    }
    return conf;
}

struct conf *conf_read(const char *file_name, conf_resolve_fn *resolve, struct conf_problems *ps) {
    sources_add(&ps->sources, file_name);
    FILE *f = fopen(file_name, "re");
    if (f == NULL) {
        problem_error(ps, whole_file, "cannot be opened: %s", strerror(errno));
        return NULL;
    }
    uint8_t *text = NULL;
    size_t n = 0, got;
    do {
        text = mem_realloc(text, n + READ_STEP);
        got = fread(text + n, 1, READ_STEP, f);
        n += got;
    } while (got > 0 && n <= FILE_MAX);
    struct conf *conf = NULL;
    if (ferror(f)) {
        problem_error(ps, whole_file, "cannot be read: %s", strerror(errno));
    } else if (n > FILE_MAX) {
        problem_error(ps, whole_file, "is larger than %u bytes", FILE_MAX);
    } else {
        conf = conf_parse(file_name, slice(text, n), resolve, ps);
    }
    fclose(f);
    mem_free(text);
    return conf;
}

struct conf *conf_ref(struct conf *c) {
    __atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
    return c;
}

void conf_unref(struct conf **cp) {
    struct conf *c = *cp;
    *cp = NULL;
    if (c == NULL || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) != 0) {
        return;
    }
    for (uint32_t i = 0; i < c->npools; i++) {
        conf_pool_fini(&c->pools[i]);
    }
    keys_fini(&keys_global, c);
    mem_free(c->pools);
    mem_free(c->file);
    mem_free(c);
}

struct ring *conf_ring(const struct conf_pool *p, const bool *alive) {
    struct ring_server *servers = mem_alloc(p->nservers * sizeof *servers);
    for (uint32_t i = 0; i < p->nservers; i++) {
        servers[i] = (struct ring_server){
            .name = slice_str(p->servers[i].name),
            .weight = p->servers[i].weight,
            .alive = alive == NULL || alive[i],
        };
    }
    struct ring *ring =
        ring_new(p->distribution, p->hash, p->hash_tag.set ? p->hash_tag.bytes : NULL, servers, p->nservers);
    mem_free(servers);
    return ring;
}

int conf_pool_by_name(const struct conf *c, const char *name) {
    for (uint32_t i = 0; i < c->npools; i++) {
        if (strcmp(c->pools[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

struct greeting conf_greeting(const struct conf_pool *p, uint32_t user) {
    if (user > 0) {
        const struct user *u = user_by_id(p->users, p->nusers, user);
        ASSERT(u != NULL);
        return (struct greeting){.user = u->server_user, .password = u->server_password};
    }
    return (struct greeting){
        .user = p->server_user,
        .password = p->server_password != NULL ? p->server_password : p->redis_auth,
    };
}

bool conf_has_user(const struct conf_pool *p, uint32_t user) {
    return user == 0 || user_by_id(p->users, p->nusers, user) != NULL;
}

bool conf_must_log_in(const struct conf_pool *p) {
    return p->redis_auth != NULL || p->nusers > 0;
}

bool conf_plain_dbs(const struct conf_pool *p) {
    for (uint32_t i = 0; i < p->nservers; i++) {
        if (conf_server_db(p, &p->servers[i]) != (uint32_t)p->redis_db) {
            return false;
        }
    }
    return true;
}

uint32_t conf_server_db(const struct conf_pool *pool, const struct conf_server *server) {
    bool defect = pool->redis_auth != NULL || server->host == NULL;
    return pool->nutcracker_db0 && defect ? 0 : (uint32_t)pool->redis_db;
}
