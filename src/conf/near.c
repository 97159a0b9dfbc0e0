#include "conf/near.h"

#include "base/slice.h"

#define WORD_MAX 63

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t m = a < b ? a : b;
    return m < c ? m : c;
}

uint32_t near_distance(const char *a, const char *b) {
    size_t na = strlen(a), nb = strlen(b);
    if (na > WORD_MAX || nb > WORD_MAX) {
        return UINT32_MAX;
    }
    uint32_t rows[3][WORD_MAX + 1]; /* the row being made and the two above it */
    for (uint32_t j = 0; j <= nb; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= na; i++) {
        uint32_t *row = rows[i % 3], *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= nb; j++) {
            uint8_t ca = ascii_lower((uint8_t)a[i - 1]), cb = ascii_lower((uint8_t)b[j - 1]);
            row[j] = min3(up[j] + 1, row[j - 1] + 1, up[j - 1] + (ca == cb ? 0 : 1));
            if (i > 1 && j > 1 && ca == ascii_lower((uint8_t)b[j - 2]) && cb == ascii_lower((uint8_t)a[i - 2])) {
                row[j] = min3(row[j], up2[j - 2] + 1, row[j]);
            }
        }
    }
    return rows[na % 3][nb];
}

void near_init(struct near *n, const char *word) {
    size_t len = strlen(word);
    uint32_t most = len < 4 ? 1 : len < 8 ? 2 : (uint32_t)(len / 3);
    *n = (struct near){.word = word, .distance = most + 1};
}

void near_try(struct near *n, const char *candidate) {
    uint32_t d = near_distance(n->word, candidate);
    if (d < n->distance) {
        n->distance = d;
        n->best = candidate;
    }
}
