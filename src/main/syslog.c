#include "main/syslog.h"

#include <syslog.h> /* names levels like base/log.h, with the same numbers up to debug */

#define PREFIX "syslog:"

static const struct {
    const char *name;
    int facility;
} rows[] = {
    {"", LOG_DAEMON},          {"daemon", LOG_DAEMON}, {"user", LOG_USER},     {"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1},
    {"local2", LOG_LOCAL2},    {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4}, {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6},
    {"local7", LOG_LOCAL7},
};

bool syslog_named(const char *path) {
    return slice_starts(slice_str(path), PREFIX);
}

/* -1: there is none of that name. */
static int facility_of(const char *name) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(name + strlen(PREFIX), rows[i].name) == 0) {
            return rows[i].facility;
        }
    }
    return -1;
}

bool syslog_known(const char *name) {
    return facility_of(name) >= 0;
}

void syslog_open(const char *name, const char *program) {
    openlog(program, LOG_PID, facility_of(name));
}

void syslog_write(enum log_level level, struct slice line) {
    syslog(level > 7 ? 7 : (int)level, "%.*s", (int)line.n, (const char *)line.p);
}

void syslog_close(void) {
    closelog();
}
