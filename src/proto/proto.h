/* proto.h: what a codec is. Pure: bytes in, bytes out; no I/O, clock, log or global state.
 *
 * core/ knows this interface and nothing of the protocols behind it. A codec is one `const struct proto`
 * (rows in proto.def). Commands are rows of its command table; what a command means is looked up after its
 * frame is complete.
 *
 * The parsing contract: `in` begins where the message begins. DONE: the message is the first msg->raw.n bytes.
 * MORE: nothing was taken; call again with the same bytes and more behind them (they may have moved); `parser`
 * remembers how far it came, so that no byte is looked at twice however the input dribbles in. BAD: the frame
 * is broken and nothing behind it can be understood. The result never depends on how the input was cut. */
#ifndef KVMUX_PROTO_PROTO_H
#define KVMUX_PROTO_PROTO_H

#include "base/buf.h"
#include "base/reason.h"
#include "base/slice.h"

struct book;
struct lessons;
struct rules;

enum proto_id {
#define PROTO(id, name, object) PROTO_##id,
#include "proto/proto.def"
#undef PROTO
    PROTO_COUNT
};

enum parse_rc { PARSE_DONE, PARSE_MORE, PARSE_BAD };

/* Progress inside the message that `in` begins with. Zeroes at the start of each message; reset by DONE and BAD. */
struct parser {
    size_t pos;    /* bytes understood so far */
    uint64_t left; /* the codec's own count of what is missing: arguments, elements, bytes */
    uint8_t phase; /* the codec's own */
    uint8_t mark;  /* the codec's own: what it saw on the way */
    uint32_t pass_min; /* whoever parses may set it after MORE, see rsp.pass and msg.pass; 0: the message is wanted whole. A request's
                        * is the codec's own once something passed */
};

/* What happens to a request. */
enum route {
    ROUTE_LOCAL, /* proto->local answers it */
    ROUTE_ONE,   /* the server of its first key */
    ROUTE_SPLIT, /* two keys and more: grouped by server, replies merged in request order */
    ROUTE_SAME,  /* all keys on one server, else REASON_CROSS_SLOT */
    ROUTE_TRANSLATE, /* the server of its first key, or as ANY; its reply is the server's words, not the client's: MERGE_TRANSLATE */
    ROUTE_GATHER, /* keys grouped by server, each server asked for what its keys can answer, the answer computed */
    ROUTE_ANY,   /* the server that owns the literal key "placeholder" (nutcracker's rule, compat part 5.2) */
    ROUTE_ALL,   /* every server, merged */
    ROUTE_CURSOR, /* one server after the other: the one that msg->walk names */
    ROUTE_WRITTEN, /* the servers that this client wrote through, as long as it takes, merged (core/apart.h) */
    ROUTE_SURVEY, /* about the clients of the pool themselves: every worker is asked (core/survey.h) */
    ROUTE_LARGE,   /* only its head is here: the server of its keys, while the rest arrives (msg.pass; core/upload.h) */
    ROUTE_LEASE,   /* may wait at the server: on a connection of its own (core/lease.h) */
    ROUTE_WATCH,   /* holds such a connection until the transaction ran ... */
    ROUTE_UNWATCH, /* ... or this */
    ROUTE_JOIN,      /* the client listens to the channels that its arguments name ... */
    ROUTE_PART,      /* ... and no more to these, or to any (core/channel.h) */
    ROUTE_TXN_BEGIN, /* the requests that follow are kept ... */
    ROUTE_TXN_RUN,   /* ... and sent as one ... */
    ROUTE_TXN_DROP,  /* ... or forgotten (core/txn.h) */
    ROUTE_REPLY, /* refused or malformed: the answer is msg->answer, the connection stays open */
    ROUTE_SKIP,  /* nothing to do and nothing to answer (an empty line) */
};

/* How the replies to the parts of one request become one reply. */
enum merge {
    MERGE_NONE,
    MERGE_ARRAY,  /* one element per key, in request order */
    MERGE_SUM,    /* integers added up */
    MERGE_ALL_OK, /* the first error, else the first reply */
    MERGE_VALUES, /* VALUE blocks, one END */
    MERGE_CONCAT, /* one array of all elements */
    MERGE_DISTINCT, /* ... and equal ones once */
    MERGE_PICK,   /* one that is not null, any of them; else null */
    MERGE_MIN,    /* the smallest integer; of arrays of integers, element by element */
    MERGE_ANY_OK, /* the first good reply, else the error that says most */
    MERGE_GATHER, /* computed: needs fan_in.request */
    MERGE_CURSOR, /* a page of one server: needs fan_in.walk */
    MERGE_TRANSLATE, /* the client speaks another protocol than the servers: needs fan_in.tag, and fan_in.request with CMD_KEY_BACK */
    MERGE_SURVEY, /* what proto->survey said of all clients: needs fan_in.request, version, deeds */
};

