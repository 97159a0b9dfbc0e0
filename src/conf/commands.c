/* commands.c: `commands:` and `deny_commands:` of a pool. */
#include "base/mem.h"
#include "conf/build.h"
#include "conf/near.h"
#include "proto/rules.h"

#include <stdio.h>

#define POSITION_MAX 1000 /* of an argument */
#define FORMS                                                                                                                   \
    "{name: N, first_key: 1, last_key: -1, key_step: 1, write: true, blocking: true}, {name: N, numkeys: 2} or {name: N, keys: " \
    "none, route: any}"

static struct place place_of(const struct node *n) {
    return (struct place){n->line, n->column};
}

/* ---- an entry of `commands:` ---- */

enum field { F_NAME, F_KEYS, F_FIRST, F_LAST, F_STEP, F_NUMKEYS, F_ROUTE, F_MERGE, F_WRITE, F_BLOCKING, FIELDS };
static const char *const fields[FIELDS] = {"name",  "keys",  "first_key", "last_key", "key_step",
                                           "numkeys", "route", "merge",     "write",    "blocking"};

/* The values of an entry by field; NULL: not given. False after telling what is wrong. */
static bool take_fields(const struct node *entry, const struct node **v, struct conf_problems *ps) {
    bool ok = true;
    struct quoted q;
    for (const struct node *key = entry->first; key != NULL; key = key->next->next) {
        struct near near;
        int f = -1;
        near_init(&near, key->text);
        for (int i = 0; i < FIELDS; i++) {
            near_try(&near, fields[i]);
            f = strcmp(key->text, fields[i]) == 0 ? i : f;
        }
        if (f < 0) {
            problem_error(ps, place_of(key), "commands: unknown field \"%s\"; allowed: name, keys, first_key, last_key, key_step, "
                                             "numkeys, route, merge, write, blocking%s%s%s", quote(&q, key->text),
                          near.best != NULL ? "; did you mean \"" : "", near.best != NULL ? near.best : "",
                          near.best != NULL ? "\"?" : "");
            ok = false;
        } else if (v[f] != NULL) {
            problem_error(ps, place_of(key), "commands: %s is given twice in one entry", fields[f]);
            ok = false;
        } else if (key->next->kind != NODE_SCALAR || key->next->text[0] == '\0') {
            problem_error(ps, place_of(key->next), "commands: %s has no value", fields[f]);
            ok = false;
        } else {
            v[f] = key->next;
        }
    }
    return ok;
}

/* A number; one that may be negative counts from the end. */
static bool take_position(const struct node *v, enum field f, bool negative, struct conf_problems *ps, int16_t *out) {
    if (v == NULL) {
        return true;
    }
    struct node digits = *v;
    bool minus = negative && v->text[0] == '-';
    char field[32];
    int64_t n;
    digits.text = v->text + (minus ? 1 : 0);
    snprintf(field, sizeof field, "commands: %s", fields[f]);
    if (!key_number(field, &digits, 1, POSITION_MAX, negative ? ", or -1 and below: from the end" : "", ps, &n)) {
        return false;
    }
    *out = (int16_t)(minus ? -n : n);
    return true;
}

/* The index of a word in a list that ends with NULL; false after telling which there are. */
static bool take_word(const struct node *v, enum field f, const char *const *list, struct conf_problems *ps, unsigned *out) {
    struct near near;
    struct quoted q;
    char allowed[64];
    size_t n = 0;
    if (v == NULL) {
        return true;
    }
    near_init(&near, v->text);
    for (unsigned i = 0; list[i] != NULL; i++) {
        if (strcmp(list[i], v->text) == 0) {
            *out = i;
            return true;
        }
        near_try(&near, list[i]);
        n += (size_t)snprintf(allowed + n, sizeof allowed - n, "%s%s", i > 0 ? ", " : "", list[i]);
    }
    problem_error(ps, place_of(v), "commands: %s: \"%s\" is not known; allowed: %s%s%s%s", fields[f], quote(&q, v->text), allowed,
                  near.best != NULL ? "; did you mean \"" : "", near.best != NULL ? near.best : "",
                  near.best != NULL ? "\"?" : "");
    return false;
}

