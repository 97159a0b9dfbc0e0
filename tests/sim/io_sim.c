/* io_sim.c: the second implementation of io.h: virtual time, byte pipes, scripted peers. It is as unkind as the contract
 * allows, and it fails the test when the caller leaves the contract. */
#include "sim_int.h"

#include <stdio.h>

static struct sim_conn *conn_of(const struct stream *s) {
    LIST_EACH(&sim.conns, l) {
        struct sim_conn *c = CONTAINER_OF(l, struct sim_conn, link);
        if (c->stream == s) {
            return c;
        }
    }
    sim_fail("a stream that io does not know (closed, or its memory was copied)");
}

/* ---- loop ---- */

struct loop *loop_new(struct bufpool *pool) {
    SIM_RULE(pool != NULL, "loop_new without a pool");
    struct loop *l = mem_zalloc(sizeof(*l));
    l->pool = pool;
    l->now = sim.now;
    l->wake_at = INT64_MAX;
    list_init(&l->timers);
    list_init(&l->lookups);
    list_push(&sim.loops, &l->link);
    return l;
}

void loop_free(struct loop **lp) {
    struct loop *l = *lp;
    *lp = NULL;
    if (l == NULL) {
        return;
    }
    SIM_RULE(!l->turning, "loop_free inside loop_turn");
    LIST_EACH(&sim.conns, m) {
        SIM_RULE(CONTAINER_OF(m, struct sim_conn, link)->loop != l ||
                     CONTAINER_OF(m, struct sim_conn, link)->stream == NULL,
                 "loop_free with an open stream");
    }
    SIM_RULE(list_empty(&l->timers), "loop_free with a timer set");
    for (unsigned i = 0; i < SIM_LISTENS; i++) {
        SIM_RULE(sim.listens[i].listener == NULL || sim.listens[i].listener->loop != l,
                 "loop_free with an open listener");
    }
    list_remove(&l->link);
    mem_free(l);
}

int64_t loop_now(const struct loop *l) {
    return l->now;
}

int64_t loop_wall(const struct loop *l) {
    return SIM_WALL_START + l->now;
}

void loop_wake(struct loop *l) {
    l->woken = true;
}

/* ---- timers ---- */

void timer_init(struct timer *t, timer_fn *fn) {
    *t = (struct timer){.fn = fn};
}

void timer_set(struct loop *l, struct timer *t, int64_t at) {
    SIM_RULE(t->fn != NULL, "timer_set before timer_init");
    list_remove(&t->link);
    int64_t ms = 1000;
    t->at = (at + ms - 1) / ms * ms; /* as the wheel: a millisecond, never early */
    list_push(&l->timers, &t->link);
}

void timer_cancel(struct loop *l, struct timer *t) {
    list_remove(&t->link);
}

static void run_timers(struct loop *l) {
    /* Only those that are due now: one that a callback sets to the past waits for the next turn. */
    struct list due;
    list_init(&due);
    for (;;) {
        struct timer *first = NULL;
        LIST_EACH(&l->timers, m) {
            struct timer *t = CONTAINER_OF(m, struct timer, link);
            if (t->at <= l->now && (first == NULL || t->at < first->at)) {
                first = t;
            }
        }
        if (first == NULL) {
            break;
        }
        list_remove(&first->link);
        list_push(&due, &first->link);
    }
    struct list *m;
    while ((m = list_pop(&due)) != NULL) { /* a callback may cancel others that are due */
        struct timer *t = CONTAINER_OF(m, struct timer, link);
        sim.activity++;
        t->fn(t);
    }
}

/* ---- one turn ---- */

static void give_error(struct sim_conn *c, enum reason why) {
    c->state = CONN_DEAD;
    sim.activity++;
    c->stream->ops->on_error(c->stream, why);
}

static void run_connecting(struct sim_conn *c) {
    if (c->answer == SIM_REFUSE) {
        give_error(c, REASON_REFUSED);
        return;
    }
    c->state = CONN_OPEN;
    c->stream->state = STREAM_OPEN;
    sim.activity++;
    sim.servers.on_open(sim.servers.ctx, &c->addr, c);
    c->stream->ops->on_connect(c->stream);
}

