/* watch.h: reload_on_change: looks once a second at the file of the configuration and at those that it names. Control thread. */
#ifndef KVMUX_ADMIN_WATCH_H
#define KVMUX_ADMIN_WATCH_H

#include "conf/conf.h"
#include "io/io.h"

struct control;

struct watch {
    struct control *control;
    struct timer timer;
    struct conf_sources taken; /* the files that were read last, also when nothing came of it */
    struct conf_stamp *seen;   /* of each, a second ago: a file that is still written changes once more */
};

/* `read`: what the configuration in use was read from. It is taken over, and left empty; so it is by watch_taken. NULL: no files. */
void watch_init(struct watch *, struct control *, struct conf_sources *read);
void watch_fini(struct watch *);
void watch_taken(struct watch *, struct conf_sources *read); /* they were read again */
void watch_set(struct watch *);                              /* the configuration in use is another one */

#endif