/* Bits of cmd.flags: each line the next one. */
enum {
    CMD_READ = 1u << 0,
    CMD_WRITE = 1u << 1,
    CMD_BEFORE_AUTH = 1u << 2, /* allowed on a connection that has not authenticated yet */
    CMD_STATE = 1u << 3,       /* changes or shows the state of the connection it travels on: never on a shared uplink */
    CMD_BLOCKING = 1u << 4,    /* may wait at the server */
    CMD_UNKNOWN = 1u << 5,     /* the row of what no table knows */
    CMD_FLUSH = 1u << 6,       /* empties servers: a pool may deny it */
    CMD_EACH = 1u << 7,        /* ROUTE_GATHER: each key is a part of its own */
    CMD_LEAVES = 1u << 8,      /* ROUTE_LOCAL: ends a transaction that is open */
    CMD_KEY_BACK = 1u << 9,    /* MERGE_TRANSLATE: the answer repeats the key */
    CMD_ROTATE = 1u << 10,     /* waits for any one of its keys: may be asked server by server (proto->waits) */
    CMD_ALONE = 1u << 11,      /* concerns all data: honest only while the pool has one server */
    CMD_SELF = 1u << 12,       /* ROUTE_SURVEY: about the client that asks, and nobody else */
    CMD_PATTERN = 1u << 13,    /* ROUTE_JOIN, ROUTE_PART: the names are patterns of channels ... */
    CMD_SHARD = 1u << 14,      /* ... or channels of a shard */
    CMD_ANYWHERE = 1u << 15,   /* its key says where it is sent, not where data is: in a transaction any server will do */
    CMD_LISTENS = 1u << 16,    /* also for a client that can only listen (session.listening) */
    CMD_CODE = 1u << 17,       /* runs code at the server, which may write */
    CMD_BODY = 1u << 18,       /* has the body of a script: msg->script */
    CMD_DIGEST = 1u << 19,     /* names a script by its digest: msg->digest */
    CMD_FORGETS = 1u << 20,    /* servers forget all scripts */
    CMD_LENIENT = 1u << 21,    /* ROUTE_ALL: servers that give no reply do not count, unless none gives one */
    CMD_APART = 1u << 22,      /* ROUTE_ALL: must pass what the shared connections wait for. Its reply depends neither on the
                                * database nor on the version of the protocol */
    CMD_SLOWLOG = 1u << 23,    /* ROUTE_SURVEY: about the log of slow requests, not about clients */
};

/* One row of a command table. */
struct cmd {
    const char *name; /* lower case; "object|encoding" for a subcommand */
    uint16_t id;      /* the codec's own */
    int16_t arity;    /* Redis' rule: counts the name; negative: at least so many. 0: not checked here */
    uint8_t route, merge;
    uint8_t keys; /* the codec's own: how keys are found */
    int16_t first, last, step;
    uint32_t flags;
    const char *why; /* the answer of a command that is refused; NULL otherwise */
};

/* Ids of servers in cursors (ROUTE_CURSOR) are 1 .. WALK_PLACES - 1. */
#define WALK_PLACES 4096u

struct arg {
    uint32_t off, len; /* from msg->base */
};

/* Bits of msg.flags. */
enum {
    MSG_REWRITE = 1u << 0, /* cannot be forwarded as received (inline, noreply): proto->build makes the bytes */
    MSG_NOREPLY = 1u << 1, /* the client wants no answer; the server is asked for one all the same */
    MSG_CLOSE = 1u << 2,   /* close the client once this request's answer is written */
    MSG_QUIET = 1u << 3,   /* the client does not want the replies that rsp.quiet_ok marks; the server sends them all the same */
    MSG_SCRIPT = 1u << 4,  /* about a script: CMD_BODY, CMD_DIGEST or CMD_FORGETS says what */
    MSG_OTHER_DB = 1u << 5, /* names databases by their numbers: those of the servers and of the clients must be the same */
    MSG_OVER = 1u << 6,    /* after BAD: because it has more than max_bytes or max_args */
};

#define SCRIPT_DIGEST 20 /* bytes */

