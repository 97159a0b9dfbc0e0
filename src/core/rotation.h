/* rotation.h: a command that waits for any one of its keys (CMD_ROTATE), while they are on several servers.
 *
 * At most one destructive request is under way at a time, on a leased uplink, so one element leaves the servers at most:
 *
 *   first look   each run of neighbouring keys of one server, in the order of the keys, without waiting
 *   rounds       wait at one server, for a slice of time; then look at the others; the next round waits at the next server
 *
 * until a server has something, the command's own time is over (the client gets what a server says when nothing came) or the client leaves
 * (its lease closes). To look without waiting, the command is sent as a transaction of its own: there it never waits, and its
 * reply is the same. Each leased uplink proves first that it takes transactions. A server that is down, or not connected
 * yet, is passed over while others answer; when none does, the client gets the error. docs/blocking.md argues why this is
 * no worse than one server.
 *
 * The fan of the request owns the rotation, its one part is the request under way. One worker. */
#ifndef KVMUX_CORE_ROTATION_H
#define KVMUX_CORE_ROTATION_H

#include "core/req.h"

struct fan;
struct msg;
struct rotation;

/* False: its keys are not on several servers, and nothing was done. */
bool rotation_start(struct req *, const struct msg *);
/* The part ended. */
void rotation_heard(struct fan *);
void rotation_free(struct rotation **);

#endif
