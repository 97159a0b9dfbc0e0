/* ketama: about 160 points for each server, at places that MD5 of its name decides, so that a server's coming or going
 * moves only its own keys. Always MD5, whatever hash the keys use. */
#include "route/dist.h"
#include "route/md5.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdlib.h>

#define POINTS_PER_SERVER 160
#define POINTS_PER_GROUP  4   /* a group: the points of one MD5 */
#define TEXT_MAX          272 /* longer texts are cut, as nutcracker cuts them; then points coincide */
#define SPARE_SERVERS     10  /* nutcracker has room for the points of so many more */

/* Rounds to single precision. Each operation below is done in double and rounded at once: for + * / on singles that is
 * what single-precision hardware gives. The volatile store keeps the compiler from carrying more digits (x87) or from
 * fusing a product with the next sum. */
static float single(double v) {
    volatile float f = (float)v;
    return f;
}

/* The rounding is part of the definition: for 25 equal servers it makes 39 groups where integers would make 40. */
static float groups_of(uint32_t weight, uint64_t total, uint32_t live) {
    float x = single((double)single(weight) / (double)single((double)total));
    x = single((double)x * POINTS_PER_SERVER);
    x = single((double)x / POINTS_PER_GROUP);
    x = single((double)x * (double)single(live));
    return single((double)x + 1e-10);
}

static bool total_fits(const struct ring_server *servers, uint32_t n, uint64_t total, uint32_t live) {
    double room = ((double)live + SPARE_SERVERS) * POINTS_PER_SERVER / POINTS_PER_GROUP;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += servers[i].alive ? (double)groups_of(servers[i].weight, total, live) : 0;
    }
    return sum <= room;
}

/* nutcracker's sum of weights wraps at 32 bits and then gives too many points. Where it has room for them we do the
 * same; where it would write beyond its ring we take the true sum. */
static uint64_t total_weight(const struct ring_server *servers, uint32_t n, uint32_t live) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += servers[i].alive ? servers[i].weight : 0;
    }
    uint64_t wrapped = (uint32_t)sum;
    return wrapped != 0 && wrapped != sum && total_fits(servers, n, wrapped, live) ? wrapped : sum;
}

/* Puts the points of group k: MD5 of "name-k". */
static void put_group(struct point *to, struct slice name, uint32_t k, uint32_t server) {
    char text[TEXT_MAX + 1 + NUM_MAX];
    uint8_t digest[MD5_LEN];
    size_t n = min_size(name.n, TEXT_MAX);
    if (n > 0) {
        memcpy(text, name.p, n);
    }
    text[n++] = '-';
    n += num_put_u64(text + n, k);
    md5(slice(text, min_size(n, TEXT_MAX)), digest);
    for (uint32_t i = 0; i < POINTS_PER_GROUP; i++) {
        to[i] = (struct point){hash_le32(digest + 4 * i), server};
    }
}

/* Equal values: the server that comes first in order. */
static int point_cmp(const void *a, const void *b) {
    const struct point *x = a, *y = b;
    if (x->value != y->value) {
        return x->value < y->value ? -1 : 1;
    }
    return x->server < y->server ? -1 : x->server > y->server;
}

uint32_t dist_ketama_build(const struct ring_server *servers, uint32_t n, struct point **out) {
    uint32_t live = 0;
    for (uint32_t i = 0; i < n; i++) {
        live += servers[i].alive;
    }
    uint64_t total = total_weight(servers, n, live);
    struct point *p = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t groups = servers[i].alive ? (uint32_t)groups_of(servers[i].weight, total, live) : 0;
        p = mem_realloc(p, ((size_t)count + (size_t)groups * POINTS_PER_GROUP) * sizeof *p);
        for (uint32_t k = 0; k < groups; k++, count += POINTS_PER_GROUP) {
            put_group(p + count, servers[i].name, k, i);
        }
    }
    qsort(p, count, sizeof *p, point_cmp);
    *out = p;
    return count;
}

uint32_t dist_ketama_pick(const struct ring *r, struct rng *rng, struct slice key) {
    return ring_owner(r, ring_hash(r, key));
}
