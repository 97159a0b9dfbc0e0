/* resp_wait.c: requests that wait at the server: for how long, and the same for some of their keys and a shorter time. */
#include "proto/resp.h"

#include "base/num.h"
#include "proto/resp_gather.h"

#include <math.h>

#define SECONDS_MAX 1e9 /* more is for ever */

/* In milliseconds; 0: for ever. */
static int64_t limit_in_msec(struct slice s) {
    uint64_t msec;
    if (!num_u64(s, &msec)) {
        return WAIT_UNCLEAR;
    }
    return msec == 0 || msec > (uint64_t)SECONDS_MAX * 1000 ? WAIT_EVER : (int64_t)msec * 1000;
}

/* BLOCK of XREAD and XREADGROUP; the search ends where the keys begin. */
static int64_t limit_of_streams(const struct msg *m) {
    for (uint32_t i = 1; i + 1 < m->first_key; i++) {
        if (slice_ieq(msg_arg(m, i), slice_str("group"))) {
            i += 2; /* names, which may look like an option */
        } else if (slice_ieq(msg_arg(m, i), slice_str("block"))) {
            return limit_in_msec(msg_arg(m, i + 1));
        }
    }
    return WAIT_UNCLEAR;
}

/* The argument that says how long, in seconds; 0: the command is none of ours, and who knows where it says so. */
static uint32_t timeout_at(const struct msg *m) {
    switch (m->cmd->id) {
    case RESP_BLMPOP:
    case RESP_BZMPOP:
        return 1;
    case RESP_BLPOP:
    case RESP_BRPOP:
    case RESP_BLMOVE:
    case RESP_BRPOPLPUSH:
    case RESP_BZPOPMIN:
    case RESP_BZPOPMAX:
        return m->nargs - 1;
    default:
        return 0;
    }
}

static int64_t wait_limit(const struct msg *m) {
    double seconds;
    if (m->cmd->id == RESP_XREAD || m->cmd->id == RESP_XREADGROUP) {
        return limit_of_streams(m);
    }
    if (m->cmd->route == ROUTE_WRITTEN) {
        return limit_in_msec(msg_arg(m, m->nargs - 1));
    }
    if (timeout_at(m) == 0 || !resp_gather_double(msg_arg(m, timeout_at(m)), &seconds) || seconds < 0) {
        return WAIT_UNCLEAR;
    }
    return seconds == 0 || seconds > SECONDS_MAX ? WAIT_EVER : (int64_t)ceil(seconds * 1000) * 1000; /* Redis counts so */
}

static void put_timeout(const struct msg *m, int64_t usec, struct out *o) {
    char text[NUM_MAX + 4];
    if (usec == WAIT_UNCLEAR) {
        resp_put_bulk(o, msg_arg(m, timeout_at(m)));
        return;
    }
    uint64_t msec = (uint64_t)usec / 1000;
    size_t n = num_put_u64(text, msec / 1000);
    text[n] = '.';
    for (uint64_t i = 3, rest = msec % 1000; i > 0; i--, rest /= 10) {
        text[n + i] = (char)('0' + rest % 10);
    }
    resp_put_bulk(o, slice(text, n + 4));
}

static void wait_build(const struct msg *m, const uint32_t *keys, uint32_t nkeys, int64_t usec, struct out *o) {
    bool counted = m->cmd->keys == RESP_COUNTED;
    uint32_t behind = m->first_key + m->nkeys; /* the words that follow the keys; else the time-out itself */
    ASSERT((m->cmd->flags & CMD_ROTATE) && m->key_step == 1 && m->key_gap == 0);
    /* The number of keys was a lie and swallowed the words behind them: with fewer keys the arity would be what is wrong
     * first, and the client is to hear of the syntax. */
    bool wordless = counted && behind == m->nargs;
    resp_put_head(o, '*', (int64_t)m->nargs - m->nkeys + nkeys + wordless);
    resp_put_bulk(o, msg_arg(m, 0));
    if (counted) {
        char text[NUM_MAX];
        put_timeout(m, usec, o);
        resp_put_bulk(o, slice(text, num_put_u64(text, nkeys)));
    }
    for (uint32_t i = 0; i < nkeys; i++) {
        resp_put_bulk(o, msg_key(m, keys[i]));
    }
    for (uint32_t i = behind; counted && i < m->nargs; i++) {
        resp_put_bulk(o, msg_arg(m, i));
    }
    if (wordless) {
        resp_put_bulk(o, slice_str(""));
    }
    if (!counted) {
        put_timeout(m, usec, o);
    }
}

static bool is_null(struct slice s) {
    return slice_eq(s, slice_str("*-1\r\n")) || slice_eq(s, slice_str("_\r\n")) || slice_eq(s, slice_str("$-1\r\n"));
}

static enum wait_rc wait_judge(struct slice reply, bool run, struct slice *answer) {
    *answer = reply;
    if (run && reply.p[0] == '-') {
        return WAIT_REFUSED;
    }
    if (run && !slice_starts(reply, "*1\r\n")) {
        return WAIT_BAD;
    }
    if (run) {
        *answer = slice(reply.p + 4, reply.n - 4);
    }
    if (is_null(*answer)) {
        return WAIT_NOTHING;
    }
    return slice_starts(*answer, "-LOADING") ? WAIT_LATER : WAIT_ANSWER;
}

const struct proto_waits resp_waits = {.limit = wait_limit, .build = wait_build, .judge = wait_judge};
