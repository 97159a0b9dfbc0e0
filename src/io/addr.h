/* addr.h: a socket address: IPv4, IPv6 or a unix path. A value, to be copied. */
#ifndef KVMUX_IO_ADDR_H
#define KVMUX_IO_ADDR_H

#include "base/slice.h"

#include <sys/socket.h>

#define ADDR_TEXT_MAX 128

struct addr {
    socklen_t len; /* 0: none */
    union {
        sa_family_t family;
        uint8_t bytes[128]; /* a struct sockaddr of `len` bytes */
    } sa;
};

/* A numeric address: "127.0.0.1", "::1" (no brackets). False: it is a name, or not an address at all. */
bool addr_ip(struct addr *, struct slice host, uint16_t port);
/* False: the path is too long (108 bytes and more) or empty. */
bool addr_unix(struct addr *, struct slice path);
bool addr_is_unix(const struct addr *);
/* Nobody outside this machine can reach it: loopback, or a unix path. */
bool addr_is_local(const struct addr *);
bool addr_eq(const struct addr *, const struct addr *);
/* "127.0.0.1:80", "[::1]:80", "/path". Returns `to`. */
const char *addr_text(const struct addr *, char *to, size_t room);

#endif
