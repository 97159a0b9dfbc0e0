/* problem.h: collects what is wrong with a file. */
#ifndef KVMUX_CONF_PROBLEM_H
#define KVMUX_CONF_PROBLEM_H

#include "conf/conf.h"

#define PROBLEMS_MAX 1000   /* more are counted, not kept: a file of garbage must not fill the memory */
#define PROBLEM_MAX 4096    /* longest message: one names all keys. The log cuts it */
#define PROBLEM_QUOTE_MAX 80 /* longest value that a message repeats */

struct place {
    uint32_t line, column; /* both 0: the whole file */
};

void problem_error(struct conf_problems *, struct place, const char *format, ...) __attribute__((format(printf, 3, 4)));
void problem_warn(struct conf_problems *, struct place, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Into the order of the file; what concerns the whole file comes last. */
void problems_sort(struct conf_problems *);

/* A value of the file, printable and not too long. The buffer belongs to the caller. */
struct quoted {
    char text[PROBLEM_QUOTE_MAX];
};
const char *quote(struct quoted *, const char *value);

#endif
