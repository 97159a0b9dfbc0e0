/* uplink_pass.c: replies that go on while they arrive ("cut-through").
 *
 * A reply of which much is still to come is not collected: its request becomes STREAMING, and each piece is handed to the
 * client as it comes, which is written when the request is at the head of its FIFO (client.c). So a value of any size costs
 * as much memory as the client is behind. When the client has all that is here, what comes is not received at all but moved to
 * it (uplink_on_bytes, io.h); what it has no room for becomes the request's bytes, as if it had been received.
 *
 * Who waits for whom. An uplink that carries anybody else's request is not paused while little is kept: two clients whose replies stand
 * in each other's way on two uplinks would wait for ever, and one that does not read would stop the others. There the pieces are
 * kept, as a whole reply would be: a client with a slow line is no reason to break off what a server sent. When much is kept
 * already (is_patient), the others wait for that client, but for a few seconds only, so for ever nobody does. The limits are those
 * of every reply (client_buffer_limit for what waits behind the first, client_write_timeout), and one more: when memory is
 * short (buffer_limit), who is more than client_buffer_limit behind is closed, and the rest is dropped. An uplink that carries requests of
 * this client only is paused when the client is behind, and goes on when it took half (when bytes could be moved: as soon as it has no
 * room, until it took all). This cannot go round in a circle: what
 * a paused uplink waits for is either that the client reads the reply at the head of its FIFO, or that it comes to this
 * reply, and nothing that stands before this reply in the FIFO travels on the paused uplink (uplink_alone). So that nobody's
 * requests gather behind a large reply, its uplink leaves its slot when the reply begins and new requests open another one; and its
 * client asks for what follows over an uplink of its own (lease_large). */
#include "core/uplink_state.h"

#include "core/client.h"
#include "core/trace.h"

/* In multiples of `cut_through`, which is 64 KiB: what a client may be behind before its uplink is paused, and the size from
 * which on a reply takes its uplink out of its slot. A connection that is replaced costs less than a reply of that size. */
#define BEHIND_MAX 16
#define ASIDE_MIN  32
/* So much of buffer_limit is held at least before others have to wait for the client of a reply, and so long they do. */
#define PATIENT_PART 32
#define PATIENCE_USEC 5000000
/* Queues that are longer are not looked through: somebody else is in there. */
#define ALONE_MAX 64

/* Functions that the paths of small replies call are kept out of line there: they would cost registers. */

static uint64_t unit(const struct uplink *u) {
    return (uint64_t)u->server->pool->conf->cut_through;
}

static bool is_only_for(const struct queue *q, const struct client *c) {
    for (const struct queue_link *l = q->head; l != NULL; l = l->next) {
        if (CONTAINER_OF(l, const struct req, uplink_link)->client != c) {
            return false;
        }
    }
    return true;
}

/* May this uplink wait for the client of the reply that it carries? No request of anybody else is or will be on it, and none
 * that the client has to be answered first. */
static bool uplink_alone(const struct uplink *u, const struct req *r) {
    if (!u->aside && !u->leased && u->state != UPLINK_SUSPECT) {
        return false;
    }
    if (u->nwait + u->nsend == 1) {
        return true;
    }
    return u->nwait + u->nsend <= ALONE_MAX && r->client->fifo.head == &r->client_link && is_only_for(&u->wait, r->client) &&
           is_only_for(&u->send, r->client);
}

/* What comes next of this reply can go to the client without being received here. */
static bool can_move(const struct uplink *u, const struct req *r) {
    const struct client *c = r->client;
    return r->state == REQ_STREAMING && !(r->flags & REQ_SILENT) && c != NULL && c->state < CLIENT_LINGER && c->fifo.head == &r->client_link &&
           stream_can_move(&u->stream, &c->stream, u->pass_left);
}

