/* loadgen: closed-loop load for Redis (RESP2) and memcached (text) servers and proxies on loopback, one thread.
 *
 * It reads /proc of the processes under test (-W name:pid) at the start and the end of the measured window, so that CPU
 * time per request holds neither warm-up nor connection set-up. One JSON object on standard output; bench.py reads it. */
#include "acct.h"
#include "load.h"

#include <getopt.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 1024
#define WATCH_MAX 16
#define SLICE_NS 2000000u
#define SLICES_MAX 65536
#define HIST_SUB 64

struct load_opts opts = {.conns = 50, .depth = 1, .keys = 1, .value = 64, .keyspace = 10000, .secs = 1, .warm = 0.3,
                         .seed = 88172645463325252u};
struct tally tally;

static struct watch {
    char name[32];
    int pid;
    struct acct before, after;
} watch[WATCH_MAX];
static int nwatch;

static int epoll;
static bool measuring;
static uint64_t began; /* ns */
static uint64_t measured;
static char input[READ_MAX + CARRY_MAX];

/* ---- latency: buckets that are 1/64 of their value wide, from 64 ns ---- */
static uint64_t hist[64 * HIST_SUB];

static void hist_add(uint64_t ns) {
    uint64_t v = ns >> 5;
    unsigned e = v < HIST_SUB ? 0 : 58u - (unsigned)__builtin_clzll(v);
    size_t i = (size_t)e * HIST_SUB + (size_t)(v >> e);
    hist[min_size(i, sizeof hist / sizeof hist[0] - 1)]++;
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

/* ---- the loop ---- */
static void replies_count(struct conn *c, uint32_t from, uint64_t now) {
    if (!measuring || c->nanswered == from) {
        return;
    }
    for (uint32_t i = from; i < c->nanswered; i++) {
        hist_add(now - c->asked[i].at);
    }
    measured += c->nanswered - from;
    size_t slice = (size_t)((now - began) / SLICE_NS);
    slices[min_size(slice, SLICES_MAX - 1)] += c->nanswered - from;
}

static void conn_read(struct conn *c, bool again) {
    memcpy(input, c->carry, c->ncarry);
    ssize_t n = recv(c->fd, input + c->ncarry, READ_MAX, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        conn_lost(c);
        return;
    }
    uint32_t from = c->nanswered;
    char *end = input + c->ncarry + n, *p = replies_parse(c, input, end);
    c->ncarry = (size_t)(end - p);
    if (c->ncarry > CARRY_MAX) {
        tally.mismatches++;
        conn_lost(c);
        return;
    }
    memcpy(c->carry, p, c->ncarry);
    uint64_t now = now_ns();
    replies_count(c, from, now);
    if (again && c->nanswered == c->nasked && c->nasked > 0) {
        conn_send(c, epoll, opts.depth, now);
    }
}

static void turn(uint64_t until, bool again) {
    static struct epoll_event evs[EVENTS_MAX];
    uint64_t now = now_ns();
    int wait = until > now ? (int)((until - now) / 1000000) + 1 : 0;
    int n = epoll_wait(epoll, evs, EVENTS_MAX, wait);
    for (int i = 0; i < n; i++) {
        struct conn *c = evs[i].data.ptr;
        if (c->fd >= 0 && (evs[i].events & EPOLLOUT)) {
            conn_flush(c, epoll);
        }
        if (c->fd >= 0 && (evs[i].events & ~(uint32_t)EPOLLOUT)) {
            conn_read(c, again);
        }
    }
}

/* Uses each idle connection once, a few at a time. */
static void idle_touch(struct conn *cs, int n) {
    for (int i = 0; i < n; i += 256) {
        int end = i + 256 < n ? i + 256 : n;
        uint64_t want = tally.requests + (uint64_t)(end - i), until = now_ns() + 10000000000u;
        for (int j = i; j < end; j++) {
            conn_send(&cs[j], epoll, 1, now_ns());
        }
        while (tally.requests < want && tally.lost == 0 && now_ns() < until) {
            turn(until, false);
        }
    }
}

static void watch_read(bool before) {
    for (int i = 0; i < nwatch; i++) {
        *(before ? &watch[i].before : &watch[i].after) = acct_read(watch[i].pid);
    }
}

static double run(struct conn *cs, int n) {
    uint64_t until = now_ns() + (uint64_t)(opts.warm * 1e9);
    for (int i = 0; i < n; i++) {
        conn_send(&cs[i], epoll, opts.depth, now_ns());
    }
    while (now_ns() < until) {
        turn(until, true);
    }
    watch_read(true);
    measuring = true;
    began = now_ns();
    until = began + (uint64_t)(opts.secs * 1e9);
    while (now_ns() < until && tally.lost < (uint64_t)n && (opts.max_requests == 0 || measured < opts.max_requests)) {
        turn(until, true);
    }
    double secs = (double)(now_ns() - began) / 1e9;
    watch_read(false);
    measuring = false;
    return secs;
}

static void report(double secs) {
    double n = measured > 0 ? (double)measured : 1;
    printf("{\"n\":%ju,\"rps\":%.1f,\"rps_steady\":%.1f,\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,", (uintmax_t)measured,
           n / secs, slices_per_sec(), hist_usec(.5), hist_usec(.99), hist_usec(.999));
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

static _Noreturn void usage(void) {
    fputs("loadgen -p PORT [-m redis|memcached] [-c CONNECTIONS] [-i IDLE-CONNECTIONS] [-T (use each idle one once)]\n"
          "  [-d DEPTH] [-v VALUE-BYTES] [-k KEYSPACE] [-s SET-PERCENT] [-g KEYS-PER-GET] [-t SECONDS] [-w WARM-UP]\n"
          "  [-n REQUESTS-AT-MOST] [-r SEED] [-W NAME:PID]...\n", stderr);
    exit(2);
}

static void watch_add(const char *arg) {
    const char *colon = strrchr(arg, ':');
    if (colon == NULL || nwatch == WATCH_MAX) {
        usage();
    }
    snprintf(watch[nwatch].name, sizeof watch[0].name, "%.*s", (int)(colon - arg), arg);
    watch[nwatch++].pid = atoi(colon + 1);
}

static void args(int argc, char **argv) {
    for (int ch; (ch = getopt(argc, argv, "p:m:c:i:Td:v:k:s:g:t:w:n:r:W:")) != -1;) {
        switch (ch) {
        case 'p': opts.port = atoi(optarg); break;
        case 'm': opts.memcached = strcmp(optarg, "memcached") == 0; break;
        case 'c': opts.conns = atoi(optarg); break;
        case 'i': opts.idle = atoi(optarg); break;
        case 'T': opts.touch = true; break;
        case 'd': opts.depth = atoi(optarg); break;
        case 'v': opts.value = strtoull(optarg, NULL, 10); break;
        case 'k': opts.keyspace = strtoull(optarg, NULL, 10); break;
        case 's': opts.set_percent = atoi(optarg); break;
        case 'g': opts.keys = atoi(optarg); break;
        case 't': opts.secs = atof(optarg); break;
        case 'w': opts.warm = atof(optarg); break;
        case 'n': opts.max_requests = strtoull(optarg, NULL, 10); break;
        case 'r': opts.seed ^= strtoull(optarg, NULL, 10) * 0x9e3779b97f4a7c15u; break;
        case 'W': watch_add(optarg); break;
        default: usage();
        }
    }
    if (opts.port <= 0 || opts.conns < 1 || opts.idle < 0 || opts.depth < 1 || opts.keys < 1 || opts.keyspace < 1) {
        usage();
    }
}

int main(int argc, char **argv) {
    args(argc, argv);
    more_descriptors();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct conn *cs = xcalloc((size_t)(opts.conns + opts.idle), sizeof *cs);
    for (int i = 0; i < opts.conns + opts.idle; i++) {
        conn_init(&cs[i], epoll, i < opts.conns ? opts.depth : 1);
    }
    if (opts.touch) {
        idle_touch(cs + opts.conns, opts.idle);
    }
    report(run(cs, opts.conns));
    return 0;
}
