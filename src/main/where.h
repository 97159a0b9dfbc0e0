/* where.h: --where: the server of each key, without starting anything. */
#ifndef KVMUX_MAIN_WHERE_H
#define KVMUX_MAIN_WHERE_H

#include "conf/conf.h"
#include "main/args.h"

/* One line per key to standard output: KEY<TAB>SERVER-NAME<TAB>ADDRESS, the key as it was given. Returns the exit code. */
int where_run(const struct args *, const struct conf *);

#endif
