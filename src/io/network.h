/* network.h: networks of addresses: 10.0.0.0/8, 2001:db8::/32, a single address, or "unix": whoever comes by a unix socket.
 * Values; pure; any thread. */
#ifndef KVMUX_IO_NETWORK_H
#define KVMUX_IO_NETWORK_H

#include "io/addr.h"

#define NETWORK_TEXT_MAX 64

struct network {
    sa_family_t family; /* AF_INET, AF_INET6 or AF_UNIX */
    uint8_t bits;       /* so many of `ip` count; the others are 0 */
    uint8_t ip[16];     /* IPv4: the first four */
};

/* False, with *why, and `instead` ("" when there is nothing to propose), a text of NETWORK_TEXT_MAX bytes. */
bool network_parse(struct network *, struct slice text, const char **why, char *instead);
/* An IPv4 address in IPv6's clothes (::ffff:10.0.0.1) is an IPv4 address. */
bool network_has(const struct network *, const struct addr *);
const char *network_text(const struct network *, char *to, size_t room); /* returns `to` */

/* A list of them. */
struct networks {
    uint32_t n;
    struct network v[];
};
bool networks_have(const struct networks *, const struct addr *); /* NULL: none */

#endif
