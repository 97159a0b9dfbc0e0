/* scan: walks all keys with SCAN (Redis, RESP2), again and again until the time is over, and sees that every key comes. Several
 * ports: one after the other, which is what a client without a proxy does. A request in the figures is one key.
 * Keys are S:N as DEBUG POPULATE makes them, N below -k on each of the -S servers. */
#include "measure.h"

#include <getopt.h>
#include <unistd.h>

static int port, ports = 1, servers = 4, count = 1000, fds[64];
static const char *path;
static size_t keys = 250000;
static unsigned char *seen;

/* ---- input, line by line ---- */
static char in[65536];
static size_t at, end;

static char *line(int fd) {
    for (;;) {
        char *nl = memchr(in + at, '\n', end - at);
        if (nl != NULL) {
            char *p = in + at;
            nl[-1] = 0;
            at = (size_t)(nl + 1 - in);
            return p;
        }
        memmove(in, in + at, end - at);
        end -= at;
        at = 0;
        ssize_t n = read(fd, in + end, sizeof in - end);
        if (n <= 0) {
            errno = n < 0 ? errno : 0;
            die("connection lost, or a line without an end");
        }
        end += (size_t)n;
    }
}

static long number(int fd, char type) {
    char *p = line(fd);
    if (*p != type) {
        errno = 0;
        die("%c was to come, and came: %.100s", type, p);
    }
    return atol(p + 1);
}

static void key_seen(const char *key) {
    char *rest;
    size_t s = strtoul(key, &rest, 10), n = *rest == ':' ? strtoul(rest + 1, &rest, 10) : keys;
    if (s >= (size_t)servers || n >= keys || *rest != 0) {
        tally.mismatches++;
        return;
    }
    seen[s * keys + n] = 1;
}

/* All keys of one connection. */
static void walk(int fd) {
    char cursor[32] = "0", ask[128];
    do {
        int n = snprintf(ask, sizeof ask, "*4\r\n$4\r\nSCAN\r\n$%zu\r\n%s\r\n$5\r\nCOUNT\r\n$%d\r\n%d\r\n", strlen(cursor), cursor,
                         snprintf(NULL, 0, "%d", count), count);
        uint64_t asked = now_ns();
        if (write(fd, ask, (size_t)n) != n) {
            die("write");
        }
        if (number(fd, '*') != 2 || number(fd, '$') >= (long)sizeof cursor) {
            errno = 0;
            die("no reply of SCAN");
        }
        snprintf(cursor, sizeof cursor, "%s", line(fd));
        long got = number(fd, '*');
        for (long i = 0; i < got; i++) {
            number(fd, '$');
            key_seen(line(fd));
        }
        measure_add(now_ns(), asked, (uint64_t)got);
    } while (strcmp(cursor, "0") != 0 && !measure_stop);
}

static void walk_all(void) {
    memset(seen, 0, (size_t)servers * keys);
    for (int i = 0; i < ports; i++) {
        walk(fds[i]);
    }
    for (size_t i = 0; i < (size_t)servers * keys && !measure_stop; i++) {
        tally.missing += !seen[i];
    }
}

int main(int argc, char **argv) {
    double secs = 1;
    uint64_t most = 0;
    for (int ch; (ch = getopt(argc, argv, "p:u:P:S:k:g:t:n:W:")) != -1;) {
        switch (ch) {
        case 'p': port = atoi(optarg); break;
        case 'u': path = optarg; break;
        case 'P': ports = atoi(optarg); break;
        case 'S': servers = atoi(optarg); break;
        case 'k': keys = strtoull(optarg, NULL, 10); break;
        case 'g': count = atoi(optarg); break;
        case 't': secs = atof(optarg); break;
        case 'n': most = strtoull(optarg, NULL, 10); break;
        case 'W': port = measure_watch(optarg) ? port : 0; break;
        default: port = 0, path = NULL; break;
        }
    }
    if ((port <= 0) == (path == NULL) || ports < 1 || ports > 64 || servers < 1 || keys < 1 || count < 1) {
        fputs("scan -p PORT | -u PATH-PREFIX  [-P PORTS] [-S SERVERS] [-k KEYS-OF-EACH] [-g COUNT] [-t SECONDS] [-n KEYS-AT-LEAST] [-W NAME:PID]...\n", stderr);
        return 2;
    }
    measure_catch_signals();
    seen = xmalloc((size_t)servers * keys);
    for (int i = 0; i < ports; i++) {
        fds[i] = connect_to(path, path ? i : port + i);
    }
    measure_begin();
    uint64_t until = now_ns() + (uint64_t)(secs * 1e9);
    do {
        walk_all();
    } while (now_ns() < until && !measure_stop && (most == 0 || measured() < most));
    measure_end();
    measure_print();
    return 0;
}
