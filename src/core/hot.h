/* hot.h: which keys are asked for most, and which requests and replies were the largest lately: per pool and worker, for the
 * operator. One worker.
 *
 * Keys are counted of one request in HOT_SAMPLE on the average (sample.h), of a request with many keys one of them, for all. Counts
 * are those of the last seconds (base/topk.h).
 *
 * Large requests are noted as they come, all of them. Of a large reply the key is not known any more when it is here. So where one was seen,
 * the beginnings of requests to its server are kept for a second (slowlog_want), once in ten: what is often asked for
 * has its key soon, and what comes once has the name of its command only.
 *
 * Control asks with a mail that goes from worker to worker (admin/hotkeys.c); each adds what it has. */
#ifndef KVMUX_CORE_HOT_H
#define KVMUX_CORE_HOT_H

#include "base/topk.h"
#include "core/mail.h"
#include "core/uplink.h"

#define HOT_SAMPLE 128u
/* From here on a request or reply is looked at: the size at which bytes are not copied any more. */
#define BIG_MIN ROPE_REF_MIN

struct client;
struct pool;
struct worker;

enum hot_kind {
    HOT_ALL, /* no key: what all keys of the pool have together */
    HOT_KEY,
    HOT_REQUEST, /* a big one */
    HOT_REPLY,
};

struct hot_entry {
    uint32_t pool; /* id */
    uint8_t kind;
    double per_second, error; /* ALL, KEY */
    uint64_t bytes;           /* REQUEST, REPLY */
    int64_t wall_usec;
    const struct cmd *cmd;
    struct topk_entry key; /* `count` and `error` say nothing here; len 0 with a REPLY: not known */
};

struct mail_hot {
    struct mail mail;
    uint32_t next;  /* control: the worker to be asked next */
    uint64_t token; /* control's own */
    uint32_t n;
    struct hot_entry v[];
};

void hot_count(struct pool *, const struct msg *);
void hot_big_request(struct pool *, const struct msg *, uint64_t bytes);
/* Of what the uplink got as a reply to `r`; before `r` is taken off it. */
void hot_big_reply(struct uplink *, const struct req *, uint64_t bytes);

/* Adds this worker's entries and sends it back. */
void hot_on_mail(struct worker *, struct mail_hot *); /* takes it */

void hot_derive(struct pool *); /* its configuration changed */
void hot_free(struct pool *);

#endif
