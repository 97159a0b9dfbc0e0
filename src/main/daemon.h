/* daemon.h: going into the background, with a line to the shell that waits for the outcome. Main thread, before any
 * other thread is made. */
#ifndef KVMUX_MAIN_DAEMON_H
#define KVMUX_MAIN_DAEMON_H

#include "base/base.h"

/* Returns in the background process: in a session of its own, umask 0, current directory kept, standard streams on
 * /dev/null. The process that called it first does not return: it relays what daemon_tell says to its standard error, and
 * exits 0 on daemon_up, 1 if the background process ends without it. False: errno says why. */
bool daemon_start(const char *program);
/* "program: text" to standard error, or to the waiting shell. */
void daemon_tell(const char *program, const char *text);
/* The program is up: lets the shell go. Does nothing in the foreground. */
void daemon_up(void);

#endif
