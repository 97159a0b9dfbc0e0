#include "proto/mc.h"

enum { PHASE_LINE, PHASE_DATA, PHASE_LAST_DATA };

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

/* What follows the letters and the length is the client's. Older memcacheds say OK for HD. */
uint32_t mc_meta_kind(struct slice s, uint32_t *bytes) {
    static const struct {
        char text[3];
        uint32_t line;
    } codes[] = {{"HD", MC_HD}, {"EN", MC_EN}, {"VA", MC_VA}, {"NF", MC_NF},
                 {"NS", MC_NS}, {"EX", MC_EX}, {"ME", MC_ME}, {"OK", MC_HD}};
    uint32_t kind = 0;
    if (s.n < 2 || (s.n > 2 && s.p[2] != ' ')) {
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(codes) && kind == 0; i++) {
        kind = memcmp(s.p, codes[i].text, 2) == 0 ? codes[i].line : 0;
    }
    if (kind != MC_VA) {
        return kind;
    }
    size_t i = 3;
    uint64_t v = 0;
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && i < 13; i++) {
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *bytes = (uint32_t)v;
    return i > 3 && (i == s.n || s.p[i] == ' ') && v <= MC_VALUE_MAX ? MC_VA : 0;
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
 * no answer of ours. Older memcacheds take the length of an ms for a flag that they do not know. What a newer one answers in
 * this way is found here before the line is sent, so that no client can bring this about at will. */
static bool data_was_taken(struct slice line) {
    return !slice_starts(line, "ERROR") && !slice_starts(line, "CLIENT_ERROR bad command line") &&
           !slice_starts(line, "CLIENT_ERROR invalid flag");
}

static bool has_data(const struct cmd *cmd) {
    uint8_t form = cmd != NULL ? mc_cmds[cmd->id].keys : FORM_UNKNOWN; /* cmd may be a row of mcb.h */
    return form == FORM_STORE || form == FORM_META_SET;
}

/* The data block ends at p->pos. MORE, BAD, or DONE: it is there. */
static enum parse_rc data_find(const struct parser *p, struct slice in, struct rsp *out) {
    if (in.n < p->pos) {
        out->need = p->pos + (p->phase == PHASE_DATA ? 5 : 0); /* at least "END" follows */
        return PARSE_MORE;
    }
    return memcmp(in.p + p->pos - 2, "\r\n", 2) == 0 ? PARSE_DONE : PARSE_BAD;
}

/* The line behind p->pos is whole: one of the MC_ bits, or 0. Moves p->pos to its end, and to the end of its data. */
static uint32_t line_judge(struct parser *p, const struct cmd *cmd, struct slice line) {
    uint32_t allowed = MC_ERROR | (cmd != NULL ? mc_rules[cmd->id].replies : SAYS_ANY), bytes = 0, kind = 0;
    p->pos += line.n + 2;
    if ((allowed & MC_VALUE) && mc_value_line(line, &bytes)) {
        kind = MC_VALUE;
        p->phase = PHASE_DATA;
    } else if ((allowed & MC_META_LINES) && (kind = mc_meta_kind(line, &bytes) & allowed) != 0) {
        p->phase = kind == MC_VA ? PHASE_LAST_DATA : PHASE_LINE;
    } else if (line.n > 0) {
        kind = line_kind(line) & allowed;
    }
    if (p->phase != PHASE_LINE) {
        p->pos += (size_t)bytes + 2;
    }
    return p->pos > MC_REPLY_MAX || (kind == MC_ERROR && has_data(cmd) && !data_was_taken(line)) ? 0 : kind;
}

static enum parse_rc reply_end(const struct parser *p, const struct cmd *cmd, uint32_t kind, struct rsp *out) {
    out->len = p->pos;
    out->kind = kind == MC_ERROR ? RSP_ERROR : RSP_GOOD;
    out->quiet_ok = cmd != NULL && (mc_rules[cmd->id].hides & kind) != 0;
    return PARSE_DONE;
}

/* Blocks and the line that ends them, or one line, or one line and its block. p->pos: the next line, or the end of the data
 * block that is awaited. */
static enum parse_rc reply_find(struct parser *p, const struct cmd *cmd, struct slice in, struct rsp *out) {
    uint32_t kind = MC_VA; /* if it is its block that was awaited */
    do {
        if (p->phase != PHASE_LINE) {
            enum parse_rc rc = data_find(p, in, out);
            if (rc != PARSE_DONE || p->phase == PHASE_LAST_DATA) {
                return rc != PARSE_DONE ? rc : reply_end(p, cmd, kind, out);
            }
            p->phase = PHASE_LINE;
        }
        struct slice line;
        enum parse_rc rc = line_find(p, in, &line);
        if (rc != PARSE_DONE) {
            return rc;
        }
        kind = line_judge(p, cmd, line);
        if (kind == 0) {
            return PARSE_BAD;
        }
    } while (p->phase != PHASE_LINE);
    return reply_end(p, cmd, kind, out);
}

/* What of an unfinished reply may go ahead: up to the line end behind the data block, or whole blocks. */
static void pass(struct parser *p, struct rsp *out) {
    size_t n = p->phase == PHASE_LINE ? p->pos : p->pos - 2;
    if (n >= p->pass_min) {
        out->pass = n;
        out->need = 0;
        p->pos -= n;
    }
}

enum parse_rc mc_parse_rsp(struct parser *p, const struct cmd *cmd, struct slice in, struct rsp *out) {
    *out = (struct rsp){0};
    enum parse_rc rc = in.n > 0 ? reply_find(p, cmd, in, out) : PARSE_MORE;
    if (rc != PARSE_MORE) {
        *p = (struct parser){0};
    } else if (UNLIKELY(p->pass_min > 0)) {
        pass(p, out);
    }
    return rc;
}
