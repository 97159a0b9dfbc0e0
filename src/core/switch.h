/* switch.h: another configuration takes the place of the one in use, between two turns of a worker.
 *
 * What is the same stays as it is, with its connections: pools, servers and users are known again by their ids. Servers that
 * went take no new requests, finish what they have, and end; clients of pools and users that went get what they asked for
 * and are closed; both at `drain_timeout` at the latest. Control reads the counters of this worker, so nothing that it may still
 * look at is freed before it says that it has newer views (MAIL_SEEN). One worker. */
#ifndef KVMUX_CORE_SWITCH_H
#define KVMUX_CORE_SWITCH_H

#include "core/mail.h"

struct worker;

void worker_switch(struct worker *, struct mail_conf *); /* takes what is in the mail */
/* Ends what has nothing left to do, or no time. Returns true while something is leaving. */
bool worker_reap(struct worker *);
/* What is in a mail that nobody takes: frees it and closes the listeners. */
void mail_conf_refuse(struct mail_conf *);

#endif
