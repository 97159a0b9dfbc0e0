/* main.c: simrun: runs scenario files in every way, or random schedules.
 *
 *   simrun [-v] [--plain] [--seeds N] FILE...
 *   simrun [-v] --random SEED COUNT */
#include "random.h"
#include "script.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    bool verbose, plain;
    uint32_t seeds;
};

static void run(const struct script *s, struct sim_policy p, const struct options *o, uint32_t *runs, const char *mode) {
    script_run(s, &p, mode, o->verbose);
    ++*runs;
}

/* Every place that is near the start or the end of what is sent; a few in between. */
static bool worth_cutting(size_t at, size_t longest) {
    return at <= 48 || at + 4 > longest || at % 97 == 0;
}

static void run_cuts(const struct script *s, const struct options *o, uint32_t *runs) {
    char mode[64];
    run(s, (struct sim_policy){.recv = SIM_BYTE}, o, runs, "(received byte by byte)");
    run(s, (struct sim_policy){.send = SIM_BYTE}, o, runs, "(sent byte by byte)");
    run(s, (struct sim_policy){.recv = SIM_BYTE, .send = SIM_BYTE}, o, runs, "(all byte by byte)");
    size_t longest = s->longest < 2000 ? s->longest : 2000;
    for (size_t at = 1; at < longest; at++) {
        if (worth_cutting(at, longest)) {
            snprintf(mode, sizeof(mode), "(received in two, cut at %zu)", at);
            run(s, (struct sim_policy){.recv = SIM_AT, .recv_at = at}, o, runs, mode);
            snprintf(mode, sizeof(mode), "(first %zu bytes of each write)", at - 1);
            run(s, (struct sim_policy){.send = SIM_AT, .send_at = at - 1}, o, runs, mode);
        }
    }
}

static void run_seeds(const struct script *s, const struct options *o, uint32_t *runs) {
    char mode[64];
    for (uint32_t seed = 1; seed <= o->seeds; seed++) {
        struct sim_policy p = {.shuffle = true, .seed = seed};
        if (s->cuts && seed % 2 == 0) {
            p.recv = p.send = SIM_RANDOM;
        }
        snprintf(mode, sizeof(mode), "(seed %u)", seed);
        run(s, p, o, runs, mode);
    }
}

static void run_file(const char *path, const struct options *o) {
    struct script *s = script_read(path);
    uint32_t runs = 0;
    run(s, (struct sim_policy){0}, o, &runs, "(plain)");
    run(s, (struct sim_policy){.copies = true}, o, &runs, "(nothing moved)");
    if (!o->plain && s->cuts) {
        run_cuts(s, o, &runs);
    }
    if (!o->plain && s->seeds) {
        run_seeds(s, o, &runs);
    }
    printf("%s: ok, %u runs\n", path, runs);
    script_free(&s);
}

static int run_random(uint64_t seed, uint64_t count, bool verbose) {
    struct random_sum sum = {0};
    for (uint64_t i = 0; i < count; i++) {
        random_run(seed + i, (struct slice){0}, verbose, &sum);
    }
    printf("random: ok, seeds %llu..%llu, %llu requests, %llu errors (%llu for want of a script), %llu clients closed\n", (unsigned long long)seed,
           (unsigned long long)(seed + count - 1), (unsigned long long)sum.requests, (unsigned long long)sum.errors, (unsigned long long)sum.no_script,
           (unsigned long long)sum.closed);
    return 0;
}

int main(int argc, char **argv) {
    struct options o = {.seeds = 20};
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "-v") == 0) {
            o.verbose = true;
        } else if (strcmp(argv[i], "--plain") == 0) {
            o.plain = true;
        } else if (strcmp(argv[i], "--seeds") == 0 && i + 1 < argc) {
            o.seeds = (uint32_t)atoi(argv[++i]);
        } else if (strcmp(argv[i], "--random") == 0 && i + 2 < argc) {
            return run_random(strtoull(argv[i + 1], NULL, 10), strtoull(argv[i + 2], NULL, 10), o.verbose);
        } else {
            break;
        }
    }
    if (i >= argc || argv[i][0] == '-') {
        fputs("usage: simrun [-v] [--plain] [--seeds N] FILE... | [-v] --random SEED COUNT\n", stderr);
        return 2;
    }
    for (; i < argc; i++) {
        run_file(argv[i], &o);
    }
    return 0;
}
