/* append.h: a file that whole lines are appended to. One thread. Several processes may have the same one: each write is at its end. */
#ifndef KVMUX_IO_APPEND_H
#define KVMUX_IO_APPEND_H

#include "base/slice.h"

/* Made if it is not there (0640). Returns the descriptor; -1: `*why` says why. */
int append_open(const char *path, const char **why);
/* All of it. False: the disk is full, or the like. */
bool append_write(int fd, struct slice lines);
void append_close(int fd); /* -1 is fine */

#endif
