/* notify.h: what a service manager is told (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names; nothing without it.
 * Main thread. */
#ifndef KVMUX_MAIN_NOTIFY_H
#define KVMUX_MAIN_NOTIFY_H

#include "base/base.h"

/* And that we are the main process: after an upgrade we are another one. `status` is a line for people. */
void notify_serving(const char *status);
void notify_reloading(void); /* until notify_serving */
void notify_stopping(int64_t msec); /* ... which takes so long at most: the manager is to wait for it */

#endif