static bool take_keys(const struct node *entry, const struct node *const *v, struct conf_problems *ps, struct rule *r) {
    static const char *const none[] = {"none", NULL};
    unsigned word = 0;
    bool ok = take_word(v[F_KEYS], F_KEYS, none, ps, &word);
    ok = take_position(v[F_FIRST], F_FIRST, false, ps, &r->first) && ok;
    r->last = r->first;
    ok = take_position(v[F_LAST], F_LAST, true, ps, &r->last) && ok;
    ok = take_position(v[F_STEP], F_STEP, false, ps, &r->step) && ok;
    ok = take_position(v[F_NUMKEYS], F_NUMKEYS, false, ps, &r->number) && ok;
    int ways = (v[F_KEYS] != NULL) + (v[F_FIRST] != NULL) + (v[F_NUMKEYS] != NULL);
    if (ways != 1 || (v[F_LAST] != NULL && v[F_FIRST] == NULL) || (v[F_STEP] != NULL && v[F_KEYS] != NULL)) {
        problem_error(ps, place_of(entry), "commands: an entry says where the keys are with one of keys: none, first_key and "
                                           "numkeys; allowed: " FORMS);
        return false;
    }
    if (ok && r->last > 0 && r->last < r->first) {
        problem_error(ps, place_of(v[F_LAST]), "commands: last_key is in front of first_key");
        return false;
    }
    r->keys = v[F_KEYS] != NULL ? RULE_NO_KEYS : v[F_FIRST] != NULL ? RULE_RANGE : RULE_COUNTED;
    return ok;
}

static bool take_route(const struct node *entry, const struct node *const *v, struct conf_problems *ps, struct rule *r) {
    static const char *const routes[] = {"any", "all", NULL}, *const merges[] = {"all_ok", "sum", "concat", NULL};
    static const enum merge merge_of[] = {MERGE_ALL_OK, MERGE_SUM, MERGE_CONCAT};
    unsigned route = 0, merge = 0;
    if (!take_word(v[F_ROUTE], F_ROUTE, routes, ps, &route) || !take_word(v[F_MERGE], F_MERGE, merges, ps, &merge)) {
        return false;
    }
    if (v[F_ROUTE] != NULL && r->keys != RULE_NO_KEYS) {
        problem_error(ps, place_of(v[F_ROUTE]), "commands: route is for commands without keys: keys say where a command goes");
        return false;
    }
    if (v[F_MERGE] != NULL && route == 0) {
        problem_error(ps, place_of(v[F_MERGE]), "commands: merge is for route: all");
        return false;
    }
    r->route = r->keys != RULE_NO_KEYS ? ROUTE_ONE : route == 0 ? ROUTE_ANY : ROUTE_ALL;
    r->merge = r->route == ROUTE_ALL ? merge_of[merge] : MERGE_NONE;
    if ((r->flags & CMD_BLOCKING) && r->keys == RULE_NO_KEYS) {
        problem_error(ps, place_of(entry), "commands: blocking: true needs keys: without one nobody knows at which server to wait");
        return false;
    }
    return true;
}

static bool take_flags(const struct node *const *v, struct conf_problems *ps, struct rule *r) {
    static const char *const booleans[] = {"false", "true", NULL};
    unsigned write = 0, blocking = 0;
    bool ok = take_word(v[F_WRITE], F_WRITE, booleans, ps, &write);
    ok = take_word(v[F_BLOCKING], F_BLOCKING, booleans, ps, &blocking) && ok;
    r->flags = (write ? CMD_WRITE : 0) | (blocking ? CMD_BLOCKING : 0);
    return ok;
}

static bool name_fits(const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        if (name[i] <= ' ' || name[i] > '~') {
            return false;
        }
    }
    return n <= ROW_NAME_MAX;
}

static bool take_name(const struct node *name, const char *key, struct conf_problems *ps) {
    struct quoted q;
    if (name->kind == NODE_SCALAR && name->text[0] != '\0' && name_fits(name->text)) {
        return true;
    }
    problem_error(ps, place_of(name), "%s: \"%s\" is no name of a command; allowed: up to %d printable characters without blanks, a "
                                      "subcommand as \"config|get\"", key, name->kind == NODE_SCALAR ? quote(&q, name->text) : "",
                  ROW_NAME_MAX);
    return false;
}

