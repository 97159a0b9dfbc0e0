/* threads.h: control in the calling thread, each worker in one of its own. With upgrade.c the only place that makes threads. */
#ifndef KVMUX_MAIN_THREADS_H
#define KVMUX_MAIN_THREADS_H

#include "admin/control.h"

struct threads_opts {
    struct conf *conf;
    struct conf_sources *sources; /* what it was read from; taken over */
    unsigned workers;
    const struct addr *stats; /* as bound; outlives the threads */
    struct http_opts admin;
    const char *hostname;
    struct listeners *listeners; /* opened; outlive the threads */
    uint64_t first_client;       /* no client gets a lower id */
};

struct threads;
/* Control and workers, with their listeners; nothing runs yet. NULL: no descriptors. */
struct threads *threads_new(const struct threads_opts *);
/* Lets the workers run. False: errno says why; those that run already are stopped by threads_free. */
bool threads_start(struct threads *);
struct control *threads_control(struct threads *);
/* Of a worker, for those that come over; `n` is any number. */
struct mailbox *threads_mailbox(struct threads *, uint32_t n);
/* No client ever got one as high, nor will for long: where a successor begins. */
uint64_t threads_next_client(const struct threads *);
/* Workers close everything without waiting. */
void threads_stop(struct threads *);
/* Waits for the workers, which must have been told to stop or to drain. */
void threads_free(struct threads **);

#endif
