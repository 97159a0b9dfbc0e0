/* The client's answer, out of the server's line. The reply came out of mc_parse_rsp, so it is one that the command may have. */
#include "proto/mcb.h"

#include "base/num.h"

/* What a server said to a meta command. */
struct said {
    uint32_t kind; /* MC_ bit */
    uint32_t flags;
    uint64_t cas;
    struct slice data;
};

static struct slice first_line(struct slice reply) {
    const uint8_t *nl = memchr(reply.p, '\n', reply.n);
    ASSERT(nl != NULL && nl > reply.p);
    return slice(reply.p, (size_t)(nl - reply.p) - 1);
}

static struct said read_meta(struct slice reply) {
    struct said said = {0};
    struct slice line = first_line(reply);
    uint32_t bytes = 0;
    said.kind = mc_meta_kind(line, &bytes);
    if (said.kind == MC_VA) {
        ASSERT(line.n + 2 + bytes + 2 <= reply.n);
        said.data = slice(reply.p + line.n + 2, bytes);
    }
    const uint8_t *end = line.p + line.n;
    for (const uint8_t *s = line.p; s < end;) {
        const uint8_t *e = memchr(s, ' ', (size_t)(end - s));
        e = e != NULL ? e : end;
        uint64_t v;
        if (e > s && (*s == 'f' || *s == 'c') && num_u64(slice(s + 1, (size_t)(e - s) - 1), &v)) {
            if (*s == 'f') {
                said.flags = (uint32_t)v;
            } else {
                said.cas = v;
            }
        }
        s = e + 1;
    }
    return said;
}

static enum mcb_status status_of(const struct mcb_rule *rule, uint32_t kind) {
    switch (kind) {
    case MC_EN:
    case MC_NF:
        return MCB_MISS;
    case MC_EX:
        return MCB_EXISTS;
    case MC_NS: /* what that means hangs on what was asked for */
        return rule->mode == 'E' ? MCB_EXISTS : rule->mode == 'R' ? MCB_MISS : MCB_NOT_STORED;
    default:
        return MCB_FINE;
    }
}

static void put_failure(const struct fan_in *in, enum mcb_status status, struct slice text, struct out *o) {
    mcb_put(o, mcb_rule(in->cmd)->opcode, in->tag, status, slice(NULL, 0), text);
}

/* Extras, key and value of a good answer. */
static void put_good(const struct fan_in *in, uint64_t cas, struct slice extras, struct slice key, struct slice value, struct out *o) {
    uint8_t head[MCB_HEAD];
    const struct mcb_head h = {
        .magic = MCB_TELLS,
        .opcode = mcb_rule(in->cmd)->opcode,
        .nextras = (uint8_t)extras.n,
        .nkey = (uint16_t)key.n,
        .nbody = (uint32_t)(extras.n + key.n + value.n),
        .opaque = in->tag,
        .cas = cas,
    };
    mcb_head_write(head, &h);
    out_put(o, slice(head, sizeof head));
    out_put(o, extras);
    out_put(o, key);
    out_take(o, in->parts[0].buf, value);
}

static void put_number(const struct fan_in *in, const struct said *said, struct out *o) {
    uint8_t number[8];
    uint64_t v;
    struct slice text = said->data;
    while (text.n > 0 && text.p[text.n - 1] == ' ') { /* memcached keeps the length of a number that became shorter */
        text.n--;
    }
    if (!num_u64(text, &v)) {
        put_failure(in, MCB_BROKEN, slice_str(reason_text(REASON_BAD_REPLY)), o);
        return;
    }
    mcb_number_write(number, sizeof number, v);
    put_good(in, said->cas, slice(NULL, 0), slice(NULL, 0), slice(number, sizeof number), o);
}

static void put_meta(const struct fan_in *in, const struct said *said, struct out *o) {
    struct slice none = slice(NULL, 0), key = (in->cmd->flags & CMD_KEY_BACK) ? in->request : none;
    uint8_t flags[4];
    switch ((enum mcb_does)mcb_rule(in->cmd)->does) {
    case MCB_READ:
    case MCB_TOUCH:
        mcb_number_write(flags, sizeof flags, said->flags);
        put_good(in, said->cas, slice(flags, sizeof flags), key, said->data, o);
        return;
    case MCB_DELTA:
        put_number(in, said, o);
        return;
    default:
        put_good(in, said->cas, none, none, none, o);
        return;
    }
}

