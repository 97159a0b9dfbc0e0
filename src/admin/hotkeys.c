/* hotkeys.c: GET /hotkeys: one mail goes round the workers, and the request waits for it (core/hot.h). What workers have of the same key is
 * added up: entries are sorted by pool, kind and key. */
#include "admin/control_state.h"
#include "admin/request.h"
#include "base/mem.h"
#include "core/hot.h"

#include <stdlib.h>

#define SHOWN_MAX 1024 /* hot keys of a pool */

/* ---- adding up ---- */

static int order(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

static int by_key(const void *va, const void *vb) {
    const struct hot_entry *a = va, *b = vb;
    int d = order(a->pool, b->pool);
    d = d != 0 ? d : order(a->kind, b->kind);
    d = d != 0 ? d : order(a->key.len, b->key.len);
    d = d != 0 ? d : order(a->key.hash, b->key.hash);
    d = d != 0 ? d : memcmp(a->key.key, b->key.key, topk_key(&a->key).n);
    return d != 0 ? d : order((uintptr_t)a->cmd, (uintptr_t)b->cmd);
}

/* Of each pool: all, keys and then requests and replies, the greatest first. */
static int by_size(const void *va, const void *vb) {
    const struct hot_entry *a = va, *b = vb;
    int d = order(a->pool, b->pool);
    d = d != 0 ? d : order(a->kind < HOT_REQUEST ? a->kind : HOT_REQUEST, b->kind < HOT_REQUEST ? b->kind : HOT_REQUEST);
    d = d != 0 ? d : (a->per_second < b->per_second) - (a->per_second > b->per_second);
    return d != 0 ? d : order(b->bytes, a->bytes);
}

static void add(struct hot_entry *to, const struct hot_entry *e) {
    to->per_second += e->per_second;
    to->error += e->error;
    if (e->bytes > to->bytes) {
        to->bytes = e->bytes;
        to->wall_usec = e->wall_usec;
    }
}

static void add_up(struct mail_hot *m) {
    uint32_t n = 0;
    qsort(m->v, m->n, sizeof *m->v, by_key);
    for (uint32_t i = 0; i < m->n; i++) {
        if (n > 0 && by_key(&m->v[n - 1], &m->v[i]) == 0) {
            add(&m->v[n - 1], &m->v[i]);
        } else {
            m->v[n++] = m->v[i];
        }
    }
    m->n = n;
    qsort(m->v, m->n, sizeof *m->v, by_size);
}

/* ---- telling ---- */

/* Any bytes as ASCII, the way the log shows them; "..." behind a key that is longer than what is kept of it. */
static void put_key(struct str *to, const struct topk_entry *key) {
    char text[4 * TOPK_KEY_MAX + 16];
    log_quote(text, sizeof text - 4, topk_key(key));
    if (key->len > TOPK_KEY_MAX) {
        strcat(text, "...");
    }
    str_put(to, "{\"key\":");
    str_quote(to, slice_str(text));
}

/* Where the key lives now. "": it cannot be told, or nowhere. */
static const char *server_of(const struct control *c, uint32_t pool, const struct topk_entry *key) {
    const struct conf_pool *conf = &c->conf->pools[pool];
    struct rng rng = {1};
    if (key->len > TOPK_KEY_MAX || conf->distribution == DIST_RANDOM) {
        return "";
    }
    uint32_t s = ring_pick(c->pools[pool]->ring, &rng, topk_key(key));
    return s == RING_NONE ? "" : conf->servers[s].name;
}

static void put_hot(struct str *to, const struct control *c, uint32_t pool, const struct hot_entry *e, double all) {
    put_key(to, &e->key);
    str_format(to, ",\"per_second\":%.1f,\"share\":%.4f,\"error\":%.1f,\"server\":", e->per_second, all > 0 ? e->per_second / all : 0,
               e->error);
    str_quote(to, slice_str(server_of(c, pool, &e->key)));
    str_put(to, "}");
}

static void put_big(struct str *to, const struct hot_entry *e) {
    put_key(to, &e->key);
    str_put(to, ",\"command\":");
    str_quote(to, slice_str(e->cmd->name));
    str_format(to, ",\"direction\":\"%s\",\"bytes\":%llu,\"when\":%.3f}", e->kind == HOT_REQUEST ? "request" : "reply",
               (unsigned long long)e->bytes, (double)e->wall_usec / 1e6);
}

static void put_pool(struct str *to, const struct control *c, uint32_t pool, const struct mail_hot *m) {
    struct str big = {0};
    double all = 0;
    uint32_t shown = 0;
    str_put(to, "\n {\"pool\":");
    str_quote(to, slice_str(c->conf->pools[pool].name));
    str_put(to, ",\"hot\":[");
    for (uint32_t i = 0; i < m->n; i++) {
        const struct hot_entry *e = &m->v[i];
        if (e->pool != c->pools[pool]->id) {
            continue;
        }
        if (e->kind == HOT_ALL) {
            all = e->per_second;
        } else if (e->kind != HOT_KEY) {
            str_put(&big, big.n == 0 ? "\n  " : ",\n  ");
            put_big(&big, e);
        } else if (shown < SHOWN_MAX) {
            str_put(to, shown++ == 0 ? "\n  " : ",\n  ");
            put_hot(to, c, pool, e, all);
        }
    }
    str_put(to, "],\"big\":[");
    str_put_slice(to, slice(big.p, big.n));
    str_put(to, "]}");
    str_fini(&big);
}

void hotkeys_on_mail(struct control *c, struct mail_hot *m) {
    if (m->next < c->nworkers) {
        mailbox_post(worker_mailbox(c->workers[m->next++]), &m->mail);
        return;
    }
    if (round_wants(&c->hotkeys, m->token)) {
        struct str body = {0};
        add_up(m);
        str_put(&body, "{\"pools\":[");
        for (uint32_t p = 0; p < c->conf->npools; p++) {
            str_put(&body, p == 0 ? "" : ",");
            put_pool(&body, c, p, m);
        }
        str_put(&body, "]}\n");
        request_json(c->hotkeys.asker, &body);
        round_end(&c->hotkeys);
    }
    mem_free(m);
}

void tell_hotkeys(struct request *r, struct control *c) {
    if (round_begin(&c->hotkeys, r)) {
        struct mail_hot *m = mem_zalloc(sizeof *m);
        *m = (struct mail_hot){.mail.kind = MAIL_HOT, .token = c->hotkeys.token};
        hotkeys_on_mail(c, m);
    }
}
