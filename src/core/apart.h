/* apart.h: a request that goes to several servers on connections apart from the shared ones: because it must pass what these
 * wait for, or because it waits itself for as long as it says.
 *
 * Each part has a leased uplink until it ends, which is free for others afterwards. Nothing later of the client is looked at
 * meanwhile. When the client leaves, or a part is late, its uplink closes, so that no late reply is found by somebody else.
 * One worker. */
#ifndef KVMUX_CORE_APART_H
#define KVMUX_CORE_APART_H

#include "core/fan.h"

struct buf;
struct msg;

/* To every server (ROUTE_ALL and CMD_APART). */
void apart_all(struct req *, struct buf *, const struct msg *);
/* To the servers that the client wrote through (ROUTE_WRITTEN), behind a request that tells each of them to count all that was
 * written up to now; to all of them when it wrote nothing. It may take as long as it says, whatever the pool's timeout. */
void apart_written(struct req *, struct buf *, const struct msg *);
/* A part ended; its uplink is free. */
void apart_part_ended(struct fan *, const struct req *part);
/* The last part of a fan ended: its client goes on. */
void apart_done(struct fan *);
/* The client left. */
void apart_abandon(struct fan *);

#endif
