/* text.h: YAML text as a small tree in which every node knows its place. What the keys mean is build.c's matter.
 *
 * Ordinary YAML is taken: block and flow lists and mappings, every kind of scalar, comments, "---", a BOM, CR LF.
 * Refused, with a reason: several documents, aliases, tags, keys that are no scalars, NUL bytes. Any thread. */
#ifndef KVMUX_CONF_TEXT_H
#define KVMUX_CONF_TEXT_H

#include "base/slice.h"
#include "conf/problem.h"

enum node_kind { NODE_SCALAR, NODE_MAP, NODE_LIST };

struct node {
    enum node_kind kind;
    uint32_t line, column; /* from 1 */
    char *text;            /* NODE_SCALAR: NUL-terminated, UTF-8, holds no other NUL; NULL otherwise */
    struct node *first, *last, *next;
    uint32_t n; /* children; those of a map are key, value, key, value, ... */
};

/* The document, or NULL when there is nothing to look at. After a syntax error the tree holds the entries of the
 * outermost mapping that were complete, so that what is wrong in them is told in the same run. */
struct node *text_parse(struct slice text, struct conf_problems *);
char *node_flow(const struct node *); /* in YAML's flow form, to be freed with mem_free; NULL for NULL */
void node_free(struct node **);

#endif
