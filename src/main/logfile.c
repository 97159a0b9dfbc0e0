#include "main/logfile.h"

#include "admin/log_json.h"
#include "base/mem.h"
#include "main/syslog.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int log_fd = STDERR_FILENO;
static char *log_path; /* NULL: standard error, or syslog */
static bool to_syslog, json;

static int open_path(const char *path) {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

bool logfile_open(const struct args *a) {
    const char *path = a->log_file;
    json = a->log_json;
    to_syslog = path != NULL && syslog_named(path);
    if (to_syslog) {
        syslog_open(path, a->program);
    } else if (path != NULL) {
        int fd = open_path(path);
        if (fd < 0) {
            return false;
        }
        log_fd = fd;
        log_path = mem_strdup(path);
    }
    log_set_sink(logfile_write, NULL);
    return true;
}

bool logfile_is_file(void) {
    return log_path != NULL || to_syslog;
}

int logfile_fd(void) {
    return log_path != NULL ? log_fd : -1;
}

bool logfile_reopen(void) {
    if (log_path == NULL) {
        return true;
    }
    int fd = open_path(log_path);
    if (fd < 0) {
        return false;
    }
    bool ok = dup2(fd, log_fd) >= 0 && fcntl(log_fd, F_SETFD, FD_CLOEXEC) == 0;
    int why = errno;
    close(fd);
    errno = why;
    return ok;
}

void logfile_close(void) {
    log_set_sink(NULL, NULL);
    if (to_syslog) {
        syslog_close();
        to_syslog = false;
    }
    if (log_path != NULL) {
        close(log_fd);
        log_fd = STDERR_FILENO;
        mem_free(log_path);
        log_path = NULL;
    }
}

static void put_text(struct str *to, const struct timeval *now, struct slice line) {
    struct tm tm;
    char text[32];
    localtime_r(&now->tv_sec, &tm);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    str_format(to, "[%s.%03d] ", text, (int)(now->tv_usec / 1000));
    str_put_slice(to, line);
}

void logfile_write(void *ctx, enum log_level level, struct slice line) {
    struct str out = {0};
    struct timeval now;
    gettimeofday(&now, NULL);
    if (json) {
        log_json(&out, level, (int64_t)now.tv_sec * 1000000 + now.tv_usec, line);
    } else if (!to_syslog) {
        put_text(&out, &now, line);
    }
    if (to_syslog) {
        syslog_write(level, json ? slice(out.p, out.n) : line);
    } else {
        str_put(&out, "\n");
        /* Nobody could be told of a failure. */
        ssize_t written = write(log_fd, out.p, out.n);
        (void)written;
    }
    str_fini(&out);
}
