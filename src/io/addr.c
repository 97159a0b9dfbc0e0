#include "io/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/un.h>

bool addr_ip(struct addr *a, struct slice host, uint16_t port) {
    char text[INET6_ADDRSTRLEN + 1];
    if (host.n == 0 || host.n >= sizeof text) {
        return false;
    }
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    *a = (struct addr){0};
    struct sockaddr_in in4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, text, &in4.sin_addr) == 1) {
        memcpy(a->sa.bytes, &in4, sizeof in4);
        a->len = sizeof in4;
    } else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1) {
        memcpy(a->sa.bytes, &in6, sizeof in6);
        a->len = sizeof in6;
    }
    return a->len > 0;
}

bool addr_unix(struct addr *a, struct slice path) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (path.n == 0 || path.n >= sizeof un.sun_path || memchr(path.p, '\0', path.n) != NULL) {
        return false;
    }
    memcpy(un.sun_path, path.p, path.n);
    *a = (struct addr){0};
    memcpy(a->sa.bytes, &un, sizeof un);
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return true;
}

bool addr_is_unix(const struct addr *a) {
    return a->len > 0 && a->sa.family == AF_UNIX;
}

bool addr_is_local(const struct addr *a) {
    if (a->len == 0 || a->sa.family == AF_UNIX) {
        return a->len > 0;
    }
    if (a->sa.family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, a->sa.bytes, sizeof in4);
        return ntohl(in4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    struct sockaddr_in6 in6;
    memcpy(&in6, a->sa.bytes, sizeof in6);
    return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

bool addr_eq(const struct addr *a, const struct addr *b) {
    return a->len == b->len && memcmp(a->sa.bytes, b->sa.bytes, a->len) == 0;
}

const char *addr_text(const struct addr *a, char *to, size_t room) {
    char ip[INET6_ADDRSTRLEN] = "?";
    if (a->len == 0) {
        snprintf(to, room, "none");
    } else if (a->sa.family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, a->sa.bytes, sizeof in4);
        inet_ntop(AF_INET, &in4.sin_addr, ip, sizeof ip);
        snprintf(to, room, "%s:%u", ip, ntohs(in4.sin_port));
    } else if (a->sa.family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, a->sa.bytes, sizeof in6);
        inet_ntop(AF_INET6, &in6.sin6_addr, ip, sizeof ip);
        snprintf(to, room, "[%s]:%u", ip, ntohs(in6.sin6_port));
    } else {
        size_t at = offsetof(struct sockaddr_un, sun_path);
        const char *path = (const char *)a->sa.bytes + at;
        snprintf(to, room, "%.*s", a->len > at ? (int)strnlen(path, a->len - at) : 0, path);
    }
    return to;
}
