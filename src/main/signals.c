#include "main/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>

static const struct signal_row rows[] = {
    {SIGTERM, "SIGTERM", SIGNAL_STOP},   {SIGINT, "SIGINT", SIGNAL_STOP},      {SIGHUP, "SIGHUP", SIGNAL_RELOAD},
    {SIGUSR1, "SIGUSR1", SIGNAL_REOPEN}, {SIGTTIN, "SIGTTIN", SIGNAL_LOUDER}, {SIGTTOU, "SIGTTOU", SIGNAL_QUIETER},
    {SIGUSR2, "SIGUSR2", SIGNAL_UPGRADE},
};

static atomic_uint caught[ARRAY_LEN(rows)];
static struct control *_Atomic target;

/* Nothing here but atomics and loop_wake: it may interrupt anything. */
static void on_signal(int number) {
    int saved = errno;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].number == number) {
            atomic_fetch_add(&caught[i], 1);
        }
    }
    struct control *control = atomic_load(&target);
    if (control != NULL) {
        control_wake(control);
    }
    errno = saved;
}

void signals_init(void) {
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&act.sa_mask);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        sigaction(rows[i].number, &act, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
}

void signals_wake(struct control *control) {
    atomic_store(&target, control);
}

const struct signal_row *signals_take(void) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (atomic_load(&caught[i]) > 0) {
            atomic_fetch_sub(&caught[i], 1);
            return &rows[i];
        }
    }
    return NULL;
}

static void mask(int how) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        sigaddset(&set, rows[i].number);
    }
    pthread_sigmask(how, &set, NULL);
}

void signals_block(void) {
    mask(SIG_BLOCK);
}

void signals_unblock(void) {
    mask(SIG_UNBLOCK);
}
