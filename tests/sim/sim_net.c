/* sim_net.c: the clock, the decisions, and the peers' end of each connection. */
#include "sim_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct sim sim;
static char title[512];

void sim_title(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(title, sizeof(title), fmt, ap);
    va_end(ap);
}

const char *sim_title_get(void) {
    return title;
}

_Noreturn void sim_fail(const char *fmt, ...) {
    va_list ap;
    fprintf(stderr, "FAILED %s: ", title);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}

/* ---- decisions and time ---- */

void sim_begin(const struct sim_policy *policy) {
    ASSERT(!sim.on);
    sim = (struct sim){.on = true, .policy = *policy, .now = 1000000, .next_fd = 1000};
    rng_seed(&sim.rng, policy->seed);
    list_init(&sim.conns);
    list_init(&sim.loops);
    list_init(&sim.names);
}

static void conn_free(struct sim_conn *c) {
    list_remove(&c->link);
    mem_free(c->in.p);
    mem_free(c->out.p);
    mem_free(c);
}

void sim_end(void) {
    LIST_EACH_SAFE(&sim.conns, l) {
        struct sim_conn *c = CONTAINER_OF(l, struct sim_conn, link);
        if (c->stream != NULL) {
            sim_fail("the proxy ended with an open stream");
        }
        conn_free(c);
    }
    if (!list_empty(&sim.loops)) {
        sim_fail("the proxy ended with a living loop");
    }
    for (unsigned i = 0; i < SIM_LISTENS; i++) {
        if (sim.listens[i].used && sim.listens[i].listener != NULL) {
            sim_fail("the proxy ended with an open listener");
        }
    }
    sim_names_free();
    sim.on = false;
}

bool sim_bytes_left(void) {
    return sim.used < sim.policy.bytes.n;
}

uint32_t sim_below(uint32_t n) {
    if (n <= 1) {
        return 0;
    }
    if (!sim_bytes_left()) {
        return rng_below(&sim.rng, n);
    }
    uint32_t v = sim.policy.bytes.p[sim.used++];
    if (n > 256 && sim_bytes_left()) {
        v = v << 8 | sim.policy.bytes.p[sim.used++];
    }
    return v % n;
}

int64_t sim_now(void) {
    return sim.now;
}

void sim_set_now(int64_t usec) {
    ASSERT(usec >= sim.now);
    sim.now = usec;
}

uint64_t sim_activity(void) {
    return sim.activity;
}

bool sim_conn_ready(const struct sim_conn *c) {
    switch (c->state) {
    case CONN_CONNECTING:
        return c->at >= 0 && c->at <= sim.now;
    case CONN_OPEN:
        if (c->reset != REASON_NONE) {
            return true;
        }
        if (c->want_room && c->out.len < c->window) {
            return true;
        }
        return (c->fin && !c->fin_seen) || (!c->paused && (c->in.len > 0 || c->again || (c->fin && !c->fin_shown)));
    default:
        return false;
    }
}

static bool loop_ready(const struct loop *l) {
    if (l->retired) {
        return false;
    }
    if (l->woken || l->wake_at <= sim.now || sim_lookups_ready(l)) {
        return true;
    }
    LIST_EACH(&l->timers, t) {
        if (CONTAINER_OF(t, struct timer, link)->at <= sim.now) {
            return true;
        }
    }
    return false;
}

static bool backlog_ready(const struct sim_conn *c) {
    for (unsigned i = 0; i < SIM_LISTENS; i++) {
        if (sim.listens[i].used && sim.listens[i].fd == c->fd) {
            return sim.listens[i].listener != NULL;
        }
    }
    return false;
}

bool sim_busy(void) {
    LIST_EACH(&sim.loops, l) {
        if (loop_ready(CONTAINER_OF(l, struct loop, link))) {
            return true;
        }
    }
    LIST_EACH(&sim.conns, l) {
        const struct sim_conn *c = CONTAINER_OF(l, struct sim_conn, link);
        if (sim_conn_ready(c) || (c->state == CONN_BACKLOG && backlog_ready(c))) {
            return true;
        }
    }
    return false;
}

int64_t sim_next(void) {
    int64_t next = INT64_MAX;
    LIST_EACH(&sim.loops, l) {
        const struct loop *loop = CONTAINER_OF(l, struct loop, link);
        if (loop->retired) {
            continue;
        }
        LIST_EACH(&loop->timers, t) {
            int64_t at = CONTAINER_OF(t, struct timer, link)->at;
            next = at < next ? at : next;
        }
        next = loop->wake_at < next ? loop->wake_at : next;
        int64_t at = sim_lookups_next(loop);
        next = at < next ? at : next;
    }
    LIST_EACH(&sim.conns, l) {
        const struct sim_conn *c = CONTAINER_OF(l, struct sim_conn, link);
        if (c->state == CONN_CONNECTING && c->at >= 0 && c->at < next) {
            next = c->at;
        }
    }
    return next;
}

