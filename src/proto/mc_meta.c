/* The meta commands: a key, for ms a length, and flags. Flags are the server's to judge, but for what decides here: b, q,
 * and everything of an ms, since a server that refuses its line must still take its data block. */
#include "proto/mc.h"

#include "base/mem.h"
#include "base/num.h"

#define META_WORDS_MAX 19 /* of a line, as memcached counts */
#define KEY_DECODED_MAX (MC_KEY_MAX / 4 * 3)

static const char bad_line[] = "CLIENT_ERROR bad command line format";

/* ---- keys in base64 ---- */

/* The six bits of a letter; -1: none. */
static int letter_bits(uint8_t c) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : c == '=' ? 0 : -1;
}

/* As memcached decodes: other letters are passed over, `=` counts as a letter wherever it stands, and the first group of
 * four with one or two of them is the last. Returns the length; 0: memcached refuses it. `to`: KEY_DECODED_MAX bytes. */
static size_t key_decode(struct slice s, uint8_t *to) {
    size_t letters = 0, n = 0;
    for (size_t i = 0; i < s.n; i++) {
        letters += letter_bits(s.p[i]) >= 0;
    }
    if (letters % 4 != 0) {
        return 0;
    }
    uint32_t group = 0, have = 0, pad = 0;
    for (size_t i = 0; i < s.n && (have % 4 != 0 || pad == 0); i++) {
        int bits = letter_bits(s.p[i]);
        if (bits < 0) {
            continue;
        }
        pad += s.p[i] == '=';
        group = group << 6 | (uint32_t)bits;
        if (++have % 4 == 0) {
            ASSERT(n + 3 <= KEY_DECODED_MAX);
            to[n++] = (uint8_t)(group >> 16);
            to[n++] = (uint8_t)(group >> 8);
            to[n++] = (uint8_t)group;
        }
    }
    return pad > 2 ? 0 : n - pad;
}

/* Moves the words of the line to the scratch, with the decoded key as a further word. False: memcached refuses the key. */
static bool key_read_b(struct msg *m, size_t line) {
    if (m->scratch_cap < line + KEY_DECODED_MAX) {
        mem_free(m->scratch);
        m->scratch_cap = line + KEY_DECODED_MAX;
        m->scratch = mem_alloc(m->scratch_cap);
    }
    size_t n = key_decode(msg_key(m, 0), m->scratch + line);
    if (n == 0) {
        return false;
    }
    memcpy(m->scratch, m->base, line);
    m->base = m->scratch;
    m->first_key = m->nargs;
    mc_arg_add(m, line, n);
    return true;
}

/* memcached says such a key as it is, not in base64, when the item was made by mg with N, by append or by an older command:
 * the lines inside it would be taken for replies. */
static bool key_breaks_lines(const struct msg *m) {
    struct slice key = msg_key(m, 0);
    return memchr(key.p, '\n', key.n) != NULL;
}

/* ---- lines ---- */

/* The first thing that memcached finds wrong with the letters of the flags; NULL: nothing. */
static const char *flags_wrong(const struct msg *m, uint32_t first) {
    bool seen[128] = {false};
    for (uint32_t i = first; i < m->nargs; i++) {
        uint8_t c = msg_arg(m, i).p[0];
        if (c >= 127 || seen[c]) {
            return "CLIENT_ERROR duplicate flag";
        }
        if (strchr("bNTRlOPLkstcfvhuqFCMJDI", c) == NULL) {
            return "CLIENT_ERROR invalid flag";
        }
        seen[c] = true;
    }
    return NULL;
}

/* The number of an ms flag F: other servers may read more than 32 bits. */
static bool client_flags_read(struct msg *m, struct slice flag) {
    uint64_t v;
    struct slice number = slice(flag.p + 1, flag.n - 1);
    if (!mc_u64(number, &v)) {
        return false;
    }
    if (!mc_plain(number, false, 10) || v > UINT32_MAX) {
        m->flags |= MSG_REWRITE;
    }
    return true;
}

/* Takes the flag q out: a server must answer everything. */
static void quiet_strip(struct msg *m, uint32_t first) {
    uint32_t n = first;
    for (uint32_t i = first; i < m->nargs; i++) {
        if (msg_arg(m, i).p[0] != 'q') {
            m->args[n++] = m->args[i];
        }
    }
    m->nargs = n;
    m->flags |= MSG_QUIET | MSG_REWRITE;
}

