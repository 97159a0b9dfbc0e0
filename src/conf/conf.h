/* conf.h: the configuration as one immutable snapshot. Built whole or not at all; counted; shared by all threads.
 *
 * Keys are rows of keys_global.def and keys_pool.def: the row makes the struct member here, the parser, the checks, the
 * "did you mean", the reference in docs/configuration.md and the man page. */
#ifndef KVMUX_CONF_CONF_H
#define KVMUX_CONF_CONF_H

#include "base/slice.h"
#include "conf/source.h"
#include "io/addr.h"
#include "io/network.h"
#include "io/tls.h"
#include "proto/proto.h"
#include "route/ring.h"

struct str;

enum failure { FAILURE_ERROR, FAILURE_MISS };
enum cross { CROSS_GATHER, CROSS_ERROR, CROSS_FIRST };
enum flush { FLUSH_ALLOW, FLUSH_DENY };
enum blocking { BLOCKING_ERROR, BLOCKING_ROTATE };
enum server_verify { SERVER_VERIFY_FULL, SERVER_VERIFY_CA, SERVER_VERIFY_NONE };
enum lost { LOST_ERROR, LOST_CLOSE };

struct conf_server {
    uint32_t id;      /* of the process: see conf_inherit */
    char *name;       /* what is hashed and shown (compat part 4.1) */
    char *host;       /* as written; NULL for a unix socket */
    uint16_t port;
    char *address;    /* "host:port" or the path, for people */
    struct addr addr; /* len 0: a name, to be resolved */
    uint32_t weight;
    uint32_t line;
};

struct conf_listen {
    char *text;       /* as written */
    char *host;       /* NULL for a unix socket */
    uint16_t port;
    struct addr addr; /* resolved when the file is read: a name that does not resolve is an error of the file */
    unsigned unix_mode;
    uint32_t line, column;
    bool tls;
};

/* What the files hold that the keys name, as it was when the configuration was read. NULL: none. */
struct conf_pem {
    char *certificate, *key, *ca;
    int64_t expires; /* when the certificate does, usec since the epoch; 0: there is none */
};

#define CONF_INT int64_t
#define CONF_MSEC int64_t
#define CONF_BYTES int64_t
#define CONF_BOOL bool
#define CONF_STRING char *
#define CONF_SECRET char *
#define CONF_PATH char *
#define CONF_NETWORKS struct networks *
#define CONF_ENUM_HASH enum hash
#define CONF_ENUM_DIST enum dist
#define CONF_ENUM_FAILURE enum failure
#define CONF_ENUM_CROSS enum cross
#define CONF_ENUM_FLUSH enum flush
#define CONF_ENUM_BLOCKING enum blocking
#define CONF_ENUM_LOST enum lost
#define CONF_ENUM_CLIENT_CERTIFICATES enum tls_verify
#define CONF_ENUM_SERVER_VERIFY enum server_verify
#define CONF_ENUM_TLS_VERSION enum tls_version
struct conf_tag {
    char bytes[2];
    bool set;
};
#define CONF_TAG struct conf_tag

struct conf_pool {
    uint32_t id; /* of the process: see conf_inherit */
    char *name;
    uint32_t line;
    enum proto_id client_proto, server_proto; /* two columns from the start */
    struct conf_listen *listens;
    uint32_t nlistens;
    struct conf_server *servers; /* nutcracker's order: shorter names first, then bytes */
    uint32_t nservers;
    struct rules *rules; /* of `commands:` and `deny_commands:`, one reference; NULL: there are none */
    char *commands, *deny_commands; /* as they were given, in YAML's flow form; NULL: not given */
    struct user *users; /* in the order of the file */
    uint32_t nusers;
    uint16_t last_user; /* the last user.id that was given out */
    struct conf_pem tls_pem, server_tls_pem;
#define KEY(name, type, def, min, max, live, help) CONF_##type name;
#include "conf/keys_pool.def"
#undef KEY
};

