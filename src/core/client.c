#include "core/client.h"

#include "base/mem.h"

#include "core/dispatch.h"
#include "core/greet.h"
#include "core/hot.h"
#include "core/lease.h"
#include "core/runs.h"
#include "core/slowlog.h"
#include "core/subscriber.h"
#include "core/times.h"
#include "core/trace.h"
#include "core/txn.h"
#include "core/upload.h"
#include "core/worker_state.h"

#define LINGER_USEC 1000000
/* A flush of fewer bytes teaches nothing about large replies: it is the least client_buffer. */
#define LEARN_MIN 4096
/* So much may a client send behind a command that waits before it is not read any more. */
#define UNREAD_MAX 65536

static struct worker *worker_of(const struct client *c) {
    return c->pool->worker;
}

/* ---- reading ---- */

/* A client that has too much in flight is not read until half of it is answered. */
static bool client_full(const struct client *c) {
    const struct conf_pool *conf = c->pool->conf;
    size_t room = worker_tight(worker_of(c)) ? 0 : (size_t)conf->client_buffer;
    return c->waiting || c->nreqs >= c->window || c->bytes > room;
}

/* A command of it waits at the server, perhaps for ever. */
static bool client_blocked(const struct client *c) {
    return c->parked || (c->lease != NULL && c->lease->blocked);
}

/* Something of it is still to be answered by a server. */
static bool client_owed(const struct client *c) {
    for (const struct queue_link *l = c->fifo.head; l != NULL; l = l->next) {
        if (CONTAINER_OF(l, const struct req, client_link)->state != REQ_DONE) {
            return true;
        }
    }
    return false;
}

/* A request that will travel on another connection than those before it could overtake them: it waits for their answers. */
static bool client_early(const struct client *c, const struct msg *m) {
    switch (m->route) {
    case ROUTE_LOCAL: /* it may change the profile */
        return (m->cmd->flags & CMD_STATE) && c->fifo.head != NULL;
    case ROUTE_LEASE:
    case ROUTE_WATCH:
    case ROUTE_WRITTEN:
        return c->txn == NULL && client_owed(c);
    case ROUTE_TXN_RUN:
        return c->lease != NULL && client_owed(c);
    default:
        return false;
    }
}

static void client_pause(struct client *c) {
    if (!stream_paused(&c->stream)) {
        metric_add(&c->pool->stats.v[POOL_client_paused], 1);
        stream_pause(&c->stream);
    }
}

/* Nothing more is read; what is owed is still written. */
void client_finish(struct client *c, enum reason why) {
    if (c->state == CLIENT_OPEN || c->state == CLIENT_EOF) {
        c->state = CLIENT_CLOSING;
        c->why = (uint8_t)why;
        upload_cut(c);
        client_wake(c);
    }
}

/* Answers a broken frame, after everything that came before it, and closes. */
static void client_refuse(struct client *c, const struct msg *m) {
    bool over = (m->flags & MSG_OVER) != 0;
    metric_add(&c->pool->stats.v[over ? POOL_client_over_limit : POOL_protocol_errors], 1);
    struct req *r = req_new(c->pool, NULL, c);
    c->nreqs++;
    queue_push(&c->fifo, &r->client_link);
    rope_add_copy(&r->bytes, &c->stage, slice(m->answer, m->answer_len));
    req_done(r);
    client_finish(c, over ? REASON_TOO_LARGE : REASON_BAD_REQUEST);
}

/* It sent its FIN behind more than is read while a command of it waits: it is gone, and the server shall give it nothing. */
static void client_left(struct client *c) {
    if (c->state == CLIENT_OPEN && client_blocked(c) && stream_hung_up(&c->stream)) {
        client_close(c, REASON_EOF);
    }
}

/* A request is not here whole. True: its head is to be dispatched all the same, and the rest goes on while it arrives. */
static __attribute__((noinline)) bool client_offers(struct client *c, struct slice in, struct msg *m) {
    struct parser before = c->parser;
    size_t need = (size_t)m->need;
    if (!upload_offered(c, in, m)) {
        stream_need(&c->stream, need);
        return false;
    }
    if (client_owed(c)) {
        c->parser = before;
        client_pause(c); /* until everything earlier is answered */
        return false;
    }
    upload_begin(c, m);
    hot_big_request(c->pool, m, m->raw.n + m->pass);
    return true;
}

