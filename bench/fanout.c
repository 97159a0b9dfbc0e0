/* fanout: one client publishes, many listen (Redis, RESP2). A batch of messages goes out when every listener has every message of the
 * batch before. What a listener gets is compared byte by byte with what must come; a request in the figures is one delivery. */
#include "measure.h"

#include <getopt.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 1024
#define NUMBER_LEN 16

struct listener {
    int fd;
    size_t got; /* bytes of this batch */
};

static int epoll, port, depth = 1;
static const char *path;
static size_t value = 64;

static struct listener *listeners, publisher; /* its `got`: replies of this batch */
static size_t nlisteners = 1000, done;        /* listeners that have all of the batch */
static char *ask, *want;                      /* the batch as it is published, as it must arrive */
static size_t nask, nwant;
static uint64_t number, asked; /* of the next message; ns */

static void hear(struct listener *l) {
    static const char subscribe[] = "*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n", answer[] = "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
    char got[sizeof answer];
    if (write(l->fd, subscribe, sizeof subscribe - 1) != (ssize_t)(sizeof subscribe - 1) ||
        recv(l->fd, got, sizeof answer - 1, MSG_WAITALL) != (ssize_t)(sizeof answer - 1) || memcmp(got, answer, sizeof answer - 1) != 0) {
        errno = 0;
        die("SUBSCRIBE was not answered as it should be");
    }
}

static void join(struct listener *l, bool hears) {
    l->fd = connect_to(path, path ? 0 : port);
    if (hears) {
        hear(l);
    }
    nonblocking(l->fd);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = l};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, l->fd, &ev) < 0) {
        die("epoll_ctl");
    }
}

static void batch_send(void) {
    nask = nwant = 0;
    for (int i = 0; i < depth; i++) {
        char text[NUMBER_LEN + 1];
        snprintf(text, sizeof text, "%0*ju", NUMBER_LEN, (uintmax_t)number++);
        nask += (size_t)sprintf(ask + nask, "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$%zu\r\n%s%0*d\r\n", value, text, (int)(value - NUMBER_LEN), 0);
        nwant += (size_t)sprintf(want + nwant, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$%zu\r\n%s%0*d\r\n", value, text, (int)(value - NUMBER_LEN), 0);
    }
    for (size_t i = 0; i < nlisteners; i++) {
        listeners[i].got = 0;
    }
    done = publisher.got = 0;
    asked = now_ns();
    if (write(publisher.fd, ask, nask) != (ssize_t)nask) {
        die("publish");
    }
}

static void on_readable(struct listener *l) {
    char in[65536];
    ssize_t n = read(l->fd, in, sizeof in);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        epoll_ctl(epoll, EPOLL_CTL_DEL, l->fd, NULL);
        tally.lost++;
    } else if (l == &publisher) {
        tally.errors += memchr(in, '-', (size_t)n) != NULL;
        for (ssize_t i = 0; i < n; i++) {
            l->got += in[i] == '\n';
        }
    } else if ((size_t)n > nwant - l->got || memcmp(in, want + l->got, (size_t)n) != 0) {
        tally.mismatches++;
    } else {
        size_t had = l->got * (size_t)depth / nwant;
        l->got += (size_t)n;
        done += l->got == nwant;
        measure_add(now_ns(), asked, l->got * (size_t)depth / nwant - had);
    }
}

static void turns(double seconds, uint64_t most) {
    static struct epoll_event evs[EVENTS_MAX];
    for (uint64_t until = now_ns() + (uint64_t)(seconds * 1e9); now_ns() < until && !measure_stop && (most == 0 || measured() < most);) {
        int n = epoll_wait(epoll, evs, EVENTS_MAX, 10);
        for (int i = 0; i < n; i++) {
            on_readable(evs[i].data.ptr);
        }
        if (tally.lost + tally.mismatches > 0) {
            return;
        }
        if (done == nlisteners && publisher.got >= (size_t)depth) {
            batch_send();
        }
    }
}

int main(int argc, char **argv) {
    double secs = 1, warm = 0.2;
    uint64_t most = 0;
    for (int ch; (ch = getopt(argc, argv, "p:u:c:d:v:t:w:n:W:")) != -1;) {
        switch (ch) {
        case 'p': port = atoi(optarg); break;
        case 'u': path = optarg; break;
        case 'c': nlisteners = strtoull(optarg, NULL, 10); break;
        case 'd': depth = atoi(optarg); break;
        case 'v': value = strtoull(optarg, NULL, 10); break;
        case 't': secs = atof(optarg); break;
        case 'w': warm = atof(optarg); break;
        case 'n': most = strtoull(optarg, NULL, 10); break;
        case 'W': port = measure_watch(optarg) ? port : 0; break;
        default: port = 0, path = NULL; break;
        }
    }
    if ((port <= 0) == (path == NULL) || nlisteners < 1 || depth < 1 || value <= NUMBER_LEN) {
        fputs("fanout -p PORT | -u PATH-PREFIX  [-c LISTENERS] [-d MESSAGES-AT-ONCE] [-v MESSAGE-BYTES] [-t SECONDS] [-w WARM-UP]\n"
              "  [-n DELIVERIES-AT-MOST] [-W NAME:PID]...\n", stderr);
        return 2;
    }
    more_descriptors();
    measure_catch_signals();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    ask = xmalloc((size_t)depth * (value + 96));
    want = xmalloc((size_t)depth * (value + 96));
    listeners = xcalloc(nlisteners, sizeof *listeners);
    for (size_t i = 0; i < nlisteners; i++) {
        join(&listeners[i], true);
    }
    join(&publisher, false);
    batch_send();
    turns(warm, 0);
    measure_begin();
    turns(secs, most);
    measure_end();
    measure_print();
    return 0;
}
