#include "main/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SPARE_MSEC 5000 /* to end, beside draining */

/* Nobody could be told that it failed; the manager itself notices that it hears nothing. */
static void tell(const char *text) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path) {
        return;
    }
    size_t n = strlen(path);
    memcpy(to.sun_path, path, n);
    if (to.sun_path[0] == '@') { /* a name that is in no file system */
        to.sun_path[0] = '\0';
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd >= 0) {
        socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
        ssize_t sent = sendto(fd, text, strlen(text), 0, (const struct sockaddr *)(const void *)&to, len);
        (void)sent;
        close(fd);
    }
}

void notify_serving(const char *status) {
    char text[256];
    snprintf(text, sizeof text, "MAINPID=%d\nREADY=1\nSTATUS=%s", (int)getpid(), status);
    tell(text);
}

void notify_reloading(void) {
    struct timespec now;
    char text[96];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=reloading", (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    tell(text);
}

void notify_stopping(int64_t msec) {
    char text[96];
    snprintf(text, sizeof text, "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=%lld", (long long)(msec + SPARE_MSEC) * 1000);
    tell(text);
}
