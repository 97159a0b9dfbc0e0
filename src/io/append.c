#include "io/append.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int append_open(const char *path, const char **why) {
    /* O_NONBLOCK: a pipe that nobody reads must not stop control */
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd < 0) {
        *why = strerror(errno);
    }
    return fd;
}

bool append_write(int fd, struct slice lines) {
    while (lines.n > 0) {
        ssize_t n = write(fd, lines.p, lines.n);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        lines = slice(lines.p + n, lines.n - (size_t)n);
    }
    return true;
}

void append_close(int fd) {
    if (fd >= 0) {
        close(fd);
    }
}
