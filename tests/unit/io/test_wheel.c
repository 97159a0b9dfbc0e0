#include "base/rng.h"
#include "io/io.h"
#include "io/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define TIMERS 200

/* The model: an array of deadlines. The wheel must hand out exactly those that are due, never early, at most one tick
 * late, and wheel_next must not lie behind the first of them. */
struct model {
    struct wheel wheel;
    struct timer timers[TIMERS];
    int64_t set_at[TIMERS]; /* when it was set: it is not due in that tick */
    int64_t now;
};

static struct model model;

static void model_init(struct model *m, int64_t now) {
    wheel_init(&m->wheel, now);
    m->now = now;
    for (int i = 0; i < TIMERS; i++) {
        timer_init(&m->timers[i], NULL);
    }
}

static void model_set(struct model *m, int i, int64_t at) {
    list_remove(&m->timers[i].link);
    m->timers[i].at = at;
    m->set_at[i] = m->now;
    wheel_add(&m->wheel, &m->timers[i]);
}

static int64_t tick_of(int64_t usec) {
    return usec / WHEEL_TICK_USEC;
}

/* The tick in which a timer must come out. */
static int64_t tick_due(const struct model *m, int i) {
    int64_t at = m->timers[i].at;
    int64_t tick = at <= 0 ? 0 : at / WHEEL_TICK_USEC + (at % WHEEL_TICK_USEC != 0);
    int64_t soonest = tick_of(m->set_at[i]) + 1;
    return tick > soonest ? tick : soonest;
}

static void model_advance(struct model *m, int64_t to) {
    struct list due, *l;
    int64_t last = 0;
    m->now = to;
    list_init(&due);
    wheel_advance(&m->wheel, to, &due);
    while ((l = list_pop(&due)) != NULL) {
        struct timer *t = CONTAINER_OF(l, struct timer, link);
        int64_t tick = tick_due(m, (int)(t - m->timers));
        assert_true(t->at <= to);          /* never early */
        assert_true(tick <= tick_of(to));
        assert_true(tick >= last);         /* earliest first */
        last = tick;
    }
    int64_t first = INT64_MAX;
    for (int i = 0; i < TIMERS; i++) {
        if (timer_is_set(&m->timers[i])) {
            int64_t tick = tick_due(m, i);
            assert_true(tick > tick_of(to)); /* nothing due was left behind */
            first = tick < first ? tick : first;
        }
    }
    int64_t next = wheel_next(&m->wheel);
    if (first == INT64_MAX) {
        assert_true(next == INT64_MAX);
    } else {
        assert_true(tick_of(next) <= first);
        assert_true(next > to); /* or a loop would turn without end */
    }
}

static int64_t span_of(struct rng *r) {
    unsigned bits = 1 + rng_below(r, 44); /* up to half a year */
    return (int64_t)(((uint64_t)rng_u32(r) << 32 | rng_u32(r)) & ((UINT64_C(1) << bits) - 1));
}

static void model_run(struct rng *r, int64_t start) {
    struct model *m = &model;
    model_init(m, start);
    for (int step = 0; step < 1500; step++) {
        int i = (int)rng_below(r, TIMERS);
        switch (rng_below(r, 8)) {
        case 0:
        case 1:
        case 2:
            model_set(m, i, m->now + span_of(r));
            break;
        case 3:
            model_set(m, i, m->now - span_of(r)); /* in the past: at once, which is the next tick */
            break;
        case 4:
            list_remove(&m->timers[i].link); /* what timer_cancel does */
            break;
        case 5: { /* sleep as a loop does */
            int64_t next = wheel_next(&m->wheel);
            model_advance(m, next == INT64_MAX || next - m->now > 60000000 ? m->now + 60000000 : next);
            break;
        }
        case 6:
            model_advance(m, m->now + span_of(r) % 3000);
            break;
        default:
            model_advance(m, m->now + span_of(r) % 1000000000);
            break;
        }
    }
    for (int i = 0; i < TIMERS; i++) {
        list_remove(&m->timers[i].link);
    }
    model_advance(m, m->now + 1);
}

static void test_random(void **state) {
    for (unsigned seed = 1; seed <= 20; seed++) {
        struct rng r;
        rng_seed(&r, seed);
        model_run(&r, span_of(&r) % 100000000000);
    }
}

/* The top level's round ends after 2^36 ms of uptime, 2.2 years: a timer set before and due behind it. */
static void test_round_end(void **state) {
    const int64_t end = (INT64_C(1) << 36) * WHEEL_TICK_USEC;
    struct model *m = &model;
    model_init(m, end - 5000);
    model_set(m, 0, end + 10000);
    model_set(m, 1, end - 1000);
    model_set(m, 2, end);
    model_set(m, 3, end + 3600000000);
    int64_t next;
    while ((next = wheel_next(&m->wheel)) != INT64_MAX) {
        model_advance(m, next); /* asserts that none is left behind */
    }
    assert_in_range(m->now, end + 3600000000, end + 3600002000);
    for (unsigned seed = 1; seed <= 5; seed++) {
        struct rng r;
        rng_seed(&r, seed);
        model_run(&r, end - 1000000);
    }
}

static void test_far(void **state) {
    struct model *m = &model;
    int64_t year = INT64_C(365) * 86400 * 1000000;
    model_init(m, 12345);
    model_set(m, 0, 5 * year); /* beyond the wheel's reach */
    model_set(m, 1, INT64_MAX);
    int turns = 0;
    while (timer_is_set(&m->timers[0])) {
        model_advance(m, wheel_next(&m->wheel));
        turns++;
    }
    assert_in_range(m->now, 5 * year, 5 * year + 2000);
    assert_true(turns < 50); /* no timer makes a loop turn often */
    assert_true(timer_is_set(&m->timers[1]));
    list_remove(&m->timers[1].link);
    assert_true(wheel_next(&m->wheel) == INT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random), cmocka_unit_test(test_round_end), cmocka_unit_test(test_far)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
