/* random_more.c: requests that need a state of the connection or of several servers, and what must come back: transactions,
 * WATCH, pops that wait, databases and versions, set algebra, SCAN; and memcached's quiet batches. */
#include "base/num.h"
#include "random_int.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- profiles ---- */

static uint8_t profile_after(uint8_t profile, enum rnd_change change) {
    switch (change) {
    case RND_DB:
        return profile & 2;
    case RND_OTHER_DB:
        return profile | 1;
    case RND_VERSION_2:
        return profile & 1;
    case RND_VERSION_3:
        return profile | 2;
    }
    return profile;
}

static void ask_profile(struct rnd *r, struct rnd_client *c) {
    enum rnd_change change = (enum rnd_change)sim_below(4);
    if (change <= RND_OTHER_DB) {
        rnd_make_command(c, "SELECT", 1);
        rnd_make_arg(c, "%u", change == RND_DB ? r->db : r->other_db);
    } else {
        rnd_make_command(c, "HELLO", 1);
        rnd_make_arg(c, change == RND_VERSION_2 ? "2" : "3");
    }
    rnd_want(c, WANT_PROFILE, change, 0);
    c->changing++;
    uint8_t all = c->profiles;
    for (uint8_t p = 0; p < 4; p++) {
        if (c->profiles & (1u << p)) {
            all |= (uint8_t)(1u << profile_after(p, change));
        }
    }
    c->profiles = all;
}

static void profile_known(struct rnd_client *c) {
    if (--c->changing == 0) {
        c->profiles = (uint8_t)(1u << c->profile);
    }
}

/* ---- transactions ---- */

/* In a transaction every third id counts up, the others are read. */
static bool counts(uint32_t id) {
    return id % 3 == 0;
}

static void ask_item(struct rnd *r, struct rnd_client *c, uint32_t id, uint32_t tag, uint32_t txn) {
    r->tag[id] = (uint8_t)tag;
    r->txn[id] = (uint16_t)txn;
    if (counts(id)) {
        rnd_make_command(c, "INCR", 1);
        rnd_make_arg(c, "n:%u:{%u}", id, tag);
    } else {
        char key[48];
        rnd_key(r, id, key, sizeof(key));
        rnd_make_command(c, "GET", 1);
        rnd_make_arg(c, "%s", key);
    }
    rnd_want(c, WANT_QUEUED, id, 1);
}

static void ask_txn(struct rnd *r, struct rnd_client *c, uint32_t tag) {
    uint32_t n = sim_below(6), id = rnd_ids(r, c, n);
    bool drop = sim_below(8) == 0;
    uint32_t txn = drop ? RND_NEVER : 1 + r->ntxn++ % 60000;
    rnd_make_command(c, "MULTI", 0);
    rnd_want(c, WANT_FINE, 0, 0);
    for (uint32_t i = 0; i < n; i++) {
        ask_item(r, c, id + i, tag, txn);
        if (sim_below(16) == 0) {
            rnd_make_command(c, "MULTI", 0);
            rnd_want(c, WANT_ERROR, 0, 0);
        }
    }
    rnd_make_command(c, drop ? "DISCARD" : "EXEC", 0);
    rnd_want(c, drop ? WANT_FREED : WANT_EXEC, id, n);
}

/* A key of its own is watched, and perhaps changed before EXEC. */
static void ask_watch(struct rnd *r, struct rnd_client *c) {
    char key[48];
    uint32_t tag = 1 + sim_below(RND_TAGS);
    snprintf(key, sizeof(key), "w:%u:%u:{%u}", (unsigned)(c - r->clients), c->serial, tag);
    rnd_make_command(c, "WATCH", 1);
    rnd_make_arg(c, "%s", key);
    rnd_want(c, WANT_WATCHED, 0, 0);
    if (sim_below(2) == 0) {
        rnd_make_command(c, "SET", 2);
        rnd_make_arg(c, "%s", key);
        rnd_make_arg(c, "changed");
        rnd_want(c, WANT_CHANGED, 0, 0);
    }
    if (sim_below(8) == 0) {
        rnd_make_command(c, "UNWATCH", 0);
        rnd_want(c, WANT_FREED, 0, 0);
        return;
    }
    ask_txn(r, c, tag);
}

