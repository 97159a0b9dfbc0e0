#include "core/upload.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/dispatch.h"
#include "core/lease.h"
#include "core/uplink_state.h"

struct upload {
    struct client *client;
    struct server *server; /* NULL: it has not come to one */
    struct req *req;       /* NULL: refused or answered; what follows is thrown away */
    struct lease *lease;   /* NULL: none (yet), or no more */
    struct list link;      /* of server->uploads, while it waits for its turn */
    struct timer timer;    /* the end of that, or the next look at the client's pace */
    uint64_t left;         /* bytes that follow and are passed on unseen */
    uint64_t moved;        /* bytes that came since the last look */
    struct buf *rest;      /* what came and is still to go to the server, from rest_off on; NULL: nothing */
    size_t rest_off;
    bool last;             /* `left` ends the request */
    bool own;              /* the lease is for this request only; else the client watches with it */
    bool begun;            /* the server has a part of it */
    bool whole;            /* everything was handed to the uplink */
    bool cut;              /* nothing more will come */
    bool broken;           /* counted as such */
};

static struct worker *worker_of(const struct upload *up) {
    return up->client->pool->worker;
}

static const struct conf_pool *conf_of(const struct upload *up) {
    return up->client->pool->conf;
}

static struct uplink *uplink_of(const struct upload *up) {
    return up->lease != NULL ? up->lease->uplink : NULL;
}

/* The server can be given more. */
static bool upload_ready(const struct upload *up) {
    const struct uplink *u = uplink_of(up);
    return u != NULL && uplink_up(u) && !u->blocked && up->req->state != REQ_QUEUED;
}

/* ---- the client's pace ---- */

/* 0: none. */
static void upload_clock(struct upload *up, int64_t usec) {
    timer_cancel(worker_of(up)->loop, &up->timer);
    if (usec > 0) {
        timer_set(worker_of(up)->loop, &up->timer, worker_now(worker_of(up)) + usec);
    }
}

static void upload_watch(struct upload *up) {
    upload_clock(up, conf_of(up)->client_write_timeout * 1000);
}

static void upload_on_timer(struct timer *t) {
    struct upload *up = CONTAINER_OF(t, struct upload, timer);
    if (list_linked(&up->link)) {
        list_remove(&up->link);
        req_fail(up->req, REASON_UPLOADS);
    } else if ((up->req == NULL || upload_ready(up)) && up->moved < (uint64_t)conf_of(up)->cut_through) {
        client_close(up->client, REASON_SLOW_SENDER);
    } else {
        up->moved = 0;
        upload_watch(up);
    }
}

/* ---- turns ---- */

static void upload_start(struct upload *up) {
    struct client *c = up->client;
    struct req *r = up->req;
    enum reason why;
    up->own = lease_server(c) != up->server;
    up->lease = up->own ? lease_new(NULL, up->server, r->profile, LEASE_LARGE, &why) : c->lease;
    if (up->lease == NULL) {
        req_fail(r, why);
        return;
    }
    up->server->nuploads += up->own;
    up->lease->upload = up;
    req_start_clock(r);
    uplink_queue(up->lease->uplink, r);
    upload_watch(up);
}

/* One always has: those who wait had their place before the limit was lowered. */
static bool has_room(const struct server *s) {
    return s->nuploads == 0 || s->nuploads < (uint64_t)s->pool->conf->server_uploads;
}

static void upload_next(struct server *s) {
    while (has_room(s) && !list_empty(&s->uploads)) {
        upload_start(CONTAINER_OF(list_pop(&s->uploads), struct upload, link));
    }
}

/* Gives the lease back. NONE: it is of use to others. */
static void upload_release(struct upload *up, enum reason close) {
    struct lease *l = up->lease;
    if (l == NULL) {
        return;
    }
    struct uplink *u = l->uplink;
    l->upload = NULL;
    up->lease = NULL;
    if (u != NULL && close != REASON_NONE) {
        uplink_close(u, close);
    }
    if (up->own) {
        lease_free(&l);
        up->server->nuploads--;
        upload_next(up->server);
    }
}

/* ---- beginning and end ---- */

