/* resp_cmd.c: the command table: lookup, arity, refusals. */
#include "proto/resp.h"

#include "proto/resp_hash.h"
#include "proto/rules.h"

#include <stdarg.h>
#include <stdio.h>

struct resp_entry {
    struct resp_words words, letters; /* letters: where the case does not matter */
    uint16_t parent;
    uint8_t len, container;
};

#include "proto/resp_index.h"

#define WHY(name, text) static const char why_##name[] = text;
#include "proto/resp_why.def"
#undef WHY

/* The words of a row's key and flag columns. */
#define NOKEYS           .keys = RESP_NOKEYS
#define CHANNEL(n)       .keys = RESP_SINGLE, .first = n, .last = n, .step = 1
#define KEYS(f, l, s)    .keys = (f) == (l) ? RESP_SINGLE : RESP_RANGE, .first = f, .last = l, .step = s
#define COUNTED(n, s)    .keys = RESP_COUNTED, .first = n, .step = s
#define DEST_COUNTED     .keys = RESP_DEST_COUNTED
#define STREAMS          .keys = RESP_STREAMS
#define SORT_STORE       .keys = RESP_SORT_STORE
#define GEO_STORE        .keys = RESP_GEO_STORE
#define MIGRATE_KEYS     .keys = RESP_MIGRATE_KEYS
#define OTHER_DB(f, l, s) .keys = RESP_OTHER_DB, .first = f, .last = l, .step = s
#define SETTINGS         .keys = RESP_SETTINGS
#define READ             CMD_READ
#define WRITE            CMD_WRITE
#define BEFORE_AUTH      CMD_BEFORE_AUTH
#define STATE            CMD_STATE
#define LEAVES           CMD_LEAVES
#define BLOCKING         CMD_BLOCKING
#define FLUSH            CMD_FLUSH
#define EACH             CMD_EACH
#define PATTERN          CMD_PATTERN
#define SHARD            CMD_SHARD
#define ANYWHERE         CMD_ANYWHERE
#define LISTENS          CMD_LISTENS
#define ROTATE           CMD_ROTATE
#define CODE             CMD_CODE
#define BODY             CMD_BODY
#define DIGEST           CMD_DIGEST
#define FORGETS          CMD_FORGETS
#define LENIENT          CMD_LENIENT
#define APART            CMD_APART
#define SLOW             CMD_SLOWLOG
#define ALONE            CMD_ALONE
#define SELF             CMD_SELF
/* The key column is several initialisers: it is expanded once more before it is used. */
#define ROW(...) {__VA_ARGS__},

