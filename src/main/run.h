/* run.h: the life of the program: start, serve, drain, end. */
#ifndef KVMUX_MAIN_RUN_H
#define KVMUX_MAIN_RUN_H

#include "conf/conf.h"
#include "main/args.h"

/* Takes the configuration; `problems` are its warnings, and what it was read from is taken out of them. Returns the exit code. */
int run(const struct args *, struct conf **, struct conf_problems *problems);

#endif
