/* sim_int.h: what the files of the simulated network share: io_sim.c, sim_net.c, resolve_sim.c. */
#ifndef KVMUX_TESTS_SIM_INT_H
#define KVMUX_TESTS_SIM_INT_H

#include "sim_net.h"

#include "base/mem.h"
#include "base/rng.h"
#include "io/proxy2.h"
#include "io/resolve.h"

/* The proxy's rules of io.h, checked. */
#define SIM_RULE(cond, what)                                                                       \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            sim_fail("io.h contract broken by the caller: %s (%s:%d)", what, __FILE__, __LINE__);  \
        }                                                                                          \
    } while (0)

struct sim_bytes {
    uint8_t *p;
    size_t head, len, cap;
};
void sim_bytes_add(struct sim_bytes *, struct slice);
void sim_bytes_take(struct sim_bytes *, size_t n);

enum conn_state {
    CONN_BACKLOG,    /* a client that waits to be accepted */
    CONN_CONNECTING, /* the proxy waits for a server's answer */
    CONN_OPEN,
    CONN_DEAD,   /* on_error was called, the proxy must close */
    CONN_CLOSED, /* closed by the proxy */
};

struct sim_conn {
    struct list link; /* of sim.conns */
    enum conn_state state;
    int fd;
    struct addr addr; /* a server's, or of the listener */
    bool client;
    struct addr from;      /* a client's */
    bool header;           /* a load balancer's header is read, before anything else */
    struct proxy2 proxy2;
    struct addr proxied;   /* what it says */
    struct loop *loop;
    struct stream *stream; /* NULL before accept and after close */
    int64_t at;            /* CONN_CONNECTING: when the answer comes; -1: never */
    enum sim_answer answer;
    /* peer to proxy */
    struct sim_bytes in;
    uint64_t in_pos;       /* bytes shown so far */
    uint64_t cuts[16];     /* positions to cut at, ascending */
    uint32_t ncuts;
    bool fin, fin_seen, fin_shown; /* peer sent FIN; the loop has had the event; on_eof was called */
    enum reason reset;     /* not NONE: the connection is dead */
    size_t tail_off, tail_len; /* in stream->tail */
    bool paused, again;    /* again: show the tail without new bytes */
    bool moves;            /* on_bytes instead of on_recv */
    /* proxy to peer */
    struct sim_bytes out;
    size_t window;
    bool used; /* something was sent to the peer */
    bool want_room, shut; /* shut: the proxy sent FIN */
    bool was_cut;         /* SIM_AT: the last send was cut, the next one is not */
    bool peer_closed, peer_free;
};

struct sim_listen {
    bool used;
    int fd;
    struct addr addr;
    struct listener *listener; /* NULL: nobody accepts yet */
};

struct loop {
    struct list link; /* of sim.loops */
    struct bufpool *pool;
    int64_t now;
    int64_t wake_at; /* asked for by max_wait; INT64_MAX: none */
    struct list timers;
    struct list lookups; /* resolve_sim.c's */
    bool woken, turning;
    bool retired; /* its thread has ended: nobody turns it any more */
    uint64_t turn;
};

#define SIM_LISTENS 256

struct sim {
    bool on;
    struct sim_policy policy;
    struct rng rng;
    size_t used; /* of policy.bytes */
    int64_t now;
    uint64_t activity;
    struct list conns, loops, names;
    struct sim_servers servers;
    struct sim_listen listens[SIM_LISTENS];
    uint32_t turn_listen; /* round robin over listeners */
    int next_fd;
    const struct stream *in_recv; /* whose on_recv is running */
    const struct stream *in_bytes; /* whose on_bytes is running, until it moved something */
};
extern struct sim sim;

struct sim_conn *sim_conn_new(void);
/* Something can be told to the proxy now. */
bool sim_conn_ready(const struct sim_conn *);
bool sim_lookups_ready(const struct loop *);
void sim_lookups_run(struct loop *);
int64_t sim_lookups_next(const struct loop *);
void sim_names_free(void);
#define SIM_WALL_START 1700000000000000 /* usec since the epoch at sim time 0 */

#endif