const struct cmd resp_cmds[RESP_COMMANDS] = {
#define CMD(i, n, a, keys_, r, m, f)                                                               \
    ROW(.name = n, .id = RESP_##i, .arity = a, .route = ROUTE_##r, .merge = MERGE_##m, .flags = f, keys_)
#define NOT(i, n, a, keys_, w, f)                                                                  \
    ROW(.name = n, .id = RESP_##i, .arity = a, .route = ROUTE_REPLY, .why = why_##w, .flags = f, keys_)
#include "proto/resp_cmds.def"
#undef CMD
#undef NOT
};

/* What a request is that no row knows: its answer says so. */
static const struct cmd unknown = {.name = "unknown", .id = RESP_COMMANDS, .route = ROUTE_REPLY, .flags = CMD_UNKNOWN};

/* The row of a name of at most RESP_WHOLE bytes; of a longer one the row that may have it. `parent`: as in resp_hash(). */
static inline const struct cmd *find_words(uint32_t parent, struct slice name) {
    struct resp_words w = resp_words(name.p, name.n);
    uint64_t h = resp_hash(w, name.n, parent);
    uint32_t slot = resp_slots[resp_place(h, resp_shifts[resp_bucket(h)])];
    if (slot == 0) {
        return NULL;
    }
    const struct resp_entry *e = &resp_entries[slot - 1];
    uint64_t differ = ((e->words.a ^ w.a) & ~e->letters.a) | ((e->words.b ^ w.b) & ~e->letters.b);
    if (UNLIKELY(differ != 0 || e->len != name.n || e->parent != parent)) {
        return NULL;
    }
    return &resp_cmds[slot - 1];
}

static const struct cmd *find(uint32_t parent, struct slice name) {
    const struct cmd *c = find_words(parent, name);
    bool whole = c == NULL || name.n <= RESP_WHOLE;
    return whole || slice_ieq(name, slice(c->name + strlen(c->name) - name.n, name.n)) ? c : NULL;
}

const struct cmd *resp_find(const struct cmd *container, struct slice name) {
    return find(container != NULL ? (uint32_t)container->id + 1 : 0, name);
}

bool resp_is_container(const struct cmd *c) {
    return c->id < RESP_COMMANDS ? resp_entries[c->id].container : row_of(c)->container;
}

/* A row that is not in our table: the configuration's word counts before the servers'. */
static const struct cmd *find_beside(const struct msg *m, struct slice container, struct slice name) {
    const struct cmd *c = m->rules != NULL ? book_find(m->rules->book, container, name) : NULL;
    return c != NULL ? c : book_find(m->learned, container, name);
}

static const struct cmd *find_sub(const struct msg *m, const struct cmd *container) {
    struct slice name = msg_arg(m, 1);
    const struct cmd *c = container->id < RESP_COMMANDS ? resp_find(container, name) : NULL;
    if (c == NULL) {
        return find_beside(m, slice_str(container->name), name);
    }
    return m->rules != NULL ? rules_row(m->rules, c) : c;
}

void resp_answer(struct msg *m, const char *format, ...) {
    size_t room = sizeof m->answer - 2;
    m->answer[0] = '-';
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(m->answer + 1, room - 1, format, ap);
    va_end(ap);
    size_t len = 1 + min_size((size_t)(n < 0 ? 0 : n), room - 2);
    for (size_t i = 0; i < len; i++) {
        if (m->answer[i] == '\r' || m->answer[i] == '\n') {
            m->answer[i] = ' ';
        }
    }
    memcpy(m->answer + len, "\r\n", 2);
    m->answer_len = (uint32_t)len + 2;
    m->route = ROUTE_REPLY;
}

void resp_answer_arity(struct msg *m) {
    if (m->cmd->route == ROUTE_TXN_RUN) { /* which is over all the same */
        resp_answer(m, "EXECABORT Transaction discarded because of: wrong number of arguments for '%s' command",
                    m->cmd->name);
        return;
    }
    resp_answer(m, "ERR wrong number of arguments for '%s' command", m->cmd->name);
}

void resp_answer_why(struct msg *m, const struct cmd *c, const char *why) {
    if (why[0] == '-') {
        resp_answer(m, "%s", why + 1);
    } else {
        resp_answer(m, "ERR '%s' %s", c->name, why);
    }
}

/* Redis cuts the name at 128 bytes and stops to show arguments once 128 bytes of them are there. */
static void answer_unknown(struct msg *m) {
    char shown[128 + 8];
    size_t n = 0;
    for (uint32_t i = 1; i < m->nargs && n < 128; i++) {
        struct slice a = msg_arg(m, i);
        int room = (int)min_size(128 - n, a.n);
        n += (size_t)snprintf(shown + n, sizeof shown - n, "'%.*s' ", room, (const char *)a.p);
    }
    shown[n] = '\0';
    struct slice name = msg_arg(m, 0);
    m->cmd = &unknown;
    resp_answer(m, "ERR unknown command '%.*s', with args beginning with: %s", (int)min_size(name.n, 128),
                (const char *)name.p, shown);
}

static void answer_unknown_sub(struct msg *m, const struct cmd *container) {
    char upper[32];
    size_t n = min_size(strlen(container->name), sizeof upper - 1);
    for (size_t i = 0; i < n; i++) {
        char c = container->name[i];
        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 0x20 : c);
    }
    upper[n] = '\0';
    struct slice sub = msg_arg(m, 1);
    m->cmd = &unknown;
    resp_answer(m, "ERR unknown subcommand '%.*s'. Try %s HELP.", (int)min_size(sub.n, 128), (const char *)sub.p, upper);
}

static void answer_refusal(struct msg *m) {
    resp_answer_why(m, m->cmd, m->cmd->why);
    if (m->cmd->id == RESP_POST || m->cmd->id == RESP_HOST) {
        m->flags |= MSG_CLOSE; /* what follows is chosen by whoever made a browser send this */
    }
}

static bool arity_fits(const struct cmd *c, uint32_t nargs) {
    return c->arity >= 0 ? nargs == (uint32_t)c->arity : nargs >= (uint32_t)-c->arity;
}

/* A table may say SPLIT, SAME or GATHER; the number of keys says more. */
static void settle_route(struct msg *m) {
    const struct cmd *c = m->cmd;
    if (c->route == ROUTE_CURSOR) {
        resp_scan_judge(m);
        return;
    }
    if (c->route == ROUTE_SURVEY) {
        resp_survey_judge(m);
        return;
    }
    if (m->route == ROUTE_LEASE) {
        return;
    }
    if (c->route != ROUTE_SPLIT && c->route != ROUTE_SAME && c->route != ROUTE_GATHER) {
        return;
    }
    if (m->nkeys == 0) {
        m->route = ROUTE_ANY; /* as with no key at all, or malformed: a server says what is wrong with it */
    } else if (m->nkeys == 1) {
        m->route = ROUTE_ONE;
    }
}

static void keys_single(struct msg *m, const struct cmd *c) {
    m->first_key = (uint32_t)c->first;
    m->nkeys = 1;
}

static __attribute__((noinline)) void judge_fully(struct msg *m, const struct cmd *c) {
    uint32_t at = 1; /* the first argument behind the name */
    if (c == NULL && (c = find_beside(m, slice(NULL, 0), msg_arg(m, 0))) == NULL) {
        answer_unknown(m);
        return;
    }
    if (c->why == NULL && resp_is_container(c) && m->nargs > 1) {
        const struct cmd *sub = find_sub(m, c);
        if (sub == NULL) {
            answer_unknown_sub(m, c);
            return;
        }
        c = sub;
        at = 2;
    }
    m->cmd = c;
    m->route = (enum route)c->route;
    if (!arity_fits(c, m->nargs)) {
        resp_answer_arity(m);
    } else if (c->why != NULL) {
        answer_refusal(m);
    } else if (c->keys == RESP_SINGLE) {
        keys_single(m, c);
    } else {
        resp_find_keys(m);
        settle_route(m);
        if (c->flags & (CMD_BODY | CMD_DIGEST | CMD_FORGETS)) {
            resp_script_judge(m, at);
        }
    }
}

static inline void judge_row(struct msg *m, const struct cmd *c) {
    if (LIKELY(c != NULL && c->keys == RESP_SINGLE && c->why == NULL && arity_fits(c, m->nargs))) {
        m->cmd = c;
        m->route = (enum route)c->route;
        keys_single(m, c);
    } else {
        judge_fully(m, c);
    }
}

/* A long name, or a configuration that says something of single commands. Apart, so that the plain path saves no registers for it. */
static __attribute__((noinline)) void judge_slowly(struct msg *m) {
    const struct cmd *c = find(0, msg_arg(m, 0));
    judge_row(m, c != NULL && m->rules != NULL ? rules_row(m->rules, c) : c);
}

void resp_judge(struct msg *m) {
    struct slice name = msg_arg(m, 0);
    if (LIKELY(name.n <= RESP_WHOLE && m->rules == NULL)) {
        judge_row(m, find_words(0, name));
    } else {
        judge_slowly(m);
    }
}

/* Are the keys known by their places, and do they all stand in front of argument m->nargs? */
static bool keys_in_front(struct msg *m, uint32_t total) {
    const struct cmd *c = m->cmd;
    uint32_t have = m->nargs;
    bool placed = c->keys == RESP_SINGLE || (c->keys == RESP_RANGE && c->last > 0) || c->keys == RESP_COUNTED;
    if (!placed || (uint32_t)c->first >= have) {
        return false;
    }
    m->nargs = total;
    if (c->keys == RESP_SINGLE) {
        keys_single(m, c);
    } else {
        resp_find_keys(m);
    }
    m->nargs = have;
    return m->nkeys > 0 && m->first_key + (m->nkeys - 1) * m->key_step < have;
}

bool resp_judge_head(struct msg *m, uint32_t total) {
    if (m->nargs == 0) {
        return false;
    }
    const struct cmd *c = find(0, msg_arg(m, 0));
    if (c == NULL) {
        c = find_beside(m, slice(NULL, 0), msg_arg(m, 0));
    } else if (m->rules != NULL) {
        c = rules_row(m->rules, c);
    }
    if (c == NULL || c->why != NULL || resp_is_container(c) || !arity_fits(c, total) ||
        (c->flags & (CMD_BODY | CMD_DIGEST | CMD_FORGETS)) || (c->route != ROUTE_ONE && c->route != ROUTE_SAME)) {
        return false;
    }
    m->cmd = c;
    if (!keys_in_front(m, total)) {
        return false;
    }
    m->route = ROUTE_LARGE;
    return true;
}
