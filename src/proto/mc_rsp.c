#include "proto/mc.h"

enum { PHASE_LINE, PHASE_DATA };

static const struct {
    const char *text;
    uint8_t n;
    bool prefix; /* more may follow */
    uint16_t line;
} words[] = {
    {"STORED", 6, false, MC_STORED},         {"END", 3, false, MC_END},
    {"NOT_STORED", 10, false, MC_NOT_STORED}, {"NOT_FOUND", 9, false, MC_NOT_FOUND},
    {"EXISTS", 6, false, MC_EXISTS},         {"DELETED", 7, false, MC_DELETED},
    {"TOUCHED", 7, false, MC_TOUCHED},       {"OK", 2, false, MC_OK},
    {"RESET", 5, false, MC_RESET},           {"VERSION ", 8, true, MC_VERSION_LINE},
    {"SERVER_ERROR", 12, true, MC_ERROR},    {"CLIENT_ERROR", 12, true, MC_ERROR},
    {"ERROR", 5, true, MC_ERROR}, /* also "ERROR: shutdown not enabled" */
};

static bool is_number(struct slice s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
    }
    return s.n > 0 && s.n <= 20;
}

/* One of the MC_ bits; 0: not a line that memcached says. */
static uint32_t line_kind(struct slice s) {
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        size_t n = words[i].n;
        if (s.n < n || s.p[0] != (uint8_t)words[i].text[0] || memcmp(s.p, words[i].text, n) != 0) {
            continue;
        }
        if (s.n == n || (words[i].prefix && (words[i].text[n - 1] == ' ' || s.p[n] == ' ' || s.p[n] == ':'))) {
            return words[i].line;
        }
    }
    return is_number(s) ? MC_NUMBER : 0;
}

bool mc_value_line(struct slice line, uint32_t *bytes) {
    static const char intro[] = "VALUE ";
    if (!slice_starts(line, intro)) {
        return false;
    }
    const uint8_t *end = line.p + line.n, *s = line.p + sizeof intro - 1;
    const uint8_t *e = memchr(s, ' ', (size_t)(end - s));
    if (e == NULL || e == s || e - s > MC_KEY_MAX) {
        return false;
    }
    uint64_t number[3]; /* flags, bytes, cas */
    uint32_t n = 0;
    while (e < end) {
        uint64_t v = 0;
        for (s = ++e; e < end && *e != ' '; e++) {
            uint8_t d = (uint8_t)(*e - '0');
            if (d > 9 || e - s >= 20) {
                return false;
            }
            v = v * 10 + d; /* may wrap with 20 digits: only the length is used, and it has a limit of its own */
        }
        if (e == s || n == 3 || (n == 1 && (e - s > 10 || v > MC_VALUE_MAX))) {
            return false;
        }
        number[n++] = v;
    }
    if (n < 2) {
        return false;
    }
    *bytes = (uint32_t)number[1];
    return true;
}

/* The line that begins at p->pos, without its CRLF; p->left of its bytes were looked at before. */
static enum parse_rc line_find(struct parser *p, struct slice in, struct slice *line) {
    size_t from = p->pos + (size_t)p->left;
    const uint8_t *nl = memchr(in.p + from, '\n', in.n - from);
    size_t n = (nl != NULL ? (size_t)(nl - in.p) : in.n) - p->pos;
    if (n > MC_REPLY_LINE_MAX || (nl != NULL && (n == 0 || nl[-1] != '\r'))) {
        return PARSE_BAD;
    }
    if (nl == NULL) {
        p->left = n;
        return PARSE_MORE;
    }
    p->left = 0;
    *line = slice(in.p + p->pos, n - 1);
    return PARSE_DONE;
}

/* A server that calls a storage line bad has not taken the data block and will read it as commands: whatever comes next is
 * no answer of ours. */
static bool data_was_taken(struct slice line) {
    return !slice_starts(line, "ERROR") && !slice_starts(line, "CLIENT_ERROR bad command line");
}

/* Blocks and the line that ends them, or one line. p->pos: the next line, or the end of the data block that is awaited. */
static enum parse_rc reply_find(struct parser *p, const struct cmd *cmd, struct slice in, struct rsp *out) {
    uint32_t allowed = MC_ERROR | (cmd != NULL ? mc_rules[cmd->id].replies : SAYS_ANY);
    for (;;) {
        struct slice line;
        uint32_t bytes;
        if (p->phase == PHASE_DATA) {
            if (in.n < p->pos) {
                out->need = p->pos + 5; /* at least "END" follows */
                return PARSE_MORE;
            }
            if (memcmp(in.p + p->pos - 2, "\r\n", 2) != 0) {
                return PARSE_BAD;
            }
            p->phase = PHASE_LINE;
        }
        enum parse_rc rc = line_find(p, in, &line);
        if (rc != PARSE_DONE) {
            return rc;
        }
        p->pos += line.n + 2;
        if ((allowed & MC_VALUE) && mc_value_line(line, &bytes)) {
            p->pos += (size_t)bytes + 2;
            p->phase = PHASE_DATA;
            if (p->pos > MC_REPLY_MAX) {
                return PARSE_BAD;
            }
            continue;
        }
        uint32_t kind = line.n > 0 ? line_kind(line) & allowed : 0;
        if (kind == 0 || (kind == MC_ERROR && cmd != NULL && cmd->keys == FORM_STORE && !data_was_taken(line))) {
            return PARSE_BAD;
        }
        out->len = p->pos;
        out->kind = kind == MC_ERROR ? RSP_ERROR : RSP_GOOD;
        return PARSE_DONE;
    }
}

enum parse_rc mc_parse_rsp(struct parser *p, const struct cmd *cmd, struct slice in, struct rsp *out) {
    *out = (struct rsp){0};
    enum parse_rc rc = in.n > 0 ? reply_find(p, cmd, in, out) : PARSE_MORE;
    if (rc != PARSE_MORE) {
        *p = (struct parser){0};
    }
    return rc;
}
