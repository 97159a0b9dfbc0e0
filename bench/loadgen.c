/* loadgen: closed-loop load for Redis (RESP2, RESP3) and memcached (text) servers and proxies on loopback, one thread.
 *
 * It reads /proc of the processes under test (-W name:pid) at the start and the end of the measured window, so that CPU
 * time per request holds neither warm-up nor connection set-up. One JSON object on standard output; bench.py reads it. */
#include "load.h"

#include <getopt.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 1024

struct load_opts opts = {.ports = 1, .conns = 50, .depth = 1, .keys = 1, .value = 64, .keyspace = 10000, .secs = 1, .warm = 0.3,
                         .prefix = "key:", .seed = 88172645463325252u};

static int epoll;
static char input[READ_MAX + CARRY_MAX];

/* ---- the loop ---- */
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
    tally.bytes += (uint64_t)n;
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
    for (uint32_t i = from; i < c->nanswered; i++) {
        measure_add(now, c->asked[i].at, 1);
    }
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

static void run(struct conn *cs, int n) {
    uint64_t until = now_ns() + (uint64_t)(opts.warm * 1e9);
    if (opts.warm <= 0) { /* what is sent first counts, too */
        measure_begin();
    }
    for (int i = 0; i < n; i++) {
        conn_send(&cs[i], epoll, opts.depth, now_ns());
    }
    while (now_ns() < until && !measure_stop) {
        turn(until, true);
    }
    if (!measuring()) {
        measure_begin();
    }
    until = now_ns() + (uint64_t)(opts.secs * 1e9);
    while (now_ns() < until && !measure_stop && tally.lost < (uint64_t)n &&
           (opts.max_requests == 0 || measured() < opts.max_requests)) {
        turn(until, true);
    }
    measure_end();
}

/* ---- the command line ---- */
static _Noreturn void usage(void) {
    fputs("loadgen -p PORT | -u PATH-PREFIX  [-P PORTS (connections are spread over so many)] [-m redis|memcached] [-3 (RESP3)]\n"
          "  [-c CONNECTIONS] [-i IDLE-CONNECTIONS] [-T (use each idle one once)] [-d DEPTH] [-v VALUE-BYTES] [-s SET-PERCENT]\n"
          "  [-g KEYS-PER-GET] [-x COMMANDS-PER-TRANSACTION] [-k KEYSPACE] [-K KEY-PREFIX (4 bytes)] [-l FILE (numbers of the keys to use)]\n"
          "  [-t SECONDS] [-w WARM-UP] [-n REQUESTS-AT-MOST] [-r SEED] [-W NAME:PID]...\n", stderr);
    exit(2);
}

/* The numbers in a file, one a line: only these keys are asked for. */
static void key_list_read(const char *path) {
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        die("%s", path);
    }
    size_t room = 1024, n = 0;
    uint64_t *ids = xmalloc(room * sizeof *ids);
    for (uintmax_t id; fscanf(f, "%ju", &id) == 1;) {
        if (n == room) {
            ids = realloc(ids, (room *= 2) * sizeof *ids);
        }
        if (ids == NULL) {
            die("realloc");
        }
        ids[n++] = id;
    }
    fclose(f);
    opts.key_list = ids;
    opts.keyspace = n;
}

static void args(int argc, char **argv) {
    for (int ch; (ch = getopt(argc, argv, "p:u:P:m:3c:i:Td:v:k:K:l:s:g:x:t:w:n:r:W:")) != -1;) {
        switch (ch) {
        case 'p': opts.port = atoi(optarg); break;
        case 'u': opts.path = optarg; break;
        case 'P': opts.ports = atoi(optarg); break;
        case 'm': opts.memcached = strcmp(optarg, "memcached") == 0; break;
        case '3': opts.resp3 = true; break;
        case 'c': opts.conns = atoi(optarg); break;
        case 'i': opts.idle = atoi(optarg); break;
        case 'T': opts.touch = true; break;
        case 'd': opts.depth = atoi(optarg); break;
        case 'v': opts.value = strtoull(optarg, NULL, 10); break;
        case 'k': opts.keyspace = strtoull(optarg, NULL, 10); break;
        case 'K': opts.prefix = optarg; break;
        case 'l': key_list_read(optarg); break;
        case 's': opts.set_percent = atoi(optarg); break;
        case 'g': opts.keys = atoi(optarg); break;
        case 'x': opts.txn = atoi(optarg); break;
        case 't': opts.secs = atof(optarg); break;
        case 'w': opts.warm = atof(optarg); break;
        case 'n': opts.max_requests = strtoull(optarg, NULL, 10); break;
        case 'r': opts.seed ^= strtoull(optarg, NULL, 10) * 0x9e3779b97f4a7c15u; break;
        case 'W':
            if (!measure_watch(optarg)) {
                usage();
            }
            break;
        default: usage();
        }
    }
    if ((opts.port <= 0) == (opts.path == NULL) || opts.ports < 1 || opts.conns < 1 || opts.idle < 0 || opts.depth < 1 ||
        opts.keys < 1 || opts.keyspace < 1 || opts.txn < 0 || opts.txn > 9 || strlen(opts.prefix) != 4) {
        usage();
    }
}

int main(int argc, char **argv) {
    args(argc, argv);
    more_descriptors();
    measure_catch_signals();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct conn *cs = xcalloc((size_t)(opts.conns + opts.idle), sizeof *cs);
    for (int i = 0; i < opts.conns + opts.idle; i++) {
        conn_init(&cs[i], epoll, i % opts.ports, i < opts.conns ? opts.depth : 1);
    }
    if (opts.touch) {
        idle_touch(cs + opts.conns, opts.idle);
    }
    run(cs, opts.conns);
    measure_print();
    return 0;
}
