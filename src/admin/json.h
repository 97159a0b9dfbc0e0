/* json.h: the statistics as nutcracker's JSON: same names, order and blanks; new fields behind the old ones; names escaped. */
#ifndef KVMUX_ADMIN_JSON_H
#define KVMUX_ADMIN_JSON_H

#include "base/slice.h"

struct control;

/* One line with its newline; the caller frees it with mem_free. Control thread. */
char *json_stats(const struct control *, size_t *len);

#endif