struct conf {
    uint32_t refs; /* atomic */
    char *file;
    uint32_t last_id; /* of pools and servers */
    struct conf_pool *pools; /* nutcracker's order: shorter names first, then bytes */
    uint32_t npools;
#define KEY(name, type, def, min, max, live, help) CONF_##type name;
#include "conf/keys_global.def"
#undef KEY
};

/* Problems of a file, in the order in which they stand in it. */
struct conf_problem {
    uint32_t line, column; /* from 1; 0: the whole file */
    bool warning;          /* the file works all the same */
    char *text;            /* what is wrong, what is allowed, the nearest known key */
};
struct conf_problems {
    struct conf_problem *v;
    uint32_t n, cap;
    struct conf_sources sources; /* what was read, or could not be */
};
void conf_problems_fini(struct conf_problems *);
uint32_t conf_errors(const struct conf_problems *); /* how many are no warnings */
void conf_problems_log(const struct conf_problems *, const char *file); /* one line each; any thread */

/* Resolves a listen host that is a name: set by main to getaddrinfo, by tests to a table. False: `*why` says why. */
typedef bool conf_resolve_fn(const char *host, uint16_t port, struct addr *, const char **why);

/* Reads and checks text (not a path). NULL when there is an error; `problems` tells all of them in one run.
 * Control or main thread. */
struct conf *conf_parse(const char *file_name, struct slice text, conf_resolve_fn *, struct conf_problems *);
/* The same from a file: any readable one, a pipe included. */
struct conf *conf_read(const char *file_name, conf_resolve_fn *, struct conf_problems *);
/* Before a new configuration takes the place of one that is in use. Pools that stay (the same name and protocol), servers that
 * stay (the same name) and users that stay (the same name, and they log in at the servers as before) keep their ids, all others
 * get ids that nobody had; so whatever is under way between threads names one thing or nothing. Values that need a restart
 * stay as they are. */
void conf_inherit(struct conf *, const struct conf *old);
/* The same keys go to the same servers. */
bool conf_same_ring(const struct conf_pool *, const struct conf_pool *);
struct conf *conf_ref(struct conf *);
void conf_unref(struct conf **);

/* The ring of a pool; `alive` has one flag per server, NULL: all are. */
struct ring *conf_ring(const struct conf_pool *, const bool *alive);
/* The database to select on a server: redis_db, but 0 where nutcracker_db0 keeps what nutcracker's defects B1 and B2 did. */
uint32_t conf_server_db(const struct conf_pool *, const struct conf_server *);
/* As whom the connections of a user (session.user, who must be there) greet the servers: user and password; the rest is the
 * caller's. */
struct greeting conf_greeting(const struct conf_pool *, uint32_t user);
bool conf_has_user(const struct conf_pool *, uint32_t user); /* 0: the pool's own, who always is */
/* Whether clients must log in. */
bool conf_must_log_in(const struct conf_pool *);
/* Whether a number names the same database for clients and for every server (nutcracker_db0 may change one). */
bool conf_plain_dbs(const struct conf_pool *);
/* What the contexts of a pool are made of, for its TLS listeners and, with server_tls, for its servers. Borrowed from the pool.
 * conf_read has tried them: they can be made. */
struct tls_opts conf_tls_accept(const struct conf *, const struct conf_pool *);
struct tls_opts conf_tls_connect(const struct conf *, const struct conf_pool *);
/* Whether all contexts of a pool would be the same in both. */
bool conf_tls_same(const struct conf *, const struct conf_pool *, const struct conf *, const struct conf_pool *);
/* The name that a server's certificate is for; "": it has none. */
const char *conf_tls_name(const struct conf_pool *, const struct conf_server *);
/* Index of the pool, or -1. */
int conf_pool_by_name(const struct conf *, const char *name);
/* The configuration as it is in force, defaults included, as YAML that conf_parse takes; instead of secrets "(hidden)". */
void conf_dump(const struct conf *, struct str *);
/* The configuration reference as Markdown, from the tables (tools/gen-docs writes docs/configuration.md with it). */
void conf_reference(void (*put)(void *ctx, const char *text), void *ctx);

#endif