/* How many of the bytes that are there are shown now. */
static size_t piece(struct sim_conn *c) {
    size_t n = c->in.len;
    switch (sim.policy.recv) {
    case SIM_BYTE:
        return n > 0 ? 1 : 0;
    case SIM_RANDOM:
        if (n > 1 && sim_below(2) == 0) {
            n = 1 + sim_below((uint32_t)(n < 24 ? n : 24));
        } else if (n > 1 && sim_below(4) == 0) {
            n = 1 + sim_below((uint32_t)n);
        }
        return n;
    case SIM_AT:
        while (c->ncuts > 0 && c->cuts[0] <= c->in_pos) {
            memmove(c->cuts, c->cuts + 1, --c->ncuts * sizeof(c->cuts[0]));
        }
        if (c->ncuts > 0 && c->cuts[0] < c->in_pos + n) {
            n = (size_t)(c->cuts[0] - c->in_pos);
        }
        return n;
    case SIM_WHOLE:
        break;
    }
    return n < 65536 ? n : 65536;
}

static struct buf *tail_and_piece(struct sim_conn *c, size_t n) {
    struct stream *s = c->stream;
    size_t want = c->tail_len + n > s->need ? c->tail_len + n : s->need;
    struct buf *b = buf_new(c->loop->pool, want > 0 ? want : 1);
    if (b == NULL) {
        return NULL;
    }
    if (c->tail_len > 0) {
        memcpy(b->data, s->tail->data + c->tail_off, c->tail_len);
    }
    if (n > 0) {
        memcpy(b->data + c->tail_len, c->in.p + c->in.head, n);
        sim_bytes_take(&c->in, n);
        c->in_pos += n;
        s->received += (uint32_t)n;
    }
    b->len = c->tail_len + n;
    buf_unref(&s->tail);
    return b;
}

/* Always a fresh buf of just this size: so that the sanitizer sees whoever keeps a pointer into an old one. */
static void run_recv(struct sim_conn *c) {
    struct stream *s = c->stream;
    size_t n = piece(c);
    struct buf *b = tail_and_piece(c, n);
    if (b == NULL) {
        give_error(c, REASON_NO_MEMORY);
        return;
    }
    c->again = false;
    size_t shown = b->len;
    s->tail = b; /* so that stream_close inside the callback finds it */
    c->tail_off = 0;
    c->tail_len = shown;
    struct buf *held = buf_ref(b);
    sim.activity++;
    sim.in_recv = s;
    uint32_t need = s->need;
    s->need = 0;
    size_t took = s->ops->on_recv(s, b, slice(b->data, shown));
    sim.in_recv = NULL;
    if (c->stream != NULL) {
        SIM_RULE(took <= shown, "on_recv took more than there is");
        if (s->need == 0 && took == 0) {
            s->need = need;
        }
        c->tail_off = took;
        c->tail_len = shown - took;
        if (c->tail_len == 0) {
            buf_unref(&s->tail);
            s->need = 0;
        }
    }
    buf_unref(&held);
}

/* Tells of bytes that can be moved. What on_recv left comes first. */
static bool run_bytes(struct sim_conn *c) {
    c->moves = c->moves && c->tail_len == 0;
    if (!c->moves) {
        c->again = c->again && c->tail_len > 0;
        return c->in.len == 0 && !c->again;
    }
    c->again = false;
    sim.activity++;
    sim.in_bytes = c->stream;
    c->stream->ops->on_bytes(c->stream);
    SIM_RULE(sim.in_bytes == NULL || c->stream == NULL || !c->moves, "on_bytes moved nothing and did not end it either");
    sim.in_bytes = NULL;
    return c->stream == NULL || c->moves || c->in.len == 0;
}

/* The event that a FIN makes, once. */
static void see_fin(struct sim_conn *c) {
    c->fin_seen = true;
    if (c->paused && c->stream->ops->on_hup != NULL) {
        sim.activity++;
        c->stream->ops->on_hup(c->stream);
    }
}