/* One kind, or nil in the client's version. */
static bool is_nil(struct slice line) {
    return slice_is(line, "*-1\r\n") || slice_is(line, "_\r\n");
}

static enum got judge_exec(struct rnd *r, struct rnd_client *c, struct reader *rd, const struct want *w) {
    struct reader look = *rd;
    struct slice line;
    char t[32];
    if (!rnd_line(&look, &line)) {
        return GOT_MORE;
    }
    bool must_not = c->watching && c->changed;
    if (is_nil(line)) {
        rd->pos = look.pos;
        bool fine = must_not || c->unsure;
        c->watching = c->changed = false;
        return fine ? GOT_GOOD : GOT_WRONG;
    }
    snprintf(t, sizeof(t), "*%u\r\n", w->n);
    if (!slice_is(line, t) || must_not) {
        return GOT_WRONG;
    }
    for (uint32_t i = 0; i < w->n; i++) {
        enum got g = counts(w->id + i) ? rnd_text(&look, ":1\r\n") : rnd_bulk(r, &look, w->id + i);
        if (g != GOT_GOOD) {
            return g;
        }
    }
    rd->pos = look.pos;
    c->watching = c->changed = false;
    return GOT_GOOD;
}

/* ---- lists that are waited for ---- */

static void queue_name(char *to, size_t room, uint32_t queue) {
    snprintf(to, room, "q:{%u}:%u", queue / 2, queue % 2);
}

static void ask_push(struct rnd *r, struct rnd_client *c) {
    char name[32];
    uint32_t id = rnd_ids(r, c, 1);
    r->queue[id] = (uint8_t)sim_below(RND_QUEUES);
    queue_name(name, sizeof(name), r->queue[id]);
    rnd_make_command(c, "RPUSH", 2);
    rnd_make_arg(c, "%s", name);
    rnd_make_arg(c, "e:%u", id);
    rnd_want(c, WANT_PUSHED, id, 1);
}

static void ask_pop(struct rnd *r, struct rnd_client *c) {
    static const char *const times[] = {"0.05", "0.3", "1.5"};
    char name[32];
    uint32_t before = 0;
    for (uint32_t i = c->first; i < c->last; i++) {
        before += c->wants[i % RND_EXPECT].kind == WANT_POPPED;
    }
    /* they wait one after the other, and heal() has no patience; they count for server_queue_limit, which may be 2 */
    if (before >= 4 || r->healthy) {
        return;
    }
    uint32_t queue = sim_below(RND_QUEUES), n = r->owned ? 1 + sim_below(2) : 1;
    queue = n == 2 ? queue & ~1u : queue; /* these two are on one server */
    if (r->rotate && sim_below(3) > 0) {
        queue = sim_below(2);
        n = RND_QUEUES - queue; /* anywhere */
    }
    rnd_make_command(c, "BLPOP", n + 1);
    for (uint32_t i = 0; i < n; i++) {
        queue_name(name, sizeof(name), queue + i);
        rnd_make_arg(c, "%s", name);
    }
    rnd_make_arg(c, "%s", times[sim_below(3)]);
    rnd_want(c, WANT_POPPED, queue, n);
}

