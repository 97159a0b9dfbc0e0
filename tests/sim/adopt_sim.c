/* adopt_sim.c: in place of io/adopt.c and of what io/listen.c takes from others. There is one simulated program: nobody hands it
 * anything, and nobody takes what it has. */
#include "sim_int.h"

int stream_detach(struct stream *s) {
    return -1;
}

void stream_adopt(struct loop *loop, int fd, struct stream *s, const struct stream_ops *ops, struct slice unread) {
    sim_fail("stream_adopt of a descriptor that nobody had");
}

void stream_comes_from(struct stream *s, const struct addr *from) {
    sim_fail("stream_comes_from of a stream that was not adopted");
}

bool listen_adopt(int fd, struct addr *a) {
    return false;
}

int listen_again(int fd) {
    return -1;
}
