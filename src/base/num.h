/* num.h: decimal numbers to and from bytes. Strict: digits only (and one leading '-' where signed), no blanks, no overflow. */
#ifndef KVMUX_BASE_NUM_H
#define KVMUX_BASE_NUM_H

#include "base/slice.h"

#define NUM_MAX 21 /* bytes that num_put_* may write */

bool num_u64(struct slice, uint64_t *out);
bool num_i64(struct slice, int64_t *out);
/* Hexadecimal digits, two a byte; `to` has room for half as many bytes as there are digits. False: something else. */
bool num_hex(struct slice, uint8_t *to, size_t *n);
size_t num_put_u64(char *to, uint64_t v); /* no NUL; returns the number of bytes */
size_t num_put_i64(char *to, int64_t v);

#endif
