/* load.h: the parts of the load generator.
 *
 * A connection sends a batch of `depth` requests in one write, waits for all replies, sends the next batch: what
 * pipelining clients do. Every value begins with its own key, so a swapped, lost or torn reply shows as a mismatch. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "measure.h"

#include <sys/uio.h>

#define KEY_LEN 16
#define READ_MAX (512 * 1024)
#define CARRY_MAX 256

struct load_opts {
    int port, ports; /* connections are spread over ports port..port+ports-1, or the same with unix paths PATH0, PATH1, ... */
    const char *path;
    int conns, idle, depth, keys, set_percent;
    int txn; /* commands of a transaction; 0: no transactions */
    bool memcached, resp3, touch;
    size_t value;
    const char *prefix; /* of keys; 4 bytes */
    const uint64_t *key_list; /* `keyspace` numbers; NULL: 0..keyspace-1 */
    uint64_t keyspace, seed, max_requests;
    double secs, warm;
};
extern struct load_opts opts;

enum kind { KIND_GET, KIND_SET, KIND_MGET, KIND_TXN };

struct asked {
    uint64_t at;  /* ns */
    uint64_t rng; /* makes this request's keys again */
    enum kind kind;
};

struct conn {
    int fd; /* -1: lost */
    bool blocked;
    /* requests of this batch, and how many of them are answered */
    struct asked *asked;
    uint32_t nasked, nanswered;
    char *out;
    size_t nout;
    struct iovec *iov;
    int niov, iov_at;
    /* reply in progress */
    size_t skip;   /* payload bytes still to come, line end included */
    long elements; /* of an array still to come; -1: in no array */
    uint32_t values;
    int ahead; /* replies that came ahead of a transaction's last one */
    uint64_t rng;
    char carry[CARRY_MAX];
    size_t ncarry;
};

/* load_req.c */
void conn_init(struct conn *, int epoll, int port, int depth); /* port: which of opts.ports, from 0 */
void conn_send(struct conn *, int epoll, int n, uint64_t now); /* a batch of n requests */
void conn_flush(struct conn *, int epoll);
void conn_lost(struct conn *);
uint64_t key_next(uint64_t *rng);
void key_put(char *p, uint64_t id);
void key_put_tagged(char *p, uint64_t id, int i); /* the i-th of the keys with tag `id` */

/* load_reply.c. Takes what it can from [p, end); the first byte that it did not take. */
char *replies_parse(struct conn *, char *p, char *end);

#endif
