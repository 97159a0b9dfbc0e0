/* sim_net.h: the simulated world outside of the proxy: virtual time, connections as byte pipes, and the policy that
 * decides how bytes are cut, how much a write takes and in which order things happen.
 *
 * io_sim.c implements src/io/io.h on top of it; scripted clients and servers ("peers") use the functions here. One
 * thread, one world at a time; every decision comes from sim_below, so a seed (or a fuzzer's bytes) repeats a run. */
#ifndef KVMUX_TESTS_SIM_NET_H
#define KVMUX_TESTS_SIM_NET_H

#include "io/io.h"

enum sim_cut {
    SIM_WHOLE,  /* everything that is there */
    SIM_BYTE,   /* one byte a turn */
    SIM_AT,     /* what a peer sends in one go (or the first write of a turn): cut after `at` bytes */
    SIM_RANDOM, /* any piece */
};

struct sim_policy {
    enum sim_cut recv, send;
    size_t recv_at, send_at;
    bool shuffle;      /* order of events among streams and loops, and some of them a turn later */
    bool reset_drops;  /* a reset may take the bytes before it along (as TCP may); else they are shown first */
    bool copies;       /* nothing is moved from one stream to another (stream_can_move): no descriptors for it */
    uint64_t seed;     /* of sim_below */
    struct slice bytes; /* decisions are taken from here first (fuzzer) */
};

/* Starts a world at time `start` usec; ends it: everything of the proxy must be closed by then. */
void sim_begin(const struct sim_policy *);
void sim_end(void);
uint32_t sim_below(uint32_t n); /* a decision: 0 .. n-1 */
bool sim_bytes_left(void);      /* the fuzzer's bytes are not used up */

int64_t sim_now(void);
void sim_set_now(int64_t usec);
/* Something can happen now, without time going on. */
bool sim_busy(void);
/* When the next timer, connect or lookup is due; INT64_MAX: never. */
int64_t sim_next(void);
/* Counts everything that happened (callbacks, accepts): unchanged over a round means that nobody moved. */
uint64_t sim_activity(void);
/* Frees connections that both sides have let go. Outside loop_turn. */
void sim_reap(void);

/* ---- peers ---- */

struct sim_conn;

/* SIM_ABSENT: refused within stream_connect, as by a unix socket that is not there. */
enum sim_answer { SIM_ACCEPT, SIM_REFUSE, SIM_ABSENT, SIM_SILENT };
struct sim_servers {
    /* The proxy connects to `addr`. *delay: usec until the answer. */
    enum sim_answer (*on_connect)(void *ctx, const struct addr *, int64_t *delay);
    /* The connection is up, at the peer's side: it may send at once. */
    void (*on_open)(void *ctx, const struct addr *, struct sim_conn *);
    void *ctx;
};
void sim_set_servers(const struct sim_servers *);

/* A client of the proxy. `listener`: which of the loops that share the address; -1: in turn. NULL: nobody listens. */
struct sim_conn *sim_connect(const struct addr *, int listener);
/* Before the proxy has accepted it: it comes from this IP address instead of 127.0.0.1. */
void sim_peer_from(struct sim_conn *, const char *host);
void sim_peer_send(struct sim_conn *, struct slice);
void sim_peer_fin(struct sim_conn *);               /* no more bytes from this peer; it still reads */
void sim_peer_reset(struct sim_conn *);
void sim_peer_close(struct sim_conn *);             /* close(2): FIN, or a reset when bytes are unread; and what the proxy sends from now on makes one */
struct slice sim_peer_in(const struct sim_conn *);  /* received and not taken */
void sim_peer_take(struct sim_conn *, size_t n);
void sim_peer_lose(struct sim_conn *);              /* some of what it sent last and nobody has seen was never sent */
bool sim_peer_eof(const struct sim_conn *);         /* the proxy will send no more: FIN, close or reset */
bool sim_peer_gone(const struct sim_conn *);        /* the proxy has closed its end altogether */
void sim_peer_window(struct sim_conn *, size_t);    /* how many bytes may wait for this peer before sends are short */
size_t sim_peer_unread(const struct sim_conn *);    /* bytes sent by this peer that the proxy has not been shown */
void sim_peer_free(struct sim_conn **);             /* the script lets go: closed if it was not */

/* ---- names ---- */

/* What a look-up of this name answers from now on: `n` addresses; 0: it fails. */
void sim_name(const char *name, const struct addr *, unsigned n, uint32_t ttl_sec);
void sim_name_pending(const char *name); /* look-ups stay without an answer until the next sim_name */

/* Which test is running: printed with every failure. */
void sim_title(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *sim_title_get(void);
_Noreturn void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
