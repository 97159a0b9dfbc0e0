/* resp.h: what the files of the Redis codec share. The outside sees proto_resp only (proto/proto.h).
 *
 * resp_req.c    frames of requests          resp_rsp.c     frames of replies
 * resp_inline.c commands typed by hand      resp_build.c   requests for servers, greetings, errors
 * resp_cmd.c    the command table           resp_merge.c   one reply out of several
 * resp_keys.c   where a request's keys are  resp_local.c   answers of our own; resp_info.c: INFO
 * resp_spec.c   ... of commands that are not in our table
 * resp_learn.c  what servers say of themselves
 * resp_auth.c   AUTH, HELLO, RESET          resp_client.c  CLIENT *, about one's own connection
 * resp_survey.c CLIENT LIST, INFO, KILL     resp_config.c  CONFIG GET
 * resp_gather*.c sets over several servers  resp_hll.c     HyperLogLogs; resp_scan.c: SCAN
 * resp_channel.c publish and subscribe      resp_wait.c    BLPOP and its kind
 * resp_script.c  scripts */
#ifndef KVMUX_PROTO_RESP_H
#define KVMUX_PROTO_RESP_H

#include "proto/proto.h"

enum resp_id {
#define CMD(id, ...) RESP_##id,
#define NOT(id, ...) RESP_##id,
#include "proto/resp_cmds.def"
#undef CMD
#undef NOT
    RESP_COMMANDS
};

/* cmd.keys: how a request's keys are found (resp_cmds.def explains each). */
enum resp_keys {
    RESP_NOKEYS,
    RESP_SINGLE, /* one, at `first`: the plain path */
    RESP_RANGE,
    RESP_COUNTED, /* first: the argument that has the number */
    RESP_DEST_COUNTED,
    RESP_STREAMS,
    RESP_SORT_STORE,
    RESP_GEO_STORE,
    RESP_MIGRATE_KEYS,
    RESP_SPECS, /* by the rules of its row, which is a struct row (book.h) */
    RESP_OTHER_DB, /* as RANGE; with a word DB, or an exact number of arguments, another database is named, too */
    RESP_SETTINGS, /* none: names of settings */
};

#define RESP_ROW (RESP_COMMANDS + 1) /* cmd.id of rows that are not in our table */

/* Limits of a request, as Redis has them. */
#define RESP_ARGS_MAX REQUEST_ARGS_MAX
#define RESP_BULK_MAX 536870912u
#define RESP_LINE_MAX 65536u         /* of an inline command, and of a count that never ends */
#define RESP_FRAME_MAX REQUEST_BYTES_MAX

extern const struct cmd resp_cmds[RESP_COMMANDS];

/* The row of a name, in any case, or NULL. `container`: of a subcommand's name; NULL: of a command's. Containers are
 * found by their own name. */
const struct cmd *resp_find(const struct cmd *container, struct slice name);
bool resp_is_container(const struct cmd *);

/* Says what a complete frame means: sets cmd, route and keys from the table, or the answer of a request that goes nowhere. */
void resp_judge(struct msg *);
/* The same of the first m->nargs arguments of `total`. False: what it means, or where it goes, may depend on the rest, or it goes to
 * several servers, or nowhere. */
bool resp_judge_head(struct msg *, uint32_t total);
/* Finds the keys of m->cmd's request. */
void resp_find_keys(struct msg *m);
void resp_spec_keys(struct msg *m); /* ... where the row is a struct row */

