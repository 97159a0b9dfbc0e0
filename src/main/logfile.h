/* logfile.h: where log lines end up: a file, standard error, or syslog (syslog.h); as text, "[YYYY-MM-DD HH:MM:SS.mmm] line" in local
 * time, or as JSON (admin/log_json.h). One write each; syslog has a clock of its own.
 *
 * One per process. Lines may be written by any thread, also while the file is opened anew: the descriptor keeps its
 * number. Workers normally send theirs to the control thread instead (threads.c), so that a slow disk stops nobody. */
#ifndef KVMUX_MAIN_LOGFILE_H
#define KVMUX_MAIN_LOGFILE_H

#include "base/log.h"
#include "main/args.h"

/* As the options say: a file is appended to, created 0644. False: errno says why. Makes itself the sink of the calling
 * thread. */
bool logfile_open(const struct args *);
bool logfile_is_file(void); /* not standard error */
int logfile_fd(void);       /* of a file; -1: standard error, or syslog */
/* Opens the path anew (after it was renamed). False, and the old file stays in use: errno says why. */
bool logfile_reopen(void);
void logfile_close(void);
log_sink_fn logfile_write;

#endif
