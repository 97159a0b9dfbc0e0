/* Hash tags: keys with the same text between the two tag bytes meet on one server. */
#include "route/ring.h"

/* The first opening byte and the first closing byte after it count. If nothing lies between them, later pairs are not
 * tried: "{}{x}" is hashed whole. Opening and closing byte may be the same. */
struct slice tag_of(const char *tag, struct slice key) {
    if (tag == NULL || key.n == 0) {
        return key;
    }
    const uint8_t *end = key.p + key.n;
    const uint8_t *open = memchr(key.p, (uint8_t)tag[0], key.n);
    if (open == NULL) {
        return key;
    }
    const uint8_t *from = open + 1;
    const uint8_t *close = memchr(from, (uint8_t)tag[1], (size_t)(end - from));
    if (close == NULL || close == from) {
        return key;
    }
    return slice(from, (size_t)(close - from));
}
