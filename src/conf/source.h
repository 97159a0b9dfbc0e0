/* source.h: the files that a configuration was read from: its own, and those that it names (certificates, keys, secrets). Each with
 * what tells two states of a file apart, so that somebody can see later that one is another one now: written, replaced by a rename,
 * or behind a symbolic link that points elsewhere. Any thread. */
#ifndef KVMUX_CONF_SOURCE_H
#define KVMUX_CONF_SOURCE_H

#include "base/base.h"

struct conf_stamp {
    uint64_t v[4]; /* all 0: it is not there */
};
struct conf_source {
    char *path;
    struct conf_stamp stamp;
};
struct conf_sources {
    struct conf_source *v;
    uint32_t n;
};

/* Before the file is read, so that what happens to it meanwhile is seen. */
void sources_add(struct conf_sources *, const char *path);
struct conf_stamp source_stamp(const char *path); /* now; links are followed */
bool stamp_same(const struct conf_stamp *, const struct conf_stamp *);
bool stamp_there(const struct conf_stamp *);
void sources_fini(struct conf_sources *);

#endif
