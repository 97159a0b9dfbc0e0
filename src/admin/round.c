#include "admin/round.h"

#include "admin/control_state.h"
#include "admin/request.h"

#define ROUND_USEC 5000000

void round_end(struct round *r) {
    struct request *asker = r->asker;
    r->asker = NULL;
    timer_cancel(r->control->loop, &r->timer);
    request_go_on(asker);
}

static void round_on_timer(struct timer *t) {
    struct round *r = CONTAINER_OF(t, struct round, timer);
    request_say(r->asker, 503, "a worker did not answer within %d seconds", ROUND_USEC / 1000000);
    round_end(r);
}

bool round_begin(struct round *r, struct request *asker) {
    if (r->asker != NULL) {
        request_say(asker, 503, "another list is being made: ask again");
        return false;
    }
    r->asker = asker;
    r->token++;
    request_wait(asker);
    timer_set(r->control->loop, &r->timer, loop_now(r->control->loop) + ROUND_USEC);
    return true;
}

void round_init(struct round *r, struct control *c) {
    *r = (struct round){.control = c};
    timer_init(&r->timer, round_on_timer);
}

void round_fini(struct round *r) {
    if (r->asker != NULL) {
        request_say(r->asker, 503, "the process ends");
        round_end(r);
    }
}
