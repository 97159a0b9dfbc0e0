#include "proto/rules.h"

#include "base/mem.h"
#include "proto/resp.h"

#define DENIED "is denied by the configuration of kvmux (deny_commands)"

const struct cmd *rules_known(const struct proto *p, const char *name) {
    for (uint32_t i = 0; i < p->ncmds; i++) {
        struct slice known = slice_str(p->cmds[i].name);
        if (!(p->cmds[i].flags & CMD_UNKNOWN) && slice_ieq(known, slice_str(name)) &&
            (p->any_case || slice_is(known, name))) {
            return &p->cmds[i];
        }
    }
    return NULL;
}

bool rules_is_container(const struct proto *p, const char *name) {
    size_t n = strlen(name);
    for (uint32_t i = 0; i < p->ncmds; i++) {
        const char *c = p->cmds[i].name;
        if (strlen(c) > n && c[n] == '|' && slice_ieq(slice(c, n), slice(name, n))) {
            return true;
        }
    }
    return false;
}

const char *rules_objection(const struct cmd *c, const struct rule *r, bool container) {
    if (container) {
        return "has subcommands: name one of them, as in \"config|get\"";
    }
    if (c->flags & CMD_STATE) {
        return "changes the state of the connection that it travels on, which others share";
    }
    switch ((enum route)c->route) {
    case ROUTE_LOCAL:
        return "is answered by kvmux itself";
    case ROUTE_WRITTEN:
        return "waits at the servers that a client wrote through, which kvmux keeps count of";
    case ROUTE_WATCH:
    case ROUTE_UNWATCH:
    case ROUTE_TXN_BEGIN:
    case ROUTE_TXN_RUN:
    case ROUTE_TXN_DROP:
        return "belongs to transactions, which kvmux keeps itself";
    default:
        break;
    }
    if ((c->flags & CMD_BLOCKING) && !(r->flags & CMD_BLOCKING)) {
        return "may wait at the server and must not keep others waiting: add blocking: true";
    }
    return NULL;
}

static void row_deny(struct row *row) {
    /* Also what ends a transaction or changes the connection does nothing of the kind now. */
    row->cmd.flags &= CMD_READ | CMD_WRITE;
    row->cmd.route = ROUTE_REPLY;
    row->cmd.keys = RESP_NOKEYS;
    row->cmd.arity = -1;
    row->cmd.why = DENIED;
}

static void row_follow(struct row *row, const struct rule *r) {
    row->cmd = (struct cmd){
        .name = row->name, .id = row->cmd.id, .arity = -1, .route = (uint8_t)r->route, .merge = (uint8_t)r->merge, .flags = r->flags};
    if (r->keys == RULE_NO_KEYS) {
        row->cmd.keys = RESP_NOKEYS;
        return;
    }
    row->cmd.keys = RESP_SPECS;
    row->cmd.route = (r->flags & CMD_BLOCKING) ? ROUTE_LEASE : ROUTE_SAME;
    row->nspecs = 1;
    if (r->keys == RULE_COUNTED) {
        row->specs[0] = (struct keyspec){.start = r->number, .counted = true, .first = 1, .step = r->step};
    } else {
        int last = r->last >= 0 ? r->last - r->first : r->last; /* from the first key */
        row->specs[0] = (struct keyspec){.start = r->first, .last = (int16_t)last, .step = r->step};
    }
}

static void rules_take(struct rules *rules, struct rows *rows, const struct proto *p, const struct rule *r) {
    struct row row = {0};
    const struct cmd *known = rules_known(p, r->name);
    if (!row_set_name(&row, slice(NULL, 0), slice_str(r->name))) {
        return;
    }
    if (known != NULL) {
        row.cmd = *known;
    }
    row.cmd.name = row.name;
    row.cmd.id = known != NULL ? known->id : RESP_ROW;
    if (r->kind == RULE_DENY) {
        row_deny(&row);
    } else {
        row_follow(&row, r);
    }
    const struct row *kept = shelf_keep(&rules->shelf, &row);
    if (known == NULL) {
        rows_add(rows, kept);
    } else if (rules->by_id[known->id] == NULL) {
        rules->by_id[known->id] = &kept->cmd;
    }
}

/* An unknown command that has subcommands of its own must be found as one. */
static void rules_add_containers(struct rules *rules, struct rows *rows, const struct proto *p) {
    uint32_t n = rows->n;
    for (uint32_t i = 0; i < n; i++) {
        const char *name = rows->v[i]->name, *bar = strchr(name, '|');
        struct row row = {.container = true};
        if (bar == NULL || rows->v[i]->cmd.why != NULL || !row_set_name(&row, slice(NULL, 0), slice(name, (size_t)(bar - name))) ||
            rules_known(p, row.name) != NULL) {
            continue;
        }
        row.cmd = (struct cmd){.name = row.name, .id = RESP_ROW, .arity = -2, .keys = RESP_NOKEYS, .route = ROUTE_ANY};
        rows_add(rows, shelf_keep(&rules->shelf, &row)); /* of the same name the first counts */
    }
}

struct rules *rules_new(const struct proto *p, const struct rule *v, uint32_t n) {
    if (n == 0) {
        return NULL;
    }
    struct rules *rules = mem_zalloc(sizeof *rules + p->ncmds * sizeof(struct cmd *));
    struct rows rows = {0};
    rules->refs = 1;
    rules->n = p->ncmds;
    shelf_init(&rules->shelf, 2 * n);
    for (uint32_t i = 0; i < 2 * n; i++) { /* denials first */
        const struct rule *r = &v[i % n];
        if ((r->kind == RULE_DENY) == (i < n)) {
            rules_take(rules, &rows, p, r);
        }
    }
    rules_add_containers(rules, &rows, p);
    rules->book = book_new(&rows);
    rows_fini(&rows);
    return rules;
}

struct rules *rules_ref(struct rules *r) {
    __atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
    return r;
}

void rules_unref(struct rules **rp) {
    struct rules *r = *rp;
    *rp = NULL;
    if (r != NULL && __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        book_unref(&r->book);
        shelf_fini(&r->shelf);
        mem_free(r);
    }
}

/* Rows are put on the shelf in the order of the file, denials first. */
bool rules_same(const struct rules *a, const struct rules *b) {
    if (a == NULL || b == NULL) {
        return a == b;
    }
    bool same = a->n == b->n && a->shelf.n == b->shelf.n;
    for (uint32_t i = 0; same && i < a->shelf.n; i++) {
        same = row_same(a->shelf.rows[i], b->shelf.rows[i]);
    }
    return same;
}