/* It is full. Returns how many bytes were taken all the same: more of a large request. */
static __attribute__((noinline)) size_t client_hold(struct client *c, struct slice in) {
    size_t used = 0;
    if (c->upload != NULL) {
        enum parse_rc rc;
        used = upload_recv(c, in, &rc);
        if (rc == PARSE_BAD) {
            client_refuse(c, &worker_of(c)->msg);
        }
    } else if (client_blocked(c) && in.n < UNREAD_MAX) {
        c->unread = true; /* read on, so that its going away is seen while it waits */
    } else {
        client_pause(c);
        client_left(c);
    }
    return used;
}

/* What its parser has to know beside the bytes. */
static void client_brief(const struct client *c, struct msg *m) {
    const struct conf_pool *conf = c->pool->conf;
    m->rules = conf->rules;
    m->learned = c->pool->learned;
    m->max_bytes = (size_t)conf->client_request_limit;
    m->max_args = (uint32_t)conf->client_max_arguments;
}

static size_t client_on_recv(struct stream *s, struct buf *b, struct slice in) {
    struct client *c = CONTAINER_OF(s, struct client, stream);
    struct worker *w = worker_of(c);
    struct msg *m = &w->msg;
    size_t used = 0, count = 0;
    uint32_t half_since = 0;
    if (c->state != CLIENT_OPEN) {
        return in.n; /* CLOSING, LINGER: thrown away */
    }
    client_brief(c, m);
    if (UNLIKELY(c->half_since != 0)) {
        sample_next(&w->sample);
    }
    if (UNLIKELY(c->front == NULL) && in.n > 0) {
        const struct proto *front = c->pool->front;
        c->front = front->other != NULL && in.p[0] == front->other_byte ? front->other : front;
    }
    while (used < in.n && c->state == CLIENT_OPEN) {
        struct slice rest = slice(in.p + used, in.n - used);
        if (UNLIKELY(client_full(c))) {
            size_t n = client_hold(c, rest);
            used += n;
            if (n == 0) {
                break;
            }
            continue;
        }
        enum parse_rc rc = c->front->parse_req(&c->parser, rest, m);
        if (rc == PARSE_MORE && (m->need == 0 || !client_offers(c, rest, m))) {
            half_since = count == 0 && c->half_since != 0 ? c->half_since : times_now(w);
            break;
        }
        if (UNLIKELY(rc == PARSE_BAD)) {
            client_refuse(c, m);
            used = in.n;
            break;
        }
        if (UNLIKELY((m->route == ROUTE_LOCAL || m->route >= ROUTE_WRITTEN) && client_early(c, m))) {
            client_pause(c); /* until everything earlier is answered */
            break;
        }
        used += m->raw.n;
        if (m->route != ROUTE_SKIP) {
            count++;
            if (UNLIKELY(m->raw.n >= BIG_MIN)) {
                hot_big_request(c->pool, m, m->raw.n);
            }
            if (UNLIKELY(LIKELY(--w->sample.left > 0) ? dispatch(c, b, m) : sample_dispatch(c, b, m, count == 1 ? c->half_since : 0))) {
                client_finish(c, REASON_QUIT);
            }
        }
    }
    c->half_since = half_since;
    if (LIKELY(count > 0)) {
        c->last = m->cmd;
        c->read_at = client_clock(worker_now(w));
    }
    metric_add(&c->pool->stats.v[POOL_client_requests], count);
    metric_add(&c->pool->stats.v[POOL_client_request_bytes], used);
    return c->state == CLIENT_OPEN ? used : in.n;
}

/* The client sends no more. What it asked for is still answered (compat part 6: half-close is honoured). */
static void client_on_eof(struct stream *s) {
    struct client *c = CONTAINER_OF(s, struct client, stream);
    c->eof = true;
    if (c->state == CLIENT_LINGER) {
        client_close(c, (enum reason)c->why);
    } else if (c->state == CLIENT_OPEN && client_blocked(c)) {
        client_close(c, REASON_EOF); /* it does not wait for what it asked the server to wait for */
    } else if (c->state == CLIENT_OPEN) {
        c->state = CLIENT_EOF;
        c->why = REASON_EOF;
        upload_cut(c);
        client_wake(c);
    }
}

static void client_on_error(struct stream *s, enum reason why) {
    struct client *c = CONTAINER_OF(s, struct client, stream);
    client_close(c, c->state == CLIENT_LINGER ? (enum reason)c->why : why);
}

/* ---- writing ---- */

void client_wake(struct client *c) {
    if (!c->woken && c->state != CLIENT_CLOSED) {
        c->woken = true;
        queue_push(&worker_of(c)->flush_clients, &c->flush_link);
    }
}

