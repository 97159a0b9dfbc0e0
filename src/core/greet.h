/* greet.h: a client changes its profile (another database, version of the protocol, or user): the servers are asked first.
 *
 * Every server of the pool gets a probe over an uplink of the new profile. When none of them refuses the greeting, the
 * client's session changes and it gets the answer that the codec made; else its session stays as it was and it gets an
 * error. What the servers agreed to once is remembered. Meanwhile the client is not read, so
 * that no later request overtakes. One worker. */
#ifndef KVMUX_CORE_GREET_H
#define KVMUX_CORE_GREET_H

#include "core/fan.h"
#include "proto/proto.h"

/* `bytes` of the request hold the answer for the case that all goes well; takes `next`. */
void greet_start(struct req *, const struct session *next);
/* The client left before the servers agreed. */
void greet_forget(struct fan *);
/* Frees what the client said about itself. */
void session_texts_free(struct session *);
/* The last part of such a fan ended. `whole` is not NULL. */
void greet_done(struct fan *);

#endif
