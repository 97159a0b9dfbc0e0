/* networks.c: values that are lists of networks. */
#include "base/mem.h"
#include "conf/keys.h"

#include <stdio.h>

static void add(const struct key_row *row, struct networks *l, const struct node *n, struct conf_problems *ps) {
    struct place at = {n->line, n->column};
    char instead[NETWORK_TEXT_MAX], allowed[256];
    const char *why;
    struct quoted q;
    if (n->kind != NODE_SCALAR) {
        problem_error(ps, at, "%s: an entry is a list or a mapping; allowed: %s", row->name, key_allowed(row, allowed, sizeof allowed));
    } else if (network_parse(&l->v[l->n], slice_str(n->text), &why, instead)) {
        l->n++;
    } else if (instead[0] != '\0') {
        problem_error(ps, at, "%s: \"%s\" %s; did you mean \"%s\"?", row->name, quote(&q, n->text), why, instead);
    } else {
        problem_error(ps, at, "%s: \"%s\" %s; allowed: %s", row->name, quote(&q, n->text), why, key_allowed(row, allowed, sizeof allowed));
    }
}

void key_set_networks(const struct key_row *row, struct networks **member, const struct node *value, struct conf_problems *ps) {
    char allowed[256];
    const char *what = value->kind == NODE_MAP             ? "a list is wanted, not a mapping"
                       : value->kind == NODE_LIST          ? (value->n == 0 ? "the list is empty" : NULL)
                       : value->text[0] == '\0'            ? "has no value"
                                                           : NULL;
    if (what != NULL) {
        problem_error(ps, (struct place){value->line, value->column}, "%s: %s; allowed: %s", row->name, what, key_allowed(row, allowed, sizeof allowed));
        return;
    }
    uint32_t n = value->kind == NODE_LIST ? value->n : 1;
    struct networks *l = *member = mem_zalloc(sizeof *l + n * sizeof *l->v);
    if (value->kind == NODE_SCALAR) {
        add(row, l, value, ps);
        return;
    }
    for (const struct node *entry = value->first; entry != NULL; entry = entry->next) {
        add(row, l, entry, ps);
    }
}

static size_t size_of(const struct networks *l) {
    return sizeof *l + l->n * sizeof *l->v;
}

bool networks_same(const struct networks *a, const struct networks *b) {
    return a == NULL || b == NULL ? a == b : a->n == b->n && memcmp(a, b, size_of(a)) == 0;
}

struct networks *networks_copy(const struct networks *l) {
    struct networks *copy = NULL;
    if (l != NULL) {
        copy = mem_alloc(size_of(l));
        memcpy(copy, l, size_of(l));
    }
    return copy;
}

const char *networks_text(const struct networks *l, char *to, size_t room) {
    char text[NETWORK_TEXT_MAX];
    size_t n = 0;
    snprintf(to, room, "not set");
    for (uint32_t i = 0; l != NULL && i < l->n && n < room; i++) {
        n += (size_t)snprintf(to + n, room - n, "%s%s", i > 0 ? ", " : "", network_text(&l->v[i], text, sizeof text));
    }
    return to;
}
