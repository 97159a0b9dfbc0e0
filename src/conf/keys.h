/* keys.h: the rows of keys_pool.def and keys_global.def as tables, and values by row type. */
#ifndef KVMUX_CONF_KEYS_H
#define KVMUX_CONF_KEYS_H

#include "conf/text.h"

enum key_type {
    KEY_INT,
    KEY_MSEC,
    KEY_BYTES,
    KEY_BOOL,
    KEY_STRING,
    KEY_SECRET, /* a string that is never shown */
    KEY_PATH,
    KEY_TAG,
    KEY_NETWORKS, /* a list */
    KEY_ENUM_HASH,
    KEY_ENUM_DIST,
    KEY_ENUM_FAILURE,
    KEY_ENUM_CROSS,
    KEY_ENUM_FLUSH,
    KEY_ENUM_BLOCKING,
    KEY_ENUM_LOST,
    KEY_ENUM_CLIENT_CERTIFICATES,
    KEY_ENUM_SERVER_VERIFY,
    KEY_ENUM_TLS_VERSION,
    KEY_TYPES
};
enum key_change { KEY_LIVE, KEY_RESTART };

struct key_row {
    const char *name;
    enum key_type type;
    size_t offset; /* of the member in struct conf_pool or struct conf */
    const char *def;
    int64_t min, max;
    enum key_change change;
    const char *help;
};

struct key_table {
    const struct key_row *rows;
    uint32_t n;
};
extern const struct key_table keys_pool;
extern const struct key_table keys_global;

#define KEYS_MAX 128 /* rows of the longer table fit */

/* Index of the row, or -1. */
int key_by_name(const struct key_table *, const char *name);
/* Word i of an enum type; NULL: there are no more, or it is no enum. */
const char *key_word(enum key_type, unsigned i);
/* What a value may be, in words: "0 to 65535", "true or false". Returns `to`. */
const char *key_allowed(const struct key_row *, char *to, size_t room);

/* Sets every member of a table to its default. `base` is the struct, all zeroes. */
void keys_init(const struct key_table *, void *base);
void keys_fini(const struct key_table *, void *base); /* frees strings */
static inline bool key_is_text(const struct key_row *row) {
    return row->type == KEY_STRING || row->type == KEY_PATH || row->type == KEY_SECRET;
}
/* value.c: the values of two structs, and one for people to read: "hidden" for a secret that is set. Returns `to`. */
bool key_same(const struct key_row *, const void *a, const void *b);
void key_copy(const struct key_row *, void *to, const void *from);
const char *key_text(const struct key_row *, const void *base, char *to, size_t room);
/* Sets a member from its node; tells problems instead if the value is not allowed. */
void key_set(const struct key_row *, void *base, const struct node *value, struct conf_problems *);

/* networks.c: the same for a list of networks, or a single one. */
void key_set_networks(const struct key_row *, struct networks **, const struct node *value, struct conf_problems *);
bool networks_same(const struct networks *, const struct networks *);
struct networks *networks_copy(const struct networks *);
const char *networks_text(const struct networks *, char *to, size_t room); /* "10.0.0.0/8, unix"; returns `to` */

/* A number between min and max from digits; false after telling the problem. */
bool key_number(const char *key, const struct node *value, int64_t min, int64_t max, const char *unit,
                struct conf_problems *, int64_t *out);

/* The secret that a `{file: PATH}` or `{env: NAME}` node points to; NULL after telling the problem. Allocated. */
char *secret_read(const char *key, const struct node *map, size_t max, struct conf_problems *);
/* The same from a file whose path is known. */
char *secret_read_file(const char *key, const char *path, size_t max, struct place, struct conf_problems *);

#endif