static void upload_count_broken(struct upload *up) {
    if (!up->whole && !up->broken) {
        up->broken = true;
        metric_add(&up->client->pool->stats.v[POOL_broken_requests], 1);
    }
}

static void upload_free(struct client *c) {
    struct upload *up = c->upload;
    upload_count_broken(up);
    buf_unref(&up->rest);
    timer_cancel(worker_of(up)->loop, &up->timer);
    list_remove(&up->link);
    c->upload = NULL;
    c->waiting = false;
    mem_free(up);
}

/* It has its answer, and the rest of it is still to come. */
static void upload_discard(struct upload *up) {
    upload_count_broken(up);
    up->client->waiting = true;
    upload_watch(up);
    stream_resume(&up->client->stream);
}

bool upload_offered(struct client *c, struct slice in, struct msg *m) {
    const struct conf_pool *conf = c->pool->conf;
    uint64_t min = (uint64_t)conf->cut_through;
    if (min == 0 || conf->server_uploads == 0 || m->need < in.n + min || c->txn != NULL || c->session.listening ||
        c->front != c->pool->back) {
        return false;
    }
    struct parser before = c->parser;
    c->parser.pass_min = (uint32_t)min;
    enum parse_rc rc = c->front->parse_req(&c->parser, in, m);
    ASSERT(rc == PARSE_MORE);
    if (m->pass == 0) {
        c->parser = before;
    }
    return m->pass > 0;
}

void upload_begin(struct client *c, const struct msg *m) {
    struct upload *up = mem_zalloc(sizeof *up);
    up->client = c;
    up->left = m->pass;
    timer_init(&up->timer, upload_on_timer);
    c->upload = up;
    c->waiting = true;
    upload_watch(up);
    metric_add(&c->pool->stats.v[POOL_streamed_requests], 1);
}

void upload_take(struct req *r, struct buf *b, const struct msg *m) {
    struct client *c = r->client;
    struct upload *up = c->upload;
    enum reason why;
    struct server *s = dispatch_owner(r->pool, m, &why);
    if (s == NULL) {
        req_fail(r, why);
        return;
    }
    if (m->cmd->flags & (CMD_WRITE | CMD_CODE)) {
        client_wrote(c, s->index);
    }
    struct out out = {&r->bytes, &c->stage};
    c->front->build(m, b, NULL, 0, &out);
    r->flags |= REQ_LEASE | REQ_RETRIED; /* nowhere else */
    up->req = r;
    up->server = s;
    if (has_room(s) || lease_server(c) == s) {
        upload_start(up);
        return;
    }
    list_push(&s->uploads, &up->link);
    upload_clock(up, r->pool->timeout); /* it is not the client that is slow */
}

void upload_settle(struct client *c) {
    struct upload *up = c->upload;
    bool half = up->begun && !up->whole, late = up->req->deadline <= worker_now(worker_of(up));
    up->req = NULL;
    upload_release(up, !half ? REASON_NONE : late ? REASON_SILENT : REASON_IDLE);
    if (up->whole || up->cut) {
        upload_free(c);
    } else {
        upload_discard(up);
    }
}

void upload_cut(struct client *c) {
    struct upload *up = c->upload;
    if (up == NULL || up->whole) {
        return; /* its answer still comes */
    }
    up->cut = true;
    if (up->req == NULL) {
        upload_free(c);
        return;
    }
    up->req->flags |= REQ_SILENT;
    if (uplink_of(up) != NULL) {
        uplink_close(uplink_of(up), REASON_IDLE);
    } else {
        list_remove(&up->link);
        req_fail(up->req, REASON_IDLE);
    }
}

void upload_drop(struct client *c) {
    if (c->upload != NULL) {
        upload_release(c->upload, REASON_IDLE);
        upload_free(c);
    }
}

/* ---- bytes ---- */

static void upload_count(struct upload *up, size_t n) {
    struct uplink *u = uplink_of(up);
    struct server *s = u->server;
    u->told += n;
    up->req->size += (uint32_t)n;
    up->client->bytes += n;
    s->queued_bytes += n;
    s->waiting_bytes += n;
    metric_add(&s->stats.v[SERVER_request_bytes], n);
    uplink_count(u);
}

