/* random_int.h: shared by random.c (steps, servers) and random_client.c (requests, replies). */
#ifndef KVMUX_TESTS_SIM_RANDOM_INT_H
#define KVMUX_TESTS_SIM_RANDOM_INT_H

#include "model.h"
#include "random.h"
#include "sim_net.h"

#define RND_CLIENTS 12
#define RND_SERVERS 4
#define RND_CONNS 256 /* per server, over a whole run */
#define RND_EXPECT 4096
#define RND_IDS 65536

enum want_kind {
    WANT_VALUE,   /* get of one "u:" key */
    WANT_VALUES,  /* get of several */
    WANT_OK,      /* set, mset */
    WANT_COUNT,   /* del, exists of several "u:" keys: all count */
    WANT_ONE,     /* incr of a fresh key: 1, so a second execution shows */
    WANT_TEXT,    /* exactly this */
    WANT_ERROR,   /* any error line */
    WANT_DELETED, /* memcached delete */
    WANT_SEQ_SET, /* set of this client's own key to id: 1, 2, 3, ... */
    WANT_SEQ_GET, /* get of it: the last one that was set */
};

struct want {
    enum want_kind kind;
    uint32_t id, n; /* of the first key, how many */
    const char *text;
    bool closes; /* the connection ends behind it */
};

struct rnd_client {
    struct sim_conn *conn;
    uint32_t serial;
    struct want wants[RND_EXPECT];
    uint32_t first, last;  /* ring of wants */
    uint32_t seq, seq_ok;  /* last asked for, last that is known to be set */
    bool seq_failed[256];  /* got an error: may have been set, even later than others */
    uint8_t *out;          /* made and not sent yet */
    size_t out_len, out_off;
    bool slow;      /* does not read */
    bool was_slow;  /* ... at some time: may be closed for it */
    bool fin, last_sent; /* sends no more */
    bool doomed;    /* sent something that closes */
};

struct rnd_server {
    struct addr addr;
    struct model *model;
    enum sim_answer answer;
    int64_t delay;
    bool stalled;
    uint32_t n;
    struct sim_conn *conns[RND_CONNS];
    struct model_conn states[RND_CONNS];
    bool broken[RND_CONNS]; /* what it sent is not whole: it must not serve any more */
};

struct rnd {
    bool memcached, verbose, healthy; /* healthy: no faults any more, errors are not accepted */
    bool limits_clients; /* client_connections is small */
    bool fixed; /* keys never move to other servers */
    bool calm;  /* faults are rare */
    bool names; /* servers are known by name */
    bool tight; /* client_buffer_limit is small */
    bool miss; /* multiget_failure: miss */
    const char *password;
    uint32_t nclients, nservers, workers;
    struct rnd_client clients[RND_CLIENTS];
    struct rnd_server servers[RND_SERVERS];
    uint32_t next_id;
    uint8_t executed[RND_IDS]; /* how many times a server carried out the request with this id */
    struct world *world;
    struct random_sum sum;
};

/* "u:ID:LEN": the length follows from the id. */
size_t rnd_key(const struct rnd *, uint32_t id, char *to, size_t room);
void rnd_client_open(struct rnd *, struct rnd_client *);
/* Makes one more request and remembers what must come back. */
void rnd_client_ask(struct rnd *, struct rnd_client *);
void rnd_client_send(struct rnd *, struct rnd_client *, size_t n); /* so many of the bytes that are made */
/* Reads and judges what arrived; forgets a connection that ended as it may. */
void rnd_client_read(struct rnd *, struct rnd_client *);
void rnd_client_drop(struct rnd_client *); /* forgets connection and wants */
static inline uint32_t rnd_client_waiting(const struct rnd_client *c) {
    return c->last - c->first;
}

#endif
