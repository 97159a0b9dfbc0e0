/* resp_test.h: what the tests of the Redis codec share: one worker's pool, built bytes as one slice, parsing by hand. */
#ifndef KVMUX_TESTS_RESP_TEST_H
#define KVMUX_TESTS_RESP_TEST_H

#include "proto/resp.h"

#include "base/mem.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

extern const struct proto proto_resp;

/* Bytes that are being built. */
struct sink {
    struct bufpool pool;
    struct rope rope;
    struct stage stage;
    struct out out;
    struct buf *buf; /* holds what sink_bytes returned */
};

static inline void sink_init(struct sink *s) {
    *s = (struct sink){0};
    bufpool_init(&s->pool);
    stage_init(&s->stage, &s->pool);
    s->out = (struct out){&s->rope, &s->stage};
}

static inline struct slice sink_bytes(struct sink *s) {
    return rope_flat(&s->rope, &s->pool, &s->buf);
}

/* Empties it for the next bytes. */
static inline void sink_reset(struct sink *s) {
    rope_fini(&s->rope);
    stage_release(&s->stage);
}

static inline void sink_fini(struct sink *s) {
    sink_reset(s);
    bufpool_fini(&s->pool);
}

static inline void assert_slice(struct slice got, const char *want) {
    if (!slice_is(got, want)) {
        print_error("got  \"%.*s\"\nwant \"%s\"\n", (int)got.n, (const char *)got.p, want);
        fail();
    }
}

static inline enum parse_rc parse_str(struct msg *m, const char *text) {
    struct parser ps = {0};
    return proto_resp.parse_req(&ps, slice_str(text), m);
}

/* A command line, without its line end: parsed as an inline command. `text` must stay. */
static inline void parse_line(struct msg *m, const char *text) {
    char line[1024];
    snprintf(line, sizeof line, "%s\r\n", text);
    assert_int_equal(parse_str(m, line), PARSE_DONE);
}

/* What becomes of a command line: its keys, or the answer without its line end. Stays until the next call. */
static inline const char *judged(struct msg *m, const char *line) {
    static char text[1024];
    size_t n = 0;
    parse_line(m, line);
    text[0] = '\0';
    if (m->route == ROUTE_REPLY) {
        snprintf(text, sizeof text, "%.*s", (int)m->answer_len - 2, m->answer);
        return text;
    }
    for (uint32_t i = 0; i < m->nkeys; i++) {
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", i > 0 ? " " : "", (int)msg_key(m, i).n, (const char *)msg_key(m, i).p);
    }
    return text;
}

#endif
