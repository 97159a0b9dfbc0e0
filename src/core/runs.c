#include "core/runs.h"

bool runs_add_many(struct runs *r, struct rope *rope) {
    for (uint32_t i = 0; i < rope->n; i++) {
        if (!runs_add_span(r, rope_span(rope, i))) {
            return false;
        }
    }
    return true;
}
