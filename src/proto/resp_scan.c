/* resp_scan.c: SCAN over all servers, one after the other. The cursor that the client holds is the server's own times
 * WALK_PLACES, and the id of that server (core/walk.h): below 2^53, where JavaScript's numbers end, as long as the server's is
 * below 2^41. A server that has no more hands over to the next: its cursor is 0 of that one. */
#include "proto/resp.h"

#include "base/num.h"

void resp_scan_judge(struct msg *m) {
    uint64_t cursor;
    if (!num_u64(msg_arg(m, 1), &cursor) || (cursor != 0 && cursor % WALK_PLACES == 0)) {
        resp_answer(m, "ERR invalid cursor");
        return;
    }
    m->walk.at = cursor / WALK_PLACES;
    m->walk.place = (uint32_t)(cursor % WALK_PLACES);
    m->flags |= MSG_REWRITE;
}

static void put_cursor(struct out *o, uint64_t cursor) {
    char text[NUM_MAX];
    resp_put_bulk(o, slice(text, num_put_u64(text, cursor)));
}

void resp_scan_build(const struct msg *m, struct out *o) {
    resp_put_head(o, '*', m->nargs);
    resp_put_bulk(o, msg_arg(m, 0));
    put_cursor(o, m->walk.at);
    for (uint32_t i = 2; i < m->nargs; i++) {
        resp_put_bulk(o, msg_arg(m, i));
    }
}

void resp_scan_merge(const struct fan_in *in, struct out *o) {
    const struct part *p = &in->parts[0];
    int64_t n;
    uint64_t at;
    struct slice rest;
    if (!resp_take_head(p->reply, '*', &n, &rest) || n != 2 || !resp_take_head(rest, '$', &n, &rest) || n < 0 ||
        !num_u64(slice(rest.p, (size_t)n), &at) || at > UINT64_MAX / WALK_PLACES - 1) {
        resp_error(REASON_BAD_REPLY, o);
        return;
    }
    rest = slice(rest.p + n + 2, rest.n - (size_t)n - 2);
    if (rest.n == 0 || rest.p[0] != '*') {
        resp_error(REASON_BAD_REPLY, o);
        return;
    }
    resp_put_head(o, '*', 2);
    put_cursor(o, at != 0 ? at * WALK_PLACES + in->walk.place : in->walk.next);
    out_take(o, p->buf, rest);
}
