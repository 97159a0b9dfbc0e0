/* sha1.h: SHA-1, as names of things and not as a proof of anything. From libcrypto. Any thread. */
#ifndef KVMUX_BASE_SHA1_H
#define KVMUX_BASE_SHA1_H

#include "base/slice.h"

#define SHA1_LEN 20

/* False: the library has no SHA-1 (some hardened systems), or no memory. */
bool sha1(struct slice, uint8_t digest[SHA1_LEN]);

#endif
