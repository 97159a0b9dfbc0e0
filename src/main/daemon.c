#include "main/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int shell_fd = -1; /* to the process that the shell waits for; -1: we are in the foreground */

/* Everything up to the NUL that daemon_up sends goes to standard error. */
static _Noreturn void wait_for_outcome(int fd, const char *program) {
    char text[1024];
    bool told = false;
    for (;;) {
        ssize_t n = read(fd, text, sizeof text);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        const char *end = memchr(text, '\0', (size_t)n);
        size_t len = end != NULL ? (size_t)(end - text) : (size_t)n;
        fwrite(text, 1, len, stderr);
        told = told || len > 0;
        if (end != NULL) {
            fflush(stderr);
            _exit(0);
        }
    }
    if (!told) {
        fprintf(stderr, "%s: the background process ended before it was up\n", program);
    }
    fflush(stderr);
    _exit(1);
}

static bool null_streams(void) {
    int fd = open("/dev/null", O_RDWR);
    if (fd < 0) {
        return false;
    }
    bool ok = dup2(fd, STDIN_FILENO) >= 0 && dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0;
    if (fd > STDERR_FILENO) {
        close(fd);
    }
    return ok;
}

bool daemon_start(const char *program) {
    int fds[2];
    if (pipe(fds) != 0) {
        return false;
    }
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    fcntl(fds[1], F_SETFD, FD_CLOEXEC);
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        close(fds[0]);
        close(fds[1]);
        return false;
    }
    if (pid > 0) {
        close(fds[1]);
        wait_for_outcome(fds[0], program);
    }
    close(fds[0]);
    shell_fd = fds[1];
    /* From here on we are a child: what fails is told through the pipe, and the shell sees exit code 1. */
    if (setsid() < 0) {
        return false;
    }
    signal(SIGHUP, SIG_IGN); /* the end of the session leader must not take the second child along */
    pid = fork();
    if (pid < 0) {
        return false;
    }
    if (pid > 0) {
        _exit(0);
    }
    umask(0);
    return null_streams();
}

void daemon_tell(const char *program, const char *text) {
    char line[1200];
    int n = snprintf(line, sizeof line, "%s: %s\n", program, text);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    ssize_t written = write(shell_fd >= 0 ? shell_fd : STDERR_FILENO, line, len);
    (void)written; /* nobody else could be told */
}

void daemon_up(void) {
    if (shell_fd >= 0) {
        ssize_t written = write(shell_fd, "", 1);
        (void)written;
        close(shell_fd);
        shell_fd = -1;
    }
}
