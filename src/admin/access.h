/* access.h: writes the access log (access_log): ten times a second what the workers have put into their rings (core/trace.h), a JSON
 * object a line. Control thread; a slow disk stops no worker. */
#ifndef KVMUX_ADMIN_ACCESS_H
#define KVMUX_ADMIN_ACCESS_H

#include "base/str.h"
#include "io/io.h"

struct control;
struct trace;

struct access_log {
    struct control *control;
    struct timer timer;
    char *path; /* of the open file; NULL: there is none */
    int fd;
    uint64_t lines, lost; /* written; that could not be, since the file failed */
};

void access_init(struct access_log *, struct control *);
/* The configuration is there, or another one: opens, or closes, what it says. A file that cannot be opened is logged. */
void access_follow(struct access_log *);
void access_reopen(struct access_log *); /* the file was renamed. When that fails the old one stays in use */
void access_write(struct access_log *);  /* what there is */
void access_fini(struct access_log *);

/* The line of one request, with its end. */
void access_line(struct str *, const struct trace *);

#endif
