#include "base/sha1.h"

#include <openssl/evp.h>

bool sha1(struct slice s, uint8_t digest[SHA1_LEN]) {
    unsigned len = 0;
    return EVP_Digest(s.p, s.n, digest, &len, EVP_sha1(), NULL) == 1 && len == SHA1_LEN;
}
