/* rules.h: what the configuration says of single commands: `commands:` and `deny_commands:` of a pool. Built once with the
 * configuration, immutable, counted, read by all threads. A codec looks at it with every request of a pool that has any: one branch. */
#ifndef KVMUX_PROTO_RULES_H
#define KVMUX_PROTO_RULES_H

#include "proto/book.h"

enum rule_kind { RULE_DENY, RULE_ROW };
enum rule_keys { RULE_NO_KEYS, RULE_RANGE, RULE_COUNTED };

struct rule {
    const char *name; /* "ft.search", "config|get"; borrowed for rules_new */
    enum rule_kind kind;
    enum rule_keys keys;      /* RULE_ROW, as all that follows */
    int16_t first, last, step; /* RANGE: arguments; last may be negative: from the end */
    int16_t number;            /* COUNTED: the argument that has the number of keys, which follow it */
    enum route route;          /* without keys: ANY or ALL; with keys: ONE */
    enum merge merge;          /* ALL */
    uint32_t flags;            /* CMD_READ, CMD_WRITE, CMD_BLOCKING */
};

struct rules {
    uint32_t refs; /* atomic */
    struct shelf shelf;
    struct book *book; /* names that the codec's own table lacks */
    uint32_t n;
    const struct cmd *by_id[]; /* what replaces a row of the codec's own table; NULL: nothing */
};

/* NULL when there are none. Of two rules for one name a denial counts, else the first. */
struct rules *rules_new(const struct proto *, const struct rule *, uint32_t n);
struct rules *rules_ref(struct rules *);
void rules_unref(struct rules **); /* NULL is fine */
bool rules_same(const struct rules *, const struct rules *); /* they say the same of every command; NULL: nothing */

/* The row that counts. */
static inline const struct cmd *rules_row(const struct rules *r, const struct cmd *c) {
    return c->id < r->n && r->by_id[c->id] != NULL ? r->by_id[c->id] : c;
}

/* The codec's own row of a name; NULL: it has none. */
const struct cmd *rules_known(const struct proto *, const char *name);
/* Why a rule of kind ROW for this row of the codec cannot be kept, or NULL. `container`: it has subcommands. */
const char *rules_objection(const struct cmd *, const struct rule *, bool container);
bool rules_is_container(const struct proto *, const char *name);

#endif
