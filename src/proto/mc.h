/* mc.h: what the mc_*.c files share: memcached's text protocol. Not for other folders (they use proto.h).
 *
 * Lines are judged exactly as memcached 1.6.18 judges them (tests/unit/proto/test_mc_golden.c holds its answers),
 * because towards a server every request must have one reply: a line that a server refuses although its data block is
 * on the way would turn the block into commands. Where memcached is generous (`+1`, a tab before a number, a number
 * beyond 32 bits that it truncates), MSG_REWRITE is set and `build` sends the plain form of what memcached understood,
 * so that a server of another version cannot understand something else.
 *
 * msg->args: name and the words that have a meaning; `noreply` and words that memcached ignores are left out. Storage
 * commands: name, key, flags, exptime, length, [cas,] and last the data block without its CRLF. Meta commands: the words
 * without the flag q; where the key is in base64 (flag b) they lie in msg->scratch and the last one is the decoded key, which
 * is not sent: it says where the key lives. */
#ifndef KVMUX_PROTO_MC_H
#define KVMUX_PROTO_MC_H

#include "proto/proto.h"

#define MC_KEY_MAX 250
/* memcached closes when it has more than this and no '\n', unless it reads `get ` or `gets ` after at most 100 blanks. */
#define MC_LINE_MAX 2048
#define MC_LINE_BLANKS 100
#define MC_GET_LINE_MAX ((size_t)1 << 20)
#define MC_VALUE_MAX ((uint32_t)1 << 30)
#define MC_REPLY_LINE_MAX 8192
#define MC_REPLY_MAX ((uint64_t)1 << 31)

/* How the line of a command is read (cmd.keys). */
enum mc_form {
    FORM_GET,       /* keys */
    FORM_GAT,       /* exptime, keys */
    FORM_STORE,     /* key flags exptime length [cas], data block */
    FORM_DELETE,    /* key [0] */
    FORM_DELTA,     /* key number */
    FORM_TOUCH,     /* key exptime */
    FORM_FLUSH,     /* [delay] */
    FORM_VERBOSITY, /* level */
    FORM_WORDS,     /* whatever */
    FORM_BARE,      /* nothing; words that follow are ignored */
    FORM_META,      /* key [flag...] */
    FORM_META_SET,  /* key length [flag...], data block */
    FORM_META_DEBUG, /* key [b] */
    FORM_REFUSED,
    FORM_UNKNOWN,
};

/* Lines of replies. */
enum {
    MC_STORED = 1u << 0,
    MC_NOT_STORED = 1u << 1,
    MC_EXISTS = 1u << 2,
    MC_NOT_FOUND = 1u << 3,
    MC_DELETED = 1u << 4,
    MC_TOUCHED = 1u << 5,
    MC_OK = 1u << 6,
    MC_END = 1u << 7,
    MC_RESET = 1u << 8,
    MC_VERSION_LINE = 1u << 9,
    MC_NUMBER = 1u << 10,
    MC_VALUE = 1u << 11,
    MC_ERROR = 1u << 12,
    /* two letters, and flags behind them */
    MC_HD = 1u << 13,
    MC_EN = 1u << 14,
    MC_NS = 1u << 15,
    MC_EX = 1u << 16,
    MC_NF = 1u << 17,
    MC_ME = 1u << 18,
    MC_VA = 1u << 19, /* its length and a data block too */
    MC_META_LINES = MC_HD | MC_EN | MC_NS | MC_EX | MC_NF | MC_ME | MC_VA,

    SAYS_VALUES = MC_VALUE | MC_END,
    SAYS_STORE = MC_STORED | MC_NOT_STORED | MC_EXISTS | MC_NOT_FOUND,
    SAYS_DELETE = MC_DELETED | MC_NOT_FOUND,
    SAYS_DELTA = MC_NUMBER | MC_NOT_FOUND,
    SAYS_TOUCH = MC_TOUCHED | MC_NOT_FOUND,
    SAYS_OK = MC_OK,
    SAYS_VERSION = MC_VERSION_LINE,
    SAYS_META_GET = MC_VA | MC_HD | MC_EN,
    SAYS_META_SET = MC_HD | MC_NS | MC_EX | MC_NF,
    SAYS_META_DELETE = MC_HD | MC_NF | MC_EX,
    SAYS_META_DELTA = MC_VA | MC_HD | MC_NF | MC_NS | MC_EX,
    SAYS_META_DEBUG = MC_ME | MC_EN,
    SAYS_ANY = MC_VALUE - 1, /* every good single line */
};

