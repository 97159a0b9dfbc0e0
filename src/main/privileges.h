/* privileges.h: as whom the process goes on once everything that needs root is open: `user` and `group` of the configuration. */
#ifndef KVMUX_MAIN_PRIVILEGES_H
#define KVMUX_MAIN_PRIVILEGES_H

#include "conf/conf.h"

/* Whether there are such a user and group. False: `why` says which is not. Main thread. */
bool privileges_check(const struct conf *, char *why, size_t room);
/* Gives them up for good, supplementary groups and all; log, access log and pid file become the user's. Does nothing when no user is named, or when
 * the process is that user already, as a successor is. False: `why`. Before there are other threads. */
bool privileges_drop(const struct conf *, char *why, size_t room);

#endif
