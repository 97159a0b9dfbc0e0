#include "core/roll.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/survey.h"
#include "core/worker_state.h"

#include <stdio.h>

static void put_text(char to[ROLL_TEXT], const char *text) {
    snprintf(to, ROLL_TEXT, "%s", text != NULL ? text : "");
}

static void draw(struct roll_entry *e, const struct client *c) {
    const struct pool *pool = c->pool;
    struct portrait p;
    survey_draw(&p, c, 0);
    *e = (struct roll_entry){
        .id = p.session->id,
        .worker = pool->worker->opts.index,
        .version = p.session->version,
        .db = p.session->db,
        .waiting = p.waiting,
        .age_sec = p.age_sec,
        .idle_sec = p.idle_sec,
        .txn = p.txn,
        .unread = p.unread,
        .unsent = p.unsent,
        .blocked = p.blocked,
    };
    for (unsigned i = 0; i < CHANNEL_KINDS; i++) {
        e->channels += p.channels[i];
    }
    stream_peer(&c->stream, e->addr, sizeof e->addr);
    put_text(e->pool, pool->conf->name);
    put_text(e->user, p.user);
    put_text(e->name, p.session->texts[SESSION_NAME]);
    put_text(e->lib, p.session->texts[SESSION_LIB]);
    put_text(e->command, p.last != NULL ? p.last->name : NULL);
}

static uint32_t count(const struct pool *pool) {
    uint32_t n = 0;
    LIST_EACH(&pool->clients, l) {
        n += survey_counts(CONTAINER_OF(l, struct client, link));
    }
    return n;
}

static struct mail_roll *visit(struct pool *pool, struct mail_roll *m) {
    uint32_t here = count(pool), room = m->max - m->n;
    m->total += here;
    m = mem_realloc(m, sizeof *m + (m->n + (here < room ? here : room)) * sizeof *m->v);
    LIST_EACH(&pool->clients, l) {
        const struct client *c = CONTAINER_OF(l, struct client, link);
        if (m->n == m->max) {
            break;
        }
        if (survey_counts(c)) {
            draw(&m->v[m->n++], c);
        }
    }
    return m;
}

void roll_on_mail(struct worker *w, struct mail_roll *m) {
    for (uint32_t p = 0; p < w->npools; p++) {
        m = visit(w->pools[p], m);
    }
    mailbox_post(w->opts.control, &m->mail);
}
