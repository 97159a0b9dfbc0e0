/* problems.h: the problems of a file on standard error, one line each: "file:line:column: text". */
#ifndef KVMUX_MAIN_PROBLEMS_H
#define KVMUX_MAIN_PROBLEMS_H

#include "conf/conf.h"

void problems_put(const char *file, const struct conf_problems *);

#endif
