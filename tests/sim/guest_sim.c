#include "sim_int.h"

/* HTTP is a library's matter, with sockets of its own: the simulator has none. */
void listener_take(struct listener *ln, int fd, struct addr *peer) {
    sim_fail("listener_take");
}

void listener_hang_up(int fd) {
    sim_fail("listener_hang_up");
}

bool guest_start(struct loop *l, struct guest *w, int fd, guest_fn *fn) {
    sim_fail("guest_start");
    return false;
}

void guest_end(struct guest *w) {
    SIM_RULE(w->loop == NULL, "guest_end of what was never started");
}