static void flags_read(struct msg *m, uint32_t first, size_t line) {
    bool set = m->cmd->keys == FORM_META_SET, b = false, k = false, bad_number = false;
    uint32_t quiet = 0;
    for (uint32_t i = first; i < m->nargs; i++) {
        struct slice flag = msg_arg(m, i);
        b = b || flag.p[0] == 'b';
        k = k || flag.p[0] == 'k';
        quiet += flag.p[0] == 'q';
        bad_number = bad_number || (set && flag.p[0] == 'F' && !client_flags_read(m, flag));
    }
    /* Also of two q: with both taken out the server would see nothing wrong. */
    const char *why = set || quiet > 1 ? flags_wrong(m, first) : NULL;
    if (why == NULL && quiet > 0) {
        quiet_strip(m, first);
    }
    if (why == NULL && b && !key_read_b(m, line)) {
        why = flags_wrong(m, first);
        why = why != NULL ? why : "CLIENT_ERROR error decoding key";
    }
    if (why == NULL && bad_number) {
        why = bad_line;
    }
    if (why != NULL) {
        bool terse = m->cmd->id == MC_ID_MD || m->cmd->id == MC_ID_MA;
        mc_answer(m, terse ? "CLIENT_ERROR invalid or duplicate flag" : why);
    } else if (b && k && m->cmd->id == MC_ID_MG && key_breaks_lines(m)) {
        mc_answer(m, "CLIENT_ERROR mg with flag k is refused by kvmux for a key with a line feed: use flag O");
    }
}

/* How many bytes follow the line of an ms; 0: it is refused and nothing follows. */
static size_t length_read(struct msg *m) {
    int64_t length;
    int32_t n = -1;
    if (m->nargs > 2 && mc_i64(msg_arg(m, 2), &length)) {
        n = (int32_t)(uint32_t)length;
    }
    if (n < 0 || n > INT32_MAX - 2) {
        mc_answer(m, bad_line);
        return 0;
    }
    if ((uint32_t)n > MC_VALUE_MAX) {
        m->flags |= MSG_CLOSE; /* the block would have to be swallowed */
        mc_answer(m, "SERVER_ERROR object too large for cache");
        return 0;
    }
    if (!mc_plain(msg_arg(m, 2), false, 10) || length != n) {
        m->flags |= MSG_REWRITE;
    }
    return (size_t)n + 2;
}

/* memcached looks at the word behind the key only, and it must be `b` and nothing else. */
static void debug_read(struct msg *m, size_t line) {
    if (m->nargs < 2) {
        mc_answer(m, bad_line);
        return;
    }
    bool b = m->nargs > 2 && slice_is(msg_arg(m, 2), "b");
    mc_args_keep(m, b ? 3 : 2);
    if (!mc_keys_read(m, 1, 1) || !b) {
        return;
    }
    if (!key_read_b(m, line)) {
        mc_answer(m, bad_line);
    } else if (key_breaks_lines(m)) {
        mc_answer(m, "CLIENT_ERROR me is refused by kvmux for a key with a line feed");
    }
}

size_t mc_meta_read(struct msg *m, size_t line) {
    bool set = m->cmd->keys == FORM_META_SET;
    if (m->cmd->keys == FORM_META_DEBUG) {
        debug_read(m, line);
        return 0;
    }
    if (!mc_keys_read(m, 1, 1)) {
        return 0;
    }
    if (m->nargs > META_WORDS_MAX) {
        mc_answer(m, m->cmd->id == MC_ID_MG ? "CLIENT_ERROR options flags are too long"
                                            : "CLIENT_ERROR options flags too long");
        return 0;
    }
    size_t data = set ? length_read(m) : 0;
    if (m->route != ROUTE_REPLY) {
        flags_read(m, set ? 3 : 2, line);
    }
    return data;
}

static void put_u64(struct out *o, uint64_t v) {
    char text[NUM_MAX];
    out_put(o, slice(text, num_put_u64(text, v)));
}

void mc_meta_build(const struct msg *m, struct buf *b, struct out *o) {
    bool set = m->cmd->keys == FORM_META_SET;
    uint32_t nwords = m->first_key == 1 ? m->nargs : m->nargs - 1; /* the decoded key is not the server's */
    int64_t length = 0;
    uint64_t number;
    if (set && !mc_i64(msg_arg(m, 2), &length)) {
        ASSERT(false);
    }
    length = (int32_t)(uint32_t)length;
    for (uint32_t i = 0; i < nwords; i++) {
        struct slice word = msg_arg(m, i);
        if (i > 0) {
            out_str(o, " ");
        }
        if (set && i == 2) {
            put_u64(o, (uint64_t)length);
        } else if (set && i > 2 && word.p[0] == 'F' && mc_u64(slice(word.p + 1, word.n - 1), &number)) {
            out_str(o, "F");
            put_u64(o, (uint32_t)number);
        } else {
            out_put(o, word);
        }
    }
    out_str(o, "\r\n");
    if (set && m->route != ROUTE_LARGE) {
        size_t n = (size_t)length + 2;
        out_take(o, b, slice(m->raw.p + m->raw.n - n, n));
    }
}
