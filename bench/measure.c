#include "measure.h"

#include "acct.h"

#include <signal.h>

#define WATCH_MAX 16
#define SLICE_NS 2000000u
#define SLICES_MAX 65536
#define HIST_SUB 64

struct tally tally;
volatile sig_atomic_t measure_stop;

static struct watch {
    char name[32];
    int pid;
    struct acct before, after;
} watch[WATCH_MAX];
static int nwatch;

static bool running;
static uint64_t began, answers; /* ns; in the window */
static double secs;

static void on_signal(int signo) {
    measure_stop = signo;
}

void measure_catch_signals(void) {
    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
}

/* ---- latency: buckets that are 1/64 of their value wide, from 64 ns ---- */
static uint64_t hist[64 * HIST_SUB];

static void hist_add(uint64_t ns, uint64_t times) {
    uint64_t v = ns >> 5;
    unsigned e = v < HIST_SUB ? 0 : 58u - (unsigned)__builtin_clzll(v);
    size_t i = (size_t)e * HIST_SUB + (size_t)(v >> e);
    hist[min_size(i, sizeof hist / sizeof hist[0] - 1)] += times;
}

static double hist_usec(double share) {
    uint64_t total = 0, seen = 0;
    size_t n = sizeof hist / sizeof hist[0];
    for (size_t i = 0; i < n; i++) {
        total += hist[i];
    }
    for (size_t i = 0; i < n; i++) {
        seen += hist[i];
        if (seen > 0 && (double)seen >= share * (double)total) {
            return (double)((i % HIST_SUB) << (i / HIST_SUB)) * 32 / 1000;
        }
    }
    return 0;
}

/* ---- throughput that does not count the milliseconds in which the machine took the CPUs away: requests are counted in
 * slices of 2 ms; the result is the mean of the middle half of the slices that are not empty ---- */
static uint32_t slices[SLICES_MAX];

static int by_value(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double slices_per_sec(void) {
    static uint32_t v[SLICES_MAX];
    size_t n = 0;
    double sum = 0;
    for (size_t i = 0; i < SLICES_MAX; i++) {
        if (slices[i] > 0) {
            v[n++] = slices[i];
        }
    }
    if (n < 4) {
        return 0;
    }
    qsort(v, n, sizeof v[0], by_value);
    for (size_t i = n / 4; i < n - n / 4; i++) {
        sum += v[i];
    }
    return sum / (double)(n - 2 * (n / 4)) * 1e9 / SLICE_NS;
}

/* ---- the window ---- */
bool measure_watch(const char *arg) {
    const char *colon = strrchr(arg, ':');
    if (colon == NULL || nwatch == WATCH_MAX) {
        return false;
    }
    snprintf(watch[nwatch].name, sizeof watch[0].name, "%.*s", (int)(colon - arg), arg);
    watch[nwatch++].pid = atoi(colon + 1);
    return true;
}

void measure_begin(void) {
    for (int i = 0; i < nwatch; i++) {
        watch[i].before = acct_read(watch[i].pid);
    }
    running = true;
    tally.bytes = 0;
    began = now_ns();
}

bool measuring(void) {
    return running;
}

void measure_add(uint64_t now, uint64_t asked, uint64_t n) {
    if (!running) {
        return;
    }
    hist_add(now - asked, n);
    answers += n;
    slices[min_size((size_t)((now - began) / SLICE_NS), SLICES_MAX - 1)] += (uint32_t)n;
}

uint64_t measured(void) {
    return answers;
}

void measure_end(void) {
    secs = (double)(now_ns() - began) / 1e9;
    running = false;
    for (int i = 0; i < nwatch; i++) {
        watch[i].after = acct_read(watch[i].pid);
    }
}

void measure_print(void) {
    double n = answers > 0 ? (double)answers : 1;
    printf("{\"n\":%ju,\"rps\":%.1f,\"rps_steady\":%.1f,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"mb_per_sec\":%.1f,",
           (uintmax_t)answers, n / secs, slices_per_sec(), hist_usec(.5), hist_usec(.99), hist_usec(.999), (double)tally.bytes / 1e6 / secs);
    printf("\"errors\":%ju,\"missing\":%ju,\"mismatches\":%ju,\"lost\":%ju,\"watch\":{", (uintmax_t)tally.errors,
           (uintmax_t)tally.missing, (uintmax_t)tally.mismatches, (uintmax_t)tally.lost);
    for (int i = 0; i < nwatch; i++) {
        const struct acct *a = &watch[i].before, *b = &watch[i].after;
        double used = b->run - a->run, user = b->user - a->user, sys = b->sys - a->sys;
        printf("%s\"%s\":{\"usec\":%.4f,\"user_share\":%.3f,\"busy\":%.3f,\"peak_kb\":%ld,\"rss_kb\":%ld}", i ? "," : "",
               watch[i].name, used * 1e6 / n, user + sys > 0 ? user / (user + sys) : 0, used / secs, b->peak_kb,
               b->rss_kb);
    }
    puts("}}");
}
