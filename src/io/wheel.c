#include "io/wheel.h"

#include "io/io.h"

/* Level L has slots of 64^L ticks. A timer stands in the level of the highest 6-bit digit in which its tick differs
 * from now, and moves down a level each time that now reaches its slot. */

#define DIGIT(tick, level) (((tick) >> (6 * (level))) & (WHEEL_SLOTS - 1))

void wheel_init(struct wheel *w, int64_t now_usec) {
    w->now = (uint64_t)now_usec / WHEEL_TICK_USEC;
    for (int l = 0; l < WHEEL_LEVELS; l++) {
        w->used[l] = 0;
        for (int s = 0; s < WHEEL_SLOTS; s++) {
            list_init(&w->slots[l][s]);
        }
    }
}

/* Puts a timer where its tick belongs; a tick that is not in the future counts as `soonest`. */
static void wheel_place(struct wheel *w, struct timer *t, uint64_t soonest) {
    uint64_t tick = t->at <= 0 ? 0 : ((uint64_t)t->at + WHEEL_TICK_USEC - 1) / WHEEL_TICK_USEC;
    if (tick < soonest) {
        tick = soonest;
    }
    uint64_t differ = tick ^ w->now;
    int level = differ == 0 ? 0 : (63 - __builtin_clzll(differ)) / 6;
    if (level >= WHEEL_LEVELS) {
        /* Beyond the end of the top level's round: maybe soon, so its slots are used in a circle; maybe years ahead, then
         * the farthest slot, from which it is placed again. */
        level = WHEEL_LEVELS - 1;
        uint64_t farthest = ((w->now >> (6 * level)) + WHEEL_SLOTS - 1) << (6 * level);
        tick = tick < farthest ? tick : farthest;
    }
    unsigned slot = (unsigned)DIGIT(tick, level);
    list_push(&w->slots[level][slot], &t->link);
    w->used[level] |= UINT64_C(1) << slot;
}

void wheel_add(struct wheel *w, struct timer *t) {
    wheel_place(w, t, w->now + 1);
}

/* now has just reached a multiple of 64^level: the slot that begins here moves to lower levels. */
static void wheel_cascade(struct wheel *w, int level) {
    unsigned slot = (unsigned)DIGIT(w->now, level);
    struct list moved;
    list_init(&moved);
    list_splice(&moved, &w->slots[level][slot]);
    w->used[level] &= ~(UINT64_C(1) << slot);
    struct list *l;
    while ((l = list_pop(&moved)) != NULL) {
        wheel_place(w, CONTAINER_OF(l, struct timer, link), w->now);
    }
}

void wheel_advance(struct wheel *w, int64_t now_usec, struct list *due) {
    uint64_t to = (uint64_t)now_usec / WHEEL_TICK_USEC;
    while (w->now < to) {
        /* Nothing left in this round of the lowest levels: go to its end at once. */
        uint64_t end = w->now;
        for (int l = 0; l < WHEEL_LEVELS && w->used[l] == 0; l++) {
            uint64_t round = end | ((UINT64_C(1) << (6 * (l + 1))) - 1);
            if (round >= to) {
                break;
            }
            end = round;
        }
        w->now = end + 1;
        for (int l = 1; l < WHEEL_LEVELS && (w->now & ((UINT64_C(1) << (6 * l)) - 1)) == 0; l++) {
            wheel_cascade(w, l);
        }
        unsigned slot = (unsigned)DIGIT(w->now, 0);
        list_splice(due, &w->slots[0][slot]);
        w->used[0] &= ~(UINT64_C(1) << slot);
    }
}

int64_t wheel_next(struct wheel *w) {
    for (int l = 0; l < WHEEL_LEVELS; l++) {
        unsigned after = (unsigned)DIGIT(w->now, l) + 1; /* the slot of now itself is empty, or comes last */
        while (w->used[l] != 0) {
            uint64_t used = w->used[l];
            unsigned shift = after & (WHEEL_SLOTS - 1);
            uint64_t in_order = used >> shift | used << ((WHEEL_SLOTS - shift) & (WHEEL_SLOTS - 1));
            unsigned ahead = (unsigned)__builtin_ctzll(in_order);
            unsigned slot = (shift + ahead) & (WHEEL_SLOTS - 1);
            if (!list_empty(&w->slots[l][slot])) {
                return (int64_t)((((w->now >> (6 * l)) + 1 + ahead) << (6 * l)) * WHEEL_TICK_USEC);
            }
            w->used[l] &= ~(UINT64_C(1) << slot);
        }
    }
    return INT64_MAX;
}
