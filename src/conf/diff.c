#include "conf/diff.h"

#include "base/mem.h"
#include "conf/entry.h"
#include "conf/keys.h"
#include "proto/rules.h"
#include "route/moved.h"

#include <stdio.h>

#define VALUE_MAX 512

struct differ {
    diff_fn *put;
    void *ctx;
    const char *pool;
    uint32_t n;
};

const char *diff_word(enum diff_kind kind) {
    static const char *const words[] = {
        [DIFF_ADDED] = "added", [DIFF_REMOVED] = "removed", [DIFF_CHANGED] = "changed", [DIFF_KEYS] = "moved"};
    return words[kind];
}

static void tell(struct differ *d, struct diff what) {
    what.pool = d->pool;
    d->n += what.kind != DIFF_KEYS;
    d->put(d->ctx, &what);
}

/* Of a thing that may be missing on one side. */
static void tell_both(struct differ *d, const char *what, const char *name, const char *from, const char *to) {
    if (from == NULL || to == NULL || strcmp(from, to) != 0) {
        enum diff_kind kind = from == NULL ? DIFF_ADDED : to == NULL ? DIFF_REMOVED : DIFF_CHANGED;
        tell(d, (struct diff){.kind = kind, .what = what, .name = name, .from = from, .to = to});
    }
}

static void diff_table(struct differ *d, const struct key_table *t, const void *old, const void *now) {
    for (uint32_t i = 0; i < t->n; i++) {
        const struct key_row *row = &t->rows[i];
        char from[VALUE_MAX], to[VALUE_MAX];
        if (!key_same(row, old, now)) {
            tell(d, (struct diff){.kind = DIFF_CHANGED,
                                  .what = row->name,
                                  .from = key_text(row, old, from, sizeof from),
                                  .to = key_text(row, now, to, sizeof to),
                                  .restart = row->change == KEY_RESTART});
        }
    }
}

/* ---- the lists of a pool ---- */

static const struct conf_server *server_by_name(const struct conf_pool *p, const char *name) {
    for (uint32_t i = 0; i < p->nservers; i++) {
        if (strcmp(p->servers[i].name, name) == 0) {
            return &p->servers[i];
        }
    }
    return NULL;
}

static const char *server_text(const struct conf_server *s, char *to) {
    if (s == NULL) {
        return NULL;
    }
    snprintf(to, VALUE_MAX, "%s weight %u", s->address, s->weight);
    return to;
}

static void diff_server(struct differ *d, const char *name, const struct conf_server *old, const struct conf_server *now) {
    char from[VALUE_MAX], to[VALUE_MAX];
    tell_both(d, "server", name, server_text(old, from), server_text(now, to));
}

static void diff_servers(struct differ *d, const struct conf_pool *old, const struct conf_pool *now) {
    for (uint32_t i = 0; i < old->nservers; i++) {
        diff_server(d, old->servers[i].name, &old->servers[i], server_by_name(now, old->servers[i].name));
    }
    for (uint32_t i = 0; i < now->nservers; i++) {
        if (server_by_name(old, now->servers[i].name) == NULL) {
            diff_server(d, now->servers[i].name, NULL, &now->servers[i]);
        }
    }
}

static bool has_listen(const struct conf_pool *p, const char *text) {
    for (uint32_t i = 0; i < p->nlistens; i++) {
        if (strcmp(p->listens[i].text, text) == 0) {
            return true;
        }
    }
    return false;
}

static void diff_listens(struct differ *d, const struct conf_pool *old, const struct conf_pool *now) {
    for (uint32_t i = 0; i < old->nlistens; i++) {
        if (!has_listen(now, old->listens[i].text)) {
            tell_both(d, "listen", old->listens[i].text, old->listens[i].text, NULL);
        }
    }
    for (uint32_t i = 0; i < now->nlistens; i++) {
        if (!has_listen(old, now->listens[i].text)) {
            tell_both(d, "listen", now->listens[i].text, NULL, now->listens[i].text);
        }
    }
}

static const struct user *user_by_name(const struct conf_pool *p, const char *name) {
    for (uint32_t i = 0; i < p->nusers; i++) {
        if (strcmp(p->users[i].name, name) == 0) {
            return &p->users[i];
        }
    }
    return NULL;
}

static void diff_user(struct differ *d, const char *name, const struct user *old, const struct user *now) {
    if (old == NULL || now == NULL) {
        tell_both(d, "user", name, old != NULL ? "known" : NULL, now != NULL ? "known" : NULL);
        return;
    }
    tell_both(d, "server_user of user", name, old->server_user, now->server_user);
    bool password = strcmp(old->password, now->password) == 0, server = strcmp(old->server_password, now->server_password) == 0;
    if (!password || !server) {
        tell(d, (struct diff){.kind = DIFF_CHANGED, .what = "password of user", .name = name, .from = "hidden", .to = "hidden"});
    }
}

