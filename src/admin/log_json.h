/* log_json.h: a line of the log as a JSON object, for collectors: {"time":"2026-11-26T09:30:00.123Z","level":"warning",
 * "event":"server_ejected","pool":"cache",...,"failures":2}. Any thread. */
#ifndef KVMUX_ADMIN_LOG_JSON_H
#define KVMUX_ADMIN_LOG_JSON_H

#include "base/log.h"
#include "base/str.h"

/* `line` is "event key=value key=\"quoted\" ..." (log.h); a word that is neither belongs to the value before it. `wall` is in usec
 * since the epoch. The object is put behind what `to` has, without a line end. */
void log_json(struct str *to, enum log_level, int64_t wall, struct slice line);
/* The beginning of such an object: {"time":"..." */
void log_json_time(struct str *to, int64_t wall);

#endif
