#include "base/reason.h"

#include "base/base.h"

static const struct row {
    const char *name, *code, *text, *words;
    enum reason_bucket bucket;
} rows[] = {
#define REASON(name, bucket, code, text, words) {#name, code, text, words, REASON_BUCKET_##bucket},
#include "base/reason.def"
#undef REASON
};

static const struct row *row_of(enum reason r) {
    ASSERT((unsigned)r < REASON_COUNT);
    return &rows[r];
}

const char *reason_name(enum reason r) {
    return row_of(r)->name;
}

const char *reason_code(enum reason r) {
    return row_of(r)->code;
}

const char *reason_text(enum reason r) {
    return row_of(r)->text;
}

const char *reason_words(enum reason r) {
    const struct row *row = row_of(r);
    return row->words != NULL ? row->words : row->text;
}

enum reason_bucket reason_bucket(enum reason r) {
    return row_of(r)->bucket;
}
