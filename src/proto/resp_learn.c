/* resp_learn.c: rows made of what a server answers to COMMAND, for commands that our table lacks: those of modules, and
 * of versions later than this program. What the server's flags, categories, tips and key specifications say decides what
 * happens to a command; in doubt it is refused, with a reason that names the way out (`commands:` in the configuration). */
#include "proto/resp.h"

#include "proto/learn.h"

#define WHY(name, text) static const char why_##name[] = text;
#include "proto/resp_learn_why.def"
#undef WHY

/* ---- walking over a reply ---- */

/* Takes the value that `in` begins with. Lists of every kind are '*' with their elements in *body. */
struct value {
    char type; /* '*' lists, '$' texts of any kind, ':' numbers, 0: something else */
    int64_t n; /* elements, or the number */
    struct slice body;
};

static bool take(struct slice *in, struct value *v) {
    size_t len = resp_value_len(*in);
    if (len == 0) {
        return false;
    }
    struct slice all = slice(in->p, len);
    char type = (char)all.p[0];
    *in = slice(in->p + len, in->n - len);
    *v = (struct value){0};
    if (type == '+') {
        *v = (struct value){.type = '$', .body = slice(all.p + 1, len - 3)};
    } else if (resp_take_head(all, type, &v->n, &v->body)) {
        if (type == '$' && v->n >= 0) {
            v->type = '$';
            v->body.n = (size_t)v->n;
        } else if (type == ':') {
            v->type = ':';
        } else if ((type == '*' || type == '~' || type == '%') && v->n >= 0) {
            v->type = '*';
            v->n *= type == '%' ? 2 : 1;
        }
    }
    return true;
}

static bool take_list(struct slice *in, struct value *v) {
    return take(in, v) && v->type == '*';
}

/* The value of a name in a list of names and values. */
static bool find(struct slice list, const char *name, struct value *v) {
    struct value key;
    while (take(&list, &key) && take(&list, v)) {
        if (key.type == '$' && slice_is(key.body, name)) {
            return true;
        }
    }
    return false;
}

static bool find_int(struct slice list, const char *name, int64_t least, int16_t *out) {
    struct value v;
    if (!find(list, name, &v) || v.type != ':' || v.n < least || v.n > INT16_MAX) {
        return false;
    }
    *out = (int16_t)v.n;
    return true;
}

/* ---- what one row says ---- */

enum {
    SAYS_WRITE = 1u << 0,
    SAYS_READ = 1u << 1,
    SAYS_ADMIN = 1u << 2,
    SAYS_PUBSUB = 1u << 3,
    SAYS_STATE = 1u << 4, /* it may change what a connection is */
    SAYS_BLOCKING = 1u << 5,
    SAYS_MOVABLE = 1u << 6, /* first, last and step do not tell all keys */
    SAYS_EVERY = 1u << 7,   /* of the tips: for every server */
    SAYS_MULTI = 1u << 8,   /* ... or split by key */
    SAYS_SPECIAL = 1u << 9, /* ... or something that only a client made for it knows */
};

static const struct word {
    const char *text;
    uint32_t says;
} words[] = {
    {"write", SAYS_WRITE},
    {"readonly", SAYS_READ},
    {"admin", SAYS_ADMIN},
    {"@admin", SAYS_ADMIN},
    {"pubsub", SAYS_PUBSUB},
    {"@pubsub", SAYS_PUBSUB},
    {"no_auth", SAYS_STATE}, /* what may come before AUTH is AUTH and its kind */
    {"no-auth", SAYS_STATE},
    {"no_multi", SAYS_STATE}, /* what cannot stand in a transaction takes the connection over, or begins another */
    {"no-multi", SAYS_STATE},
    {"@connection", SAYS_STATE},
    {"@transaction", SAYS_STATE},
    {"blocking", SAYS_BLOCKING},
    {"@blocking", SAYS_BLOCKING},
    {"movablekeys", SAYS_MOVABLE},
    {"request_policy:all_nodes", SAYS_EVERY},
    {"request_policy:all_shards", SAYS_EVERY},
    {"request_policy:multi_shard", SAYS_MULTI},
    {"request_policy:special", SAYS_SPECIAL},
};

static const struct {
    const char *text;
    enum merge merge;
} policies[] = {
    {"response_policy:agg_sum", MERGE_SUM},
    {"response_policy:all_succeeded", MERGE_ALL_OK},
};