/* The finished replies at the head of the FIFO, and what there is of one that arrives. */
static void client_collect(const struct client *c, struct runs *runs) {
    runs_init(runs, c->sent_off);
    bool more = true;
    for (struct queue_link *l = c->fifo.head; l != NULL && more; l = l->next) {
        struct req *r = CONTAINER_OF(l, struct req, client_link);
        if (r->state != REQ_DONE) {
            if (LIKELY(r->state != REQ_STREAMING)) {
                break;
            }
            more = false;
        }
        if (!runs_add(runs, &r->bytes)) {
            break;
        }
    }
}

/* The last `len` bytes of a reply are written of which more is to be noted. */
static __attribute__((noinline)) void client_told(struct client *c, struct req *r, size_t len) {
    if (r->flags & REQ_PUSH) {
        subscriber_told(c);
    }
    if (r->flags & REQ_TRACED) {
        trace_written(r, len);
    }
}

/* Takes the requests off the FIFO whose replies are written, `sent` bytes in all. */
static void client_retire(struct client *c, size_t sent) {
    sent += c->sent_off;
    uint32_t now = times_now(worker_of(c));
    while (c->fifo.head != NULL) {
        struct req *r = CONTAINER_OF(c->fifo.head, struct req, client_link);
        size_t len;
        if (r->state != REQ_DONE || (len = rope_len(&r->bytes)) > sent) {
            if (UNLIKELY(r->state == REQ_STREAMING) && sent > 0) {
                req_written(r, sent);
                sent = 0;
            }
            break;
        }
        sent -= len;
        queue_pop(&c->fifo);
        c->nreqs--;
        c->bytes -= len + r->size;
        c->owed -= len;
        times_written(c->pool, r, now);
        if (UNLIKELY(r->flags & (REQ_PUSH | REQ_TRACED))) {
            client_told(c, r, len);
        }
        if (UNLIKELY(r->slow)) {
            slowlog_written(r, now);
        }
        req_unlink_client(r);
    }
    c->sent_off = sent;
}

static void client_linger(struct client *c) {
    if (c->eof) {
        client_close(c, (enum reason)c->why);
        return;
    }
    c->state = CLIENT_LINGER;
    lease_drop(c);
    stage_release(&c->stage);
    stream_shutdown(&c->stream);
    stream_resume(&c->stream);
    timer_set(worker_of(c)->loop, &c->timer, worker_now(worker_of(c)) + LINGER_USEC);
}

/* Everything that could be written is. */
static void client_flushed(struct client *c) {
    c->roomy = false;
    if (c->fifo.head == NULL) {
        stage_release(&c->stage);
        if (c->state == CLIENT_EOF) {
            client_close(c, REASON_EOF);
            return;
        }
        if (c->state == CLIENT_CLOSING) {
            client_linger(c);
            return;
        }
    }
    if (c->unread && !c->waiting) {
        c->unread = false;
        stream_pause(&c->stream); /* and resume: what is left is shown again */
        stream_resume(&c->stream);
        return;
    }
    if (stream_paused(&c->stream) && c->state == CLIENT_OPEN) {
        const struct conf_pool *conf = c->pool->conf;
        size_t room = worker_tight(worker_of(c)) ? 0 : (size_t)conf->client_buffer / 2;
        if (c->fifo.head == NULL ||
            (!c->waiting && c->nreqs <= c->window / 2 && c->bytes <= room)) {
            stream_resume(&c->stream);
        }
    }
}

void client_block(struct client *c) {
    if (!c->blocked && !c->roomy) { /* else it took something, but not all: it is the same stop */
        c->stalled_at = times_now(worker_of(c));
    }
    c->blocked = true;
}

static void client_stalled(struct client *c) {
    struct worker *w = worker_of(c);
    const struct conf_pool *conf = c->pool->conf;
    struct req *first = CONTAINER_OF(c->fifo.head, struct req, client_link);
    client_block(c);
    if (c->owed - rope_len(&first->bytes) > (uint64_t)conf->client_buffer_limit) {
        metric_add(&c->pool->stats.v[POOL_client_slow], 1);
        client_close(c, REASON_SLOW_READER);
    } else if (conf->client_write_timeout > 0 && !timer_is_set(&c->timer)) {
        timer_set(w->loop, &c->timer, worker_now(w) + conf->client_write_timeout * 1000);
    }
}

