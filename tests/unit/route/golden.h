/* golden.h: reads the tab-separated tables of tests/golden. Fails the test if a file is missing. */
#ifndef KVMUX_TEST_GOLDEN_H
#define KVMUX_TEST_GOLDEN_H

#include "base/slice.h"

#define GOLDEN_FIELDS 32

struct golden {
    char *text; /* the whole file, cut in place */
    char *at;
    char *fields[GOLDEN_FIELDS];
    unsigned nfields;
};

/* Opens a file below tests/golden and reads its first line, the names of the columns. */
void golden_open(struct golden *, const char *name);
bool golden_next(struct golden *); /* the next line's fields; false at the end */
void golden_close(struct golden *);

uint32_t golden_u32(const char *field);
/* Bytes from hex digits, into `room`. */
struct slice golden_bytes(const char *field, uint8_t *room, size_t size);

#endif