struct info {
    struct slice name;
    int16_t arity, first, last, step;
    uint32_t says;
    enum merge merge;  /* NONE: no policy is told */
    bool other_policy; /* one that we cannot follow */
    struct keyspec specs[ROW_SPECS_MAX];
    uint32_t nspecs;
    bool bad_specs; /* one that is not understood, or does not tell all */
    struct slice subs;
};

static void hear_words(struct info *i, struct slice list) {
    struct value v;
    while (take(&list, &v)) {
        for (size_t w = 0; v.type == '$' && w < ARRAY_LEN(words); w++) {
            i->says |= slice_is(v.body, words[w].text) ? words[w].says : 0;
        }
        if (v.type != '$' || !slice_starts(v.body, "response_policy:")) {
            continue;
        }
        i->other_policy = true;
        for (size_t p = 0; p < ARRAY_LEN(policies); p++) {
            if (slice_is(v.body, policies[p].text)) {
                i->merge = policies[p].merge;
                i->other_policy = false;
            }
        }
    }
}

/* ["type", "index" | "keyword" | "range" | "keynum", "spec", [...]]: the list behind "spec". */
static bool spec_part(struct slice list, const char *name, struct slice *type, struct slice *spec) {
    struct value part, v, inner;
    if (!find(list, name, &part) || part.type != '*' || !find(part.body, "type", &v) || v.type != '$' ||
        !find(part.body, "spec", &inner) || inner.type != '*') {
        return false;
    }
    *type = v.body;
    *spec = inner.body;
    return true;
}

static bool hear_begin(struct slice type, struct slice spec, struct keyspec *k) {
    struct value word;
    if (slice_is(type, "index")) {
        return find_int(spec, "index", 1, &k->start);
    }
    if (!slice_is(type, "keyword") || !find(spec, "keyword", &word) || word.type != '$' || word.body.n == 0 ||
        word.body.n > KEYSPEC_WORD_MAX || memchr(word.body.p, 0, word.body.n) != NULL) {
        return false;
    }
    memcpy(k->keyword, word.body.p, word.body.n);
    return find_int(spec, "startfrom", -INT16_MAX, &k->start) && k->start != 0;
}

static bool hear_find(struct slice type, struct slice spec, struct keyspec *k) {
    if (slice_is(type, "range")) {
        return find_int(spec, "lastkey", -INT16_MAX, &k->last) && find_int(spec, "keystep", 1, &k->step) &&
               find_int(spec, "limit", 0, &k->limit);
    }
    k->counted = true;
    return slice_is(type, "keynum") && find_int(spec, "keynumidx", 0, &k->number) && find_int(spec, "firstkey", 0, &k->first) &&
           find_int(spec, "keystep", 1, &k->step);
}

static bool hear_spec(struct slice list, struct keyspec *k) {
    struct slice type, spec;
    struct value flags, f;
    *k = (struct keyspec){0};
    if (find(list, "flags", &flags) && flags.type == '*') {
        while (take(&flags.body, &f)) {
            if (f.type == '$' && slice_is(f.body, "incomplete")) {
                return false;
            }
        }
    }
    return spec_part(list, "begin_search", &type, &spec) && hear_begin(type, spec, k) &&
           spec_part(list, "find_keys", &type, &spec) && hear_find(type, spec, k);
}

static void hear_specs(struct info *i, struct slice list) {
    struct value v;
    while (take(&list, &v)) {
        if (i->nspecs < ROW_SPECS_MAX && v.type == '*' && hear_spec(v.body, &i->specs[i->nspecs])) {
            i->nspecs++;
        } else {
            i->bad_specs = true;
        }
    }
}

static bool hear_number(struct slice *in, int16_t *out) {
    struct value v;
    if (!take(in, &v) || v.type != ':' || v.n < INT16_MIN || v.n > INT16_MAX) {
        return false;
    }
    *out = (int16_t)v.n;
    return true;
}

/* Servers before Redis 7 end a row behind its categories. */
static bool hear_row(struct slice row, struct info *i) {
    struct value v;
    *i = (struct info){0};
    if (!take(&row, &v) || v.type != '$') {
        return false;
    }
    i->name = v.body;
    if (!hear_number(&row, &i->arity) || i->arity == 0 || !take_list(&row, &v)) {
        return false;
    }
    hear_words(i, v.body);
    if (!hear_number(&row, &i->first) || !hear_number(&row, &i->last) || !hear_number(&row, &i->step)) {
        return false;
    }
    if (take_list(&row, &v)) {
        hear_words(i, v.body);
    }
    if (take_list(&row, &v)) {
        hear_words(i, v.body);
    }
    if (take_list(&row, &v)) {
        hear_specs(i, v.body);
    }
    if (take_list(&row, &v)) {
        i->subs = v.body;
    }
    return true;
}

