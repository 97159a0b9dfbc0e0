/* fan.h: one client request that became several, and their way back to one reply. One worker. */
#ifndef KVMUX_CORE_FAN_H
#define KVMUX_CORE_FAN_H

#include "core/req.h"
#include "proto/proto.h"

struct lease;
struct msg;
struct rotation;
struct server;
struct session;
struct worker;

struct fan_part {
    struct req *req;     /* NULL once it ended */
    struct rope reply;
    enum reason failed;
    bool error; /* the server said no */
    struct lease *lease; /* of a part that has an uplink of its own (apart.h) */
};

struct fan {
    struct req *whole; /* NULL: the client left */
    uint32_t nparts, pending;
    uint32_t nkeys;
    struct session *next; /* of a change of profile (greet.h): what the client becomes when all agree; else NULL */
    bool proof;           /* of transactions (txn.h) */
    struct rotation *rotation; /* its one part is asked again and again (rotation.h); else NULL */
    struct server *server; /* of a request that counts on a script (heal.h): where it goes; else NULL */
    uint8_t digest[SCRIPT_DIGEST]; /* ... names the script */
    bool healed;                   /* ... it was sent again */
    bool apart;            /* its parts have uplinks of their own (apart.h), ... */
    bool waits;            /* ... for as long as they say themselves, ... */
    bool marks;            /* ... behind a probe */
    bool lenient;          /* parts that failed do not count, unless all did */
    uint32_t walk_place, walk_next; /* of a walk: ids of the server that was asked and of the one behind it */
    size_t bytes;                   /* of the replies so far */
    struct rope request;            /* what fan_in.request says */
    uint64_t deeds;                 /* MERGE_SURVEY (survey.h) */
    uint16_t *owner; /* part of each key, in request order; NULL: the parts have no keys of their own */
    struct fan_part parts[];
};

/* Groups the keys of a request by server and sends each server its part (with CMD_EACH, each key's server its key); one
 * server: the request goes untouched. */
void fan_split(struct req *, struct buf *, const struct msg *);
/* Sends the request to the one server of its key; the reply is translated. */
void fan_one(struct req *, struct buf *, const struct msg *);
/* Sends the whole request to every server. */
void fan_all(struct req *, struct buf *, const struct msg *);
/* Sends it to the one server that msg->walk names. */
void fan_walk(struct req *, struct buf *, const struct msg *);

uint32_t *fan_scratch(struct worker *, uint32_t n); /* room for n numbers, until the next call */
/* The servers of all keys: owners[i] becomes the number of key i's group, servers[g] the server of a group; groups are in
 * the order of their first keys. Returns their number; 0: there are no servers. */
uint32_t fan_group(struct pool *, const struct msg *, uint32_t *owners, uint32_t *servers);

/* For those who send something of their own to several servers: `nparts` parts, each to be made and queued by the caller. */
struct fan *fan_new(struct req *whole, uint32_t nparts, uint32_t nkeys);
struct req *fan_part_new(struct fan *, uint32_t part);

void fan_free(struct fan *); /* no part is under way */
bool fan_has_room(const struct req *part, size_t size); /* for a reply of that size, or gather_limit is exceeded */
void fan_part_done(struct req *part);
void fan_part_fail(struct req *part, enum reason);
void fan_abandon(struct fan *); /* the client left: replies are dropped as they come */

#endif