enum mc_id {
#define MC(id, word, name, form, min, max, route, merge, replies, flags) MC_ID_##id,
#define MC_META(id, word, name, form, min, route, replies, hides, flags) MC_ID_##id,
#define MC_NOT(id, word, name, form, why) MC_ID_##id,
#include "proto/mc_cmds.def"
#undef MC
#undef MC_META
#undef MC_NOT
    MC_ID_UNKNOWN,
    MC_IDS
};

/* What a row says beyond struct cmd, by cmd.id. */
struct mc_rule {
    uint64_t word;
    uint8_t min, max;
    uint32_t replies, hides;
};
extern const struct cmd mc_cmds[MC_IDS];
extern const struct mc_rule mc_rules[MC_IDS];

extern const struct proto proto_mc;

/* The row of a command; the last one, MC_ID_UNKNOWN, when there is none. */
const struct cmd *mc_find(struct slice name);

/* Numbers as memcached reads them: white space, a sign, digits; what follows white space after them is ignored. False where
 * memcached refuses. mc_u64: strtoull with memcached's own check for a minus sign; mc_i64: strtoll (memcached then takes the
 * low 32 bits of exptimes and lengths). */
bool mc_u64(struct slice, uint64_t *out);
bool mc_i64(struct slice, int64_t *out);

/* The numbers of a storage command, as memcached understands them. */
struct mc_store {
    uint32_t flags;
    int32_t exptime;
    int32_t length;
    uint64_t cas;
    bool plain; /* every server must read the same from this text */
};
/* False: memcached calls this line a bad one. args[2] and following are the numbers. */
bool mc_store_read(const struct msg *, struct mc_store *);

/* Digits only, and a leading minus where it is allowed; at most so many: every reader reads the same from them. */
bool mc_plain(struct slice, bool sign, size_t digits);

/* A line "VALUE key flags bytes [cas]" without its CRLF. False: it is none. */
bool mc_value_line(struct slice line, uint32_t *bytes);

/* The first line of the reply to a meta command, without its CRLF: one of the MC_ bits and, for VA, the length of its data.
 * 0: it is none. */
uint32_t mc_meta_kind(struct slice line, uint32_t *bytes);

/* For the readers of lines. mc_answer: `text` and CRLF are the whole reply (nothing when the client asked for none). */
void mc_answer(struct msg *, const char *text);
/* The keys are these n words. False: one is too long, and the line is answered. */
bool mc_keys_read(struct msg *, uint32_t first, uint32_t n);
void mc_args_keep(struct msg *, uint32_t n); /* the words behind the first n have no meaning */
void mc_arg_add(struct msg *, size_t off, size_t len);

/* The line of a meta command, `line` bytes long with its '\n'. Returns how many bytes of data follow it. */
size_t mc_meta_read(struct msg *, size_t line);
/* The plain form of what memcached understands. */
void mc_meta_build(const struct msg *, struct buf *, struct out *);

/* What `stats` and `stats word` answer; an empty word: the former. */
void mc_stats(struct slice word, const struct facts *, struct out *);

enum parse_rc mc_parse_req(struct parser *, struct slice in, struct msg *);
enum parse_rc mc_parse_rsp(struct parser *, const struct cmd *, struct slice in, struct rsp *);
void mc_build(const struct msg *, struct buf *, const uint32_t *keys, uint32_t nkeys, struct out *);
void mc_merge(const struct fan_in *, struct out *);
size_t mc_show(struct slice head, uint8_t *to, size_t room);
bool mc_local(const struct msg *, struct session *, const struct facts *, struct out *);
void mc_error(enum reason, struct out *);
uint32_t mc_greet(const struct greeting *, struct out *);
void mc_probe(struct out *);

#endif
