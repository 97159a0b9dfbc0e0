/* resp_script.c: bodies of scripts and the digests that name them. */
#include "proto/resp.h"

#include "base/sha1.h"

static int hex_digit(uint8_t c) {
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 40 hexadecimal digits in any case, as Redis takes them. False: no script can have this name; a server says so. */
static bool take_digest(struct slice s, uint8_t digest[SCRIPT_DIGEST]) {
    if (s.n != 2 * SCRIPT_DIGEST) {
        return false;
    }
    for (size_t i = 0; i < SCRIPT_DIGEST; i++) {
        int high = hex_digit(s.p[2 * i]), low = hex_digit(s.p[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        digest[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void resp_script_judge(struct msg *m, uint32_t at) {
    uint32_t flags = m->cmd->flags;
    if (flags & CMD_BODY) {
        m->script = msg_arg(m, at);
    }
    if ((flags & (CMD_BODY | CMD_FORGETS)) || ((flags & CMD_DIGEST) && take_digest(msg_arg(m, at), m->digest))) {
        m->flags |= MSG_SCRIPT;
    }
}

void resp_script_load(struct slice body, struct out *o) {
    resp_put_head(o, '*', 3);
    resp_put_bulk(o, slice_str("SCRIPT"));
    resp_put_bulk(o, slice_str("LOAD"));
    resp_put_bulk(o, body);
}

bool resp_script_digest(struct slice body, uint8_t digest[SCRIPT_DIGEST]) {
    _Static_assert(SCRIPT_DIGEST == SHA1_LEN, "scripts are named by their SHA-1");
    return sha1(body, digest);
}

/* Not every error of that code: a script may return one of its own, and has run then. */
bool resp_script_missing(struct slice line) {
    return slice_starts(line, "NOSCRIPT No matching script");
}