/* The server takes nothing for the moment: its time runs, and the client is not read. */
static void upload_stall(struct upload *up) {
    struct uplink *u = uplink_of(up);
    u->blocked = true;
    stream_pause(&up->client->stream);
    req_start_clock(up->req);
    uplink_arm(u, up->req->deadline);
}

/* Bytes that were received go to the server. Returns how many its socket took. When all did and much is to come, that is moved. */
static size_t upload_forward(struct upload *up, struct slice in) {
    struct uplink *u = uplink_of(up);
    struct stream *from = &up->client->stream;
    struct iovec iov = {(void *)(uintptr_t)in.p, in.n};
    size_t n = stream_send(&u->stream, &iov, 1);
    upload_count(up, n);
    if (n < in.n) {
        upload_stall(up);
    } else if (!up->last && up->left > n && stream_can_move(from, &u->stream, up->left - n)) {
        stream_move_begin(from);
    }
    return n;
}

/* What was moved and the server did not take. False: it does not take it now either. */
static bool upload_put_rest(struct upload *up) {
    struct uplink *u = uplink_of(up);
    struct iovec iov = {up->rest->data + up->rest_off, up->rest->len - up->rest_off};
    up->rest_off += stream_send(&u->stream, &iov, 1);
    if (up->rest_off < up->rest->len) {
        upload_stall(up);
        return false;
    }
    buf_unref(&up->rest);
    return true;
}

void upload_on_bytes(struct stream *from) {
    struct client *c = CONTAINER_OF(from, struct client, stream);
    struct upload *up = c->upload;
    if (up == NULL || up->req == NULL || up->last || !upload_ready(up) || !stream_can_move(from, &uplink_of(up)->stream, up->left)) {
        stream_move_end(from);
        return;
    }
    size_t n = stream_move(from, &uplink_of(up)->stream, (size_t)up->left, &up->rest);
    up->left -= n;
    up->moved += n;
    upload_count(up, n);
    metric_add(&c->pool->stats.v[POOL_client_request_bytes], n);
    metric_add(&c->pool->stats.v[POOL_moved_request_bytes], n);
    if (up->rest != NULL) {
        up->rest_off = 0;
        upload_stall(up);
    }
}

/* All of it is here. */
static void upload_end(struct upload *up) {
    if (up->req == NULL) {
        upload_free(up->client);
        return;
    }
    up->whole = true;
    timer_cancel(worker_of(up)->loop, &up->timer);
    req_start_clock(up->req);
    uplink_arm(uplink_of(up), up->req->deadline);
}

/* What may go next. */
static enum parse_rc upload_look(struct upload *up, struct slice in) {
    struct client *c = up->client;
    struct msg *m = &worker_of(up)->msg;
    enum parse_rc rc = c->front->parse_req(&c->parser, in, m);
    if (rc == PARSE_BAD) {
        upload_cut(c);
        return rc;
    }
    up->last = rc == PARSE_DONE;
    up->left = up->last ? m->raw.n : m->pass;
    return rc;
}

size_t upload_recv(struct client *c, struct slice in, enum parse_rc *rc) {
    struct upload *up = c->upload;
    *rc = PARSE_MORE;
    if (up->whole || (up->req != NULL && !upload_ready(up))) {
        stream_pause(&c->stream);
        return 0;
    }
    if (up->left == 0 && (*rc = upload_look(up, in)) == PARSE_BAD) {
        return 0;
    }
    size_t n = up->left < in.n ? (size_t)up->left : in.n;
    if (n > 0 && up->req != NULL) {
        n = upload_forward(up, slice(in.p, n));
    }
    up->left -= n;
    up->moved += n;
    if (up->left == 0 && up->last) {
        upload_end(up);
    }
    return n;
}

void upload_flushed(struct lease *l) {
    struct upload *up = l->upload;
    struct uplink *u = l->uplink;
    up->begun = up->begun || u->sent_off > 0 || up->req->state != REQ_QUEUED;
    if (up->whole || !upload_ready(up) || (up->rest != NULL && !upload_put_rest(up))) {
        return;
    }
    up->req->deadline = INT64_MAX; /* the server waits for the client now */
    if (stream_paused(&up->client->stream)) {
        stream_resume(&up->client->stream);
        upload_watch(up);
    }
}
