#include "base/mem.h"
#include "io/io_state.h"

#include <errno.h>
#include <time.h>

static int64_t clock_read(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t clock_now(void) {
    return clock_read(CLOCK_MONOTONIC);
}

enum reason reason_of_errno(int err) {
    static const struct {
        int err;
        enum reason reason;
    } rows[] = {
        {0, REASON_OTHER},           {ECONNREFUSED, REASON_REFUSED},  {EAGAIN, REASON_REFUSED}, /* unix: backlog full */
        {ETIMEDOUT, REASON_TIMEDOUT}, {ECONNRESET, REASON_RESET},     {EPIPE, REASON_PIPE},
        {EHOSTDOWN, REASON_HOST_DOWN}, {EHOSTUNREACH, REASON_NO_ROUTE}, {ENETUNREACH, REASON_NET_UNREACH},
        {ENOENT, REASON_NO_ENTRY},   {EACCES, REASON_ACCESS},         {EPERM, REASON_ACCESS},
        {EADDRINUSE, REASON_IN_USE}, {EMFILE, REASON_NO_FDS},         {ENFILE, REASON_NO_FDS},
        {ENOMEM, REASON_NO_MEMORY},  {ENOBUFS, REASON_NO_MEMORY},     {EADDRNOTAVAIL, REASON_NO_ADDRESS},
        {EAFNOSUPPORT, REASON_NO_ADDRESS}, {EPROTO, REASON_TLS},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].err == err) {
            return rows[i].reason;
        }
    }
    return REASON_OTHER;
}

struct loop *loop_new(struct bufpool *pool) {
    struct loop *loop = mem_zalloc(sizeof *loop);
    loop->backend = backend_new();
    if (loop->backend == NULL) {
        mem_free(loop);
        return NULL;
    }
    loop->pool = pool;
    loop->now = clock_now();
    wheel_init(&loop->wheel, loop->now);
    list_init(&loop->ready_streams);
    loop_pipe_init(loop);
    return loop;
}

void loop_free(struct loop **lp) {
    struct loop *loop = *lp;
    *lp = NULL;
    if (loop != NULL) {
        ASSERT(list_empty(&loop->ready_streams));
        loop_pipe_fini(loop);
        tls_loop_free(loop);
        proxied_free(loop);
        backend_free(&loop->backend);
        buf_unref(&loop->shared);
        mem_free(loop);
    }
}

int64_t loop_now(const struct loop *loop) {
    return loop->now;
}

int64_t loop_wall(const struct loop *loop) {
    return clock_read(CLOCK_REALTIME);
}

void loop_wake(struct loop *loop) {
    backend_wake(loop->backend);
}

static int64_t loop_wait_usec(struct loop *loop, int64_t max_wait) {
    if (max_wait == 0) {
        return 0;
    }
    int64_t next = wheel_next(&loop->wheel);
    if (next == INT64_MAX) {
        return max_wait;
    }
    int64_t wait = next - clock_now();
    wait = wait < 0 ? 0 : wait;
    return max_wait >= 0 && max_wait < wait ? max_wait : wait;
}

static void loop_run_timers(struct loop *loop) {
    struct list due, *l;
    list_init(&due);
    wheel_advance(&loop->wheel, loop->now, &due);
    while ((l = list_pop(&due)) != NULL) {
        struct timer *t = CONTAINER_OF(l, struct timer, link);
        t->fn(t);
    }
}

void loop_turn(struct loop *loop, int64_t max_wait) {
    /* Only what was left over before this turn: what becomes ready in it has its turn next. */
    struct list left_over, *l;
    list_init(&left_over);
    list_splice(&left_over, &loop->ready_streams);
    int64_t wait = list_empty(&left_over) && (LIKELY(loop->tls == NULL) || !tls_loop_waits(loop)) ? loop_wait_usec(loop, max_wait) : 0;
    backend_poll(loop->backend, loop, wait, &loop->now);
    while ((l = list_pop(&left_over)) != NULL) {
        stream_on_left_over(CONTAINER_OF(l, struct stream, ready));
    }
    if (UNLIKELY(loop->tls != NULL)) {
        tls_loop_turn(loop);
    }
    loop_run_timers(loop);
}

bool guest_start(struct loop *loop, struct guest *g, int fd, guest_fn *fn) {
    *g = (struct guest){.loop = loop, .fn = fn, .fd = fd};
    if (!backend_watch_guest(loop->backend, g)) {
        g->loop = NULL;
    }
    return g->loop != NULL;
}

void guest_end(struct guest *g) {
    if (g->loop != NULL) {
        backend_unwatch(g->loop->backend, g->fd);
        g->loop = NULL;
    }
}

void timer_init(struct timer *t, timer_fn *fn) {
    *t = (struct timer){.fn = fn};
}

void timer_set(struct loop *loop, struct timer *t, int64_t at) {
    list_remove(&t->link);
    t->at = at;
    wheel_add(&loop->wheel, t);
}

void timer_cancel(struct loop *loop, struct timer *t) {
    list_remove(&t->link);
}