static enum got judge_pop(struct rnd *r, struct reader *rd, const struct want *w) {
    struct reader look = *rd;
    struct slice line, name, element;
    char t[32], text[32];
    if (!rnd_line(&look, &line)) {
        return GOT_MORE;
    }
    if (is_nil(line)) {
        rd->pos = look.pos;
        return GOT_GOOD;
    }
    if (!slice_is(line, "*2\r\n")) {
        return GOT_WRONG;
    }
    if (!rnd_line(&look, &line) || !rnd_line(&look, &name) || !rnd_line(&look, &line) || !rnd_line(&look, &element)) {
        return GOT_MORE;
    }
    snprintf(text, sizeof(text), "%.*s", (int)min_size(element.n, 31), (const char *)element.p);
    unsigned long id = strtoul(text + 2, NULL, 10);
    if (!slice_starts(element, "e:") || id >= RND_IDS || r->queue[id] < w->id || r->queue[id] >= w->id + w->n) {
        return GOT_WRONG;
    }
    queue_name(t, sizeof(t), r->queue[id]);
    if (!slice_eq(slice(name.p, name.n - 2), slice_str(t)) || ++r->taken[id] > 1) {
        return GOT_WRONG;
    }
    r->delivered++;
    rd->pos = look.pos;
    return GOT_GOOD;
}

/* ---- sets and pages ---- */

static uint32_t set_size(uint32_t id) {
    return 1 + id % 4;
}

static void ask_sets(struct rnd *r, struct rnd_client *c) {
    static const char *const names[] = {"SUNION", "SDIFF", "SINTER"};
    uint32_t which = sim_below(3), n = 1 + sim_below(5), id = rnd_ids(r, c, n);
    rnd_make_command(c, names[which], n);
    for (uint32_t i = 0; i < n; i++) {
        rnd_make_arg(c, "s:%u:%u", id + i, set_size(id + i));
    }
    if (which == 2 && n > 1) {
        rnd_want(c, WANT_NO_SET, id, n);
    } else {
        rnd_want(c, WANT_SET, id, which == 0 ? n : 1);
    }
}

static bool set_head(struct slice line, uint32_t n) {
    char t[32];
    snprintf(t, sizeof(t), "*%u\r\n", n);
    return slice_is(line, t) || (line.p[0] == '~' && slice_eq(slice(line.p + 1, line.n - 1), slice_str(t + 1)));
}

/* Members of these sets in any order, each once. */
static enum got judge_set(struct reader *rd, const struct want *w) {
    struct reader look = *rd;
    struct slice line, member;
    uint32_t total = 0;
    uint8_t seen[8] = {0};
    for (uint32_t i = 0; i < w->n; i++) {
        total += set_size(w->id + i);
    }
    if (!rnd_line(&look, &line)) {
        return GOT_MORE;
    }
    if (!set_head(line, total)) {
        return GOT_WRONG;
    }
    for (uint32_t i = 0; i < total; i++) {
        unsigned id, size, number;
        char t[64];
        if (!rnd_line(&look, &line) || !rnd_line(&look, &member)) {
            return GOT_MORE;
        }
        snprintf(t, sizeof(t), "%.*s", (int)min_size(member.n, 63), (const char *)member.p);
        if (sscanf(t, "s:%u:%u/%u\r\n", &id, &size, &number) != 3 || id < w->id || id >= w->id + w->n || size != set_size(id) ||
            number >= size || (seen[id - w->id] & (1u << number))) {
            return GOT_WRONG;
        }
        seen[id - w->id] |= (uint8_t)(1u << number);
    }
    rd->pos = look.pos;
    return GOT_GOOD;
}

static void ask_page(struct rnd *r, struct rnd_client *c) {
    uint32_t id = rnd_ids(r, c, 1);
    rnd_make_command(c, "SCAN", 3);
    rnd_make_arg(c, "%s", sim_below(3) == 0 ? "0" : c->cursor);
    rnd_make_arg(c, "MATCH");
    rnd_make_arg(c, "m:%u", id);
    rnd_want(c, WANT_PAGE, id, 1);
}

