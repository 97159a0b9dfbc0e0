/* logfile.h: where log lines end up: "[YYYY-MM-DD HH:MM:SS.mmm] line", local time, one write each.
 *
 * One per process. Lines may be written by any thread, also while the file is opened anew: the descriptor keeps its
 * number. Workers normally send theirs to the control thread instead (threads.c), so that a slow disk stops nobody. */
#ifndef KVMUX_MAIN_LOGFILE_H
#define KVMUX_MAIN_LOGFILE_H

#include "base/log.h"

/* Appends to `path`, created 0644; NULL: standard error. False: errno says why. Makes itself the sink of the calling
 * thread. */
bool logfile_open(const char *path);
bool logfile_is_file(void); /* not standard error */
/* Opens the path anew (after it was renamed). False, and the old file stays in use: errno says why. */
bool logfile_reopen(void);
void logfile_close(void);
log_sink_fn logfile_write;

#endif