/* As io/proxied.c: a load balancer's header before anything else. False: there is no more for now. */
static bool run_header(struct sim_conn *c) {
    uint8_t bytes[16];
    if (c->reset != REASON_NONE) {
        give_error(c, c->reset);
        return false;
    }
    while (c->header && c->in.len > 0) {
        size_t n = min_size(min_size(piece(c), sizeof bytes), proxy2_want(&c->proxy2));
        memcpy(bytes, c->in.p + c->in.head, n);
        sim_bytes_take(&c->in, n);
        c->in_pos += n;
        sim.activity++;
        enum proxy2_rc rc = proxy2_take(&c->proxy2, slice(bytes, n), &c->proxied);
        c->header = rc == PROXY2_MORE;
        if (rc == PROXY2_BAD) {
            give_error(c, REASON_PROXY);
            return false;
        }
        if (rc == PROXY2_DONE) {
            c->stream->ops->on_connect(c->stream);
        }
    }
    if (c->header && c->fin) {
        give_error(c, c->proxy2.have > 0 ? REASON_PROXY : REASON_EOF);
    }
    return !c->header && c->stream != NULL;
}

static void run_open(struct sim_conn *c) {
    if (c->header && !run_header(c)) {
        return;
    }
    bool shown_first = c->in.len > 0 && !c->paused;
    if (c->fin && !c->fin_seen) {
        see_fin(c);
        if (c->stream == NULL) {
            return;
        }
    }
    if (c->reset != REASON_NONE && !shown_first) {
        give_error(c, c->reset);
        return;
    }
    if (c->want_room && c->out.len < c->window && c->reset == REASON_NONE) {
        c->want_room = false;
        sim.activity++;
        c->stream->ops->on_room(c->stream);
    }
    if (c->stream != NULL && !c->paused && (c->in.len > 0 || c->again) && !run_bytes(c)) {
        run_recv(c);
    }
    if (c->stream != NULL && c->state == CONN_OPEN && c->reset == REASON_NONE && !c->paused && !c->again &&
        c->in.len == 0 && c->fin && !c->fin_shown) {
        c->fin_shown = true;
        sim.activity++;
        c->stream->ops->on_eof(c->stream);
    }
}

static void run_backlog(struct sim_conn *c, struct loop *l) {
    for (unsigned i = 0; i < SIM_LISTENS; i++) {
        struct sim_listen *s = &sim.listens[i];
        if (s->used && s->fd == c->fd && s->listener != NULL && s->listener->loop == l) {
            sim.activity++;
            c->fd = sim.next_fd++;
            c->loop = l;
            if (c->from.len == 0) {
                addr_ip(&c->from, slice_str("127.0.0.1"), (uint16_t)(40000 + c->fd % 20000));
            }
            s->listener->peer = c->from;
            s->listener->ops->on_accept(s->listener, c->fd);
            if (c->state == CONN_BACKLOG) {
                c->state = CONN_CLOSED;
            }
            return;
        }
    }
}

static uint32_t collect(struct loop *l, struct sim_conn **v, uint32_t room) {
    uint32_t n = 0;
    LIST_EACH(&sim.conns, m) {
        struct sim_conn *c = CONTAINER_OF(m, struct sim_conn, link);
        bool here = c->state == CONN_BACKLOG || (c->loop == l && sim_conn_ready(c));
        if (here && n < room) {
            v[n++] = c;
        }
    }
    for (uint32_t i = n; sim.policy.shuffle && i > 1; i--) {
        uint32_t j = sim_below(i);
        struct sim_conn *t = v[i - 1];
        v[i - 1] = v[j];
        v[j] = t;
    }
    return n;
}

static void run_streams(struct loop *l) {
    static struct sim_conn *v[4096];
    uint32_t n = collect(l, v, ARRAY_LEN(v));
    for (uint32_t i = 0; i < n; i++) {
        struct sim_conn *c = v[i];
        if (sim.policy.shuffle && sim_below(4) == 0) {
            sim.activity++; /* not this time; something moves nevertheless */
            continue;
        }
        if (c->state == CONN_BACKLOG) {
            run_backlog(c, l);
        } else if (sim_conn_ready(c)) {
            c->state == CONN_CONNECTING ? run_connecting(c) : run_open(c);
        }
    }
}

static void check_dead(const struct loop *l) {
    LIST_EACH(&sim.conns, m) {
        const struct sim_conn *c = CONTAINER_OF(m, struct sim_conn, link);
        SIM_RULE(c->loop != l || c->state != CONN_DEAD, "a stream was not closed after on_error");
    }
}

