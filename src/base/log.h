/* log.h: formats a line and hands it to the thread's sink. It neither writes nor reads a clock: the sink does.
 *
 * Levels are nutcracker's (compat part 6): 0 emerg .. 5 notice (default) .. 8 debug .. 11. A line is "event key=value ...".
 * Each thread has its own sink; the level is shared and may change at any time. */
#ifndef KVMUX_BASE_LOG_H
#define KVMUX_BASE_LOG_H

#include "base/slice.h"

enum log_level {
    LOG_EMERG = 0,
    LOG_ALERT = 1,
    LOG_CRIT = 2,
    LOG_ERROR = 3,
    LOG_WARN = 4,
    LOG_NOTICE = 5,
    LOG_INFO = 6,
    LOG_DEBUG = 7,
    LOG_MAX = 11
};

#define LOG_LINE_MAX 1024 /* longer lines are cut */

/* `line` has no newline and is valid during the call only. */
typedef void log_sink_fn(void *ctx, enum log_level, struct slice line);

void log_set_sink(log_sink_fn *, void *ctx); /* of the calling thread; NULL: lines are dropped */
void log_set_level(int level);               /* clamped to 0..LOG_MAX */
int log_level(void);

void log_line(enum log_level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* At most `burst` lines per `period_usec`; the next line that passes says how many were left out.
 * `now` is the caller's clock, in usec. */
struct log_limit {
    int64_t period_start;
    uint32_t passed, dropped;
};
bool log_pass(struct log_limit *, int64_t now, int64_t period_usec, uint32_t burst);

/* For text that came from a peer: every byte outside printable ASCII as \xNN, quotes escaped; cut to fit.
 * Returns `to`, NUL-terminated. */
const char *log_quote(char *to, size_t room, struct slice text);

extern _Atomic int log_level_now;
static inline bool log_on(enum log_level level) {
    return (int)level <= __atomic_load_n((int *)&log_level_now, __ATOMIC_RELAXED);
}

#endif
