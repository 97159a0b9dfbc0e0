/* heal.h: requests that name a script by its digest find it at the server, although the server may have lost it.
 *
 * Each uplink knows which bodies its server got over it. Where one is missing, the request that gives it to the server goes
 * ahead in the same piece, and its reply is passed over (req.skip): so nothing is asked twice, and nothing changes its
 * place. A server that lost a body all the same (somebody else emptied it) says so: then the uplink forgets all, and
 * the request is sent again if nothing of its client is behind it, else the client gets the server's answer. One worker. */
#ifndef KVMUX_CORE_HEAL_H
#define KVMUX_CORE_HEAL_H

#include "core/fan.h"

struct buf;
struct msg;
struct pool;
struct rope;
struct uplink;

/* What a request tells us of scripts is noted: a body to remember, or that all are to be forgotten. */
void heal_note(struct pool *, const struct msg *);
/* Takes a request that names a script which is remembered, for this uplink. False: it has to go as it is. */
bool heal_send(struct uplink *, struct req *, struct buf *, const struct msg *);
/* Puts what the server needs to have the script, if it is remembered, at the end of the rope. Returns how many replies that
 * makes: 0 or 1. */
uint32_t heal_ahead(struct uplink *, struct rope *, const uint8_t digest[SCRIPT_DIGEST]);
/* A part of heal_send is moved to another uplink, unsent. */
void heal_moved(struct uplink *to, struct req *part);
/* The server does not have what it got. */
void heal_forget(struct uplink *);
/* A part ended, with its reply in the fan. True: it is sent again. */
bool heal_again(struct fan *, const struct req *part);

#endif
