#include "route/moved.h"

#include "route/dist.h"

#include <stdio.h>

#define SLOTS_MAX (1u << 22) /* so many are looked at one by one */

static bool is_dist(const struct ring *r, const char *name) {
    return strcmp(r->dist->name, name) == 0;
}

/* Both rings' points cut the line of values into arcs, each of which has one owner in each. */
static double moved_arcs(const struct ring *a, const struct ring *b, const uint32_t *same) {
    uint64_t from = 0, moved = 0;
    uint32_t i = 0, k = 0;
    while (from <= UINT32_MAX) {
        while (i < a->npoints && a->points[i].value < from) {
            i++;
        }
        while (k < b->npoints && b->points[k].value < from) {
            k++;
        }
        uint64_t end_a = i < a->npoints ? a->points[i].value : UINT32_MAX, end_b = k < b->npoints ? b->points[k].value : UINT32_MAX;
        uint64_t end = end_a < end_b ? end_a : end_b;
        uint32_t owner = a->points[i < a->npoints ? i : 0].server;
        if (same[owner] != b->points[k < b->npoints ? k : 0].server) {
            moved += end - from + 1;
        }
        from = end + 1;
    }
    return (double)moved / 4294967296.0;
}

/* All remainders that a value can leave in both. 0: they are too many. */
static uint32_t slots_of(const struct ring *a, const struct ring *b) {
    uint64_t x = a->span, y = b->span;
    while (y != 0) {
        uint64_t rest = x % y;
        x = y;
        y = rest;
    }
    uint64_t all = x == 0 ? 0 : a->span / x * b->span;
    return all <= SLOTS_MAX ? (uint32_t)all : 0;
}

static double moved_slots(const struct ring *a, const struct ring *b, const uint32_t *same, uint32_t n) {
    uint32_t moved = 0;
    for (uint32_t i = 0; i < n; i++) {
        moved += same[ring_owner(a, i % a->span)] != ring_owner(b, i % b->span);
    }
    return (double)moved / n;
}

static double moved_sample(const struct ring *a, const struct ring *b, const uint32_t *same) {
    uint32_t moved = 0;
    for (uint32_t i = 0; i < MOVED_SAMPLE_KEYS; i++) {
        char key[16];
        struct slice k = slice(key, (size_t)snprintf(key, sizeof key, "key:%u", i));
        moved += same[ring_pick(a, NULL, k)] != ring_pick(b, NULL, k);
    }
    return (double)moved / MOVED_SAMPLE_KEYS;
}

enum moved_how ring_moved(const struct ring *a, const struct ring *b, const uint32_t *same, double *share) {
    bool alike = a->hash == b->hash && a->dist == b->dist;
    bool full = a->hash != hash_fns[HASH_CRC16] && a->hash != hash_fns[HASH_CRC32];
    *share = 0;
    if (is_dist(a, "random") || is_dist(b, "random")) {
        return MOVED_NO_OWNERS;
    }
    if (alike && full && is_dist(a, "ketama")) {
        *share = moved_arcs(a, b, same);
        return MOVED_EXACT;
    }
    uint32_t slots = alike && full ? slots_of(a, b) : 0;
    if (slots > 0) {
        *share = moved_slots(a, b, same, slots);
        return MOVED_EXACT;
    }
    *share = moved_sample(a, b, same);
    return MOVED_SAMPLE;
}
