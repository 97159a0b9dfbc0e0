/* random_int.h: shared by random.c (steps, servers) and random_client.c (requests, replies). */
#ifndef KVMUX_TESTS_SIM_RANDOM_INT_H
#define KVMUX_TESTS_SIM_RANDOM_INT_H

#include "model.h"
#include "random.h"
#include "sim_net.h"

#define RND_CLIENTS 12
#define RND_SERVERS 4
#define RND_CONNS 1024 /* per server, over a whole run */
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
    WANT_WAIT,    /* 0; a client that half-closes meanwhile is closed */
    /* random_more.c */
    WANT_FINE,      /* +OK */
    WANT_FREED,     /* +OK, and nothing is watched any more */
    WANT_QUEUED,    /* of a transaction */
    WANT_EXEC,      /* n replies, of rnd_item's kinds; nothing when what was watched changed */
    WANT_WATCHED,   /* +OK, and from here on changes count */
    WANT_CHANGED,   /* +OK of a change to what is watched */
    WANT_PROFILE,   /* another database or version; id: enum rnd_change */
    WANT_PUSHED,    /* how long the list is */
    WANT_POPPED,    /* [key, element], or nothing in time; id: the key's number, n: of how many */
    WANT_SET,       /* all members of n "s:" sets */
    WANT_NO_SET,    /* none */
    WANT_PAGE,      /* of SCAN: a cursor, and the key that the pattern is */
    WANT_QUIET,     /* memcached: what n quiet requests have to say, then MN */
    WANT_CLIENTS, /* a list of clients */
    WANT_BINARY,       /* of a binary client: the answer to the request with this id; n: its opcode */
    WANT_BINARY_QUIET, /* what n quiet ones have to say, then that of the noop behind them */
    WANT_HEARD,   /* how many connections a message was given to */
};

/* A profile is two bits: the other database, version 3. */
enum rnd_change { RND_DB, RND_OTHER_DB, RND_VERSION_2, RND_VERSION_3 };
#define RND_PROFILE(other_db, version) ((uint8_t)(((other_db) ? 1 : 0) | ((version) == 3 ? 2 : 0)))

#define RND_TAGS 3
#define RND_QUEUES 4
#define RND_NEVER 0xffff /* in `txn`: must not be carried out */

struct want {
    enum want_kind kind;
    uint32_t id, n; /* of the first key, how many */
    const char *text;
    bool closes; /* the connection ends behind it */
    bool by_digest; /* of a script, which the server may not have */
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
    bool binary;    /* speaks memcached's binary protocol */
    bool slow;      /* does not read */
    bool was_slow;  /* ... at some time: may be closed for it */
    bool fin, last_sent; /* sends no more */
    bool doomed;    /* sent something that closes */
    uint8_t profile, profiles; /* the one that it has, as far as it knows; bits of all that it may have */
    uint32_t changing;         /* changes of it that are not answered */
    bool watching, changed;    /* it knows: its key is watched, and was changed since */
    bool unsure;               /* a change failed: it may have been made, also later */
    uint32_t lost_pops;        /* whose answer nobody saw; over all connections */
    char cursor[24];
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
    uint32_t cut_through; /* a client may have a part of a reply that breaks off */
    bool miss; /* multiget_failure: miss */
    const char *password;
    uint32_t nclients, nservers, workers;
    struct rnd_client clients[RND_CLIENTS];
    struct rnd_server servers[RND_SERVERS];
    uint32_t next_id;
    uint8_t executed[RND_IDS]; /* how many times a server carried out the request with this id */
    uint8_t profiles[RND_IDS]; /* on connections of which profiles that may be */
    uint8_t tag[RND_IDS];      /* of its key, 0: none */
    uint16_t txn[RND_IDS];     /* in which transaction, 0: in none */
    uint8_t queue[RND_IDS];    /* of an element: where it was pushed */
    uint8_t taken[RND_IDS];    /* of an element: how many clients got it */
    uint32_t ntxn, popped, delivered;
    uint32_t other_db, db;
    bool rotate; /* pops may name keys of several servers */
    bool owned; /* a key has one server: not `random` */
    bool reloads; /* the configuration changes meanwhile */
    const char *config; /* the first one */
    bool changes; /* clients change their profile */
    bool binary;  /* some clients speak memcached's binary protocol */
    struct rnd_listeners *listen; /* NULL: nobody listens to channels */
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
/* Requests of random_more.c: transactions, pops, profiles, gathers, pages; quiet batches. */
void rnd_more_ask(struct rnd *, struct rnd_client *);
void rnd_more_ask_quiet(struct rnd *, struct rnd_client *);
/* Requests of random_script.c: commands as scripts, WAIT. */
void rnd_script_ask(struct rnd *, struct rnd_client *);

/* Requests of random_clients.c: about clients. */
void rnd_clients_ask(struct rnd_client *);

/* Clients that listen to channels, and what they must hear (random_listen.c). All are fine when there are none. */
struct rng;
void rnd_listen_begin(struct rnd *, struct rng *);
bool rnd_listen_step(struct rnd *); /* false: nothing was done */
void rnd_listen_read(struct rnd *);
void rnd_listen_heal(struct rnd *);
void rnd_listen_check(struct rnd *); /* all is well again: everything that is published is heard */
void rnd_listen_end(struct rnd *);
uint32_t rnd_listen_publish(void *rnd, struct model *, struct slice channel, struct slice payload);
bool rnd_listen_refuses(void *rnd);

/* Binary clients (random_binary.c). */
void rnd_binary_ask(struct rnd *, struct rnd_client *);

/* For these files: making a request. */
void rnd_make_bytes(struct rnd_client *, struct slice);
void rnd_make(struct rnd_client *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void rnd_make_command(struct rnd_client *, const char *name, uint32_t args);
void rnd_make_arg(struct rnd_client *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct want *rnd_want(struct rnd_client *, enum want_kind, uint32_t id, uint32_t n);
uint32_t rnd_ids(struct rnd *, struct rnd_client *, uint32_t n); /* the first of n new ones */

/* ... and judging the reply. */
enum got { GOT_MORE, GOT_GOOD, GOT_WRONG };
struct reader {
    struct slice in;
    size_t pos;
};
bool rnd_line(struct reader *, struct slice *line);
enum got rnd_text(struct reader *, const char *);
enum got rnd_bulk(struct rnd *, struct reader *, uint32_t id); /* "$N\r\n...\r\n" with the value of this id */
bool rnd_value_is(struct rnd *, uint32_t id, struct slice);
enum got rnd_more_judge(struct rnd *, struct rnd_client *, struct reader *, const struct want *);
enum got rnd_clients_judge(struct reader *, uint32_t n);
enum got rnd_binary_judge(struct rnd *, struct reader *, const struct want *);
enum got rnd_listen_judge(struct rnd *, struct reader *, const struct want *);
/* The answer is an error, or the client has gone. */
void rnd_more_failed(struct rnd_client *, const struct want *);
static inline uint32_t rnd_client_waiting(const struct rnd_client *c) {
    return c->last - c->first;
}

/* random_reload.c: another configuration, or the first one again. */
void rnd_reload(struct rnd *, bool first);

#endif
