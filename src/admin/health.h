/* health.h: which servers are alive. Workers report failures; control counts them, ejects, probes, and lets return.
 *
 *   ALIVE ──server_failure_limit episodes──▶ EJECTED ──server_retry_timeout──▶ PROBING ──answer──▶ ALIVE
 *                                               ▲────────no answer───────────────┘
 * An operator may take a server OUT, from any state; it stays out until he returns it.
 * An episode is one event: connections that were open when the first of them failed count once, so that a server which
 * closes ten connections at a time has failed once. Control thread. */
#ifndef KVMUX_ADMIN_HEALTH_H
#define KVMUX_ADMIN_HEALTH_H

#include "base/log.h"
#include "core/mail.h"
#include "io/io.h"
#include "proto/proto.h"

struct control;

enum health_state { HEALTH_ALIVE, HEALTH_EJECTED, HEALTH_PROBING, HEALTH_OUT };

struct health {
    struct control *control;
    uint32_t pool, server;
    enum health_state state;
    uint32_t failures;       /* episodes in a row */
    int64_t failed_at;       /* the last one counted; connections opened before it tell nothing new */
    uint64_t ejected_at;     /* usec since the epoch of the last ejection; kept after the return, as nutcracker does */
    struct addr addrs[MAIL_ADDRS_MAX]; /* to probe */
    uint32_t naddrs, next_addr;
    struct tls_peer *tls;    /* of control's own connections to it; NULL: plain */
    struct timer timer;      /* EJECTED: the next probe; PROBING: its time-out */
    struct stream stream;
    struct parser parser;
    uint32_t greeting_left;
    struct log_limit log_limit;
    bool shown_failed;       /* the log's last word on this server is a failure */
};

void health_init(struct health *, struct control *, uint32_t pool, uint32_t server);
void health_fini(struct health *);
/* Its configuration changed; `moved`: it lives elsewhere now. Before the next ring is made. */
void health_changed(struct health *, bool moved);
void health_failed(struct health *, const struct mail_health *);
void health_works(struct health *, const struct mail_health *);

/* By an operator. False: it is there already. */
bool health_take_out(struct health *);
bool health_bring_back(struct health *); /* also one that was ejected for its failures, without a probe */
/* One word for people: up, failing, unresolved, ejected, probing, out. */
const char *health_word(const struct health *);

/* Whether a failure belongs to the episode that was counted last. Pure. */
bool health_same_episode(int64_t opened_at, int64_t failed_at);

#endif
