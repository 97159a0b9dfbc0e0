/* window.c: how many requests a client may have in flight: as many as will probably fill client_buffer with their replies. */
#include "core/client.h"

#include "core/worker_state.h"

/* A client of whose replies nothing is known yet may have so many requests in flight, or what fills client_buffer with
 * replies of this size. Few clients send more at once. */
#define WINDOW_FIRST 64
#define REPLY_FIRST 16384
/* Any client may have so many: one reply is written while the next one comes. */
#define WINDOW_MIN 2
/* After a very large reply, so many requests are asked one at a time and apart, in case there is another one. */
#define LARGE_FOR 16

/* Out of line, both: inlined they would cost registers in the functions that every request runs through. */
__attribute__((noinline)) uint32_t client_first_window(const struct conf_pool *conf) {
    size_t fit = max_size((size_t)conf->client_buffer / REPLY_FIRST, WINDOW_MIN);
    return (uint32_t)min_size(min_size(fit, WINDOW_FIRST), (size_t)conf->client_max_requests);
}

/* The window follows the mean. One large reply among small ones halves it, since what is behind it was small; the next small
 * ones open it again, but only for a client that has more to ask. */
__attribute__((noinline)) void client_learn(struct client *c, size_t bytes, uint32_t n) {
    const struct conf_pool *conf = c->pool->conf;
    uint64_t room = (uint64_t)conf->client_buffer, most = (uint64_t)conf->client_max_requests, window = c->window;
    uint64_t least = c->large > 0 ? 1 : WINDOW_MIN;
    if (bytes * window > room * max_size(n, 1)) {
        window = max_size(window / 2, max_size(room * max_size(n, 1) / bytes, least));
    } else if (stream_paused(&c->stream) && bytes * (window + n) <= room * n) {
        window += n;
    }
    c->window = (uint32_t)min_size(window, most);
}

void client_large(struct client *c) {
    c->large = LARGE_FOR;
    c->window = 1;
}