void loop_turn(struct loop *l, int64_t max_wait) {
    SIM_RULE(!l->turning, "loop_turn inside a callback");
    check_dead(l);
    l->now = sim.now;
    l->turning = true;
    l->woken = false;
    l->turn++;
    l->wake_at = max_wait > 0 ? sim.now + max_wait : INT64_MAX;
    bool timers_last = sim.policy.shuffle && sim_below(2) == 0;
    if (!timers_last) {
        run_timers(l);
    }
    sim_lookups_run(l);
    run_streams(l);
    if (timers_last) {
        run_timers(l);
    }
    l->turning = false;
}

/* ---- streams ---- */

enum reason stream_connect(struct loop *l, struct stream *s, const struct stream_ops *ops, const struct addr *addr,
                           const struct connect_opts *opts) {
    SIM_RULE(s->state == STREAM_CLOSED, "stream_connect of a stream that is open");
    SIM_RULE(addr->len > 0, "stream_connect without an address");
    int64_t delay = 0;
    enum sim_answer answer = sim.servers.on_connect(sim.servers.ctx, addr, &delay);
    if (answer == SIM_ABSENT) {
        return REASON_REFUSED;
    }
    struct sim_conn *c = sim_conn_new();
    *s = (struct stream){.loop = l, .ops = ops, .fd = sim.next_fd++, .state = STREAM_CONNECTING};
    c->state = CONN_CONNECTING;
    c->loop = l;
    c->stream = s;
    c->fd = s->fd;
    c->addr = *addr;
    c->answer = answer;
    c->at = answer == SIM_SILENT ? -1 : sim.now + delay;
    return REASON_NONE;
}

static struct sim_conn *backlog_of(int fd) {
    LIST_EACH(&sim.conns, m) {
        struct sim_conn *c = CONTAINER_OF(m, struct sim_conn, link);
        if (c->fd == fd && c->state == CONN_BACKLOG) {
            return c;
        }
    }
    sim_fail("a descriptor that nobody offers");
}

const struct addr *stream_proxied(const struct stream *s) {
    const struct sim_conn *c = conn_of(s);
    return c->proxied.len > 0 ? &c->proxied : NULL;
}

void stream_accept(struct listener *ln, int fd, struct stream *s, const struct stream_ops *ops, const struct accept_opts *opts) {
    SIM_RULE(s->state == STREAM_CLOSED, "stream_accept into a stream that is open");
    struct sim_conn *c = backlog_of(fd);
    *s = (struct stream){.loop = ln->loop, .ops = ops, .fd = fd, .state = STREAM_OPEN};
    c->stream = s;
    c->state = CONN_OPEN;
    c->header = opts->proxied;
}

#define FRESH_TAKES 1024 /* a fresh connection takes so much at once: no kernel has smaller socket buffers */

static size_t take_len(struct sim_conn *c, size_t total) {
    size_t room = c->window > c->out.len ? c->window - c->out.len : 0;
    if (!c->client && !c->used && total <= FRESH_TAKES) {
        return total;
    }
    size_t n = total < room ? total : room;
    switch (sim.policy.send) {
    case SIM_BYTE:
        return n > 1 ? 1 : n;
    case SIM_AT:
        c->was_cut = !c->was_cut && sim.policy.send_at < n;
        return c->was_cut ? sim.policy.send_at : n;
    case SIM_RANDOM:
        return n > 0 && sim_below(2) == 0 ? sim_below((uint32_t)n + 1) : n;
    case SIM_WHOLE:
        break;
    }
    return n;
}

size_t stream_send(struct stream *s, const struct iovec *v, int nv) {
    struct sim_conn *c = conn_of(s);
    SIM_RULE(s->state == STREAM_OPEN, "stream_send on a stream that is not open");
    SIM_RULE(!c->shut, "stream_send after stream_shutdown");
    SIM_RULE(nv > 0 && nv <= 1024, "stream_send with a bad number of parts");
    size_t total = 0;
    for (int i = 0; i < nv; i++) {
        total += v[i].iov_len;
    }
    SIM_RULE(total > 0, "stream_send of nothing");
    if (c->state == CONN_DEAD || c->reset != REASON_NONE) {
        return 0;
    }
    if (c->peer_closed) {
        c->reset = REASON_RESET;
        return 0;
    }
    size_t left = take_len(c, total), took = left;
    for (int i = 0; i < nv && left > 0; i++) {
        size_t n = v[i].iov_len < left ? v[i].iov_len : left;
        sim_bytes_add(&c->out, slice(v[i].iov_base, n));
        left -= n;
    }
    c->used = true;
    c->want_room = took < total;
    sim.activity++;
    return took;
}