/* One parsed request. Belongs to the worker and is used again for each request; valid until the next parse. */
/* Redis takes so many arguments, memcached fewer; offsets inside a message have 32 bits. */
#define REQUEST_ARGS_MAX 1048576u
#define REQUEST_BYTES_MAX (UINT32_MAX - 1)

struct msg {
    /* Set by whoever parses: what counts beside the codec's own table. NULL: nothing. */
    const struct rules *rules;  /* of the configuration (rules.h) */
    const struct book *learned; /* of the servers (learn.h) */
    /* So much one request may have: of bytes, and of arguments with its name. msg_init sets what codecs bear at most. */
    size_t max_bytes;
    uint32_t max_args;
    const struct cmd *cmd; /* never NULL after DONE */
    enum route route;      /* the row's, or REPLY / SKIP as decided for this request */
    uint32_t flags;
    struct slice raw;    /* the whole frame */
    const uint8_t *base; /* what args count from: raw.p, or scratch for an inline command */
    struct arg *args;    /* args[0] is the command's name */
    uint32_t nargs;
    /* Key i is args[first_key + i * key_step], the second and later ones moved by key_gap (dest numkeys key ...). */
    uint32_t first_key, key_step, nkeys, key_gap;
    struct {
        uint64_t at;    /* the server's own cursor */
        uint32_t place; /* id of the server; 0: the first one */
    } walk; /* ROUTE_CURSOR */
    uint32_t tag;                        /* the codec's own: what the answer must repeat, whoever makes it */
    struct slice script;           /* MSG_SCRIPT and CMD_BODY */
    uint8_t digest[SCRIPT_DIGEST]; /* MSG_SCRIPT and CMD_DIGEST */
    uint64_t need;                       /* after MORE: the message has at least so many bytes; 0: unknown */
    /* After MORE with parser.pass_min set: what the request is and where it goes is known, and pass_min bytes at least of one argument
     * are still to come. `raw` is its head, all before that argument (args too; build makes the head only), the route is LARGE, and the
     * first `pass` bytes behind `raw`, of `in` and of what follows it, belong to the request whatever they are; 0: not so. The caller takes
     * both, as they come, and then shows what is behind them: `in` begins there from now on. MORE says `pass` again, with an empty `raw`;
     * DONE says the rest in `raw`, and nothing else. Only set after MORE with pass_min set. */
    uint64_t pass;
    char answer[512];                    /* after BAD, and for ROUTE_REPLY: the whole reply to send */
    uint32_t answer_len;
    /* storage, kept between requests */
    uint32_t args_cap;
    uint8_t *scratch;
    size_t scratch_cap;
};

void msg_init(struct msg *);
void msg_fini(struct msg *);

static inline struct slice msg_arg(const struct msg *m, uint32_t i) {
    ASSERT(i < m->nargs);
    return slice(m->base + m->args[i].off, m->args[i].len);
}

/* Keys may stand behind the arguments (resp_spec.c). */
static inline struct slice msg_key(const struct msg *m, uint32_t i) {
    uint32_t at = m->first_key + i * m->key_step + (i > 0 ? m->key_gap : 0);
    ASSERT(at < m->args_cap);
    return slice(m->base + m->args[at].off, m->args[at].len);
}

enum rsp_kind {
    RSP_GOOD,
    RSP_ERROR,   /* an answer all the same */
    RSP_LOADING, /* an answer to the client; no failure of the server, but no good probe either */
};

struct rsp {
    size_t len; /* of the whole reply */
    enum rsp_kind kind;
    bool quiet_ok; /* what a quiet request (MSG_QUIET) is not told */
    bool no_script; /* an error in it says that the server does not have a script */
    uint64_t need; /* after MORE, as in msg */
    /* After MORE with parser.pass_min set: the first `pass` bytes, of `in` and of what follows it, belong to this reply whatever
     * they are, and are pass_min at least; 0: none. The caller takes them, as they come, and then shows what is behind them: `in`
     * begins there from now on, and so does `len`. kind, quiet_ok and no_script are those of the whole reply all the same. */
    uint64_t pass;
};

/* Where built bytes go: appended to a rope; small pieces are copied to the stage. */
struct out {
    struct rope *rope;
    struct stage *stage;
};