static void merge_meta(const struct fan_in *in, struct out *o) {
    const struct mcb_rule *rule = mcb_rule(in->cmd);
    const struct said said = read_meta(in->parts[0].reply);
    enum mcb_status status = status_of(rule, said.kind);
    if ((rule->says == MCB_SAYS_ERRORS && status == MCB_FINE) || (rule->says == MCB_SAYS_HITS && status == MCB_MISS)) {
        return;
    }
    if (status == MCB_FINE) {
        put_meta(in, &said, o);
    } else if (status == MCB_MISS && (in->cmd->flags & CMD_KEY_BACK)) { /* the key stands for the words */
        mcb_put(o, rule->opcode, in->tag, status, in->request, slice(NULL, 0));
    } else {
        put_failure(in, status, slice_str(mcb_words(status)), o);
    }
}

static bool is_error(struct slice line) {
    return slice_starts(line, "ERROR") || slice_starts(line, "CLIENT_ERROR") || slice_starts(line, "SERVER_ERROR");
}

/* A server's error: memcached's own status and words where there are some, else what the server said. */
static void put_error(const struct fan_in *in, struct slice line, struct out *o) {
    static const struct {
        const char *begin;
        enum mcb_status status;
    } known[] = {
        {"SERVER_ERROR object too large", MCB_TOO_LARGE},
        {"SERVER_ERROR out of memory", MCB_NO_MEMORY},
        {"CLIENT_ERROR cannot increment or decrement non-numeric", MCB_NO_NUMBER},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (slice_starts(line, known[i].begin)) {
            put_failure(in, known[i].status, slice_str(mcb_words(known[i].status)), o);
            return;
        }
    }
    if (slice_is(line, "ERROR")) {
        line = slice_str("the server does not know meta commands: binary clients need memcached 1.6 or later");
    }
    put_failure(in, MCB_BROKEN, slice(line.p, min_size(line.n, 400)), o);
}

/* Says the first failure among the parts; false when there is none. */
static bool merge_failure(const struct fan_in *in, struct out *o) {
    const struct mcb_rule *rule = mcb_rule(in->cmd);
    for (uint32_t i = 0; i < in->nparts; i++) {
        const struct part *part = &in->parts[i];
        bool failed = part->failed != REASON_NONE;
        struct slice line = failed ? slice(NULL, 0) : first_line(part->reply);
        if (!failed && !is_error(line)) {
            continue;
        }
        if (in->miss_on_failure && rule->says == MCB_SAYS_HITS) {
            return true; /* multiget_failure: miss */
        }
        if (failed && rule->does == MCB_VERSION) { /* asked when a client connects: one dead server must not keep it out */
            put_good(in, 0, slice(NULL, 0), slice(NULL, 0), slice_str(KVMUX_VERSION), o);
        } else if (failed) {
            mcb_error(part->failed, in->cmd, in->tag, o);
        } else {
            put_error(in, line, o);
        }
        return true;
    }
    return false;
}

void mcb_merge(const struct fan_in *in, struct out *o) {
    static const char version[] = "VERSION ";
    const struct mcb_rule *rule = mcb_rule(in->cmd);
    struct slice none = slice(NULL, 0);
    ASSERT(in->nparts > 0 && in->cmd->merge == MERGE_TRANSLATE);
    if (merge_failure(in, o)) {
        return;
    }
    if (rule->does == MCB_VERSION) {
        struct slice line = first_line(in->parts[0].reply);
        ASSERT(slice_starts(line, version));
        size_t n = sizeof version - 1;
        put_good(in, 0, none, none, slice(line.p + n, line.n - n), o);
    } else if (rule->does != MCB_FLUSH) {
        merge_meta(in, o);
    } else if (rule->says == MCB_SAYS_ALL) {
        put_good(in, 0, none, none, none, o);
    }
}
