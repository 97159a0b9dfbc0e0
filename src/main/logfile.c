#include "main/logfile.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int log_fd = STDERR_FILENO;
static char *log_path; /* NULL: standard error */

static int open_path(const char *path) {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

bool logfile_open(const char *path) {
    if (path != NULL) {
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
    return log_path != NULL;
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
    if (log_path != NULL) {
        close(log_fd);
        log_fd = STDERR_FILENO;
        mem_free(log_path);
        log_path = NULL;
    }
}

void logfile_write(void *ctx, enum log_level level, struct slice line) {
    char out[LOG_LINE_MAX + 64];
    struct timeval now;
    struct tm tm;
    gettimeofday(&now, NULL);
    localtime_r(&now.tv_sec, &tm);
    size_t n = strftime(out, 32, "[%Y-%m-%d %H:%M:%S", &tm);
    n += (size_t)snprintf(out + n, 16, ".%03d] ", (int)(now.tv_usec / 1000));
    size_t len = min_size(line.n, LOG_LINE_MAX);
    memcpy(out + n, line.p, len);
    n += len;
    out[n++] = '\n';
    /* Nobody could be told of a failure. */
    ssize_t written = write(log_fd, out, n);
    (void)written;
}