static bool take_entry(const struct proto *proto, const struct node *entry, struct conf_problems *ps, struct rule *r) {
    const struct node *v[FIELDS] = {NULL};
    struct quoted q;
    *r = (struct rule){.kind = RULE_ROW, .step = 1};
    if (entry->kind != NODE_MAP) {
        problem_error(ps, place_of(entry), "commands: an entry is a mapping; allowed: " FORMS);
        return false;
    }
    if (!take_fields(entry, v, ps)) {
        return false;
    }
    if (v[F_NAME] == NULL) {
        problem_error(ps, place_of(entry), "commands: an entry needs a name; allowed: " FORMS);
        return false;
    }
    bool ok = take_name(v[F_NAME], "commands", ps);
    ok = take_flags(v, ps, r) && ok;
    if (!take_keys(entry, v, ps, r) || !take_route(entry, v, ps, r) || !ok) {
        return false;
    }
    r->name = v[F_NAME]->text;
    const struct cmd *known = rules_known(proto, r->name);
    const char *no = known != NULL ? rules_objection(known, r, rules_is_container(proto, r->name)) : NULL;
    if (no != NULL) {
        problem_error(ps, place_of(v[F_NAME]), "commands: \"%s\" cannot be changed: it %s", quote(&q, r->name), no);
    }
    return no == NULL;
}

/* ---- the lists ---- */

struct list_of_rules {
    struct rule *v;
    uint32_t n;
};

static bool is_list(const struct node *list, const char *key, const char *forms, struct conf_problems *ps) {
    if (list->kind == NODE_LIST) {
        return true;
    }
    problem_error(ps, place_of(list), "%s: a list is wanted; allowed: %s", key, forms);
    return false;
}

static void build_rows(struct build *b, const struct build_pool *bp, const struct proto *proto, struct list_of_rules *l) {
    struct quoted q;
    if (!bp->pool.redis) {
        problem_error(b->problems, bp->commands_at, "commands: is only valid for a redis pool; allowed: with redis: true");
        return;
    }
    if (!is_list(bp->commands, "commands", "- " FORMS, b->problems)) {
        return;
    }
    for (const struct node *entry = bp->commands->first; entry != NULL; entry = entry->next) {
        struct rule *r = &l->v[l->n];
        if (!take_entry(proto, entry, b->problems, r)) {
            continue;
        }
        bool twice = false;
        for (uint32_t i = 0; i < l->n; i++) {
            twice = twice || slice_ieq(slice_str(l->v[i].name), slice_str(r->name));
        }
        if (twice) {
            problem_error(b->problems, place_of(entry), "commands: \"%s\" is there twice", quote(&q, r->name));
            continue;
        }
        l->n++;
    }
}

/* A name that no table has is perhaps a module's, perhaps a slip of the pen. */
static void check_denied(const struct proto *proto, const struct node *name, struct conf_problems *ps) {
    struct quoted q;
    struct near near;
    if (rules_known(proto, name->text) != NULL) {
        return;
    }
    near_init(&near, name->text);
    for (uint32_t i = 0; i < proto->ncmds; i++) {
        if (!(proto->cmds[i].flags & CMD_UNKNOWN)) {
            near_try(&near, proto->cmds[i].name);
        }
    }
    problem_warn(ps, place_of(name), "deny_commands: \"%s\" is no command that kvmux knows%s%s%s", quote(&q, name->text),
                 near.best != NULL ? "; did you mean \"" : ", it is denied all the same",
                 near.best != NULL ? near.best : "", near.best != NULL ? "\"?" : "");
}

static void build_denials(struct build *b, const struct build_pool *bp, const struct proto *proto, struct list_of_rules *l) {
    if (!is_list(bp->deny, "deny_commands", "[keys, \"config|get\"]", b->problems)) {
        return;
    }
    for (const struct node *name = bp->deny->first; name != NULL; name = name->next) {
        if (take_name(name, "deny_commands", b->problems)) {
            check_denied(proto, name, b->problems);
            l->v[l->n++] = (struct rule){.kind = RULE_DENY, .name = name->text};
        }
    }
}

void commands_build(struct build *b, struct build_pool *bp) {
    uint32_t most = (bp->commands != NULL ? bp->commands->n : 0) + (bp->deny != NULL ? bp->deny->n : 0);
    const struct proto *proto = proto_by_id(bp->pool.client_proto);
    struct list_of_rules l = {.v = mem_zalloc((most + 1) * sizeof *l.v)};
    if (bp->commands != NULL) {
        build_rows(b, bp, proto, &l);
    }
    if (bp->deny != NULL) {
        build_denials(b, bp, proto, &l);
    }
    bp->pool.commands = node_flow(bp->commands);
    bp->pool.deny_commands = node_flow(bp->deny);
    bp->pool.rules = rules_new(proto, l.v, l.n);
    mem_free(l.v);
}
