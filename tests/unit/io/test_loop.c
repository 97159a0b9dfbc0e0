#include "io_test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

/* ---- timers in a loop ---- */

struct alarm {
    struct timer timer;
    struct loop *loop;
    unsigned fired;
    struct timer *cancels; /* when it fires */
    int64_t again_in;      /* usec; 0: not again */
};

static void alarm_on_timer(struct timer *t) {
    struct alarm *a = CONTAINER_OF(t, struct alarm, timer);
    assert_true(loop_now(a->loop) >= t->at);
    assert_false(timer_is_set(t));
    a->fired++;
    if (a->cancels != NULL) {
        timer_cancel(a->loop, a->cancels);
    }
    if (a->again_in != 0) {
        timer_set(a->loop, t, loop_now(a->loop) + a->again_in);
    }
}

static void test_timers(void **state) {
    struct net t;
    net_init(&t, false);
    struct alarm a = {.loop = t.loop}, b = {.loop = t.loop}, c = {.loop = t.loop, .again_in = -1};
    timer_init(&a.timer, alarm_on_timer);
    timer_init(&b.timer, alarm_on_timer);
    timer_init(&c.timer, alarm_on_timer);
    timer_cancel(t.loop, &a.timer); /* fine when not set */
    int64_t start = loop_now(t.loop);
    a.cancels = &b.timer;
    timer_set(t.loop, &b.timer, start + 9000);
    timer_set(t.loop, &a.timer, start + 3600000000);
    timer_set(t.loop, &a.timer, start + 3000); /* moves it */
    timer_set(t.loop, &b.timer, start + 3000); /* due in the same turn, behind a */
    loop_turn(t.loop, 0);
    UNTIL(t.loop, a.fired == 1);
    assert_in_range(loop_now(t.loop) - start, 3000, DEADLINE_USEC);
    assert_int_equal(b.fired, 0);
    assert_false(timer_is_set(&b.timer));
    timer_set(t.loop, &c.timer, 0); /* long past, and again and again: once a turn */
    for (int i = 0; i < 5; i++) {
        unsigned before = c.fired;
        loop_turn(t.loop, 100000);
        assert_true(c.fired <= before + 1);
    }
    assert_true(c.fired > 1);
    timer_cancel(t.loop, &c.timer);
    net_fini(&t);
}

/* ---- waiting ---- */

static size_t quiet_on_recv(struct stream *s, struct buf *b, struct slice in) {
    return 0; /* keeps everything as a tail */
}

static void quiet(struct stream *s) {
}

static void quiet_on_error(struct stream *s, enum reason why) {
    stream_close(s);
}

static const struct stream_ops quiet_ops = {quiet_on_recv, quiet, quiet, quiet, quiet_on_error, NULL, NULL};

/* A loop with idle, paused, half-read and half-closed streams waits as long as it may, and does not turn. */
static void test_idle(void **state) {
    static const struct connect_opts opts = {0};
    struct net t;
    net_init(&t, *(bool *)*state);
    struct stream s[4] = {0};
    int peers[4];
    for (int i = 0; i < 4; i++) {
        assert_int_equal(stream_connect(t.loop, &s[i], &quiet_ops, &t.at, &opts), REASON_NONE);
        peers[i] = net_peer(&t);
        UNTIL(t.loop, s[i].state == STREAM_OPEN);
    }
    stream_pause(&s[1]);
    assert_int_equal(write(peers[1], "abc", 3), 3);
    assert_int_equal(write(peers[2], "abc", 3), 3);
    shutdown(peers[3], SHUT_WR);
    UNTIL(t.loop, s[2].received == 3);
    int64_t start = loop_now(t.loop);
    int turns = 0;
    while (loop_now(t.loop) - start < 60000) {
        loop_turn(t.loop, 20000);
        turns++;
    }
    assert_in_range(turns, 1, 8);
    for (int i = 0; i < 4; i++) {
        stream_close(&s[i]);
        close(peers[i]);
    }
    net_fini(&t);
}

/* ---- a descriptor of somebody else ---- */

struct watched {
    struct guest guest;
    unsigned called;
};

