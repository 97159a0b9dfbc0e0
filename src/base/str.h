/* str.h: a text that grows while it is written. All zeroes is an empty one; whoever has it frees `p` with mem_free. No NUL
 * at the end. */
#ifndef KVMUX_BASE_STR_H
#define KVMUX_BASE_STR_H

#include "base/slice.h"

struct str {
    char *p;
    size_t n, cap;
};

void str_put(struct str *, const char *);
void str_put_slice(struct str *, struct slice);
void str_put_i64(struct str *, int64_t);
void str_format(struct str *, const char *format, ...) __attribute__((format(printf, 2, 3))); /* at most 512 bytes */
/* A quoted string of JSON, which YAML takes too; bytes that are no UTF-8 become \u00XX. */
void str_quote(struct str *, struct slice);
void str_fini(struct str *);

#endif
