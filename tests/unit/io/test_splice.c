/* Bytes that go from one stream to another come out whole and in order, whoever is slow and whoever leaves. */
#include "stream_test.h"

#include "io/io_state.h"

#include <signal.h>
#include <sys/resource.h>

#define MUCH (1u << 20)

/* Hands on all that `from` gets: received and sent, or moved. `late` waits for room in `to`. */
struct relay {
    struct net net;
    struct side from, to;
    int source, sink; /* the test's ends */
    struct flow flow;
    size_t sent, got; /* by the test */
    uint8_t *late;
    size_t nlate, moved, moves;
};

static struct relay *relay_of(struct stream *st) {
    return CONTAINER_OF(CONTAINER_OF(st, struct side, stream), struct relay, from);
}

static void relay_send(struct relay *r, const uint8_t *p, size_t n) {
    struct iovec iov = {(void *)(uintptr_t)p, n};
    size_t sent = r->nlate > 0 ? 0 : stream_send(&r->to.stream, &iov, 1);
    memcpy(r->late + r->nlate, p + sent, n - sent);
    r->nlate += n - sent;
}

static size_t relay_on_recv(struct stream *st, struct buf *b, struct slice in) {
    struct relay *r = relay_of(st);
    r->from.taken += in.n;
    relay_send(r, in.p, in.n);
    if (stream_can_move(st, &r->to.stream, MUCH)) {
        stream_move_begin(st);
    }
    return in.n;
}

static void relay_on_bytes(struct stream *st) {
    struct relay *r = relay_of(st);
    struct buf *rest;
    if (r->nlate > 0 || !stream_can_move(st, &r->to.stream, MUCH)) {
        stream_move_end(st);
        return;
    }
    size_t n = stream_move(st, &r->to.stream, MUCH, &rest);
    r->from.taken += n;
    r->moved += n;
    r->moves += n > 0;
    if (rest != NULL) {
        assert_in_range(rest->len, 1, n);
        r->moved -= rest->len;
        memcpy(r->late, rest->data, rest->len);
        r->nlate = rest->len;
        buf_unref(&rest);
    }
}

static void relay_on_room(struct stream *st) {
    struct relay *r = CONTAINER_OF(CONTAINER_OF(st, struct side, stream), struct relay, to);
    size_t n = r->nlate;
    r->to.rooms++;
    r->nlate = 0;
    if (n > 0) {
        uint8_t *all = mem_alloc(n);
        memcpy(all, r->late, n);
        relay_send(r, all, n);
        mem_free(all);
    }
    if (r->nlate == 0 && r->from.stream.state == STREAM_OPEN) {
        stream_move_begin(&r->from.stream);
    }
}

static const struct stream_ops from_ops = {relay_on_recv, side_on_eof, side_on_connect, side_on_room, side_on_error, NULL, relay_on_bytes};
static const struct stream_ops to_ops = {side_on_recv, side_on_eof, side_on_connect, relay_on_room, side_on_error, NULL, NULL};

static void relay_init(struct relay *r, bool is_unix, size_t payload) {
    *r = (struct relay){0};
    net_init(&r->net, is_unix);
    flow_add(&r->flow, payload);
    r->late = mem_alloc(r->flow.len);
    r->source = side_open(&r->net, &r->from, &r->flow);
    r->sink = side_open(&r->net, &r->to, &r->flow);
    r->from.stream.ops = &from_ops;
    r->to.stream.ops = &to_ops;
}

static void relay_fini(struct relay *r) {
    side_fini(&r->from);
    side_fini(&r->to);
    close(r->source);
    close(r->sink);
    mem_free(r->late);
    flow_fini(&r->flow);
    net_fini(&r->net);
}

static void feed(struct relay *r, size_t n) {
    ssize_t put = write(r->source, r->flow.bytes + r->sent, min_size(n, r->flow.len - r->sent));
    r->sent += put > 0 ? (size_t)put : 0;
}

static void drain(struct relay *r, size_t n) {
    uint8_t *to = mem_alloc(n);
    ssize_t got = read(r->sink, to, n);
    if (got > 0) {
        assert_memory_equal(to, r->flow.bytes + r->got, (size_t)got);
        r->got += (size_t)got;
    }
    mem_free(to);
}

/* Whoever is faster: all of it, in order, then the FIN. */
static void test_whims(void **state) {
    for (unsigned seed = 1; seed <= 12; seed++) {
        struct relay r;
        struct rng rng;
        rng_seed(&rng, seed);
        uint32_t in = 1u << (12 + rng_below(&rng, 10)), out = 1u << (12 + rng_below(&rng, 10));
        relay_init(&r, *(bool *)*state, 6u << 20);
        int64_t end = loop_now(r.net.loop) + DEADLINE_USEC;
        while (r.got < r.flow.len) {
            feed(&r, 1 + rng_below(&rng, in));
            loop_turn(r.net.loop, 0);
            drain(&r, 1 + rng_below(&rng, out));
            assert_true(loop_now(r.net.loop) < end);
        }
        shutdown(r.source, SHUT_WR);
        UNTIL(r.net.loop, r.from.eofs == 1);
        assert_int_equal(r.from.stream.received, r.flow.len);
        assert_int_equal(r.from.errors + r.to.errors, 0);
        assert_true(r.moved > 0);
        relay_fini(&r);
    }
}

