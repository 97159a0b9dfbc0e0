/* resp_spec.c: the keys of commands that are not in our table: by rules in the words of Redis' key specifications. The keys
 * are copied behind the arguments (what args[nargs] and later are is nobody else's business), so that they stand one behind
 * the other however they lie in the request. A rule that does not fit the request finds nothing: the server says what is wrong. */
#include "proto/resp.h"

#include "base/num.h"
#include "proto/book.h"

static void add_key(struct msg *m, int64_t at) {
    if (at < 1 || at >= (int64_t)m->nargs) {
        return;
    }
    uint32_t to = m->nargs + m->nkeys;
    while (to >= m->args_cap) {
        resp_args_grow(m);
    }
    m->args[to] = m->args[at];
    m->nkeys++;
}

/* Behind the keyword; 0: it is not there. The last argument has nothing behind it, so it is not looked at from in front. */
static int64_t behind_keyword(const struct msg *m, const struct keyspec *s) {
    struct slice word = slice_str(s->keyword);
    int64_t n = (int64_t)m->nargs;
    int64_t at = s->start > 0 ? s->start : n + s->start;
    int64_t step = s->start > 0 ? 1 : -1;
    for (; at >= 1 && at < n; at += step) {
        if (slice_ieq(msg_arg(m, (uint32_t)at), word)) {
            return at + 1 < n ? at + 1 : 0;
        }
    }
    return 0;
}

static void add_range(struct msg *m, const struct keyspec *s, int64_t first) {
    int64_t n = (int64_t)m->nargs, last = first + s->last;
    if (s->last == -1 && s->limit > 1) {
        last = first + (n - first) / s->limit - 1;
    } else if (s->last < 0) {
        last = n + s->last;
    }
    for (int64_t at = first; at <= last && at < n; at += s->step) {
        add_key(m, at);
    }
}

static void add_counted(struct msg *m, const struct keyspec *s, int64_t begin) {
    uint64_t count;
    int64_t n = (int64_t)m->nargs, number = begin + s->number, at = begin + s->first;
    if (number < 1 || number >= n || !num_u64(msg_arg(m, (uint32_t)number), &count) || count > (uint64_t)n) {
        return;
    }
    for (; count > 0 && at < n; count--, at += s->step) {
        add_key(m, at);
    }
}

void resp_spec_keys(struct msg *m) {
    const struct row *row = row_of(m->cmd);
    m->first_key = m->nargs;
    m->nkeys = 0;
    for (uint32_t i = 0; i < row->nspecs; i++) {
        const struct keyspec *s = &row->specs[i];
        int64_t begin = s->keyword[0] != '\0' ? behind_keyword(m, s) : s->start;
        if (begin < 1 || begin >= (int64_t)m->nargs) {
            continue;
        }
        if (s->counted) {
            add_counted(m, s, begin);
        } else {
            add_range(m, s, begin);
        }
    }
}
