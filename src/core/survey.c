#include "core/survey.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/fan.h"
#include "core/lease.h"
#include "core/slowlog.h"
#include "core/subscriber.h"
#include "core/txn.h"
#include "core/worker_state.h"

/* A round takes as long as the busiest worker's turn. */
#define SURVEY_USEC 5000000
/* A longer question (a list of ids, of channels) is refused: every worker has to look at all of it for each of its clients. */
#define QUESTION_MAX 4096u

struct survey {
    struct list link;
    uint64_t token;
    struct req *part; /* gets what was said */
    struct mail_survey *mail; /* not sent yet; NULL: under way */
};

/* ---- one client ---- */

static bool listens(const void *client, enum channel_kind kind, struct slice name) {
    return subscriber_listens(client, kind, name);
}

void survey_draw(struct portrait *p, const struct client *c, uint64_t asker) {
    const struct conf_pool *conf = c->pool->conf;
    const struct user *user = user_by_id(conf->users, conf->nusers, c->session.user);
    uint32_t now = client_clock(worker_now(c->pool->worker));
    *p = (struct portrait){
        .session = &c->session,
        .user = user != NULL ? user->name : NULL,
        .last = c->last,
        .age_sec = client_seconds(now - c->since),
        .idle_sec = client_seconds(now - c->read_at),
        .fd = c->stream.fd,
        .asks = c->session.id == asker,
        .blocked = c->lease != NULL && c->lease->blocked,
        .txn = c->txn != NULL ? (int64_t)txn_count(c->txn) : -1,
        .unread = c->stream.tail != NULL ? c->stream.tail->len : 0,
        .unsent = c->owed,
        .waiting = c->nreqs,
        .client = c,
        .listens = listens,
    };
    if (c->sub != NULL) {
        memcpy(p->channels, c->sub->n, sizeof p->channels);
    }
}

/* True: it is to be closed. */
static bool ask(const struct client *c, const struct msg *m, uint64_t asker, struct out *out) {
    const struct proto *front = c->pool->front;
    struct portrait p;
    char addr[ADDR_TEXT_MAX], here[ADDR_TEXT_MAX];
    survey_draw(&p, c, asker);
    enum verdict said = front->survey(m, &p, out);
    if (said == VERDICT_LOOK) {
        p.addr = stream_peer(&c->stream, addr, sizeof addr);
        p.here = stream_here(&c->stream, here, sizeof here);
        p.unix_socket = here[0] == '/';
        said = front->survey(m, &p, out);
    }
    return said == VERDICT_CLOSE;
}

/* The one that asked is told first; nobody else gets anything any more. */
static void dismiss(struct client *c, uint64_t asker) {
    if (c->session.id == asker) {
        client_finish(c, REASON_KILLED);
    } else {
        client_close(c, REASON_KILLED);
    }
}

bool survey_counts(const struct client *c) {
    return (c->state == CLIENT_OPEN || c->state == CLIENT_EOF) && !c->refused;
}

/* Asks this worker's clients. `said` may grow to `limit` bytes. Returns how many were closed. */
static uint64_t ask_all(struct pool *pool, const struct msg *m, uint64_t asker, size_t limit, struct rope *said) {
    struct stage stage;
    struct out out = {said, &stage};
    uint64_t deeds = 0;
    stage_init(&stage, &pool->worker->bufs);
    if (m->cmd->flags & CMD_SLOWLOG) {
        deeds = slowlog_tell(pool, m, &out);
        stage_release(&stage);
        return deeds;
    }
    LIST_EACH_SAFE(&pool->clients, l) {
        struct client *c = CONTAINER_OF(l, struct client, link);
        if (survey_counts(c) && ask(c, m, asker, &out)) {
            dismiss(c, asker);
            deeds++;
        }
        if (rope_len(said) > limit) {
            break;
        }
    }
    stage_release(&stage);
    return deeds;
}

/* ---- on its round ---- */

static struct survey *survey_first(struct surveys *all) {
    struct list *first = list_first(&all->waiting);
    return first != NULL ? CONTAINER_OF(first, struct survey, link) : NULL;
}

/* Its part has all that was said, or `why` there is nothing. */
static void survey_end(struct survey *s, enum reason why) {
    struct req *part = s->part, *whole = part->fan->whole;
    list_remove(&s->link);
    mem_free(s->mail);
    mem_free(s);
    if (whole != NULL) {
        whole->client->waiting = false;
    }
    if (why == REASON_NONE) {
        req_done(part);
    } else {
        req_fail(part, why);
    }
}

/* Adds this worker's part. The mail may move. */
static struct mail_survey *visit(struct worker *w, struct mail_survey *mail) {
    struct pool *pool = worker_pool(w, mail->pool);
    struct parser ps = {0};
    struct rope said = {0};
    struct msg m;
    if (mail->over || pool == NULL) {
        return mail;
    }
    msg_init(&m); /* not the worker's own, which is for requests of its clients */
    enum parse_rc rc = pool->front->parse_req(&ps, slice(mail->bytes, mail->nquestion), &m);
    ASSERT(rc == PARSE_DONE && m.cmd->route == ROUTE_SURVEY);
    mail->deeds += ask_all(pool, &m, mail->client, mail->limit - mail->nsaid, &said);
    msg_fini(&m);
    struct buf *b;
    struct slice text = rope_flat(&said, &w->bufs, &b);
    if (text.n > mail->limit - mail->nsaid) {
        mail->over = true;
    } else if (text.n > 0) {
        mail = mem_realloc(mail, sizeof *mail + mail->nquestion + mail->nsaid + text.n);
        memcpy(mail->bytes + mail->nquestion + mail->nsaid, text.p, text.n);
        mail->nsaid += text.n;
    }
    rope_fini(&said);
    return mail;
}