/* ---- bytes ---- */

void sim_bytes_add(struct sim_bytes *b, struct slice s) {
    if (s.n == 0) {
        return;
    }
    if (b->head + b->len + s.n > b->cap) {
        if (b->len > 0 && b->head > 0) {
            memmove(b->p, b->p + b->head, b->len);
        }
        b->head = 0;
        if (b->len + s.n > b->cap) {
            b->cap = (b->len + s.n) * 2;
            b->p = mem_realloc(b->p, b->cap);
        }
    }
    memcpy(b->p + b->head + b->len, s.p, s.n);
    b->len += s.n;
}

void sim_bytes_take(struct sim_bytes *b, size_t n) {
    ASSERT(n <= b->len);
    b->head += n;
    b->len -= n;
    if (b->len == 0) {
        b->head = 0;
    }
}

/* ---- peers ---- */

struct sim_conn *sim_conn_new(void) {
    struct sim_conn *c = mem_zalloc(sizeof(*c));
    c->window = 1u << 20;
    c->at = -1;
    list_push(&sim.conns, &c->link);
    return c;
}

void sim_set_servers(const struct sim_servers *s) {
    sim.servers = *s;
}

struct sim_conn *sim_connect(const struct addr *addr, int which) {
    unsigned found[SIM_LISTENS], n = 0;
    for (unsigned i = 0; i < SIM_LISTENS; i++) {
        if (sim.listens[i].used && addr_eq(&sim.listens[i].addr, addr)) {
            found[n++] = i;
        }
    }
    if (n == 0) {
        return NULL;
    }
    unsigned pick = which >= 0 ? (unsigned)which % n : sim.turn_listen++ % n;
    struct sim_conn *c = sim_conn_new();
    c->client = true;
    c->state = CONN_BACKLOG;
    c->fd = sim.listens[found[pick]].fd;
    c->addr = *addr;
    return c;
}

void sim_peer_from(struct sim_conn *c, const char *host) {
    SIM_RULE(addr_ip(&c->from, slice_str(host), 40000), "a client from what is no address");
}

static bool dead(const struct sim_conn *c) {
    return c->state == CONN_CLOSED || c->reset != REASON_NONE || c->peer_closed;
}

void sim_peer_send(struct sim_conn *c, struct slice s) {
    if (dead(c) || c->fin || s.n == 0) {
        return;
    }
    uint64_t start = c->in_pos + c->in.len;
    if (sim.policy.recv == SIM_AT && sim.policy.recv_at < s.n && c->ncuts < ARRAY_LEN(c->cuts)) {
        c->cuts[c->ncuts++] = start + sim.policy.recv_at;
    }
    sim_bytes_add(&c->in, s);
}

void sim_peer_fin(struct sim_conn *c) {
    if (!dead(c)) {
        c->fin = true;
    }
}

void sim_peer_lose(struct sim_conn *c) {
    c->in.len = sim_below((uint32_t)c->in.len + 1);
}

void sim_peer_reset(struct sim_conn *c) {
    if (c->state == CONN_BACKLOG || c->state == CONN_OPEN) {
        /* io_sim.c shows the bytes before it first, unless the policy says that they may be lost */
        c->reset = REASON_RESET;
        if (sim.policy.reset_drops) {
            sim_peer_lose(c);
        }
    }
    c->peer_closed = true;
}

void sim_peer_close(struct sim_conn *c) {
    if (c->out.len > 0) { /* not read: systems say so */
        sim_peer_reset(c);
    }
    sim_peer_fin(c);
    c->peer_closed = true;
}

struct slice sim_peer_in(const struct sim_conn *c) {
    return c->out.p == NULL ? slice("", 0) : slice(c->out.p + c->out.head, c->out.len);
}

void sim_peer_take(struct sim_conn *c, size_t n) {
    sim_bytes_take(&c->out, n);
}

bool sim_peer_eof(const struct sim_conn *c) {
    return c->shut || c->state == CONN_CLOSED || c->state == CONN_DEAD;
}

bool sim_peer_gone(const struct sim_conn *c) {
    return c->state == CONN_CLOSED;
}

void sim_peer_window(struct sim_conn *c, size_t n) {
    c->window = n;
}

size_t sim_peer_unread(const struct sim_conn *c) {
    return c->in.len;
}

void sim_peer_free(struct sim_conn **cp) {
    struct sim_conn *c = *cp;
    *cp = NULL;
    if (c != NULL) {
        sim_peer_close(c);
        c->peer_free = true;
    }
}

void sim_reap(void) {
    LIST_EACH_SAFE(&sim.conns, l) {
        struct sim_conn *c = CONTAINER_OF(l, struct sim_conn, link);
        if (c->state == CONN_CLOSED && c->peer_free) {
            conn_free(c);
        }
    }
}
