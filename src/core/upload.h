/* upload.h: a large request goes on to its server while it arrives, on a connection of its own.
 *
 *   waits its turn ─▶ head queued ─▶ passes on ─▶ whole ─▶ answered
 *        └───────────────┴──────────────┴─ answered early ─▶ the rest is thrown away
 *
 * A client has one at most, and is not read behind it until it is answered, which lease_settle tells. What waits for its turn is in
 * server->uploads. The leased uplink (lease.h) is of a kind of its own, `server_uploads` of them to one server; a client that watches
 * keys of that server uses the lease it has. An uplink that has a part of a request whose rest will not come is closed. One worker. */
#ifndef KVMUX_CORE_UPLOAD_H
#define KVMUX_CORE_UPLOAD_H

#include "proto/proto.h"

struct client;
struct lease;
struct req;
struct stream;
struct upload;

/* After MORE: may the request that `in` begins with go on while it arrives? True: the message is its head, and the parser is behind
 * what it passes. Otherwise nothing happened. */
bool upload_offered(struct client *, struct slice in, struct msg *);
/* That head is about to be dispatched; what follows it is for upload_recv. */
void upload_begin(struct client *, const struct msg *);
/* Bytes that follow. Returns how many were taken; when it took none it needs more, or the client is paused. BAD: the protocol is
 * broken (the message has the answer), and there is no upload any more. */
size_t upload_recv(struct client *, struct slice in, enum parse_rc *);
/* Bytes that follow can be moved to the server without being received here (io.h). */
void upload_on_bytes(struct stream *);
/* ROUTE_LARGE */
void upload_take(struct req *, struct buf *, const struct msg *);
/* What the lease's uplink was given is written, as far as its socket had room. */
void upload_flushed(struct lease *);
/* The request was answered. */
void upload_settle(struct client *);
/* Nothing more of a request is wanted that is not here whole: it is not answered. Fine when there is none. */
void upload_cut(struct client *);
/* The client left. */
void upload_drop(struct client *);

#endif
