/* slow.c: GET /slowlog: one mail goes round the workers, and the request waits for it (core/slowlog.h). */
#include "admin/control_state.h"
#include "admin/request.h"
#include "base/mem.h"
#include "base/num.h"
#include "core/slowlog.h"

#include <stdlib.h>

#define SLOW_DEFAULT 100
#define SLOW_MAX 1000

static int by_time(const void *va, const void *vb) {
    const struct slow_entry *a = va, *b = vb;
    return (a->slow.wall_usec < b->slow.wall_usec) - (a->slow.wall_usec > b->slow.wall_usec);
}

static void put_text(struct str *to, const char *name, struct slice value) {
    char text[4 * SLOW_HEAD + 16];
    log_quote(text, sizeof text, value);
    str_format(to, ",\"%s\":", name);
    str_quote(to, slice_str(text));
}

static void put_entry(struct str *to, const struct conf_pool *pool, const struct slow_entry *e) {
    uint8_t words[SLOW_HEAD];
    const struct proto *proto = proto_by_id(pool->server_proto);
    size_t n = proto->show(slice(e->head, e->nhead), words, sizeof words);
    str_format(to, "\n {\"when\":%.3f,\"usec\":%u,\"receive_usec\":%u,\"queue_usec\":%u,\"server_usec\":%u,\"order_usec\":%u,\"client_usec\":%u",
               (double)e->slow.wall_usec / 1e6, e->slow.usec, e->slow.receive_usec, e->slow.queue_usec, e->slow.server_usec, e->slow.order_usec, e->slow.client_usec);
    put_text(to, "pool", slice_str(pool->name));
    put_text(to, "server", slice_str(e->server));
    put_text(to, "command", slice_str(e->slow.cmd->name));
    put_text(to, "request", slice(words, n));
    put_text(to, "client", slice_str(e->addr));
    put_text(to, "name", slice_str(e->name));
    str_put(to, "}");
}

/* NULL: a reload took it out. */
static const struct conf_pool *pool_of(const struct control *c, const struct slow_entry *e) {
    for (uint32_t p = 0; p < c->conf->npools; p++) {
        if (c->conf->pools[p].id == e->pool) {
            return &c->conf->pools[p];
        }
    }
    return NULL;
}

void slow_on_mail(struct control *c, struct mail_slow *m) {
    if (m->next < c->nworkers) {
        mailbox_post(worker_mailbox(c->workers[m->next++]), &m->mail);
        return;
    }
    if (round_wants(&c->slow, m->token)) {
        struct str body = {0};
        uint32_t shown = 0;
        qsort(m->v, m->n, sizeof *m->v, by_time);
        str_put(&body, "{\"slow\":[");
        for (uint32_t i = 0; i < m->n && shown < m->max; i++) {
            const struct conf_pool *pool = pool_of(c, &m->v[i]);
            if (pool != NULL) {
                str_put(&body, shown++ == 0 ? "" : ",");
                put_entry(&body, pool, &m->v[i]);
            }
        }
        str_put(&body, "]}\n");
        request_json(c->slow.asker, &body);
        round_end(&c->slow);
    }
    mem_free(m);
}

void tell_slowlog(struct request *r, struct control *c) {
    struct slice limit = request_arg(r, "limit");
    uint64_t max = SLOW_DEFAULT;
    if (limit.p != NULL && (!num_u64(limit, &max) || max > SLOW_MAX)) {
        request_say(r, 400, "limit is a number up to %d", SLOW_MAX);
        return;
    }
    if (round_begin(&c->slow, r)) {
        struct mail_slow *m = mem_zalloc(sizeof *m);
        *m = (struct mail_slow){.mail.kind = MAIL_SLOW, .token = c->slow.token, .max = (uint32_t)max};
        slow_on_mail(c, m);
    }
}
