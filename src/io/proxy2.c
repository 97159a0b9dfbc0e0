#include "io/proxy2.h"

#include <netinet/in.h>

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* Byte 12: version and command. Byte 13: family and protocol. */
enum { LOCAL = 0x20, PROXY = 0x21, TCP4 = 0x11, TCP6 = 0x21 };

static uint16_t number(const uint8_t *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}

size_t proxy2_want(const struct proxy2 *p) {
    return (p->have < PROXY2_HEAD ? PROXY2_HEAD : PROXY2_HEAD + (size_t)p->rest) - p->have;
}

static void take_ip4(const uint8_t *p, struct addr *a) {
    struct sockaddr_in in4 = {.sin_family = AF_INET};
    memcpy(&in4.sin_addr, p, 4);
    memcpy(&in4.sin_port, p + 8, 2);
    memcpy(a->sa.bytes, &in4, sizeof in4);
    a->len = sizeof in4;
}

static void take_ip6(const uint8_t *p, struct addr *a) {
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    memcpy(&in6.sin6_addr, p, 16);
    memcpy(&in6.sin6_port, p + 32, 2);
    memcpy(a->sa.bytes, &in6, sizeof in6);
    a->len = sizeof in6;
}

/* The head is good as far as it is there. */
static bool head_fits(const struct proxy2 *p) {
    size_t n = p->have < sizeof signature ? p->have : sizeof signature;
    return memcmp(p->bytes, signature, n) == 0 && (p->have <= 12 || p->bytes[12] == LOCAL || p->bytes[12] == PROXY);
}

enum proxy2_rc proxy2_take(struct proxy2 *p, struct slice in, struct addr *from) {
    *from = (struct addr){0};
    size_t room = p->have < sizeof p->bytes ? sizeof p->bytes - p->have : 0;
    if (room > 0) {
        memcpy(p->bytes + p->have, in.p, in.n < room ? in.n : room);
    }
    p->have += (uint32_t)in.n;
    if (!head_fits(p)) {
        return PROXY2_BAD;
    }
    if (p->have < PROXY2_HEAD) {
        return PROXY2_MORE;
    }
    p->rest = number(p->bytes + 14);
    if (p->have < PROXY2_HEAD + (uint32_t)p->rest) {
        return PROXY2_MORE;
    }
    uint8_t family = p->bytes[13];
    if (p->bytes[12] == PROXY && p->rest < (family == TCP4 ? 12 : family == TCP6 ? PROXY2_IP6 : 0)) {
        return PROXY2_BAD;
    }
    if (p->bytes[12] == PROXY && family == TCP4) {
        take_ip4(p->bytes + PROXY2_HEAD, from);
    } else if (p->bytes[12] == PROXY && family == TCP6) {
        take_ip6(p->bytes + PROXY2_HEAD, from);
    }
    return PROXY2_DONE;
}
