/* reason.h: every close and every refusal has one of these (rows in reason.def). */
#ifndef KVMUX_BASE_REASON_H
#define KVMUX_BASE_REASON_H

enum reason {
#define REASON(name, bucket, code, text, words) REASON_##name,
#include "base/reason.def"
#undef REASON
    REASON_COUNT
};

enum reason_bucket { REASON_BUCKET_EOF, REASON_BUCKET_ERR, REASON_BUCKET_TIMEOUT, REASON_BUCKET_REFUSAL };

const char *reason_name(enum reason); /* the name of its row, for logs */
const char *reason_code(enum reason); /* first word of a Redis error */
const char *reason_text(enum reason);  /* for clients */
const char *reason_words(enum reason); /* for the log */
enum reason_bucket reason_bucket(enum reason);

#endif
