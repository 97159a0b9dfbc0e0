#include "proto/mc.h"

/* The first eight bytes of a name as one number. */
#define W(a, b, c, d, e, f, g, h)                                                                                      \
    ((uint64_t)(a) | (uint64_t)(b) << 8 | (uint64_t)(c) << 16 | (uint64_t)(d) << 24 | (uint64_t)(e) << 32 |            \
     (uint64_t)(f) << 40 | (uint64_t)(g) << 48 | (uint64_t)(h) << 56)

/* clang-format off */
const struct cmd mc_cmds[MC_IDS] = {
#define MC(id_, word, name_, form, min, max, route_, merge_, replies, flags_) \
    {.name = name_, .id = MC_ID_##id_, .keys = FORM_##form, .route = ROUTE_##route_, .merge = MERGE_##merge_, \
     .flags = CMD_##flags_},
#define MC_META(id_, word, name_, form, min, route_, replies, hides, flags_) \
    {.name = name_, .id = MC_ID_##id_, .keys = FORM_##form, .route = ROUTE_##route_, .flags = CMD_##flags_},
#define MC_NOT(id_, word, name_, form, why_) \
    {.name = name_, .id = MC_ID_##id_, .keys = FORM_##form, .route = ROUTE_REPLY, .why = why_},
#include "proto/mc_cmds.def"
#undef MC
#undef MC_META
#undef MC_NOT
    {.name = "unknown", .id = MC_ID_UNKNOWN, .keys = FORM_UNKNOWN, .route = ROUTE_REPLY, .flags = CMD_UNKNOWN},
};

const struct mc_rule mc_rules[MC_IDS] = {
#define MC(id, word_, name, form, min_, max_, route, merge, replies_, flags) \
    {.word = word_, .min = min_, .max = max_, .replies = SAYS_##replies_},
#define MC_META(id, word_, name, form, min_, route, replies_, hides_, flags) \
    {.word = word_, .min = min_, .replies = SAYS_##replies_, .hides = hides_},
#define MC_NOT(id, word_, name, form, why) {.word = word_, .min = 1},
#include "proto/mc_cmds.def"
#undef MC
#undef MC_META
#undef MC_NOT
};
/* clang-format on */

const struct cmd *mc_find(struct slice name) {
    uint64_t word = 0;
    for (size_t i = 0; i < min_size(name.n, 8); i++) {
        word |= (uint64_t)name.p[i] << (8 * i);
    }
    const struct cmd *c;
    switch (word) {
#define MC(id, word, name, form, min, max, route, merge, replies, flags)                                               \
    case word:                                                                                                         \
        c = &mc_cmds[MC_ID_##id];                                                                                      \
        break;
#define MC_META(id, word, name, form, min, route, replies, hides, flags)                                               \
    case word:                                                                                                         \
        c = &mc_cmds[MC_ID_##id];                                                                                      \
        break;
#define MC_NOT(id, word, name, form, why)                                                                              \
    case word:                                                                                                         \
        c = &mc_cmds[MC_ID_##id];                                                                                      \
        break;
#include "proto/mc_cmds.def"
#undef MC
#undef MC_META
#undef MC_NOT
    default:
        return &mc_cmds[MC_ID_UNKNOWN];
    }
    /* The word also stands for longer names, and for names that end in zeroes. */
    return slice_is(name, c->name) ? c : &mc_cmds[MC_ID_UNKNOWN];
}

/* As isspace in the C locale. */
static bool is_space(uint8_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool read_number(struct slice s, bool *neg, uint64_t *out) {
    size_t i = 0;
    uint64_t v = 0;
    while (i < s.n && is_space(s.p[i])) {
        i++;
    }
    *neg = i < s.n && s.p[i] == '-';
    if (i < s.n && (s.p[i] == '-' || s.p[i] == '+')) {
        i++;
    }
    size_t from = i;
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v)) {
            return false;
        }
    }
    *out = v;
    return i > from && (i == s.n || is_space(s.p[i]));
}

bool mc_u64(struct slice s, uint64_t *out) {
    bool neg;
    if (!read_number(s, &neg, out)) {
        return false;
    }
    *out = neg ? 0 - *out : *out;
    /* memcached looks for a minus only when the result would be a negative number, and then anywhere in the word. */
    return *out <= INT64_MAX || memchr(s.p, '-', s.n) == NULL;
}

bool mc_i64(struct slice s, int64_t *out) {
    bool neg;
    uint64_t v;
    if (!read_number(s, &neg, &v) || v > (uint64_t)INT64_MAX + (neg ? 1 : 0)) {
        return false;
    }
    *out = neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool mc_plain(struct slice s, bool sign, size_t digits) {
    size_t i = sign && s.n > 1 && s.p[0] == '-' ? 1 : 0;
    if (s.n - i > digits) {
        return false;
    }
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') {
            return false;
        }
    }
    return true;
}

bool mc_store_read(const struct msg *m, struct mc_store *out) {
    uint64_t flags;
    int64_t exptime, length;
    bool cas = m->cmd->id == MC_ID_CAS;
    out->cas = 0;
    if (!mc_u64(msg_arg(m, 2), &flags) || !mc_i64(msg_arg(m, 3), &exptime) || !mc_i64(msg_arg(m, 4), &length) ||
        (cas && !mc_u64(msg_arg(m, 5), &out->cas))) {
        return false;
    }
    out->flags = (uint32_t)flags;
    out->exptime = (int32_t)(uint32_t)exptime;
    out->length = (int32_t)(uint32_t)length;
    out->plain = mc_plain(msg_arg(m, 2), false, 10) && mc_plain(msg_arg(m, 3), true, 10) &&
                 mc_plain(msg_arg(m, 4), false, 10) && (!cas || mc_plain(msg_arg(m, 5), false, 20)) &&
                 out->flags == flags && out->exptime == exptime && out->length == length;
    return out->length >= 0 && out->length <= INT32_MAX - 2;
}

/* What is said does not hang on the request. */
static void error(enum reason why, const struct cmd *cmd, uint32_t tag, struct out *o) {
    (void)cmd;
    (void)tag;
    mc_error(why, o);
}

extern const struct proto proto_mcb;

const struct proto proto_mc = {
    .name = "memcached",
    .cmds = mc_cmds,
    .ncmds = MC_IDS,
    .other = &proto_mcb,
    .other_byte = 0x80, /* no text begins so; memcached itself tells the two apart by it */
    .parse_req = mc_parse_req,
    .parse_rsp = mc_parse_rsp,
    .build = mc_build,
    .merge = mc_merge,
    .local = mc_local,
    .show = mc_show,
    .error = error,
    .greet = mc_greet,
    .probe = mc_probe,
};
