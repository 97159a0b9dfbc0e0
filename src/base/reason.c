#include "base/reason.h"

#include "base/base.h"

static const struct {
    char name[16];
    enum reason_bucket bucket;
    const char *text;
} rows[] = {
#define REASON(name, bucket, text) {#name, REASON_BUCKET_##bucket, text},
#include "base/reason.def"
#undef REASON
};

const char *reason_text(enum reason r) {
    ASSERT((unsigned)r < REASON_COUNT);
    return rows[r].text;
}

const char *reason_name(enum reason r) {
    ASSERT((unsigned)r < REASON_COUNT);
    return rows[r].name;
}

enum reason_bucket reason_bucket(enum reason r) {
    ASSERT((unsigned)r < REASON_COUNT);
    return rows[r].bucket;
}