static inline void out_put(struct out *o, struct slice s) {
    rope_add_copy(o->rope, o->stage, s);
}
static inline void out_str(struct out *o, const char *s) {
    out_put(o, slice_str(s));
}
/* Bytes that lie in `b` (or anywhere, with b NULL): referenced when large. */
static inline void out_take(struct out *o, struct buf *b, struct slice s) {
    rope_add(o->rope, o->stage, b, s);
}

/* What a connection to a server must say first. */
struct greeting {
    const char *user, *password; /* NULL: none */
    uint32_t db;                 /* 0: not sent */
    uint8_t version;             /* of the protocol; 0: the plain one, nothing to say */
};

/* Kinds of names to listen to; a name of one kind has nothing to do with the same name of another. */
enum channel_kind { CHANNEL_NAME, CHANNEL_PATTERN, CHANNEL_SHARD, CHANNEL_KINDS };

/* Somebody that clients may log in as; its uplinks greet the servers by the other pair. */
struct user {
    uint16_t id; /* from 1; never another user's as long as the process runs */
    char *name, *password;
    char *server_user, *server_password;
};
#define USERS_MAX 4096
/* NULL: there is none with this id. */
static inline const struct user *user_by_id(const struct user *v, uint32_t n, uint32_t id) {
    for (uint32_t i = 0; i < n; i++) {
        if (v[i].id == id) {
            return &v[i];
        }
    }
    return NULL;
}

/* What a client says about itself: texts of a session. */
enum { SESSION_NAME, SESSION_LIB /* "<name> <version>", one of which may be missing */, SESSION_TEXTS };

/* Whether a client wants to be answered. */
enum hush {
    HUSH_NONE,
    HUSH_ALL,  /* no answers from now on */
    HUSH_NEXT, /* not to the next request */
    HUSH_THIS, /* not to the one that is in `local` now */
};

/* A client's side of the conversation. Owned by the client; the codec reads and changes it in `local`, which works on a
 * copy: core may refuse the change (see profile below). */
struct session {
    /* these four lie as session_profile() puts them together: one load on most machines */
    uint32_t db;      /* the pool's own at start */
    uint16_t user;    /* 0: the pool's own; else user.id of one of facts.users */
    uint8_t zero;
    uint8_t version;  /* of the protocol that the client speaks; 0: the codec's plain one */
    bool authed : 1;  /* set at start when nobody must log in */
    bool listening : 1; /* to a channel. In the plain version it then takes few other requests, which `local` all answers */
    uint8_t hush : 2; /* enum hush */
    uint64_t id : 56; /* of this client, unique in the process; in one word with what stands before it */
    char *texts[SESSION_TEXTS]; /* NULL: nothing was said. `local` replaces the pointer, core frees the old text */
};

/* Nothing of it changes what becomes of a request that a server is to answer. */
static inline bool session_plain(const struct session *s) {
    return s->authed && !s->listening && s->hush == HUSH_NONE;
}

/* What must be alike for two clients to share a connection to a server: every uplink of a profile greets alike. */
static inline uint64_t session_profile(const struct session *s) {
    return (uint64_t)s->version << 56 | (uint64_t)s->zero << 48 | (uint64_t)s->user << 32 | s->db;
}
/* The same rights with nothing else asked for: a server that is busy with a script still agrees to it. */
static inline uint64_t session_profile_plain(uint64_t profile) {
    return profile & UINT64_C(0xffff00000000);
}
static inline uint32_t session_profile_db(uint64_t profile) {
    return (uint32_t)profile;
}
static inline uint32_t session_profile_user(uint64_t profile) {
    return (uint32_t)(profile >> 32) & 0xffffff;
}
static inline uint8_t session_profile_version(uint64_t profile) {
    return (uint8_t)(profile >> 56);
}

/* What `local` may want to know. Filled by core for each call. */
struct facts {
    const char *password; /* of the pool's own user; NULL: there is none */
    const struct user *users; /* who else may log in; when there is a password or a user, clients must */
    uint32_t nusers;
    uint32_t db;          /* the pool's own */
    int64_t wall_usec;    /* since the epoch */
    int64_t uptime_sec;
    uint32_t pid, threads;
    uint64_t curr_connections, total_connections; /* of this worker */
    uint64_t requests;                            /* of this pool and worker */
    const char *pool;                             /* its name */
    uint32_t servers, port;                       /* of the pool; port 0: it listens on none */
    uint64_t clients, clients_max;                /* of the pool, over all workers; max 0: no limit */
    uint64_t buffer_bytes;                        /* that all workers hold */
    const char *server_version; /* of the pool's servers, the lowest; NULL: not known (yet) */
};