/* Sets m->answer to "-<text>\r\n"; line ends inside become blanks and what does not fit is cut, as Redis does. */
void resp_answer(struct msg *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* ... and lets the request be answered with it. */
void resp_answer_arity(struct msg *m);
void resp_answer_why(struct msg *m, const struct cmd *, const char *why);

/* Splits an inline command into args that lie in m->scratch. False: unbalanced quotes. */
bool resp_split_line(struct msg *m, struct slice line);
void resp_args_grow(struct msg *m);

/* Redis' own idea of an integer: no blanks, no plus sign, no leading zeros. */
bool resp_int(struct slice, int64_t *out);

/* "<digits>\r\n", of which the caller knows that three bytes are there: returns what follows, NULL for everything that is not exactly
 * that or is cut: the plain path of both parsers, which leave the rest to their careful one. */
static inline const uint8_t *resp_take_digits(const uint8_t *p, const uint8_t *end, uint32_t *out) {
    uint32_t v = (uint32_t)*p++ - '0', d;
    if (UNLIKELY(v > 9)) {
        return NULL;
    }
    while ((d = (uint32_t)*p - '0') <= 9) {
        if (UNLIKELY(v - 1 >= 99999999 || end - ++p < 2)) { /* a zero in front, or more than nine digits */
            return NULL;
        }
        v = v * 10 + d;
    }
    *out = v;
    return LIKELY(memcmp(p, "\r\n", 2) == 0) ? p + 2 : NULL;
}

static inline const uint8_t *resp_take_number(const uint8_t *p, const uint8_t *end, uint32_t *out) {
    return UNLIKELY(end - p < 3) ? NULL : resp_take_digits(p, end, out);
}

/* ... with `type` in front. */
static inline const uint8_t *resp_take_typed(const uint8_t *p, const uint8_t *end, uint8_t type, uint32_t *out) {
    return UNLIKELY(end - p < 4 || *p != type) ? NULL : resp_take_digits(p + 1, end, out);
}

enum parse_rc resp_parse_req(struct parser *, struct slice in, struct msg *);
enum parse_rc resp_parse_rsp(struct parser *, const struct cmd *, struct slice in, struct rsp *);
/* Takes a bulk string off the front of *rest. False: something else is there. */
bool resp_take_bulk(struct slice *rest, struct slice *out);
/* The length of the value that `in`, which has been parsed before, begins with; 0: there is none. */
size_t resp_value_len(struct slice in);

void resp_build(const struct msg *, struct buf *b, const uint32_t *keys, uint32_t nkeys, struct out *);
void resp_error(enum reason, struct out *);
uint32_t resp_greet(const struct greeting *, struct out *);
void resp_probe(struct out *);
void resp_put_bulk(struct out *, struct slice);
void resp_put_head(struct out *, char type, int64_t n); /* "<type><n>\r\n" */
void resp_put_str(struct out *, const char *);
void resp_put_error(struct out *, const char *text); /* `text` begins with its code */
/* A text for people: a verbatim string in version 3. `b` as in out_take. */
void resp_put_verbatim(struct out *, uint8_t version, struct buf *b, struct slice);

void resp_merge(const struct fan_in *, struct out *);
/* The number in "<type><number>\r\n" and, in *rest, what follows. False: it is of another type. */
bool resp_take_head(struct slice reply, char type, int64_t *n, struct slice *rest);

bool resp_is_error(struct slice reply);
/* MERGE_GATHER: what a server is asked for these keys, and the answer made of all answers. */
void resp_gather_build(const struct msg *, const uint32_t *keys, uint32_t nkeys, struct out *);
void resp_gather_merge(const struct fan_in *, struct out *);
/* Answers what Redis says before it looks at the keys (wrong options), or at the key whose server had an error. */
bool resp_gather_refuse(const struct fan_in *, struct out *);

/* Adds a HyperLogLog, as GET returns it, to registers that begin as zeroes; what all of them together have counted. */
#define HLL_REGISTERS 16384u
enum hll_rc { HLL_OK, HLL_OTHER /* not a HyperLogLog */, HLL_CORRUPT };
enum hll_rc resp_hll_add(uint8_t *registers, struct slice);
uint64_t resp_hll_count(const uint8_t *registers);

/* ROUTE_CURSOR: takes the cursor apart, or answers that it is none. */
void resp_scan_judge(struct msg *);
void resp_scan_build(const struct msg *, struct out *);
void resp_scan_merge(const struct fan_in *, struct out *);

extern const struct proto_channels resp_channels;
extern const struct proto_waits resp_waits;

/* learn.h; resp_hear_every also takes what our table has. */
struct identity;
struct rows;
struct shelf;
void resp_ask_who(struct out *);
bool resp_hear_who(struct slice reply, struct identity *);
void resp_ask_what(struct out *);
bool resp_hear_what(struct slice reply, struct shelf *, struct rows *);
bool resp_hear_every(struct slice reply, struct shelf *, struct rows *);

/* Finds what a request says about a script: its body or digest, which is argument `at`. */
void resp_script_judge(struct msg *, uint32_t at);
void resp_script_load(struct slice body, struct out *);
bool resp_script_digest(struct slice body, uint8_t digest[SCRIPT_DIGEST]);
/* An error's line, without its type: does it say that the server does not have the script? */
bool resp_script_missing(struct slice line);
/* ROUTE_SURVEY: answers a request that cannot be right; what it says about one client; the answer of all. */
void resp_survey_judge(struct msg *);
enum verdict resp_survey(const struct msg *, const struct portrait *, struct out *);
void resp_survey_merge(const struct fan_in *, struct out *);
/* The same of those with CMD_SLOWLOG. */
size_t resp_show(struct slice head, uint8_t *to, size_t room);
void resp_slow_judge(struct msg *);
enum verdict resp_slow(const struct msg *, const struct slow *, uint32_t nth, struct out *);
void resp_slow_merge(const struct fan_in *, struct out *);

/* CONFIG GET: lets only settings through that are nobody's secret. */
void resp_config_judge(struct msg *);

/* Who a client is. */
void resp_auth(const struct msg *, struct session *, const struct facts *, struct out *);
void resp_hello(const struct msg *, struct session *, const struct facts *, struct out *);
void resp_reset(struct session *, const struct facts *, struct out *);
void resp_whoami(const struct session *, const struct facts *, struct out *);
/* The rows CLIENT * that are LOCAL; false: it is none of them. */
bool resp_client(const struct msg *, struct session *, struct out *);
/* No blanks, no control characters, not too long. */
bool resp_is_text(struct slice);
void resp_take_name(struct session *, struct slice); /* an empty one takes the name away */
void resp_library(const struct session *, struct slice *name, struct slice *version); /* empty: it did not say */
extern const char resp_bad_name[];

bool resp_local(const struct msg *, struct session *, const struct facts *, struct out *);
void resp_info(const struct msg *, const struct session *, const struct facts *, struct out *);

#endif