static enum got judge_page(struct rnd_client *c, struct reader *rd, const struct want *w) {
    struct reader look = *rd;
    struct slice head, size, cursor, page, line, key;
    char t[32];
    if (!rnd_line(&look, &head) || !rnd_line(&look, &size) || !rnd_line(&look, &cursor) || !rnd_line(&look, &page) ||
        !rnd_line(&look, &line) || !rnd_line(&look, &key)) {
        return GOT_MORE;
    }
    snprintf(t, sizeof(t), "m:%u\r\n", w->id);
    uint64_t number;
    if (!slice_is(head, "*2\r\n") || !slice_is(page, "*1\r\n") || !slice_is(key, t) || cursor.n > 22 ||
        !num_u64(slice(cursor.p, cursor.n - 2), &number)) {
        return GOT_WRONG;
    }
    snprintf(c->cursor, sizeof(c->cursor), "%llu", (unsigned long long)number);
    rd->pos = look.pos;
    return GOT_GOOD;
}

static void ask_size(struct rnd *r, struct rnd_client *c) {
    if (r->reloads) {
        return; /* how many servers there will be is open */
    }
    rnd_make_command(c, "DBSIZE", 0);
    rnd_want(c, WANT_COUNT, 0, r->nservers);
}

void rnd_more_ask(struct rnd *r, struct rnd_client *c) {
    switch (sim_below(9)) {
    case 0:
        if (r->owned) {
            ask_txn(r, c, 1 + sim_below(RND_TAGS));
        }
        break;
    case 1:
        if (r->fixed && c->profiles == 1) {
            ask_watch(r, c);
        }
        break;
    case 2:
    case 3:
        ask_push(r, c);
        break;
    case 4:
        ask_pop(r, c);
        break;
    case 5:
        ask_sets(r, c);
        break;
    case 6:
        ask_page(r, c);
        break;
    case 7:
        if (r->changes) {
            ask_profile(r, c);
        }
        break;
    default:
        ask_size(r, c);
    }
}

/* ---- memcached ---- */

/* Reads that find something, reads that do not, and writes, all quiet: only the first say something. */
void rnd_more_ask_quiet(struct rnd *r, struct rnd_client *c) {
    uint32_t n = r->healthy ? 1 : 1 + sim_below(6) /* server_queue_limit may be 2 */, id = rnd_ids(r, c, n);
    char key[48];
    for (uint32_t i = id; i < id + n; i++) {
        rnd_key(r, i, key, sizeof(key));
        switch (i % 3) {
        case 0:
            rnd_make(c, "mg %s k v q\r\n", key);
            break;
        case 1:
            rnd_make(c, "mg n:%u k v q\r\n", i);
            break;
        default:
            rnd_make(c, "ms n:%u 2 q\r\nok\r\n", i);
        }
    }
    rnd_make(c, "mn\r\n");
    rnd_want(c, WANT_QUIET, id, n);
}

static bool quiet_hit(struct rnd *r, struct reader *rd, struct slice line, const struct want *w, uint32_t *next, enum got *why) {
    unsigned len, id;
    char text[100];
    snprintf(text, sizeof(text), "%.*s", (int)min_size(line.n, 99), (const char *)line.p);
    *why = GOT_WRONG;
    if (sscanf(text, "VA %u ku:%u:", &len, &id) != 2 || id < *next || id >= w->id + w->n || id % 3 != 0) {
        return false;
    }
    if (rd->in.n < rd->pos + len + 2) {
        *why = GOT_MORE;
        return false;
    }
    *next = id + 1;
    bool same = rnd_value_is(r, id, slice(rd->in.p + rd->pos, len));
    rd->pos += len + 2;
    return same;
}

static enum got judge_quiet(struct rnd *r, struct reader *rd, const struct want *w) {
    struct reader look = *rd;
    uint32_t hits = 0, errors = 0, want = 0, next = w->id;
    for (uint32_t i = 0; i < w->n; i++) {
        want += (w->id + i) % 3 == 0;
    }
    for (;;) {
        struct slice line;
        enum got why;
        if (!rnd_line(&look, &line)) {
            return GOT_MORE;
        }
        if (slice_is(line, "MN\r\n")) {
            bool fine = hits + errors >= want && hits + errors <= w->n + want && (errors == 0 || !r->healthy);
            rd->pos = look.pos;
            r->sum.errors += errors;
            return fine ? GOT_GOOD : GOT_WRONG;
        }
        if (slice_starts(line, "SERVER_ERROR ")) {
            errors++;
        } else if (quiet_hit(r, &look, line, w, &next, &why)) {
            hits++;
        } else {
            return why;
        }
    }
}

