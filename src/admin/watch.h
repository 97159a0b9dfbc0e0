/* watch.h: reload_on_change: looks at the file of the configuration once a second. Control thread. */
#ifndef KVMUX_ADMIN_WATCH_H
#define KVMUX_ADMIN_WATCH_H

#include "conf/conf.h"
#include "io/io.h"

struct control;

struct watch {
    struct control *control;
    struct timer timer;
    struct conf_stamp taken; /* of the file that was read last */
    struct conf_stamp seen;  /* a second ago: a file that is still written changes once more */
};

void watch_init(struct watch *, struct control *);
void watch_fini(struct watch *);
void watch_taking(struct watch *); /* the file is about to be read */
void watch_set(struct watch *);    /* the configuration in use is another one */

#endif