static inline bool facts_must_log_in(const struct facts *f) {
    return f->password != NULL || f->nusers > 0;
}

/* What one client looks like to a survey (ROUTE_SURVEY). Filled by core; borrowed for the call. */
struct portrait {
    const struct session *session;
    const char *user;        /* as whom it is logged in; NULL: the pool's own */
    const char *addr, *here; /* its end and ours; NULL: not looked up yet, see VERDICT_LOOK */
    const struct cmd *last;  /* row of its last request; NULL: it asked for nothing yet */
    int64_t age_sec, idle_sec;
    int fd;
    bool asks;               /* it is the one that asks */
    bool blocked, unix_socket;
    int64_t txn;             /* requests kept in its transaction; -1: it is in none */
    size_t unread, unsent;   /* bytes */
    uint32_t channels[CHANNEL_KINDS]; /* that it listens to */
    const void *client;      /* for ... */
    bool (*listens)(const void *client, enum channel_kind, struct slice name); /* does it listen to this one? */
    uint32_t waiting;        /* requests that are not answered yet */
};
enum verdict {
    VERDICT_PASS,  /* nothing to say about this one */
    VERDICT_LOOK,  /* ask again with the addresses, which cost system calls */
    VERDICT_SAID,  /* something was put out */
    VERDICT_CLOSE, /* is to be closed, and counted */
};

/* A request that took long. Filled by core; borrowed for the call. */
struct slow {
    uint64_t id;       /* unique in the process, for its pool */
    int64_t wall_usec; /* since the epoch: when its reply came */
    uint32_t usec, queue_usec, server_usec; /* until its reply was here; of that: until it was written, and at the server */
    uint32_t receive_usec; /* before: from its first bytes until it was here whole and queued */
    uint32_t order_usec, client_usec;       /* then, behind earlier requests of its client, and until that took it; 0 until it did */
    const struct cmd *cmd;
    struct slice head; /* the beginning of it as the server got it; empty: not known */
    const char *addr, *name, *server; /* of the client, its name, where it was sent; "": not known */
};

/* What a server's reply to a request that waits says. */
enum wait_rc {
    WAIT_NOTHING, /* nothing was there */
    WAIT_ANSWER,  /* what the client asked for, or an error that it is to see */
    WAIT_REFUSED, /* not carried out, since it came inside a transaction: asked alone, the server says why */
    WAIT_LATER,   /* the server is not ready yet */
    WAIT_BAD,     /* no reply to such a request */
};
#define WAIT_EVER INT64_MAX
#define WAIT_UNCLEAR (-1)

/* The replies to the parts of one request. */
struct part {
    struct buf *buf; /* holds `reply` */
    struct slice reply;
    enum reason failed; /* not NONE: there is no reply, and this is why */
};
struct fan_in {
    const struct cmd *cmd;
    const struct part *parts;
    uint32_t nparts;
    const uint16_t *owner; /* for each key in request order: which part has it; NULL for ROUTE_ALL */
    uint32_t nkeys;
    bool miss_on_failure; /* a failed part counts as misses instead of failing the whole request */
    bool lenient;         /* ... does not count, unless all failed */
    struct slice request; /* MERGE_GATHER, MERGE_SURVEY: what build makes of all of it; MERGE_TRANSLATE with CMD_KEY_BACK: its key */
    uint32_t tag;         /* the request's msg.tag */
    uint8_t version;      /* of the client's protocol */
    uint64_t deeds;       /* MERGE_SURVEY: clients that are closed now */
    uint32_t dice;        /* MERGE_PICK: any number */
    struct {
        uint32_t place, next; /* ids of the server that was asked and of the one behind it; next 0: there is none */
    } walk; /* MERGE_CURSOR */
};

static inline enum channel_kind cmd_channel_kind(const struct cmd *c) {
    return c->flags & CMD_PATTERN ? CHANNEL_PATTERN : c->flags & CMD_SHARD ? CHANNEL_SHARD : CHANNEL_NAME;
}

/* What a server sent on a connection that listens. */
enum push_what {
    PUSH_MESSAGE, /* to those who listen to `name` */
    PUSH_JOINED,  /* the answer to ask(): it sends messages from now on ... */
    PUSH_PARTED,  /* ... or no more */
    PUSH_OTHER,   /* an error in answer to ask(), or nothing that we asked for */
};
struct push {
    enum push_what what;
    enum channel_kind kind;
    struct slice name;
};

