/* book.h: rows of commands beside a codec's own table: what the configuration says (rules.h) and what servers said of
 * themselves (learn.h). Rows and books are immutable, so that any thread may read them.
 *
 * A row stands on a shelf and stays there until the shelf goes: requests in flight point to rows, and a row is smaller than the
 * bookkeeping of who still does. Equal rows are one, and a shelf has room for so many, so that servers which come back with
 * another version every hour cost nothing. A book is an index of rows by name; it is counted, and nothing points into it. */
#ifndef KVMUX_PROTO_BOOK_H
#define KVMUX_PROTO_BOOK_H

#include "proto/proto.h"

#define ROW_NAME_MAX 63 /* of "container|subcommand"; what is longer is not taken */
#define ROW_SPECS_MAX 4
#define KEYSPEC_WORD_MAX 31

/* A rule for the keys of a request, as Redis' key specifications describe it: where to begin, and which arguments from there. */
struct keyspec {
    char keyword[KEYSPEC_WORD_MAX + 1]; /* begins behind this word; "": at argument `start` */
    int16_t start;                      /* with a keyword: where to look from; negative: from the end, backwards */
    bool counted;                       /* their number stands in an argument */
    int16_t last;                       /* not counted: the last key, from the first one; negative: from the end of the request */
    int16_t limit;                      /* last -1: of what is left, only one part in so many; 0, 1: all */
    int16_t number, first;              /* counted: the argument with the number and the first key, from where it begins */
    int16_t step;
};

struct row {
    struct cmd cmd; /* cmd.name is `name` */
    bool container; /* has subcommands */
    uint8_t nspecs;
    struct keyspec specs[ROW_SPECS_MAX];
    char name[ROW_NAME_MAX + 1];
};

/* Sets the name of a row, in lower case. `container` has no bytes for a command. False: too long or empty. */
bool row_set_name(struct row *, struct slice container, struct slice name);
bool row_same(const struct row *, const struct row *); /* they say the same of the same name */
static inline const struct row *row_of(const struct cmd *c) {
    return CONTAINER_OF(c, struct row, cmd);
}

/* Where rows live. One thread puts them there; others may read them once they were told of them. */
struct shelf {
    struct row **rows;
    uint32_t n, max;
};
void shelf_init(struct shelf *, uint32_t max);
void shelf_fini(struct shelf *);
/* The row of the shelf that says the same, or a copy of this one. NULL: the shelf is full. */
const struct row *shelf_keep(struct shelf *, const struct row *);

/* A list of rows that live on a shelf. */
struct rows {
    const struct row **v;
    uint32_t n;
    uint32_t dropped; /* that were over a limit */
};
void rows_add(struct rows *, const struct row *);
void rows_fini(struct rows *);

struct book;
struct book *book_new(const struct rows *); /* of two rows with the same name the first counts */
struct book *book_ref(struct book *);
void book_unref(struct book **);
/* In any case of letters; `container` has no bytes for a command. NULL: there is none. */
const struct cmd *book_find(const struct book *, struct slice container, struct slice name);
uint32_t book_size(const struct book *);
bool book_same(const struct book *, const struct book *); /* the same rows; NULL is an empty book */

#endif
