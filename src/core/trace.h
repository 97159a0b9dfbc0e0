/* trace.h: requests of which the access log wants a line (access_log_sample): what is noted of one on its way, and the ring over which
 * the finished ones go to control, which writes them.
 *
 * A worker writes its ring, control reads it; neither waits for the other. When the ring is full, or too many traced requests are in flight,
 * one is left out and counted (access_dropped). A ring exists from the moment on when the log is switched on.
 *
 * Other requests pay nothing: the mark (REQ_TRACED) is looked at together with others that are as rare. */
#ifndef KVMUX_CORE_TRACE_H
#define KVMUX_CORE_TRACE_H

#include "base/reason.h"
#include "io/addr.h"

#define TRACE_KEY_MAX  128 /* longer keys and names are cut */
#define TRACE_NAME_MAX 64
#define TRACE_RING     1024u

struct client;
struct msg;
struct req;
struct worker;

enum trace_outcome {
    TRACE_OK,
    TRACE_ERROR,   /* a server said no */
    TRACE_REFUSED, /* kvmux did, without asking one */
    TRACE_FAILED,  /* kvmux made the error: `why` */
    TRACE_LEFT,    /* the client was gone before it had its answer */
};

struct trace {
    int64_t wall_usec; /* when it was here whole */
    char pool[TRACE_NAME_MAX], server[TRACE_NAME_MAX]; /* server "": none, or several */
    char client[ADDR_TEXT_MAX];
    const char *command; /* of a row, which lives as long as control; NULL: none */
    uint8_t key[TRACE_KEY_MAX];
    uint32_t key_len; /* of the whole first key */
    uint32_t nkeys;
    uint64_t bytes_in, bytes_out;
    uint32_t total, receive, queue, at_server, order, write; /* usec */
    enum trace_outcome outcome;
    enum reason why;
};

struct trace_ring;

/* Notes one that is about to be dispatched, and marks it. half_since: as sample_dispatch takes it. */
void trace_begin(struct client *, struct req *, const struct msg *, uint32_t half_since);
/* ---- of one that is marked ---- */
void trace_sent(const struct req *);   /* written to its server, which is the last one that counts */
void trace_failed(const struct req *, enum reason);
void trace_passed(const struct req *, size_t bytes); /* the client got so much of a reply that goes on while it arrives */
/* It leaves the FIFO of its client with `bytes` of its reply, all that was not passed: it is over, and is marked no more. */
void trace_written(struct req *, size_t bytes);
void trace_left(struct req *); /* the same without an answer */

/* The configuration is there, or another one. */
void trace_derive(struct worker *);
void trace_free(struct worker *); /* nothing is in flight */

/* Control: the next finished one. False: there is none. Any worker, until it is freed. */
bool trace_take(const struct worker *, struct trace *);

#endif