/* How a protocol says what concerns channels. Connections to servers that listen speak the plain version. */
struct proto_channels {
    void (*ask)(enum channel_kind, bool on, struct slice name, struct out *); /* one request with one answer */
    void (*read)(struct slice reply, struct push *);                         /* a whole value, as parse_rsp framed it */
    /* A message that lies in `b`, for clients of that version. */
    void (*tell)(uint8_t version, struct buf *b, struct slice message, struct out *);
    /* The client listens to the name, or no more; `left`: to so many of that kind's count. name.p NULL: to none, and never did. */
    void (*confirm)(uint8_t version, enum channel_kind, bool on, struct slice name, uint32_t left, struct out *);
};

/* How a protocol treats requests that wait at the server. */
struct proto_waits {
    /* How long the request may wait by its own words: usec, WAIT_EVER, or WAIT_UNCLEAR. */
    int64_t (*limit)(const struct msg *);
    /* CMD_ROTATE: the request for these keys only; `usec` is its new limit, WAIT_UNCLEAR leaves the words as they are. */
    void (*build)(const struct msg *, const uint32_t *keys, uint32_t nkeys, int64_t usec, struct out *);
    /* The reply to what build made; with `run`, to the transaction that had it alone. *answer: what of it is for the client. */
    enum wait_rc (*judge)(struct slice reply, bool run, struct slice *answer);
};

struct proto {
    const char *name;
    const struct proto_channels *channels; /* NULL: the protocol has none */
    const struct cmd *cmds; /* its table */
    uint32_t ncmds;
    bool any_case;                /* of the letters in a command's name */
    const struct lessons *learn; /* what servers can be asked about themselves (learn.h); NULL: nothing */
    /* A client whose first byte is other_byte speaks this one instead, on the same port; NULL: there is no choice. */
    const struct proto *other;
    uint8_t other_byte;
    const struct proto_waits *waits;       /* NULL: nothing waits */
    struct {
        const char *begun, *kept, *dropped, *empty; /* whole replies */
        const char *begin, *run;                    /* whole requests */
    } txn; /* what kvmux itself says about transactions; NULL where the protocol has none */
    struct {
        void (*load)(struct slice body, struct out *); /* the request that gives a script to a server; one reply */
        bool (*digest)(struct slice body, uint8_t digest[SCRIPT_DIGEST]); /* false: it cannot be told */
    } script; /* NULL where the protocol has none */
    enum parse_rc (*parse_req)(struct parser *, struct slice in, struct msg *);
    /* `cmd` is the request's row; NULL for greetings and probes. This one, greet and probe are NULL when no server is spoken
     * to in this protocol: rows of such a codec's commands are understood by the servers' parse_rsp. */
    enum parse_rc (*parse_rsp)(struct parser *, const struct cmd *, struct slice in, struct rsp *);
    /* The request in the form that servers get: all of it (keys NULL), or with these keys only (indices into msg_key,
     * ascending; ROUTE_SPLIT, ROUTE_GATHER). `b` is the buf that msg->raw lies in, or NULL. */
    void (*build)(const struct msg *, struct buf *b, const uint32_t *keys, uint32_t nkeys, struct out *);
    void (*merge)(const struct fan_in *, struct out *);
    /* Answers a ROUTE_LOCAL request; returns true when the client is to be closed after the answer. */
    bool (*local)(const struct msg *, struct session *, const struct facts *, struct out *);
    /* ROUTE_SURVEY: what the request says or does about one client. NULL: no row has that route. */
    enum verdict (*survey)(const struct msg *, const struct portrait *, struct out *);
    /* ... with CMD_SLOWLOG: about one entry of the log, the nth of this worker, newest first. PASS: no more; CLOSE: it is to be removed.
     * NULL: nobody can ask. */
    enum verdict (*slow)(const struct msg *, const struct slow *, uint32_t nth, struct out *);
    /* The beginning of a request as servers get it, for people: its words, as many as fit. Returns how many bytes. NULL: no server gets any. */
    size_t (*show)(struct slice head, uint8_t *to, size_t room);
    /* `cmd` and `tag` of the request that it answers; cmd NULL: it answers none. */
    void (*error)(enum reason, const struct cmd *, uint32_t tag, struct out *);
    /* Returns the number of replies to expect; any RSP_ERROR among them is a refusal. */
    uint32_t (*greet)(const struct greeting *, struct out *);
    void (*probe)(struct out *); /* one harmless request with one reply */
};

const struct proto *proto_by_id(enum proto_id);

#endif
