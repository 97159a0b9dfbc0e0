/* proxy2.h: the header that a load balancer puts in front of a client's bytes to say who the client is: the PROXY protocol, version 2
 * (haproxy.org/download/2.8/doc/proxy-protocol.txt, section 2.2). Pure.
 *
 *   12 bytes of signature, version and command, family, length of the rest; the addresses; whatever else (TLVs), which is skipped */
#ifndef KVMUX_IO_PROXY2_H
#define KVMUX_IO_PROXY2_H

#include "io/addr.h"

#define PROXY2_HEAD 16
#define PROXY2_IP6 36 /* two addresses and two ports: what counts behind the head has no more */

struct proxy2 {
    uint32_t have;    /* bytes of the header that were taken */
    uint16_t rest;    /* its length behind the head; valid when the head is there */
    uint8_t bytes[PROXY2_HEAD + PROXY2_IP6];
};

enum proxy2_rc { PROXY2_MORE, PROXY2_DONE, PROXY2_BAD };

/* How many bytes may be read next: never one behind the header, which belongs to somebody else (TLS). Not 0 before DONE. */
size_t proxy2_want(const struct proxy2 *);
/* Takes them: `in` has 1 to proxy2_want bytes. DONE: *from is who the client is; len 0: the header does not say (the balancer speaks for itself,
 * or the client came by a unix socket). */
enum proxy2_rc proxy2_take(struct proxy2 *, struct slice in, struct addr *from);

#endif
