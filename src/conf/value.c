/* value.c: values of keys that are compared, copied and shown. */
#include "base/mem.h"
#include "conf/keys.h"

#include <stdio.h>

static const void *member_of(const struct key_row *row, const void *base) {
    return (const char *)base + row->offset;
}

static const char *text_of(const struct key_row *row, const void *base) {
    return *(char *const *)member_of(row, base);
}

static const struct networks *networks_of(const struct key_row *row, const void *base) {
    return *(struct networks *const *)member_of(row, base);
}

static size_t size_of(enum key_type type) {
    switch (type) {
    case KEY_INT:
    case KEY_MSEC:
    case KEY_BYTES: return sizeof(int64_t);
    case KEY_BOOL: return sizeof(bool);
    case KEY_TAG: return sizeof(struct conf_tag);
    default: return sizeof(int); /* an enum */
    }
}

bool key_same(const struct key_row *row, const void *a, const void *b) {
    if (key_is_text(row)) {
        const char *x = text_of(row, a), *y = text_of(row, b);
        return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
    }
    if (row->type == KEY_NETWORKS) {
        return networks_same(networks_of(row, a), networks_of(row, b));
    }
    return memcmp(member_of(row, a), member_of(row, b), size_of(row->type)) == 0;
}

void key_copy(const struct key_row *row, void *to, const void *from) {
    void *member = (char *)to + row->offset;
    if (key_is_text(row)) {
        const char *text = text_of(row, from);
        mem_free(*(char **)member);
        *(char **)member = text != NULL ? mem_strdup(text) : NULL;
    } else if (row->type == KEY_NETWORKS) {
        mem_free(*(struct networks **)member);
        *(struct networks **)member = networks_copy(networks_of(row, from));
    } else {
        memcpy(member, member_of(row, from), size_of(row->type));
    }
}

const char *key_text(const struct key_row *row, const void *base, char *to, size_t room) {
    const void *member = member_of(row, base);
    const struct conf_tag *tag = member;
    int i;
    switch (row->type) {
    case KEY_INT:
    case KEY_MSEC:
    case KEY_BYTES: snprintf(to, room, "%lld", (long long)*(const int64_t *)member); break;
    case KEY_BOOL: snprintf(to, room, "%s", *(const bool *)member ? "true" : "false"); break;
    case KEY_PATH:
    case KEY_STRING: snprintf(to, room, "%s", text_of(row, base) != NULL ? text_of(row, base) : "not set"); break;
    case KEY_SECRET: snprintf(to, room, "%s", text_of(row, base) != NULL ? "hidden" : "not set"); break;
    case KEY_NETWORKS: networks_text(networks_of(row, base), to, room); break;
    case KEY_TAG: snprintf(to, room, tag->set ? "%c%c" : "not set", tag->bytes[0], tag->bytes[1]); break;
    default: /* an enum: as large as an int, whichever it is */
        memcpy(&i, member, sizeof i);
        snprintf(to, room, "%s", key_word(row->type, (unsigned)i));
    }
    return to;
}