/* ---- judging ---- */

void rnd_more_failed(struct rnd_client *c, const struct want *w) {
    switch (w->kind) {
    case WANT_PROFILE:
        profile_known(c);
        break;
    case WANT_POPPED:
        c->lost_pops++;
        break;
    case WANT_WATCHED:
    case WANT_FREED:
    case WANT_EXEC:
        c->watching = c->changed = false;
        break;
    case WANT_CHANGED:
        c->unsure = true;
        break;
    default:
        break;
    }
}

static enum got judge_profile(struct rnd_client *c, struct reader *rd, const struct want *w) {
    struct slice line;
    if (w->id <= RND_OTHER_DB) {
        enum got g = rnd_text(rd, "+OK\r\n");
        if (g != GOT_GOOD) {
            return g;
        }
    } else {
        /* what HELLO says has a fixed number of lines in each version: seven pairs, the last an empty array */
        struct reader look = *rd;
        uint32_t bulks = 0, lines = 0;
        while (lines < 14) {
            if (!rnd_line(&look, &line)) {
                return GOT_MORE;
            }
            if (lines == 0 && bulks == 0 && !slice_is(line, "%7\r\n") && !slice_is(line, "*14\r\n")) {
                return GOT_WRONG;
            }
            if (line.p[0] == '%' || slice_is(line, "*14\r\n")) {
                bulks = 1;
                continue;
            }
            if (line.p[0] == '$' && !rnd_line(&look, &line)) {
                return GOT_MORE;
            }
            lines++;
        }
        rd->pos = look.pos;
    }
    c->profile = profile_after(c->profile, (enum rnd_change)w->id);
    profile_known(c);
    return GOT_GOOD;
}

static enum got judge_count(struct reader *rd) {
    struct slice line;
    uint64_t n;
    if (!rnd_line(rd, &line)) {
        return GOT_MORE;
    }
    return line.p[0] == ':' && line.n > 3 && num_u64(slice(line.p + 1, line.n - 3), &n) && n > 0 ? GOT_GOOD : GOT_WRONG;
}

static enum got judge_no_set(struct reader *rd) {
    struct slice line;
    if (!rnd_line(rd, &line)) {
        return GOT_MORE;
    }
    return set_head(line, 0) ? GOT_GOOD : GOT_WRONG;
}

enum got rnd_more_judge(struct rnd *r, struct rnd_client *c, struct reader *rd, const struct want *w) {
    enum got g = GOT_WRONG;
    switch (w->kind) {
    case WANT_FINE:
        return rnd_text(rd, "+OK\r\n");
    case WANT_FREED:
        g = rnd_text(rd, "+OK\r\n");
        if (g == GOT_GOOD) {
            c->watching = c->changed = false;
        }
        return g;
    case WANT_QUEUED:
        return rnd_text(rd, "+QUEUED\r\n");
    case WANT_EXEC:
        return judge_exec(r, c, rd, w);
    case WANT_WATCHED:
        g = rnd_text(rd, "+OK\r\n");
        if (g == GOT_GOOD) {
            c->watching = true;
            c->changed = false;
        }
        return g;
    case WANT_CHANGED:
        g = rnd_text(rd, "+OK\r\n");
        c->changed = g == GOT_GOOD || c->changed;
        return g;
    case WANT_PROFILE:
        return judge_profile(c, rd, w);
    case WANT_PUSHED:
        return judge_count(rd);
    case WANT_POPPED:
        return judge_pop(r, rd, w);
    case WANT_SET:
        return judge_set(rd, w);
    case WANT_NO_SET:
        return judge_no_set(rd);
    case WANT_PAGE:
        return judge_page(c, rd, w);
    case WANT_QUIET:
        return judge_quiet(r, rd, w);
    default:
        return GOT_WRONG;
    }
}
