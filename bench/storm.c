/* storm: opens so many connections a second to a Redis port on loopback; each asks for one key, gets it, and goes. Runs until the time is
 * over or it is told to stop, and then prints one JSON object. */
#include "measure.h"

#include <getopt.h>
#include <sys/epoll.h>
#include <unistd.h>

#define OPEN_MAX_ 4000
#define EVENTS_MAX 1024

static int epoll, port;
static uint64_t opened, answered, failed, open_now;
static const char ask[] = "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n";

static void leave(int fd, uint64_t *count) {
    close(fd);
    (*count)++;
    open_now--;
}

static void come(void) {
    union address a;
    socklen_t n = address_of(&a, NULL, port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct epoll_event ev = {.events = EPOLLOUT, .data.fd = fd};
    opened++;
    open_now++;
    if (fd < 0 || (connect(fd, &a.any, n) < 0 && errno != EINPROGRESS) || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
        leave(fd, &failed);
    }
}

static void on_event(int fd, uint32_t events) {
    char in[4096];
    if (events & EPOLLOUT) {
        struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
        if (send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) != (ssize_t)(sizeof ask - 1) || epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &ev) < 0) {
            leave(fd, &failed);
        }
        return;
    }
    ssize_t n = read(fd, in, sizeof in); /* values are small: the reply comes whole */
    leave(fd, n > 0 && in[0] == '$' ? &answered : &failed);
}

int main(int argc, char **argv) {
    double rate = 5000, secs = 1;
    for (int ch; (ch = getopt(argc, argv, "p:R:t:")) != -1;) {
        switch (ch) {
        case 'p': port = atoi(optarg); break;
        case 'R': rate = atof(optarg); break;
        case 't': secs = atof(optarg); break;
        default: port = 0; break;
        }
    }
    if (port <= 0 || rate <= 0) {
        fputs("storm -p PORT [-R CONNECTIONS-A-SECOND] [-t SECONDS]\n", stderr);
        return 2;
    }
    more_descriptors();
    measure_catch_signals();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    static struct epoll_event evs[EVENTS_MAX];
    uint64_t began = now_ns(), now = began;
    double passed = 0;
    for (; passed < secs && !measure_stop; now = now_ns(), passed = (double)(now - began) / 1e9) {
        while ((double)opened < passed * rate && open_now < OPEN_MAX_) {
            come();
        }
        int n = epoll_wait(epoll, evs, EVENTS_MAX, 1);
        for (int i = 0; i < n; i++) {
            on_event(evs[i].data.fd, evs[i].events);
        }
    }
    printf("{\"n\":%ju,\"rps\":%.1f,\"errors\":%ju}\n", (uintmax_t)answered, (double)answered / passed, (uintmax_t)failed);
    return 0;
}
