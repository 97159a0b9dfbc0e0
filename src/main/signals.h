/* signals.h: signals become flags and a wake-up of the control thread. Main thread. */
#ifndef KVMUX_MAIN_SIGNALS_H
#define KVMUX_MAIN_SIGNALS_H

#include "admin/control.h"

enum signal_action {
    SIGNAL_STOP,    /* drain; the second time: at once */
    SIGNAL_RELOAD,  /* the configuration; run as nutcracker only the log */
    SIGNAL_REOPEN,  /* the log */
    SIGNAL_LOUDER,  /* log level + 1 */
    SIGNAL_QUIETER, /* log level - 1 */
    SIGNAL_UPGRADE, /* the program itself */
};

struct signal_row {
    int number;
    const char *name;
    enum signal_action action;
};

void signals_init(void);
/* Whom to wake; NULL: nobody. What came before is still pending: take it after this call. */
void signals_wake(struct control *);
/* The next signal that came; NULL: none. Each is returned as often as it was caught. */
const struct signal_row *signals_take(void);
/* Around the making of threads: they must not be the ones that are interrupted. */
void signals_block(void);
void signals_unblock(void);

#endif
