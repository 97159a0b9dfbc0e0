#include "proto/mc.h"

#include "base/mem.h"

/* The last line of a reply, with its CRLF. */
static struct slice last_line(struct slice reply) {
    ASSERT(reply.n >= 2);
    const uint8_t *before = slice_last(slice(reply.p, reply.n - 1), '\n');
    const uint8_t *from = before != NULL ? before + 1 : reply.p;
    return slice(from, (size_t)(reply.p + reply.n - from));
}

/* Is the last line an error? Blocks may come before it. */
static bool is_error(struct slice line) {
    return slice_starts(line, "ERROR") || slice_starts(line, "CLIENT_ERROR") || slice_starts(line, "SERVER_ERROR");
}

/* Says the first failure among the parts; false when there is none. */
static bool merge_failure(const struct fan_in *in, struct out *o) {
    for (uint32_t i = 0; i < in->nparts; i++) {
        const struct part *part = &in->parts[i];
        if (part->failed != REASON_NONE) {
            mc_error(part->failed, o);
            return true;
        }
        struct slice last = last_line(part->reply);
        if (is_error(last)) {
            out_put(o, last);
            return true;
        }
    }
    return false;
}

/* The VALUE block at the front of `s`; empty: there is none. The reply came out of mc_parse_rsp. */
static struct slice next_block(struct slice s) {
    uint32_t bytes;
    const uint8_t *nl = s.n > 0 ? memchr(s.p, '\n', s.n) : NULL;
    if (nl == NULL || nl == s.p || !mc_value_line(slice(s.p, (size_t)(nl - s.p) - 1), &bytes)) {
        return slice(s.p, 0);
    }
    size_t n = (size_t)(nl + 1 - s.p) + bytes + 2;
    ASSERT(n <= s.n);
    return slice(s.p, n);
}

/* Blocks in the order of the keys as long as nothing is missing: a part's next block stands for each of its keys, since the
 * keys of a request are not kept for its merge. */
static void merge_values(const struct fan_in *in, struct out *o) {
    if (!in->miss_on_failure && merge_failure(in, o)) {
        return;
    }
    struct slice few[32];
    struct slice *rest = in->nparts <= ARRAY_LEN(few) ? few : mem_alloc(in->nparts * sizeof *rest);
    for (uint32_t i = 0; i < in->nparts; i++) {
        const struct part *part = &in->parts[i];
        bool lost = part->failed != REASON_NONE || is_error(last_line(part->reply));
        rest[i] = lost ? slice(NULL, 0) : part->reply;
    }
    for (uint32_t k = 0; k < in->nkeys; k++) {
        uint16_t i = in->owner[k];
        ASSERT(i < in->nparts);
        struct slice block = next_block(rest[i]);
        out_take(o, in->parts[i].buf, block);
        if (block.n > 0) {
            rest[i] = slice(rest[i].p + block.n, rest[i].n - block.n);
        }
    }
    out_str(o, "END\r\n");
    if (rest != few) {
        mem_free(rest);
    }
}

void mc_merge(const struct fan_in *in, struct out *o) {
    ASSERT(in->nparts > 0);
    if (in->cmd->merge == MERGE_VALUES) {
        merge_values(in, o);
    } else if (!merge_failure(in, o)) {
        out_take(o, in->parts[0].buf, in->parts[0].reply);
    }
}
