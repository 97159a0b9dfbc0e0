#include "main/where.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>

struct where {
    const struct args *args;
    const struct conf_pool *pool;
    struct ring *ring;
    struct rng rng; /* distribution: random */
};

static bool put_key(struct where *w, struct slice given) {
    struct slice key = given;
    uint8_t *bytes = NULL;
    if (w->args->hex) {
        bytes = mem_alloc(given.n / 2);
        size_t n;
        if (!num_hex(given, bytes, &n)) {
            fprintf(stderr, "%s: --hex: '%.*s' is not hexadecimal\n", w->args->program, (int)min_size(given.n, 200),
                    (const char *)given.p);
            mem_free(bytes);
            return false;
        }
        key = slice(bytes, n);
    }
    uint32_t i = ring_pick(w->ring, &w->rng, key);
    mem_free(bytes);
    fwrite(given.p, 1, given.n, stdout);
    if (i == RING_NONE) {
        printf("\t-\t-\n");
    } else {
        printf("\t%s\t%s\n", w->pool->servers[i].name, w->pool->servers[i].address);
    }
    return true;
}

static bool put_stdin(struct where *w) {
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    bool ok = true;
    while ((n = getline(&line, &cap, stdin)) >= 0) {
        if (n > 0 && line[n - 1] == '\n') {
            n--;
        }
        ok = put_key(w, slice(line, (size_t)n)) && ok;
    }
    free(line);
    return ok;
}

int where_run(const struct args *a, const struct conf *conf) {
    int i = conf_pool_by_name(conf, a->where);
    if (i < 0) {
        fprintf(stderr, "%s: there is no pool '%s' in '%s'; its pools:", a->program, a->where, a->conf_file);
        for (uint32_t p = 0; p < conf->npools; p++) {
            fprintf(stderr, " %s", conf->pools[p].name);
        }
        fputs("\n", stderr);
        return 1;
    }
    struct where w = {.args = a, .pool = &conf->pools[i], .ring = conf_ring(&conf->pools[i], NULL)};
    rng_seed(&w.rng, (uint64_t)time(NULL));
    bool ok = true;
    for (int k = 0; k < a->nkeys; k++) {
        ok = put_key(&w, slice_str(a->keys[k])) && ok;
    }
    if (a->nkeys == 0) {
        ok = put_stdin(&w);
    }
    ring_unref(&w.ring);
    return ok && fflush(stdout) == 0 ? 0 : 1;
}
