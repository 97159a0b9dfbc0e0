/* resp_gen.c: runs at build time and prints the index of resp_cmds.def: a perfect hash (per bucket a shift that sends its
 * names to free slots). Fails, and the build with it, when a name is there twice or no perfect hash is found. */
#include "proto/resp_hash.h"

#include <stdio.h>
#include <stdlib.h>

struct row {
    const char *name, *part; /* part: the name behind the container's */
    size_t len;
    uint32_t parent, container;
    struct resp_words words;
    uint64_t hash;
};

static struct row rows[] = {
#define CMD(i, n, ...) {.name = n},
#define NOT(i, n, ...) {.name = n},
#include "proto/resp_cmds.def"
#undef CMD
#undef NOT
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static uint32_t shifts[RESP_BUCKETS];
static uint32_t slots[RESP_SLOTS];

static void fail(const char *what, const char *name) {
    fprintf(stderr, "resp_cmds.def: %s: %s\n", what, name);
    exit(1);
}

static void row_init(struct row *r) {
    const char *bar = strchr(r->name, '|');
    r->part = bar != NULL ? bar + 1 : r->name;
    for (uint32_t i = 0; bar != NULL && i < ROWS; i++) {
        if (strlen(rows[i].name) == (size_t)(bar - r->name) && memcmp(rows[i].name, r->name, (size_t)(bar - r->name)) == 0) {
            r->parent = i + 1;
            rows[i].container = 1;
        }
    }
    if (bar != NULL && r->parent == 0) {
        fail("no row for the container of", r->name);
    }
    for (const char *c = r->name; *c != '\0'; c++) {
        if (*c >= 'A' && *c <= 'Z') {
            fail("not in lower case", r->name);
        }
    }
    r->len = strlen(r->part);
    r->words = resp_words((const uint8_t *)r->part, r->len);
    r->hash = resp_hash(r->words, r->len, r->parent);
}

static int bucket_fits(uint32_t bucket, uint32_t shift) {
    uint32_t taken[ROWS], n = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        if (resp_bucket(rows[i].hash) != bucket) {
            continue;
        }
        uint32_t place = resp_place(rows[i].hash, shift);
        if (slots[place] != 0) {
            while (n > 0) {
                slots[taken[--n]] = 0;
            }
            return 0;
        }
        slots[place] = i + 1;
        taken[n++] = place;
    }
    shifts[bucket] = shift;
    return 1;
}

static uint32_t bucket_size(uint32_t bucket) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        n += resp_bucket(rows[i].hash) == bucket;
    }
    return n;
}

static void place_all(void) {
    for (uint32_t size = ROWS; size > 0; size--) { /* the fullest buckets first, while there is room */
        for (uint32_t b = 0; b < RESP_BUCKETS; b++) {
            if (bucket_size(b) != size) {
                continue;
            }
            uint32_t shift = 0;
            while (shift < 256 && !bucket_fits(b, shift)) {
                shift++;
            }
            if (shift == 256) {
                fail("no perfect hash; change a constant in resp_hash.h", "");
            }
        }
    }
}

int main(void) {
    for (uint32_t i = 0; i < ROWS; i++) {
        row_init(&rows[i]);
        for (uint32_t k = 0; k < i; k++) {
            if (strcmp(rows[k].name, rows[i].name) == 0) {
                fail("there twice", rows[i].name);
            }
        }
    }
    place_all();
    printf("/* Made by resp_gen.c from resp_cmds.def. */\nstatic const uint8_t resp_shifts[] = {");
    for (uint32_t b = 0; b < RESP_BUCKETS; b++) {
        printf("%u,", shifts[b]);
    }
    printf("};\nstatic const uint16_t resp_slots[] = {");
    for (uint32_t s = 0; s < RESP_SLOTS; s++) {
        printf("%u,", slots[s]);
    }
    printf("};\nstatic const struct resp_entry resp_entries[] = {\n");
    for (uint32_t i = 0; i < ROWS; i++) {
        const struct row *r = &rows[i];
        printf("{{0x%llxu, 0x%llxu}, {0x%llxu, 0x%llxu}, %u, %u, %u}, /* %s */\n", (unsigned long long)r->words.a,
               (unsigned long long)r->words.b, (unsigned long long)resp_case(r->words.a),
               (unsigned long long)resp_case(r->words.b), r->parent, (unsigned)r->len, r->container, r->name);
    }
    printf("};\n");
    return 0;
}