static void start_next(struct surveys *all) {
    struct worker *w = all->worker;
    struct survey *s;
    while ((s = survey_first(all)) != NULL && s->part->fan->whole == NULL) { /* its client left */
        survey_end(s, REASON_EOF);
    }
    if (s == NULL) {
        timer_cancel(w->loop, &all->timer);
        return;
    }
    timer_set(w->loop, &all->timer, worker_now(w) + SURVEY_USEC);
    mailbox_post(w->opts.control, &s->mail->mail);
    s->mail = NULL;
}

/* ---- home again ---- */

static enum reason take_home(struct worker *w, struct req *part, const struct mail_survey *mail) {
    if (mail->over) {
        return REASON_GATHER_LIMIT;
    }
    if (mail->nsaid > 0) {
        struct buf *b = buf_new(&w->bufs, mail->nsaid);
        if (b == NULL) {
            return REASON_MEMORY_LIMIT;
        }
        memcpy(b->data, mail->bytes + mail->nquestion, mail->nsaid);
        b->len = mail->nsaid;
        rope_add_ref(&part->bytes, b, 0, mail->nsaid);
        buf_unref(&b);
    }
    part->fan->deeds = mail->deeds;
    return REASON_NONE;
}

static void come_home(struct worker *w, const struct mail_survey *mail) {
    struct survey *s = survey_first(&w->surveys);
    if (s == NULL || s->token != mail->token) {
        return; /* late: its client knows of an error */
    }
    survey_end(s, take_home(w, s->part, mail));
    start_next(&w->surveys);
}

void survey_on_mail(struct worker *w, struct mail_survey *mail) {
    if (mail->home) {
        come_home(w, mail);
        mem_free(mail);
        return;
    }
    mail = visit(w, mail);
    mailbox_post(w->opts.control, &mail->mail);
}

static void surveys_on_timer(struct timer *t) {
    struct surveys *all = CONTAINER_OF(t, struct surveys, timer);
    struct survey *s = survey_first(all);
    survey_end(s, REASON_SURVEY);
    start_next(all);
}

/* ---- asking ---- */

static struct req *part_of(struct req *whole, struct buf *b, const struct msg *m) {
    struct fan *f = fan_new(whole, 1, 0);
    struct out out = {&f->request, &whole->client->stage};
    whole->client->front->build(m, b, NULL, 0, &out);
    return fan_part_new(f, 0);
}

void survey_start(struct req *whole, struct buf *b, const struct msg *m) {
    struct client *c = whole->client;
    struct worker *w = c->pool->worker;
    if (m->raw.n > QUESTION_MAX) {
        req_fail(whole, REASON_TOO_LARGE);
        return;
    }
    struct req *part = part_of(whole, b, m);
    if (m->cmd->flags & CMD_SELF) {
        struct out out = {&part->bytes, &c->stage};
        c->last = m->cmd;
        ask(c, m, c->session.id, &out);
        req_done(part);
        return;
    }
    struct buf *flat;
    struct slice question = rope_flat(&part->fan->request, &w->bufs, &flat);
    struct survey *s = mem_zalloc(sizeof *s);
    s->part = part;
    s->token = ++w->surveys.tokens;
    s->mail = mem_zalloc(sizeof *s->mail + question.n);
    s->mail->mail.kind = MAIL_SURVEY;
    s->mail->pool = c->pool->id;
    s->mail->asker = w->opts.index;
    s->mail->token = s->token;
    s->mail->client = c->session.id;
    s->mail->limit = (size_t)c->pool->conf->gather_limit;
    s->mail->nquestion = question.n;
    memcpy(s->mail->bytes, question.p, question.n);
    c->waiting = true; /* if it closes itself, what it sent behind that does not happen */
    bool first = list_empty(&w->surveys.waiting);
    list_push(&w->surveys.waiting, &s->link);
    if (first) {
        start_next(&w->surveys);
    }
}

/* ---- begin and end ---- */

void surveys_init(struct surveys *all, struct worker *w) {
    *all = (struct surveys){.worker = w};
    list_init(&all->waiting);
    timer_init(&all->timer, surveys_on_timer);
}

bool surveys_have(const struct surveys *all, const struct pool *pool) {
    LIST_EACH(&all->waiting, l) {
        if (CONTAINER_OF(l, struct survey, link)->part->pool == pool) {
            return true;
        }
    }
    return false;
}

void surveys_close(struct surveys *all) {
    struct survey *s;
    while ((s = survey_first(all)) != NULL) {
        survey_end(s, REASON_DRAIN);
    }
    timer_cancel(all->worker->loop, &all->timer);
}