/* ---- what follows from it ---- */

/* Specifications that are all understood tell everything; else first, last and step do, unless they say that they do not. False:
 * nobody tells where the keys are. */
static bool settle_keys(struct info *i) {
    if (i->nspecs > 0 && !i->bad_specs) {
        return true;
    }
    i->nspecs = 0;
    if (i->says & SAYS_MOVABLE) {
        return false;
    }
    if (i->first > 0 && i->step > 0) {
        int last = i->last >= 0 ? i->last - i->first : i->last;
        i->specs[0] = (struct keyspec){.start = i->first, .last = (int16_t)last, .step = i->step};
        i->nspecs = last >= 0 || i->last < 0 ? 1 : 0;
        return i->nspecs > 0;
    }
    return i->first == 0 && !i->bad_specs;
}

static const char *refusal(const struct info *i, bool keys_known) {
    bool keyless = i->nspecs == 0 && i->subs.n == 0;
    if (i->says & SAYS_ADMIN) {
        return why_ADMIN;
    }
    if (i->says & SAYS_PUBSUB) {
        return why_PUBSUB;
    }
    if (i->says & SAYS_STATE) {
        return why_STATE;
    }
    if (!keys_known) {
        return why_KEYS;
    }
    if (keyless && (i->says & SAYS_BLOCKING)) {
        return why_BLOCKING;
    }
    if (keyless && ((i->says & SAYS_SPECIAL) || ((i->says & SAYS_EVERY) && i->other_policy))) {
        return why_MERGE;
    }
    if (keyless && (i->says & SAYS_WRITE) && !(i->says & SAYS_EVERY)) {
        return why_KEYLESS;
    }
    return NULL;
}

/* All arguments are keys, perhaps with what belongs to them in between: such a request can be split. */
static bool is_list_of_keys(const struct info *i) {
    const struct keyspec *k = &i->specs[0];
    return i->nspecs == 1 && k->keyword[0] == '\0' && k->start == 1 && !k->counted && k->last == -1 && k->limit <= 1;
}

static void route_keys(struct row *row, const struct info *i) {
    const struct keyspec *k = &i->specs[0];
    int least = i->arity < 0 ? -i->arity : i->arity;
    bool split = (i->says & SAYS_MULTI) && is_list_of_keys(i) && !i->other_policy && (i->merge != MERGE_NONE || k->step == 1);
    row->cmd.keys = RESP_SPECS;
    row->cmd.route = ROUTE_SAME;
    if (i->says & SAYS_BLOCKING) {
        row->cmd.route = ROUTE_LEASE;
    } else if (split) {
        row->cmd.keys = RESP_RANGE;
        row->cmd.first = 1;
        row->cmd.last = -1;
        row->cmd.step = k->step;
        row->cmd.route = ROUTE_SPLIT;
        row->cmd.merge = (uint8_t)(i->merge != MERGE_NONE ? i->merge : MERGE_ARRAY);
    } else if (i->nspecs == 1 && k->keyword[0] == '\0' && !k->counted && k->last == 0 && k->start < least) {
        row->cmd.keys = RESP_SINGLE; /* every request that is long enough has it */
        row->cmd.first = row->cmd.last = k->start;
        row->cmd.step = 1;
        row->cmd.route = ROUTE_ONE;
    }
    if (row->cmd.keys == RESP_SPECS) {
        row->nspecs = (uint8_t)i->nspecs;
        memcpy(row->specs, i->specs, sizeof row->specs);
    }
}

static void route_row(struct row *row, const struct info *i, const char *why) {
    row->cmd.id = RESP_ROW;
    row->cmd.arity = i->arity;
    row->cmd.keys = RESP_NOKEYS;
    row->container = i->subs.n > 0;
    row->cmd.flags = (i->says & SAYS_WRITE ? CMD_WRITE : 0) | (i->says & SAYS_READ ? CMD_READ : 0) |
                     (i->says & SAYS_BLOCKING ? CMD_BLOCKING : 0);
    if (why != NULL) {
        row->cmd.why = why;
        row->cmd.route = ROUTE_REPLY;
    } else if (i->nspecs > 0) {
        route_keys(row, i);
    } else if ((i->says & SAYS_EVERY) && !row->container) {
        row->cmd.route = ROUTE_ALL;
        row->cmd.merge = (uint8_t)(i->merge != MERGE_NONE ? i->merge : MERGE_CONCAT);
    } else {
        row->cmd.route = ROUTE_ANY;
    }
}