/* Much is kept here already: others on this uplink wait for the client, for a while. */
static bool is_patient(const struct uplink *u) {
    const struct worker *w = u->worker;
    return u->aside && uplink_now(u) < u->patient_until && worker_held(w) > (uint64_t)w->opts.conf->buffer_limit / PATIENT_PART;
}

/* The client is far behind, or has no room for what would be moved to it. */
static void uplink_hold(struct uplink *u, struct req *r) {
    size_t behind = rope_len(&r->bytes);
    bool moves = r->client->blocked && can_move(u, r);
    if ((behind <= BEHIND_MAX * unit(u) && !moves) || stream_paused(&u->stream)) {
        return;
    }
    bool alone = uplink_alone(u, r);
    if (alone || is_patient(u)) {
        stream_pause(&u->stream);
        uplink_arm(u, alone ? INT64_MAX : u->patient_until);
        metric_add(&u->server->stats.v[SERVER_reply_pauses], 1);
    } else if (behind > (uint64_t)u->server->pool->conf->client_buffer_limit && worker_tight(u->worker)) {
        metric_add(&u->server->pool->stats.v[POOL_client_slow], 1);
        client_break(r->client, REASON_SLOW_READER);
    }
}

/* Its time is over: what the client does not take is kept. */
bool uplink_impatient(struct uplink *u) {
    return uplink_now(u) >= u->patient_until && !uplink_alone(u, uplink_first(&u->wait));
}

static void restart_clocks(struct queue *q, int64_t deadline) {
    for (struct queue_link *l = q->head; l != NULL; l = l->next) {
        struct req *r = CONTAINER_OF(l, struct req, uplink_link);
        if (!(r->flags & REQ_EXPIRED)) {
            r->deadline = deadline;
        }
    }
}

void uplink_go_on(struct uplink *u) {
    int64_t now = uplink_now(u), timeout = u->server->pool->timeout;
    if (!stream_paused(&u->stream)) {
        return;
    }
    stream_resume(&u->stream);
    u->heard_at = u->told_at = now; /* the server is not to blame for the time that passed */
    if (timeout > 0) {
        restart_clocks(&u->wait, now + timeout);
        restart_clocks(&u->send, now + timeout);
        uplink_arm(u, now + timeout);
    }
}

void uplink_taken(struct uplink *u, struct req *r) {
    size_t behind = rope_len(&r->bytes);
    bool moves = can_move(u, r);
    if (moves && behind == 0) {
        stream_move_begin(&u->stream);
    }
    if (behind == 0 || (behind <= BEHIND_MAX / 2 * unit(u) && !moves)) {
        uplink_go_on(u);
    }
}

/* ---- pieces ---- */

/* Some have to see the whole reply: a fan, and whoever judges what comes ahead of the reply that counts. What nobody waits for any
 * more need not be collected either; what a quiet request is not told is short. */
static bool may_pass(const struct req *r) {
    return r->state != REQ_QUEUED && r->skip == 0 && (!(r->flags & REQ_PART) || r->fan == NULL);
}

/* It is alive: so many bytes came. */
static void piece_came(struct uplink *u, struct req *r, size_t n) {
    int64_t timeout = u->server->pool->timeout;
    u->passed += n;
    if (timeout > 0 && r->state == REQ_STREAMING) { /* else late: it has its error */
        r->deadline = uplink_now(u) + timeout;
        uplink_arm(u, r->deadline);
    }
}

static void keep_piece(struct req *r, struct buf *b, struct slice piece) {
    struct client *c = r->client;
    if (r->state == REQ_STREAMING && c != NULL && c->state != CLIENT_BROKEN && !(r->flags & REQ_SILENT)) {
        rope_add(&r->bytes, &c->stage, b, piece);
        c->bytes += piece.n;
        c->owed += piece.n;
        client_wake(c);
    }
}

