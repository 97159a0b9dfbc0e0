#include "main/pidfile.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int pid_fd = -1;
static char *pid_path;

static bool say(const char *path, const char *what, char *why, size_t room) {
    snprintf(why, room, "pid file '%s': %s", path, what);
    return false;
}

bool pidfile_write(void) {
    char text[24];
    int n = snprintf(text, sizeof text, "%d", (int)getpid());
    return pwrite(pid_fd, text, (size_t)n, 0) == n && ftruncate(pid_fd, n) == 0; /* in this order it is never empty */
}

bool pidfile_open(const char *path, char *why, size_t room) {
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) {
        return say(path, strerror(errno), why, room);
    }
    /* The lock ends with the process, however it ends: unlike a pid found in the file it cannot be stale. */
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char owner[24] = "", text[64];
        ssize_t n = errno == EWOULDBLOCK ? pread(fd, owner, sizeof owner - 1, 0) : 0;
        snprintf(text, sizeof text, "held by another running process (%.*s)", (int)(n > 0 ? n : 0), owner);
        say(path, n > 0 ? text : strerror(errno), why, room);
        close(fd);
        return false;
    }
    pid_fd = fd;
    pid_path = mem_strdup(path);
    if (!pidfile_write()) {
        say(path, strerror(errno), why, room);
        pidfile_close();
        return false;
    }
    return true;
}

static bool is_file(int fd, const char *path) {
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

bool pidfile_adopt(const char *path, int fd) {
    if (!is_file(fd, path)) {
        close(fd);
        return false;
    }
    pid_fd = fd;
    pid_path = mem_strdup(path);
    return true;
}

int pidfile_fd(void) {
    return pid_fd;
}

void pidfile_close(void) {
    if (pid_fd >= 0 && is_file(pid_fd, pid_path)) {
        unlink(pid_path);
    }
    pidfile_leave();
}

void pidfile_leave(void) {
    if (pid_fd < 0) {
        return;
    }
    close(pid_fd);
    pid_fd = -1;
    mem_free(pid_path);
    pid_path = NULL;
}
