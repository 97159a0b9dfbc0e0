/* syslog.h: the system's log as the place where lines go: "-o syslog:FACILITY", or "syslog:" for daemon. */
#ifndef KVMUX_MAIN_SYSLOG_H
#define KVMUX_MAIN_SYSLOG_H

#include "base/log.h"

bool syslog_named(const char *path); /* it is no path but one of these names */
bool syslog_known(const char *name); /* and the facility exists */
/* `name` is known. `program` is what lines are marked with; it must stay. */
void syslog_open(const char *name, const char *program);
void syslog_write(enum log_level, struct slice line); /* any thread */
void syslog_close(void);

#endif