/* `size`: bytes that are certainly to come. */
static void pass_begin(struct uplink *u, struct req *r, size_t size) {
    int64_t timeout = u->server->pool->timeout;
    u->passing = true;
    u->passed = 0;
    u->patient_until = uplink_now(u) + (timeout > 0 && timeout / 2 < PATIENCE_USEC ? timeout / 2 : PATIENCE_USEC);
    u->parser.pass_min = 1; /* from now on everything goes as it comes */
    if (r->state == REQ_SENT) {
        r->state = REQ_STREAMING;
    }
    if (r->client != NULL) {
        client_learn(r->client, size, 1); /* it is written in pieces that do not say how large it was */
    }
    metric_add(&r->pool->stats.v[POOL_streamed_replies], 1);
}

__attribute__((noinline)) size_t uplink_pass(struct uplink *u, struct buf *b, struct slice in) {
    struct req *r = uplink_first(&u->wait);
    size_t n = u->pass_left < in.n ? (size_t)u->pass_left : in.n;
    if (u->passed + u->pass_left > ASIDE_MIN * unit(u)) {
        server_set_aside(u->server, u);
        if (r->client != NULL && u->server->pool->conf->server_downloads > 0) {
            client_large(r->client);
        }
    }
    u->pass_left -= n;
    piece_came(u, r, n);
    keep_piece(r, b, slice(in.p, n));
    if (r->state == REQ_STREAMING && r->client != NULL) {
        uplink_hold(u, r);
        if (!r->client->blocked && can_move(u, r)) {
            stream_move_begin(&u->stream); /* when what is here is written */
        }
    }
    return n;
}

size_t uplink_pass_more(struct uplink *u, struct req *r, struct buf *b, struct slice in, struct rsp *rsp) {
    if (!u->passing) {
        uint64_t least = unit(u) == 0 && !req_is_wanted(r) ? 1 : unit(u);
        if (least == 0 || max_size((size_t)rsp->need, in.n) < least || !may_pass(r)) {
            return 0;
        }
        u->parser.pass_min = (uint32_t)least;
        u->server->pool->back->parse_rsp(&u->parser, r->cmd, in, rsp);
        if (rsp->pass == 0) {
            u->parser.pass_min = 0;
            return 0;
        }
        pass_begin(u, r, (size_t)rsp->pass);
    }
    u->pass_left = rsp->pass;
    return rsp->pass > 0 ? uplink_pass(u, b, in) : 0;
}

void uplink_pass_end(struct uplink *u, struct req *r) {
    u->passing = false;
    uplink_go_on(u);
    server_readmit(u->server, u);
    if (r->state == REQ_STREAMING) {
        req_gather(r);
    }
}

void uplink_on_bytes(struct stream *st) {
    struct uplink *u = CONTAINER_OF(st, struct uplink, stream);
    struct req *r = uplink_first(&u->wait);
    if (u->pass_left == 0 || !can_move(u, r) || r->client->blocked || r->bytes.n > 0) {
        stream_move_end(st);
        return;
    }
    struct client *c = r->client;
    struct buf *rest;
    size_t n = stream_move(st, &c->stream, (size_t)u->pass_left, &rest);
    if (n == 0) {
        return;
    }
    ASSERT(r->flags & REQ_BEGUN); /* so nothing comes between: what was received of it is written already */
    size_t went = rest == NULL ? n : n - rest->len;
    u->pass_left -= n;
    piece_came(u, r, n);
    metric_add(&u->server->stats.v[SERVER_response_bytes], n);
    metric_add(&r->pool->stats.v[POOL_client_response_bytes], went);
    metric_add(&r->pool->stats.v[POOL_moved_bytes], went);
    if (UNLIKELY(r->flags & REQ_TRACED)) {
        trace_passed(r, went);
    }
    if (went > 0) {
        timer_cancel(u->worker->loop, &c->timer);
    }
    if (rest != NULL) {
        client_block(c);
        keep_piece(r, rest, slice(rest->data, rest->len));
        buf_unref(&rest);
        uplink_hold(u, r);
    }
}
