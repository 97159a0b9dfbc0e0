#include "acct.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The file as text, cut to the size of `buf`; false: it is gone. */
static int file_read(const char *path, char *buf, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, buf, size - 1) : -1;
    if (fd >= 0) {
        close(fd);
    }
    if (n <= 0) {
        return 0;
    }
    buf[n] = 0;
    return 1;
}

static double threads_run(int pid) {
    char path[64 + 256], buf[256];
    double run = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *d = opendir(path);
    if (d == NULL) {
        return 0;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, e->d_name);
        if (e->d_name[0] != '.' && file_read(path, buf, sizeof buf)) {
            run += strtod(buf, NULL) / 1e9;
        }
    }
    closedir(d);
    return run;
}

static long status_kb(const char *status, const char *field) {
    const char *p = strstr(status, field);
    return p ? strtol(p + strlen(field), NULL, 10) : 0;
}

struct acct acct_read(int pid) {
    struct acct a = {.run = threads_run(pid)};
    char path[64], buf[4096];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    if (file_read(path, buf, sizeof buf)) {
        a.peak_kb = status_kb(buf, "VmHWM:");
        a.rss_kb = status_kb(buf, "VmRSS:");
    }
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (file_read(path, buf, sizeof buf)) {
        unsigned long user = 0, sys = 0;
        const char *p = strrchr(buf, ')');
        if (p != NULL) {
            sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys);
        }
        double tick = (double)sysconf(_SC_CLK_TCK);
        a.user = (double)user / tick;
        a.sys = (double)sys / tick;
    }
    return a;
}
