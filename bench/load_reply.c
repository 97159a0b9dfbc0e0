/* load_reply.c: takes replies apart and checks each value against the key that was asked for. */
#include "load.h"

static struct asked *head(struct conn *c) {
    return &c->asked[c->nanswered];
}

static void reply_done(struct conn *c, bool error) {
    if (c->nanswered == c->nasked) {
        tally.mismatches++; /* nobody asked */
        return;
    }
    struct asked *q = head(c);
    if (q->kind == KIND_TXN && c->ahead <= opts.txn) { /* +OK and so many times +QUEUED */
        tally.errors += error;
        tally.mismatches += c->elements >= 0;
        c->ahead++;
        c->elements = -1;
        return;
    }
    uint32_t want = q->kind == KIND_TXN ? (uint32_t)opts.txn / 2 : q->kind == KIND_MGET ? (uint32_t)opts.keys : q->kind == KIND_GET;
    tally.errors += error;
    tally.missing += !error && c->values != want;
    tally.requests++;
    c->nanswered++;
    c->values = 0;
    c->ahead = 0;
    c->rng = 0;
    c->elements = -1;
}

static void element_done(struct conn *c, bool error) {
    if (c->elements > 0) {
        tally.errors += error;
        if (--c->elements > 0) {
            return;
        }
        error = false;
    }
    reply_done(c, error);
}

/* The next key of the request at the head, in the order in which it asked. */
static void key_expected(struct conn *c, char key[KEY_LEN]) {
    if (head(c)->kind == KIND_TXN) {
        uint64_t rng = head(c)->rng;
        key_put_tagged(key, key_next(&rng), 2 * (int)c->values + 1);
        return;
    }
    if (c->rng == 0) {
        c->rng = head(c)->rng;
    }
    key_put(key, key_next(&c->rng));
}

static void value_check(struct conn *c, const char *got, size_t n) {
    char key[KEY_LEN];
    if (c->nanswered == c->nasked) {
        tally.mismatches++;
        return;
    }
    key_expected(c, key);
    tally.mismatches += memcmp(key, got, n) != 0;
    c->values++;
}

static void complain(const char *what, const char *line, const char *end) {
    static int times;
    if (times++ < 3) {
        fprintf(stderr, "%s: %.*s\n", what, (int)min_size((size_t)(end - line), 120), line);
    }
}

static size_t digits(const char *p) {
    size_t n = 0;
    for (; *p >= '0' && *p <= '9'; p++) {
        n = n * 10 + (size_t)(*p - '0');
    }
    return n;
}

/* One line of a RESP2 or RESP3 reply; the rest of a value is left in c->skip. NULL: more bytes are needed. */
static char *resp_line(struct conn *c, char *p, char *nl, char *end) {
    char key[KEY_LEN];
    switch (*p) {
    case '$':
        if (p[1] == '-') {
            key_expected(c, key);
            element_done(c, false);
            return nl + 1;
        }
        size_t len = digits(p + 1), lead = min_size(len, KEY_LEN);
        if ((size_t)(end - nl - 1) < lead) {
            return NULL;
        }
        value_check(c, nl + 1, lead);
        c->skip = len + 2;
        return nl + 1;
    case '*':
        c->elements = strtol(p + 1, NULL, 10);
        if (c->elements <= 0) {
            reply_done(c, false);
        }
        return nl + 1;
    case '_': /* a null of RESP3 */
        key_expected(c, key);
        element_done(c, false);
        return nl + 1;
    case '+':
    case ':':
        element_done(c, false);
        return nl + 1;
    default:
        complain("error reply", p, nl);
        element_done(c, true);
        return nl + 1;
    }
}

/* The same for memcached's text protocol. */
static char *mc_line(struct conn *c, char *p, char *nl, char *end) {
    if (strncmp(p, "VALUE ", 6) == 0) {
        char *s = memchr(p + 6, ' ', (size_t)(nl - p - 6)); /* VALUE key flags length */
        s = s ? memchr(s + 1, ' ', (size_t)(nl - s - 1)) : NULL;
        size_t len = s ? digits(s + 1) : 0, lead = min_size(len, KEY_LEN);
        if ((size_t)(end - nl - 1) < lead) {
            return NULL;
        }
        if (head(c)->kind == KIND_MGET) { /* the order is the servers' */
            tally.mismatches += memcmp(p + 6, nl + 1, lead) != 0;
            c->values++;
        } else {
            value_check(c, nl + 1, lead);
        }
        c->skip = len + 2;
        return nl + 1;
    }
    bool good = strncmp(p, "END", 3) == 0 || strncmp(p, "STORED", 6) == 0;
    if (!good) {
        complain("error reply", p, nl);
    }
    reply_done(c, !good);
    return nl + 1;
}

char *replies_parse(struct conn *c, char *p, char *end) {
    while (p < end) {
        if (c->skip > 0) {
            size_t n = min_size(c->skip, (size_t)(end - p));
            p += n;
            c->skip -= n;
            if (c->skip == 0 && !opts.memcached) {
                element_done(c, false);
            }
            continue;
        }
        char *nl = memchr(p, '\n', (size_t)(end - p));
        char *next = nl == NULL ? NULL : opts.memcached ? mc_line(c, p, nl, end) : resp_line(c, p, nl, end);
        if (next == NULL) {
            break;
        }
        p = next;
    }
    return p;
}
