/* pidfile.h: a file with our process id: decimal, no newline, mode 0644, locked while we live. One per process. */
#ifndef KVMUX_MAIN_PIDFILE_H
#define KVMUX_MAIN_PIDFILE_H

#include "base/base.h"

/* False: `why` says why, also when another living process holds the file. A left-over file is taken over. */
bool pidfile_open(const char *path, char *why, size_t room);
/* The same file, open and locked by the one whose successor we are: takes `fd`. What is in it stays until pidfile_write. False: it is
 * another file, and the descriptor is closed. */
bool pidfile_adopt(const char *path, int fd);
bool pidfile_write(void); /* false: errno says why */
int pidfile_fd(void);     /* -1: there is none */
void pidfile_leave(void); /* the file is our successor's */
/* Removes the file, unless somebody else has put another one in its place. Fine when there is none. */
void pidfile_close(void);

#endif
