#include "io/network.h"

#include "base/num.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/* The bytes of an address, IPv4's from IPv6's clothes. */
static struct network host_of(const struct addr *a) {
    struct network h = {.family = a->len > 0 ? a->sa.family : AF_UNSPEC};
    if (h.family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, a->sa.bytes, sizeof in4);
        memcpy(h.ip, &in4.sin_addr, 4);
        h.bits = 32;
    } else if (h.family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, a->sa.bytes, sizeof in6);
        bool is_mapped = memcmp(&in6.sin6_addr, mapped, sizeof mapped) == 0;
        h.family = is_mapped ? AF_INET : AF_INET6;
        h.bits = is_mapped ? 32 : 128;
        memcpy(h.ip, in6.sin6_addr.s6_addr + (is_mapped ? 12 : 0), h.bits / 8);
    }
    return h;
}

/* Sets what is behind the first `bits` to 0. */
static void cut(struct network *n, unsigned bits) {
    for (unsigned i = 0; i < sizeof n->ip; i++) {
        unsigned keep = bits > 8 * i ? bits - 8 * i : 0;
        n->ip[i] = (uint8_t)(keep >= 8 ? n->ip[i] : n->ip[i] & ~(0xffu >> keep));
    }
    n->bits = (uint8_t)bits;
}

bool network_parse(struct network *out, struct slice text, const char **why, char *instead) {
    instead[0] = '\0';
    if (slice_is(text, "unix")) {
        *out = (struct network){.family = AF_UNIX};
        return true;
    }
    const uint8_t *slash = memchr(text.p, '/', text.n);
    struct slice host = slash != NULL ? slice(text.p, (size_t)(slash - text.p)) : text;
    struct addr a;
    if (!addr_ip(&a, host, 0)) {
        *why = "is no numeric address or network";
        return false;
    }
    struct network n = host_of(&a);
    uint64_t bits = n.bits;
    if (slash != NULL && (!num_u64(slice(slash + 1, text.n - host.n - 1), &bits) || bits > n.bits)) {
        *why = n.family == AF_INET ? "has a wrong prefix length: 0 to 32" : "has a wrong prefix length: 0 to 128";
        return false;
    }
    struct network whole = n;
    cut(&n, (unsigned)bits);
    if (memcmp(n.ip, whole.ip, sizeof n.ip) != 0) {
        *why = "has bits set behind its prefix";
        network_text(&n, instead, NETWORK_TEXT_MAX);
        return false;
    }
    *out = n;
    return true;
}

bool network_has(const struct network *n, const struct addr *a) {
    struct network h = host_of(a);
    if (h.family != n->family) {
        return false;
    }
    cut(&h, n->bits);
    return memcmp(h.ip, n->ip, sizeof h.ip) == 0;
}

const char *network_text(const struct network *n, char *to, size_t room) {
    char ip[INET6_ADDRSTRLEN];
    if (n->family == AF_UNIX) {
        snprintf(to, room, "unix");
    } else {
        bool single = n->bits == (n->family == AF_INET ? 32 : 128);
        inet_ntop(n->family, n->ip, ip, sizeof ip);
        snprintf(to, room, single ? "%s" : "%s/%u", ip, n->bits);
    }
    return to;
}

bool networks_have(const struct networks *l, const struct addr *a) {
    for (uint32_t i = 0; l != NULL && i < l->n; i++) {
        if (network_has(&l->v[i], a)) {
            return true;
        }
    }
    return false;
}