void stream_pause(struct stream *s) {
    SIM_RULE(s->state != STREAM_CLOSED, "stream_pause of a closed stream");
    conn_of(s)->paused = true;
}

void stream_resume(struct stream *s) {
    SIM_RULE(s->state != STREAM_CLOSED, "stream_resume of a closed stream");
    struct sim_conn *c = conn_of(s);
    if (c->paused) {
        c->paused = false;
        c->again = c->tail_len > 0;
    }
}

bool stream_hung_up(const struct stream *s) {
    return conn_of(s)->fin_seen;
}

bool stream_paused(const struct stream *s) {
    return conn_of(s)->paused;
}

void stream_need(struct stream *s, size_t total) {
    SIM_RULE(sim.in_recv == s, "stream_need outside on_recv");
    s->need = (uint32_t)min_size(total, UINT32_MAX);
}

bool stream_can_move(const struct stream *from, const struct stream *to, uint64_t n) {
    if (n == 0 || from->state != STREAM_OPEN || to->state != STREAM_OPEN || conn_of(to)->state == CONN_DEAD || sim.policy.copies) {
        return false;
    }
    SIM_RULE(from->loop == to->loop, "stream_can_move between two loops");
    return sim.policy.recv != SIM_RANDOM || sim_below(8) != 0; /* descriptors come and go */
}

void stream_move_begin(struct stream *s) {
    conn_of(s)->moves = true;
    conn_of(s)->again = true; /* there need not be anything */
}

void stream_move_end(struct stream *s) {
    conn_of(s)->moves = false;
}

size_t stream_move(struct stream *from, struct stream *to, size_t n, struct buf **rest) {
    struct sim_conn *c = conn_of(from), *other = conn_of(to);
    SIM_RULE(sim.in_bytes == from, "stream_move outside on_bytes, or twice");
    SIM_RULE(to->state == STREAM_OPEN && other->state != CONN_DEAD && !other->shut, "stream_move to a stream that is not open");
    SIM_RULE(n > 0 && !c->paused, "stream_move of nothing, or from a stream that is paused");
    sim.in_bytes = NULL;
    *rest = NULL;
    size_t came = min_size(piece(c), n), went = 0;
    if (other->peer_closed) {
        other->reset = REASON_RESET;
    }
    if (other->reset == REASON_NONE) {
        went = take_len(other, came);
        other->want_room = went < came;
        sim_bytes_add(&other->out, slice(c->in.p + c->in.head, went));
    }
    if (went < came) {
        *rest = buf_new(from->loop->pool, came - went);
        (*rest)->len = came - went;
        memcpy((*rest)->data, c->in.p + c->in.head + went, came - went);
    }
    sim_bytes_take(&c->in, came);
    c->in_pos += came;
    from->received += (uint32_t)came;
    other->used = true;
    sim.activity++;
    return came;
}

void stream_shutdown(struct stream *s) {
    struct sim_conn *c = conn_of(s);
    SIM_RULE(s->state == STREAM_OPEN, "stream_shutdown of a stream that is not open");
    c->shut = true;
    sim.activity++;
}

void stream_close(struct stream *s) {
    if (s->state == STREAM_CLOSED) {
        return;
    }
    struct sim_conn *c = conn_of(s);
    buf_unref(&s->tail);
    s->state = STREAM_CLOSED;
    s->fd = -1;
    if (c->state == CONN_CONNECTING) {
        c->peer_free = true; /* nobody at the other side knows it */
    }
    c->state = CONN_CLOSED;
    c->stream = NULL;
    c->paused = c->again = c->moves = false;
    sim.activity++;
}

const char *stream_peer(const struct stream *s, char *to, size_t room) {
    struct sim_conn *c = conn_of(s);
    return addr_text(!c->client ? &c->addr : c->proxied.len > 0 ? &c->proxied : &c->from, to, room);
}

const char *stream_here(const struct stream *s, char *to, size_t room) {
    return addr_text(&conn_of(s)->addr, to, room);
}
