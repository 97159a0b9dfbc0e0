#include "proto/book.h"

#include "base/mem.h"

struct book {
    uint32_t refs; /* atomic */
    uint32_t n, mask;
    const struct row *slots[]; /* open addressing; at most half are taken */
};

/* ---- rows ---- */

bool row_set_name(struct row *r, struct slice container, struct slice name) {
    size_t n = 0, all = container.n + (container.n > 0 ? 1 : 0) + name.n;
    if (name.n == 0 || all > ROW_NAME_MAX || memchr(name.p, 0, name.n) != NULL) {
        return false;
    }
    for (size_t i = 0; i < container.n; i++) {
        r->name[n++] = (char)ascii_lower(container.p[i]);
    }
    if (n > 0) {
        r->name[n++] = '|';
    }
    for (size_t i = 0; i < name.n; i++) {
        r->name[n++] = (char)ascii_lower(name.p[i]);
    }
    r->name[n] = '\0';
    r->cmd.name = r->name;
    return true;
}

static bool spec_same(const struct keyspec *a, const struct keyspec *b) {
    return strcmp(a->keyword, b->keyword) == 0 && a->start == b->start && a->counted == b->counted && a->last == b->last &&
           a->limit == b->limit && a->number == b->number && a->first == b->first && a->step == b->step;
}

static bool cmd_same(const struct cmd *a, const struct cmd *b) {
    return a->id == b->id && a->arity == b->arity && a->route == b->route && a->merge == b->merge && a->keys == b->keys &&
           a->first == b->first && a->last == b->last && a->step == b->step && a->flags == b->flags && a->why == b->why;
}

bool row_same(const struct row *a, const struct row *b) {
    if (strcmp(a->name, b->name) != 0 || a->container != b->container || a->nspecs != b->nspecs ||
        !cmd_same(&a->cmd, &b->cmd)) {
        return false;
    }
    for (uint32_t i = 0; i < a->nspecs; i++) {
        if (!spec_same(&a->specs[i], &b->specs[i])) {
            return false;
        }
    }
    return true;
}

/* ---- shelves ---- */

void shelf_init(struct shelf *s, uint32_t max) {
    *s = (struct shelf){.max = max};
}

void shelf_fini(struct shelf *s) {
    for (uint32_t i = 0; i < s->n; i++) {
        mem_free(s->rows[i]);
    }
    mem_free(s->rows);
    *s = (struct shelf){0};
}

const struct row *shelf_keep(struct shelf *s, const struct row *r) {
    for (uint32_t i = 0; i < s->n; i++) {
        if (row_same(s->rows[i], r)) {
            return s->rows[i];
        }
    }
    if (s->n == s->max) {
        return NULL;
    }
    if ((s->n & (s->n - 1)) == 0) { /* full at every power of two */
        s->rows = mem_realloc(s->rows, (s->n == 0 ? 1 : 2 * s->n) * sizeof(struct row *));
    }
    struct row *copy = mem_alloc(sizeof *copy);
    *copy = *r;
    copy->cmd.name = copy->name;
    s->rows[s->n++] = copy;
    return copy;
}

void rows_add(struct rows *rows, const struct row *r) {
    if ((rows->n & (rows->n - 1)) == 0) {
        rows->v = mem_realloc(rows->v, (rows->n == 0 ? 1 : 2 * rows->n) * sizeof(struct row *));
    }
    rows->v[rows->n++] = r;
}

void rows_fini(struct rows *rows) {
    mem_free(rows->v);
    *rows = (struct rows){0};
}

/* ---- books ---- */

static uint32_t hash_more(uint32_t h, struct slice s) {
    for (size_t i = 0; i < s.n; i++) {
        h = (h ^ ascii_lower(s.p[i])) * 0x01000193u;
    }
    return h;
}

static uint32_t hash_name(struct slice container, struct slice name) {
    uint32_t h = hash_more(0x811c9dc5u, container);
    return hash_more(container.n > 0 ? hash_more(h, slice("|", 1)) : h, name);
}

/* The slot of the name, or the empty one where it belongs. */
static uint32_t slot_of(const struct book *b, struct slice container, struct slice name) {
    uint32_t i = hash_name(container, name) & b->mask;
    size_t head = container.n > 0 ? container.n + 1 : 0;
    for (;; i = (i + 1) & b->mask) {
        const struct row *r = b->slots[i];
        if (r == NULL) {
            return i;
        }
        if (strlen(r->name) != head + name.n || !slice_ieq(slice(r->name + head, name.n), name)) {
            continue;
        }
        if (head == 0 || (r->name[container.n] == '|' && slice_ieq(slice(r->name, container.n), container))) {
            return i;
        }
    }
}

struct book *book_new(const struct rows *rows) {
    uint32_t size = 2;
    while (size < 2 * rows->n + 1) {
        size *= 2;
    }
    struct book *b = mem_zalloc(sizeof *b + size * sizeof(struct row *));
    b->refs = 1;
    b->mask = size - 1;
    for (uint32_t i = 0; i < rows->n; i++) {
        uint32_t slot = slot_of(b, slice(NULL, 0), slice_str(rows->v[i]->name));
        if (b->slots[slot] == NULL) {
            b->slots[slot] = rows->v[i];
            b->n++;
        }
    }
    return b;
}

struct book *book_ref(struct book *b) {
    __atomic_add_fetch(&b->refs, 1, __ATOMIC_RELAXED);
    return b;
}

void book_unref(struct book **bp) {
    struct book *b = *bp;
    *bp = NULL;
    if (b != NULL && __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) == 0) {
        mem_free(b);
    }
}

const struct cmd *book_find(const struct book *b, struct slice container, struct slice name) {
    if (b == NULL || container.n + name.n > ROW_NAME_MAX || name.n == 0) {
        return NULL;
    }
    /* A bar in what a client says is no separator. */
    if (memchr(name.p, '|', name.n) != NULL) {
        return NULL;
    }
    const struct row *r = b->slots[slot_of(b, container, name)];
    return r != NULL ? &r->cmd : NULL;
}

uint32_t book_size(const struct book *b) {
    return b != NULL ? b->n : 0;
}

bool book_same(const struct book *a, const struct book *b) {
    if (book_size(a) != book_size(b)) {
        return false;
    }
    for (uint32_t i = 0; a != NULL && i <= a->mask; i++) {
        const struct row *r = a->slots[i];
        if (r != NULL && b->slots[slot_of(b, slice(NULL, 0), slice_str(r->name))] != r) {
            return false;
        }
    }
    return true;
}