static void watched_on_ready(struct guest *g) {
    CONTAINER_OF(g, struct watched, guest)->called++;
}

/* Told in every turn while there is something to read, and not otherwise. */
static void test_guest(void **state) {
    struct net t;
    struct watched w = {.called = 0};
    int fds[2];
    char byte;
    net_init(&t, false);
    assert_int_equal(pipe(fds), 0);
    guest_end(&w.guest); /* fine when not watched */
    assert_true(guest_start(t.loop, &w.guest, fds[0], watched_on_ready));
    loop_turn(t.loop, 0);
    assert_int_equal(w.called, 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    UNTIL(t.loop, w.called == 3);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    loop_turn(t.loop, 0);
    assert_int_equal(w.called, 3);
    guest_end(&w.guest);
    assert_int_equal(write(fds[1], "x", 1), 1);
    loop_turn(t.loop, 0);
    assert_int_equal(w.called, 3);
    close(fds[0]);
    close(fds[1]);
    net_fini(&t);
}

/* ---- waking ---- */

static volatile sig_atomic_t signalled;
static struct loop *signal_loop;

static void on_signal(int sig) {
    signalled = 1;
    loop_wake(signal_loop);
}

static void test_wake_from_signal(void **state) {
    struct net t;
    net_init(&t, false);
    signal_loop = t.loop;
    struct sigaction act = {.sa_handler = on_signal}, before;
    sigaction(SIGALRM, &act, &before);
    for (int i = 0; i < 3; i++) {
        struct itimerval soon = {.it_value = {.tv_usec = 2000}};
        signalled = 0;
        setitimer(ITIMER_REAL, &soon, NULL);
        while (!signalled) { /* however the signal falls, before the wait or into it */
            loop_turn(t.loop, DEADLINE_USEC);
        }
    }
    assert_in_range(loop_now(t.loop), 0, INT64_MAX);
    sigaction(SIGALRM, &before, NULL);
    net_fini(&t);
}

struct waker {
    struct loop *loop;
    unsigned asked, seen; /* atomics */
};

/* Asks, wakes, and waits for the loop to have seen it, over and over. */
static void *waker_run(void *ctx) {
    struct waker *w = ctx;
    for (unsigned i = 1; i <= 200; i++) {
        __atomic_store_n(&w->asked, i, __ATOMIC_SEQ_CST);
        loop_wake(w->loop);
        while (__atomic_load_n(&w->seen, __ATOMIC_SEQ_CST) < i) {
            sched_yield();
        }
    }
    return NULL;
}

static void test_wake_from_thread(void **state) {
    struct net t;
    net_init(&t, false);
    loop_wake(t.loop); /* before the turn: it does not wait */
    loop_wake(t.loop);
    loop_turn(t.loop, -1);
    struct waker w = {.loop = t.loop};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, waker_run, &w), 0);
    while (w.seen < 200) {
        int64_t before = loop_now(t.loop);
        loop_turn(t.loop, DEADLINE_USEC);
        assert_true(loop_now(t.loop) - before < DEADLINE_USEC); /* a wake was lost */
        __atomic_store_n(&w.seen, __atomic_load_n(&w.asked, __ATOMIC_SEQ_CST), __ATOMIC_SEQ_CST);
    }
    pthread_join(thread, NULL);
    net_fini(&t);
}

static void test_clocks(void **state) {
    struct net t;
    net_init(&t, false);
    int64_t a = loop_now(t.loop), wall = loop_wall(t.loop);
    loop_turn(t.loop, 3000);
    assert_true(loop_now(t.loop) - a >= 3000);
    assert_true(loop_wall(t.loop) >= wall);
    assert_true(wall > INT64_C(1600000000) * 1000000);
    net_fini(&t);
}

static bool tcp = false, local = true;

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers),
        cmocka_unit_test_prestate(test_idle, &tcp),
        cmocka_unit_test_prestate(test_idle, &local),
        cmocka_unit_test(test_guest),
        cmocka_unit_test(test_wake_from_signal),
        cmocka_unit_test(test_wake_from_thread),
        cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
