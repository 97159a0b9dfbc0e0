#include "golden.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>

void golden_open(struct golden *g, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", GOLDEN_DIR, name);
    FILE *f = fopen(path, "rb");
    ASSERT(f != NULL);
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    ASSERT(size > 0);
    rewind(f);
    g->text = mem_alloc((size_t)size + 1);
    size_t got = fread(g->text, 1, (size_t)size, f);
    ASSERT(got == (size_t)size);
    fclose(f);
    g->text[got] = '\0';
    g->at = g->text;
    bool head = golden_next(g);
    ASSERT(head);
}

bool golden_next(struct golden *g) {
    if (*g->at == '\0') {
        return false;
    }
    char *end = strchr(g->at, '\n');
    ASSERT(end != NULL);
    *end = '\0';
    g->nfields = 0;
    for (char *field = g->at; field != NULL;) {
        char *tab = strchr(field, '\t');
        ASSERT(g->nfields < GOLDEN_FIELDS);
        g->fields[g->nfields++] = field;
        if (tab != NULL) {
            *tab++ = '\0';
        }
        field = tab;
    }
    g->at = end + 1;
    return true;
}

void golden_close(struct golden *g) {
    mem_free(g->text);
}

uint32_t golden_u32(const char *field) {
    uint64_t v;
    bool ok = num_u64(slice_str(field), &v);
    ASSERT(ok && v <= UINT32_MAX);
    return (uint32_t)v;
}

static uint8_t nibble(char c) {
    const char *digits = "0123456789abcdef";
    const char *at = strchr(digits, c);
    ASSERT(c != '\0' && at != NULL);
    return (uint8_t)(at - digits);
}

struct slice golden_bytes(const char *field, uint8_t *room, size_t size) {
    size_t n = strlen(field);
    ASSERT(n % 2 == 0 && n / 2 <= size);
    for (size_t i = 0; i < n; i += 2) {
        room[i / 2] = (uint8_t)(nibble(field[i]) << 4 | nibble(field[i + 1]));
    }
    return slice(room, n / 2);
}
