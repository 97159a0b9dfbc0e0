/* The first four bytes of the digest. */
#include "route/hash.h"
#include "route/md5.h"

uint32_t hash_md5(struct slice key) {
    uint8_t digest[MD5_LEN];
    md5(key, digest);
    return hash_le32(digest);
}
