/* diff.h: --diff OLD NEW: what is different in the second file. Starts nothing. Main thread. */
#ifndef KVMUX_MAIN_DIFF_H
#define KVMUX_MAIN_DIFF_H

#include "main/args.h"

/* To standard output. Returns the exit code: 0, 1: a file has an error (told on standard error). */
int diff_run(const struct args *);

#endif