static void diff_users(struct differ *d, const struct conf_pool *old, const struct conf_pool *now) {
    for (uint32_t i = 0; i < old->nusers; i++) {
        diff_user(d, old->users[i].name, &old->users[i], user_by_name(now, old->users[i].name));
    }
    for (uint32_t i = 0; i < now->nusers; i++) {
        if (user_by_name(old, now->users[i].name) == NULL) {
            diff_user(d, now->users[i].name, NULL, &now->users[i]);
        }
    }
}

/* ---- keys that move ---- */

static void diff_keys(struct differ *d, const struct conf_pool *old, const struct conf_pool *now) {
    if (conf_same_ring(old, now)) {
        return;
    }
    struct ring *a = conf_ring(old, NULL), *b = conf_ring(now, NULL);
    uint32_t *same = mem_alloc((old->nservers + 1) * sizeof *same);
    for (uint32_t i = 0; i < old->nservers; i++) {
        const struct conf_server *s = server_by_name(now, old->servers[i].name);
        same[i] = s != NULL ? (uint32_t)(s - now->servers) : RING_NONE;
    }
    double share;
    char text[VALUE_MAX];
    enum moved_how how = ring_moved(a, b, same, &share);
    bool tag = old->hash_tag.set != now->hash_tag.set || memcmp(&old->hash_tag.bytes, &now->hash_tag.bytes, 2) != 0;
    if (how == MOVED_NO_OWNERS) {
        snprintf(text, sizeof text, "keys have no owners (distribution: random)");
    } else {
        snprintf(text, sizeof text, "%.2f %% of the keys move (%s)%s", share * 100,
                 how == MOVED_EXACT ? "exact" : "of a sample of 100000", tag ? ", and keys with a hash_tag" : "");
    }
    tell(d, (struct diff){.kind = DIFF_KEYS, .what = "keys", .to = text});
    mem_free(same);
    ring_unref(&a);
    ring_unref(&b);
}

/* ---- files that keep their names ---- */

static const char *valid_until(const char *pem, char *to, size_t room) {
    time_t from, until;
    struct tm tm;
    if (!tls_dates(pem, &from, &until)) {
        return "";
    }
    strftime(to, room, "valid until %Y-%m-%d %H:%M UTC", gmtime_r(&until, &tm));
    return to;
}

static void diff_file(struct differ *d, const char *what, const char *old, const char *now) {
    char from[64], to[64];
    if (old != NULL && now != NULL && strcmp(old, now) != 0) {
        tell(d, (struct diff){.kind = DIFF_CHANGED,
                              .what = what,
                              .from = valid_until(old, from, sizeof from),
                              .to = valid_until(now, to, sizeof to)});
    }
}

static void diff_files(struct differ *d, const struct conf_pool *old, const struct conf_pool *now) {
    diff_file(d, "certificate for clients", old->tls_pem.certificate, now->tls_pem.certificate);
    diff_file(d, "certificate of tls_client_ca", old->tls_pem.ca, now->tls_pem.ca);
    diff_file(d, "certificate for servers", old->server_tls_pem.certificate, now->server_tls_pem.certificate);
    diff_file(d, "certificate of server_tls_ca", old->server_tls_pem.ca, now->server_tls_pem.ca);
}

static void diff_pool(struct differ *d, const struct conf_pool *old, const struct conf_pool *now) {
    d->pool = old != NULL ? old->name : now->name;
    if (old == NULL || now == NULL) {
        const struct conf_pool *p = old != NULL ? old : now;
        char text[VALUE_MAX];
        snprintf(text, sizeof text, "%s, %u server%s, listens on %s%s", p->redis ? "redis" : "memcached", p->nservers,
                 p->nservers == 1 ? "" : "s", p->listens[0].text, p->nlistens > 1 ? " ..." : "");
        tell_both(d, "pool", NULL, old != NULL ? text : NULL, now != NULL ? text : NULL);
        return;
    }
    diff_listens(d, old, now);
    diff_servers(d, old, now);
    diff_table(d, &keys_pool, old, now);
    diff_files(d, old, now);
    diff_users(d, old, now);
    if (!rules_same(old->rules, now->rules)) {
        tell(d, (struct diff){.kind = DIFF_CHANGED, .what = "commands or deny_commands"});
    }
    diff_keys(d, old, now);
}

uint32_t conf_diff(const struct conf *old, const struct conf *now, diff_fn *put, void *ctx) {
    struct differ d = {.put = put, .ctx = ctx};
    diff_table(&d, &keys_global, old, now);
    for (uint32_t i = 0, k = 0; i < old->npools || k < now->npools;) {
        int order = i == old->npools ? 1 : k == now->npools ? -1 : name_compare(old->pools[i].name, now->pools[k].name);
        diff_pool(&d, order <= 0 ? &old->pools[i] : NULL, order >= 0 ? &now->pools[k] : NULL);
        i += order <= 0;
        k += order >= 0;
    }
    return d.n;
}
