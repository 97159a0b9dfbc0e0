#include "proto/mc.h"

#include "base/num.h"

static void stat_str(struct out *o, const char *name, const char *value) {
    out_str(o, "STAT ");
    out_str(o, name);
    out_str(o, " ");
    out_str(o, value);
    out_str(o, "\r\n");
}

static void stat_u64(struct out *o, const char *name, uint64_t value) {
    char text[NUM_MAX + 1];
    text[num_put_u64(text, value)] = 0;
    stat_str(o, name, text);
}

/* Names are memcached's own where it has one, so that monitors find what they look for. */
static void stats_all(const struct facts *f, struct out *o) {
    stat_u64(o, "pid", f->pid);
    stat_u64(o, "uptime", (uint64_t)f->uptime_sec);
    stat_u64(o, "time", (uint64_t)(f->wall_usec / 1000000));
    stat_str(o, "version", KVMUX_VERSION);
    stat_u64(o, "pointer_size", 8 * sizeof(void *));
    stat_u64(o, "threads", f->threads);
    stat_u64(o, "curr_connections", f->curr_connections);
    stat_u64(o, "total_connections", f->total_connections);
    stat_str(o, "kvmux_pool", f->pool);
    stat_u64(o, "kvmux_requests", f->requests);
    out_str(o, "END\r\n");
}

/* Parts of the statistics that describe what a server stores: empty lists here. What would change a server is refused, any
 * other word is unknown to memcached too. */
static void stats_part(struct slice word, struct out *o) {
    static const char *const empty[] = {"settings", "items", "slabs", "sizes", "conns", "cachedump", "extstore"};
    static const char *const refused[] = {"reset", "detail", "sizes_enable", "sizes_disable"};
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        if (slice_is(word, empty[i])) {
            out_str(o, "END\r\n");
            return;
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (slice_is(word, refused[i])) {
            out_str(o, "CLIENT_ERROR stats ");
            out_put(o, word);
            out_str(o, " is refused by kvmux: connect to the server itself\r\n");
            return;
        }
    }
    out_str(o, "ERROR\r\n");
}

void mc_stats(struct slice word, const struct facts *f, struct out *o) {
    if (word.n > 0) {
        stats_part(word, o);
    } else {
        stats_all(f, o);
    }
}

bool mc_local(const struct msg *m, struct session *s, const struct facts *f, struct out *o) {
    (void)s;
    switch ((enum mc_id)m->cmd->id) {
    case MC_ID_QUIT:
        return true; /* without a word */
    case MC_ID_MN:
        out_str(o, "MN\r\n"); /* replies leave in the order of requests: all before it are answered, by whatever server */
        return false;
    case MC_ID_VERBOSITY:
        out_str(o, "OK\r\n"); /* the level of kvmux is the operator's */
        return false;
    case MC_ID_STATS:
        mc_stats(m->nargs > 1 ? msg_arg(m, 1) : slice(NULL, 0), f, o);
        return false;
    default:
        ASSERT(false); /* a row of route LOCAL that nobody answers */
        return false;
    }
}

size_t mc_show(struct slice head, uint8_t *to, size_t room) {
    const uint8_t *end = memchr(head.p, '\r', head.n);
    size_t n = min_size(end != NULL ? (size_t)(end - head.p) : head.n, room);
    memcpy(to, head.p, n);
    return n;
}
