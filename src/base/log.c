#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Atomic int log_level_now = LOG_NOTICE;

static _Thread_local log_sink_fn *sink;
static _Thread_local void *sink_ctx;

void log_set_sink(log_sink_fn *fn, void *ctx) {
    sink = fn;
    sink_ctx = ctx;
}

void log_set_level(int level) {
    log_level_now = level < 0 ? 0 : level > LOG_MAX ? LOG_MAX : level;
}

int log_level(void) {
    return log_level_now;
}

void log_line(enum log_level level, const char *format, ...) {
    if (!log_on(level) || sink == NULL) {
        return;
    }
    char line[LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n < 0) {
        return;
    }
    sink(sink_ctx, level, slice(line, min_size((size_t)n, sizeof line - 1)));
}

bool log_pass(struct log_limit *l, int64_t now, int64_t period_usec, uint32_t burst) {
    if (l->passed == 0 || now - l->period_start >= period_usec) {
        if (l->dropped > 0) {
            log_line(LOG_NOTICE, "lines_left_out count=%u note=\"of the kind of the next one\"", l->dropped);
        }
        *l = (struct log_limit){.period_start = now};
    }
    if (l->passed < burst) {
        l->passed++;
        return true;
    }
    l->dropped++;
    return false;
}

const char *log_quote(char *to, size_t room, struct slice text) {
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < text.n && n + 5 < room; i++) {
        uint8_t c = text.p[i];
        if (c == '"' || c == '\\') {
            to[n++] = '\\';
            to[n++] = (char)c;
        } else if (c < 0x20 || c > 0x7e) {
            to[n++] = '\\';
            to[n++] = 'x';
            to[n++] = hex[c >> 4];
            to[n++] = hex[c & 15];
        } else {
            to[n++] = (char)c;
        }
    }
    ASSERT(room > 0);
    to[n] = '\0';
    return to;
}

void assert_fail(const char *what, const char *file, int line) {
    log_line(LOG_EMERG, "assertion_failed text=\"%s\" at=%s:%d", what, file, line);
    fprintf(stderr, "kvmux: assertion failed: %s at %s:%d\n", what, file, line);
    abort();
}