/* Returns false when there is no more to write for now. */
static bool client_write(struct client *c) {
    struct runs runs;
    size_t sent = 0;
    uint32_t before = c->nreqs;
    client_collect(c, &runs);
    if (runs.n > 0 && !c->blocked) {
        sent = stream_send(&c->stream, runs.iov, runs.n);
        metric_add(&c->pool->stats.v[POOL_client_response_bytes], sent);
        if (sent > 0) {
            timer_cancel(worker_of(c)->loop, &c->timer);
        }
    }
    client_retire(c, sent);
    if (UNLIKELY(sent > LEARN_MIN || stream_paused(&c->stream))) {
        client_learn(c, sent, before - c->nreqs);
    }
    if (sent < runs.total) {
        client_stalled(c);
        return false;
    }
    /* All of it went: there is more if the head had more runs than fit, or finished requests without an answer. */
    return c->fifo.head != NULL && (runs.n > 0 || c->nreqs < before);
}

void client_flush(struct client *c) {
    c->woken = false;
    if (UNLIKELY(c->state >= CLIENT_LINGER)) {
        if (c->state == CLIENT_BROKEN) {
            client_close(c, (enum reason)c->why);
        }
        return;
    }
    while (client_write(c)) {
    }
    if (c->state != CLIENT_CLOSED) {
        client_flushed(c);
    }
}

static void client_on_room(struct stream *s) {
    struct client *c = CONTAINER_OF(s, struct client, stream);
    c->blocked = false;
    c->roomy = true;
    client_wake(c);
}

/* ---- beginning and end ---- */

static void client_on_timer(struct timer *t) {
    struct client *c = CONTAINER_OF(t, struct client, timer);
    if (c->state != CLIENT_LINGER) {
        metric_add(&c->pool->stats.v[POOL_client_slow], 1);
    }
    client_close(c, c->state == CLIENT_LINGER ? (enum reason)c->why : REASON_SLOW_READER);
}

static void client_on_hup(struct stream *s) {
    client_left(CONTAINER_OF(s, struct client, stream));
}

/* Says why and closes. It counts as refused, not as a client that came and went. */
static void client_turn_away(struct client *c, enum reason why, enum pool_metric counts) {
    struct pool *pool = c->pool;
    struct req *r = req_new(pool, NULL, c);
    c->nreqs++;
    queue_push(&c->fifo, &r->client_link);
    struct out out = {&r->bytes, &c->stage};
    pool->front->error(why, NULL, 0, &out);
    req_done(r);
    client_finish(c, why);
    c->refused = true; /* while it lingers it must not keep others out */
    __atomic_sub_fetch(pool->nclients, 1, __ATOMIC_RELAXED);
    metric_add(&pool->stats.v[counts], 1);
    if (log_pass(&pool->refused_log, worker_now(pool->worker), 1000000, 5)) {
        char peer[ADDR_TEXT_MAX];
        log_line(LOG_WARN, "client_refused pool=%s client=%s reason=\"%s\"", pool->conf->name,
                 stream_peer(&c->stream, peer, sizeof peer), reason_words(why));
    }
    if (!stream_plain(&c->stream)) {
        client_break(c, why); /* a handshake only to say so would be what costs most */
    }
}

/* `from`: NULL for a load balancer that speaks for itself. */
static void client_admit(struct client *c, const struct addr *from) {
    const struct networks *allow = c->pool->conf->allow;
    if (allow != NULL && from != NULL && !addr_is_unix(from) && !networks_have(allow, from)) {
        client_turn_away(c, REASON_STRANGER, POOL_client_strangers);
    } else {
        c->accepted = true;
        metric_add(&c->pool->stats.v[POOL_client_accepted], 1);
    }
}

/* A load balancer has said who it is. */
static void client_on_connect(struct stream *s) {
    struct client *c = CONTAINER_OF(s, struct client, stream);
    if (c->state == CLIENT_OPEN) {
        client_admit(c, stream_proxied(s));
    }
}

static const struct stream_ops client_ops = {
    .on_connect = client_on_connect,
    .on_recv = client_on_recv,
    .on_eof = client_on_eof,
    .on_hup = client_on_hup,
    .on_room = client_on_room,
    .on_error = client_on_error,
    .on_bytes = upload_on_bytes,
};

uint32_t client_nth(const struct client *c) {
    return (uint32_t)((c->session.id - 1) / worker_of(c)->opts.shared->workers);
}

/* Its stream is still to be made. */
static struct client *client_begin(struct pool *pool) {
    struct worker *w = pool->worker;
    struct client *c = freelist_get(&w->clients);
    *c = (struct client){.pool = pool};
    c->window = client_first_window(pool->conf);
    queue_init(&c->fifo);
    stage_init(&c->stage, &w->bufs);
    timer_init(&c->timer, client_on_timer);
    list_push(&pool->clients, &c->link);
    w->nclients++;
    worker_connection(w, +1);
    metric_add(&pool->stats.v[POOL_client_connections], 1);
    return c;
}

