/* md5.h: RFC 1321. The ring of ketama is made of it. Not for security, and no library is worth linking for it: this
 * folder is pure. */
#ifndef KVMUX_ROUTE_MD5_H
#define KVMUX_ROUTE_MD5_H

#include "base/slice.h"

#define MD5_LEN 16

void md5(struct slice text, uint8_t digest[MD5_LEN]);

#endif
