#include "conf/keys.h"

#include "base/mem.h"
#include "base/num.h"
#include "conf/near.h"

#include <stdio.h>

#define KEY(name, type, def, min, max, live, help)                                                 \
    {#name, KEY_##type, offsetof(struct KEYS_STRUCT, name), def, min, max, KEY_##live, help},

static const struct key_row pool_rows[] = {
#define KEYS_STRUCT conf_pool
#include "conf/keys_pool.def"
#undef KEYS_STRUCT
};
static const struct key_row global_rows[] = {
#define KEYS_STRUCT conf
#include "conf/keys_global.def"
#undef KEYS_STRUCT
};
#undef KEY

const struct key_table keys_pool = {pool_rows, ARRAY_LEN(pool_rows)};
const struct key_table keys_global = {global_rows, ARRAY_LEN(global_rows)};
_Static_assert(sizeof(enum hash) == sizeof(int) && sizeof(enum cross) == sizeof(int) && sizeof(enum tls_verify) == sizeof(int), "enums are set as ints");
_Static_assert(ARRAY_LEN(pool_rows) <= KEYS_MAX && ARRAY_LEN(global_rows) <= KEYS_MAX, "KEYS_MAX");

static const char *const failure_words[] = {[FAILURE_ERROR] = "error", [FAILURE_MISS] = "miss"};
static const char *const cross_words[] = {[CROSS_GATHER] = "gather", [CROSS_ERROR] = "error", [CROSS_FIRST] = "first"};
static const char *const flush_words[] = {[FLUSH_ALLOW] = "allow", [FLUSH_DENY] = "deny"};
static const char *const blocking_words[] = {[BLOCKING_ERROR] = "error", [BLOCKING_ROTATE] = "rotate"};
static const char *const certificates_words[] = {
    [TLS_VERIFY_NONE] = "none", [TLS_VERIFY_OPTIONAL] = "optional", [TLS_VERIFY_REQUIRED] = "required"};
static const char *const verify_words[] = {
    [SERVER_VERIFY_FULL] = "full", [SERVER_VERIFY_CA] = "ca", [SERVER_VERIFY_NONE] = "none"};
static const char *const version_words[] = {[TLS_1_2] = "TLSv1.2", [TLS_1_3] = "TLSv1.3"};
static const char *const lost_words[] = {[LOST_ERROR] = "error", [LOST_CLOSE] = "close"};

/* The words of an enum type, in the order of its values. */
#define WORDS(w) {w, ARRAY_LEN(w)}
static const struct {
    const char *const *v;
    size_t n;
} words_of[KEY_TYPES] = {
    [KEY_ENUM_FAILURE] = WORDS(failure_words),   [KEY_ENUM_CROSS] = WORDS(cross_words), [KEY_ENUM_FLUSH] = WORDS(flush_words),
    [KEY_ENUM_BLOCKING] = WORDS(blocking_words), [KEY_ENUM_LOST] = WORDS(lost_words),
    [KEY_ENUM_CLIENT_CERTIFICATES] = WORDS(certificates_words), [KEY_ENUM_SERVER_VERIFY] = WORDS(verify_words),
    [KEY_ENUM_TLS_VERSION] = WORDS(version_words),
};

int key_by_name(const struct key_table *t, const char *name) {
    for (uint32_t i = 0; i < t->n; i++) {
        if (strcmp(t->rows[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

const char *key_word(enum key_type type, unsigned i) {
    switch (type) {
    case KEY_ENUM_HASH: return i < HASH_COUNT ? hash_name((enum hash)i) : NULL;
    case KEY_ENUM_DIST: return i < DIST_COUNT ? dist_name((enum dist)i) : NULL;
    default: return i < words_of[type].n ? words_of[type].v[i] : NULL;
    }
}

static const char *unit_of(enum key_type type) {
    return type == KEY_MSEC ? " (milliseconds)" : type == KEY_BYTES ? " (bytes)" : "";
}

const char *key_allowed(const struct key_row *row, char *to, size_t room) {
    switch (row->type) {
    case KEY_INT:
    case KEY_MSEC:
    case KEY_BYTES:
        snprintf(to, room, "%lld to %lld%s", (long long)row->min, (long long)row->max, unit_of(row->type));
        break;
    case KEY_BOOL: snprintf(to, room, "true or false"); break;
    case KEY_STRING:
    case KEY_SECRET: snprintf(to, room, "a text of at most %lld bytes, {file: PATH} or {env: NAME}", (long long)row->max); break;
    case KEY_PATH: snprintf(to, room, "the path of a file"); break;
    case KEY_NETWORKS: snprintf(to, room, "a list of addresses, networks (10.0.0.0/8, \"2001:db8::/32\") and the word unix"); break;
    case KEY_TAG: snprintf(to, room, "exactly two bytes, for example \"{}\" in quotes"); break;
    default: { /* an enum */
        size_t n = 0;
        to[0] = '\0';
        for (unsigned i = 0; key_word(row->type, i) != NULL && n < room; i++) {
            n += (size_t)snprintf(to + n, room - n, "%s%s", i == 0 ? "" : ", ", key_word(row->type, i));
        }
        break;
    }
    }
    return to;
}

bool key_number(const char *key, const struct node *value, int64_t min, int64_t max, const char *unit,
                struct conf_problems *ps, int64_t *out) {
    struct place at = {value->line, value->column};
    struct quoted q;
    const char *text = value->text;
    const char *digits = min < 0 && text[0] == '-' && text[1] != '\0' ? text + 1 : text;
    if (strspn(digits, "0123456789") != strlen(digits)) {
        problem_error(ps, at, "%s: \"%s\" is not a number; allowed: %lld to %lld%s", key, quote(&q, text), (long long)min,
                      (long long)max, unit);
        return false;
    }
    int64_t v;
    size_t zeros = strspn(text, "0");
    zeros -= text[zeros] == '\0' ? 1 : 0;
    if (!num_i64(slice_str(text + zeros), &v) || v < min || v > max) {
        problem_error(ps, at, "%s: %s is out of range; allowed: %lld to %lld%s", key, quote(&q, text), (long long)min,
                      (long long)max, unit);
        return false;
    }
    *out = v;
    return true;
}

static int word_index(enum key_type type, const char *text) {
    for (unsigned i = 0; key_word(type, i) != NULL; i++) {
        if (strcmp(key_word(type, i), text) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void say_bad(const struct key_row *row, const struct node *value, const char *what, struct conf_problems *ps) {
    char allowed[256];
    key_allowed(row, allowed, sizeof allowed);
    struct near near;
    near_init(&near, value->text);
    for (unsigned i = 0; key_word(row->type, i) != NULL; i++) {
        near_try(&near, key_word(row->type, i));
    }
    struct quoted q;
    problem_error(ps, (struct place){value->line, value->column}, "%s: \"%s\" %s; allowed: %s%s%s%s", row->name,
                  quote(&q, value->text), what, allowed, near.best != NULL ? "; did you mean \"" : "",
                  near.best != NULL ? near.best : "", near.best != NULL ? "\"?" : "");
}

/* The type decides; the text is there and not empty. */
static void set_text(const struct key_row *row, void *member, const struct node *value, struct conf_problems *ps) {
    const char *text = value->text;
    switch (row->type) {
    case KEY_INT:
    case KEY_MSEC:
    case KEY_BYTES: key_number(row->name, value, row->min, row->max, unit_of(row->type), ps, member); break;
    case KEY_BOOL:
        if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
            *(bool *)member = text[0] == 't';
        } else {
            say_bad(row, value, "is neither true nor false", ps);
        }
        break;
    case KEY_STRING:
    case KEY_SECRET:
    case KEY_PATH:
        if (strlen(text) <= (size_t)row->max) {
            *(char **)member = mem_strdup(text);
        } else {
            /* not repeated: it may be a secret */
            problem_error(ps, (struct place){value->line, value->column}, "%s: the text is too long; allowed: at most %lld bytes",
                          row->name, (long long)row->max);
        }
        break;
    case KEY_TAG:
        if (strlen(text) == 2) {
            *(struct conf_tag *)member = (struct conf_tag){.bytes = {text[0], text[1]}, .set = true};
        } else {
            say_bad(row, value, "is not a pair of characters", ps);
        }
        break;
    default: { /* an enum: as large as an int, whichever it is */
        int i = word_index(row->type, text);
        if (i >= 0) {
            memcpy(member, &i, sizeof i);
        } else {
            say_bad(row, value, "is not known", ps);
        }
        break;
    }
    }
}

void key_set(const struct key_row *row, void *base, const struct node *value, struct conf_problems *ps) {
    void *member = (char *)base + row->offset;
    struct place at = {value->line, value->column};
    char allowed[256];
    if (row->type == KEY_NETWORKS) {
        key_set_networks(row, member, value, ps);
    } else if (value->kind == NODE_MAP && key_is_text(row) && value->n > 0) {
        char *secret = secret_read(row->name, value, (size_t)row->max, ps);
        if (secret != NULL) {
            *(char **)member = secret;
        }
    } else if (value->kind != NODE_SCALAR) {
        problem_error(ps, at, "%s: a single value is wanted, not a %s; allowed: %s", row->name,
                      value->kind == NODE_MAP ? "mapping" : "list", key_allowed(row, allowed, sizeof allowed));
    } else if (value->text[0] == '\0') {
        problem_error(ps, at, "%s: has no value; allowed: %s", row->name, key_allowed(row, allowed, sizeof allowed));
    } else {
        set_text(row, member, value, ps);
    }
}

void keys_init(const struct key_table *t, void *base) {
    struct conf_problems none = {0};
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->rows[i].def[0] != '\0') {
            struct node value = {.kind = NODE_SCALAR, .text = mem_strdup(t->rows[i].def)};
            set_text(&t->rows[i], (char *)base + t->rows[i].offset, &value, &none);
            mem_free(value.text);
        }
    }
    ASSERT(none.n == 0); /* a default that its own row does not allow */
}

void keys_fini(const struct key_table *t, void *base) {
    for (uint32_t i = 0; i < t->n; i++) {
        if (key_is_text(&t->rows[i]) || t->rows[i].type == KEY_NETWORKS) { /* one allocation each */
            char **member = (char **)(void *)((char *)base + t->rows[i].offset);
            mem_free(*member);
            *member = NULL;
        }
    }
}