/* Moves until the sink takes no more. */
static void fill(struct relay *r) {
    UNTIL(r->net.loop, (feed(r, MUCH), r->nlate > 0));
    assert_true(r->moves > 0);
}

static void test_full(void **state) {
    struct relay r;
    relay_init(&r, *(bool *)*state, 64u << 20);
    fill(&r);
    assert_int_equal(r.to.rooms, 0);
    UNTIL(r.net.loop, (drain(&r, MUCH), r.to.rooms > 0 && r.nlate == 0));
    size_t moves = r.moves;
    UNTIL(r.net.loop, (feed(&r, MUCH), drain(&r, MUCH), r.moves > moves));
    relay_fini(&r);
}

static void test_sink_goes(void **state) {
    struct relay r;
    relay_init(&r, *(bool *)*state, 64u << 20);
    UNTIL(r.net.loop, (feed(&r, MUCH), drain(&r, MUCH), r.moves > 0));
    net_reset(r.sink);
    r.sink = -1;
    UNTIL(r.net.loop, (feed(&r, MUCH), r.to.errors == 1));
    assert_int_equal(r.from.errors, 0);
    relay_fini(&r);
}

static void test_source_goes(void **state) {
    bool is_unix = *(bool *)*state;
    for (int fin = 0; fin < 2; fin++) {
        struct relay r;
        relay_init(&r, is_unix, 64u << 20);
        UNTIL(r.net.loop, (feed(&r, MUCH), drain(&r, MUCH), r.moves > 0));
        fin ? (void)close(r.source) : net_reset(r.source);
        r.source = -1;
        UNTIL(r.net.loop, (drain(&r, MUCH), r.from.eofs + r.from.errors == 1));
        if (fin) {
            assert_int_equal(r.from.eofs, 1);
            assert_int_equal(r.from.taken, r.sent);
            UNTIL(r.net.loop, (drain(&r, MUCH), r.got == r.sent));
        } else if (!is_unix) {
            assert_int_equal(r.from.why, REASON_RESET);
        }
        assert_int_equal(r.to.errors, 0);
        relay_fini(&r);
    }
}

/* What on_recv leaves is shown again, and nothing is moved past it. */
static void test_left_over(void **state) {
    struct relay r;
    relay_init(&r, *(bool *)*state, 10);
    r.from.stream.ops = &side_ops;
    feed(&r, HEAD + 5);
    UNTIL(r.net.loop, r.from.shown == 1);
    stream_move_begin(&r.from.stream);
    feed(&r, 5);
    UNTIL(r.net.loop, r.from.taken == r.flow.len);
    relay_fini(&r);
}

/* A system that does not do it: found out once, and nobody is the worse for it. */
static void test_refused(void **state) {
    struct relay r;
    relay_init(&r, *(bool *)*state, 6u << 20);
    assert_true(stream_can_move(&r.from.stream, &r.to.stream, MUCH));
    int no_pipe = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(no_pipe, r.net.loop->pipe.in);
    close(no_pipe);
    UNTIL(r.net.loop, (feed(&r, MUCH), drain(&r, MUCH), r.got == r.flow.len));
    assert_int_equal(r.moves, 0);
    assert_false(stream_can_move(&r.from.stream, &r.to.stream, MUCH));
    assert_int_equal(r.from.errors + r.to.errors, 0);
    relay_fini(&r);
}

static int lowest_free(void) {
    int fd = dup(0);
    close(fd);
    return fd;
}

/* The pipe: none for little, none without descriptors, and gone when it is not used. */
static void test_descriptors(void **state) {
    struct relay r;
    struct rlimit was, now;
    relay_init(&r, *(bool *)*state, 6u << 20);
    int free_fd = lowest_free();
    assert_false(stream_can_move(&r.from.stream, &r.to.stream, 1000));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    now = (struct rlimit){(rlim_t)free_fd + 1, was.rlim_max}; /* room for one */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    assert_false(stream_can_move(&r.from.stream, &r.to.stream, MUCH));
    UNTIL(r.net.loop, (feed(&r, MUCH), drain(&r, MUCH), r.got == r.flow.len));
    assert_int_equal(r.moves, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    struct loop_pipe *p = &r.net.loop->pipe;
    p->again_at = 0;
    assert_true(stream_can_move(&r.from.stream, &r.to.stream, MUCH));
    assert_int_equal(lowest_free(), free_fd + LOOP_MOVE_FDS);
    timer_set(r.net.loop, &p->idle, loop_now(r.net.loop)); /* used lately: stays */
    loop_turn(r.net.loop, 5000);
    assert_true(timer_is_set(&p->idle) && p->in >= 0);
    p->used_at -= 60000000;
    timer_set(r.net.loop, &p->idle, loop_now(r.net.loop));
    UNTIL(r.net.loop, p->in < 0);
    assert_int_equal(lowest_free(), free_fd);
    assert_true(stream_can_move(&r.from.stream, &r.to.stream, MUCH));
    stream_close(&r.to.stream);
    assert_false(stream_can_move(&r.from.stream, &r.to.stream, MUCH));
    relay_fini(&r);
}

int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        BOTH(test_whims), BOTH(test_full), BOTH(test_sink_goes), BOTH(test_source_goes), BOTH(test_left_over),
        BOTH(test_refused), BOTH(test_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
