/* scripts.h: the bodies of scripts that a pool has seen, so that a server that does not have one gets it (heal.h).
 *
 * Each worker has a table of its own, bounded by the pool's script_cache; what was not used for longest goes first. A body
 * that one worker sees for the first time is told to control, which tells all the others. How a body is named is the
 * codec's business. One worker. */
#ifndef KVMUX_CORE_SCRIPTS_H
#define KVMUX_CORE_SCRIPTS_H

#include "base/list.h"
#include "proto/proto.h"

struct mail_script;
struct pool;

struct script {
    struct list link;                 /* of scripts.used */
    struct script *by_digest, *by_hash; /* the next one in the same bucket */
    uint64_t hash;                    /* of the body: cheap, to know one again */
    uint32_t slot;                    /* place in uplink.loaded */
    uint32_t serial;                  /* never 0; another one for each body that had the slot */
    uint32_t len;
    uint8_t digest[SCRIPT_DIGEST];
    uint8_t body[];
};

struct scripts {
    struct pool *pool;
    struct list used;           /* the one used last is at the end */
    struct script **by_digest;  /* nbuckets each */
    struct script **by_hash;
    uint32_t nbuckets, n;
    uint32_t *slots;            /* free ones */
    uint32_t nslots, slots_cap;
    uint32_t next_slot, next_serial;
    size_t bytes;               /* bodies and what they cost beside */
    size_t telling;             /* bytes that control has not sent back yet */
};

void scripts_init(struct scripts *, struct pool *);
void scripts_fini(struct scripts *);
/* A request brought this body: remembered, unless it is too large, and told to the other workers. */
void scripts_learn(struct scripts *, struct slice body);
/* Another worker learned it, or our own came back. */
void scripts_told(struct scripts *, const struct mail_script *);
/* NULL: not remembered. It counts as used now. Whoever needs it later asks again then: nobody keeps a body that the table
 * has let go. */
struct script *scripts_find(struct scripts *, const uint8_t digest[SCRIPT_DIGEST]);
/* Servers are to forget all: so does every worker. */
void scripts_forget(struct scripts *);
void scripts_clear(struct scripts *);
void scripts_shrink(struct scripts *); /* script_cache may be smaller now */

static inline struct slice script_body(const struct script *s) {
    return slice(s->body, s->len);
}

#endif