void client_accept(struct pool *pool, struct listener *listener, int fd) {
    struct worker *w = pool->worker;
    const struct conf_pool *conf = pool->conf;
    const struct addr *from = listener_peer(listener);
    struct accept_opts opts = {.keepalive = conf->tcpkeepalive, .proxied = networks_have(conf->proxy_from, from)};
    struct client *c = client_begin(pool);
    c->since = c->read_at = client_clock(worker_now(w));
    c->session = (struct session){
        .authed = !conf_must_log_in(conf),
        .db = (uint32_t)conf->redis_db,
        .id = (w->opts.shared->first_client + w->next_client++ * w->opts.shared->workers + w->opts.index + 1) & (UINT64_MAX >> 8),
    };
    stream_accept(listener, fd, &c->stream, &client_ops, &opts);
    uint32_t now = __atomic_add_fetch(pool->nclients, 1, __ATOMIC_RELAXED);
    if (conf->client_connections > 0 && now > (uint64_t)conf->client_connections) {
        client_turn_away(c, REASON_MAX_CLIENTS, POOL_client_refused);
    } else if (!opts.proxied) {
        client_admit(c, from);
    }
}

struct client *client_adopt(struct pool *pool, int fd, const struct session *session, struct slice unread) {
    struct client *c = client_begin(pool);
    c->session = *session;
    stream_adopt(pool->worker->loop, fd, &c->stream, &client_ops, unread);
    __atomic_add_fetch(pool->nclients, 1, __ATOMIC_RELAXED);
    c->accepted = true;
    metric_add(&pool->stats.v[POOL_client_accepted], 1);
    return c;
}

void client_drain(struct client *c, enum reason why) {
    if (client_blocked(c)) {
        client_close(c, why); /* what it waits for may never come */
        return;
    }
    client_finish(c, why);
}

/* Somebody did what an operator may want to know. */
static bool is_news(enum reason why) {
    static const bool rows[REASON_COUNT] = {
        [REASON_SLOW_READER] = true, [REASON_SLOW_SENDER] = true, [REASON_CUT_SHORT] = true,  [REASON_MEMORY_LIMIT] = true, [REASON_BAD_REQUEST] = true,
        [REASON_PROXY] = true,       [REASON_TOO_LARGE] = true,   [REASON_REMOVED] = true, [REASON_NO_REQUEST] = true, [REASON_HALF_REQUEST] = true,
    };
    return rows[why];
}

static void client_log(const struct client *c, enum reason why) {
    struct worker *w = worker_of(c);
    if (is_news(why) && log_pass(&w->log_limit, worker_now(w), 1000000, 10)) {
        char peer[ADDR_TEXT_MAX];
        log_line(LOG_WARN, "client_closed pool=%s client=%s reason=\"%s\" waiting_requests=%u waiting_bytes=%zu",
                 c->pool->conf->name, stream_peer(&c->stream, peer, sizeof peer), reason_words(why), c->nreqs, c->bytes);
    }
}

void client_break(struct client *c, enum reason why) {
    if (c->state < CLIENT_BROKEN) {
        c->state = CLIENT_BROKEN;
        c->why = (uint8_t)why;
        client_wake(c);
    }
}

void client_close(struct client *c, enum reason why) {
    struct worker *w = worker_of(c);
    if (c->state == CLIENT_CLOSED) {
        return;
    }
    client_log(c, why);
    c->state = CLIENT_CLOSED;
    timer_cancel(w->loop, &c->timer);
    stream_close(&c->stream);
    /* when it is woken, it stays in the queue, which is empty before its memory goes */
    while (c->fifo.head != NULL) {
        struct req *r = CONTAINER_OF(queue_pop(&c->fifo), struct req, client_link);
        if (r->flags & REQ_TRACED) {
            trace_left(r);
        }
        if (r->slow) {
            slowlog_left(r);
        }
        req_unlink_client(r);
    }
    upload_drop(c);
    lease_drop(c);
    subscriber_free(c);
    stage_release(&c->stage);
    session_texts_free(&c->session);
    txn_free(&c->txn);
    bool clean = reason_bucket(why) == REASON_BUCKET_EOF;
    if (c->accepted && !c->refused) {
        metric_add(&c->pool->stats.v[clean ? POOL_client_eof : POOL_client_err], 1);
    }
    if (!c->refused) {
        __atomic_sub_fetch(c->pool->nclients, 1, __ATOMIC_RELEASE); /* whoever reads the statistics finds the place free */
    }
    metric_sub(&c->pool->stats.v[POOL_client_connections], 1);
    worker_connection(w, -1);
    w->nclients--;
    list_remove(&c->link);
    list_push(&w->dead_clients, &c->link);
}