/* ---- the reply ---- */

struct learning {
    struct shelf *shelf;
    struct rows *rows;
    bool every; /* also what our table has */
    uint32_t n;
};

static void learn_row(struct learning *l, struct slice container, struct slice name, struct info *i) {
    struct row row = {0};
    bool known = settle_keys(i);
    const struct row *kept = NULL;
    if (l->n < LEARN_ROWS_MAX && row_set_name(&row, container, name)) {
        route_row(&row, i, refusal(i, known));
        kept = shelf_keep(l->shelf, &row);
    }
    if (kept != NULL) {
        rows_add(l->rows, kept);
        l->n++;
    } else {
        l->rows->dropped++;
    }
}

/* "container|subcommand" as the server says it; the part behind the bar. */
static struct slice part_of(struct slice name) {
    const uint8_t *bar = name.n > 0 ? memchr(name.p, '|', name.n) : NULL;
    return bar != NULL ? slice(bar + 1, name.n - (size_t)(bar + 1 - name.p)) : name;
}

static void learn_subs(struct learning *l, const struct info *container, const struct cmd *ours) {
    struct slice subs = container->subs;
    struct value v;
    struct info i;
    while (take(&subs, &v)) {
        if (v.type == '*' && hear_row(v.body, &i) && (l->every || ours == NULL || resp_find(ours, part_of(i.name)) == NULL)) {
            i.subs = slice(NULL, 0); /* no third level */
            learn_row(l, container->name, part_of(i.name), &i);
        }
    }
}

static bool learn(struct slice reply, bool every, struct shelf *shelf, struct rows *rows) {
    struct learning l = {.shelf = shelf, .rows = rows, .every = every};
    struct value v;
    struct info i;
    if (!take_list(&reply, &v)) {
        return false;
    }
    struct slice list = v.body;
    while (take(&list, &v)) {
        if (v.type != '*' || !hear_row(v.body, &i)) {
            continue;
        }
        const struct cmd *ours = resp_find(NULL, i.name);
        bool subs = i.subs.n > 0 && (ours == NULL || resp_is_container(ours));
        if (every || ours == NULL) {
            struct info own = i;
            learn_row(&l, slice(NULL, 0), i.name, &own);
        }
        if (subs || (every && i.subs.n > 0)) {
            learn_subs(&l, &i, ours);
        }
    }
    return true;
}

bool resp_hear_what(struct slice reply, struct shelf *shelf, struct rows *rows) {
    return learn(reply, false, shelf, rows);
}

bool resp_hear_every(struct slice reply, struct shelf *shelf, struct rows *rows) {
    return learn(reply, true, shelf, rows);
}

/* ---- who ---- */

/* The value of a line "name:value\r\n" of INFO, cut to the room there is. */
static bool info_line(struct slice text, const char *name, char *to, size_t room) {
    size_t n = strlen(name);
    const uint8_t *p = text.p, *end = text.p + text.n;
    while (p < end) {
        const uint8_t *nl = memchr(p, '\n', (size_t)(end - p));
        size_t len = (size_t)((nl != NULL ? nl : end) - p);
        if (len > n && memcmp(p, name, n) == 0 && p[n] == ':') {
            size_t k = 0;
            for (const uint8_t *v = p + n + 1; v < p + len && *v > ' ' && *v < 127 && k < room - 1; v++) {
                to[k++] = (char)*v;
            }
            to[k] = '\0';
            return k > 0;
        }
        p += len + 1;
    }
    return false;
}

bool resp_hear_who(struct slice reply, struct identity *id) {
    struct value v;
    *id = (struct identity){0};
    if (!take(&reply, &v) || v.type != '$' || !info_line(v.body, "redis_version", id->version, sizeof id->version)) {
        return false;
    }
    char name[24] = "redis", version[32];
    info_line(v.body, "run_id", id->run_id, sizeof id->run_id);
    info_line(v.body, "server_name", name, sizeof name);
    if (!info_line(v.body, "valkey_version", version, sizeof version)) {
        memcpy(version, id->version, sizeof version);
    }
    size_t n = strlen(name);
    memcpy(id->product, name, n);
    id->product[n++] = ' ';
    memcpy(id->product + n, version, strlen(version) + 1);
    return true;
}

void resp_ask_who(struct out *o) {
    out_str(o, "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n");
}

void resp_ask_what(struct out *o) {
    out_str(o, "*1\r\n$7\r\nCOMMAND\r\n");
}
