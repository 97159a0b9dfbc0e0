/* resp_config.c: CONFIG GET. Clients read a few settings of a server before they trust it (is the data kept? may it be evicted?),
 * and those are true for all servers of a pool that is run well. Only the settings in this list are ever asked for: whatever
 * else a server has (passwords, paths, addresses) is not shown. */
#include "proto/resp.h"

#include "base/mem.h"

#define PATTERNS_MAX 64u     /* of one request; Redis has no more than a few hundred settings */
#define PATTERN_LONGEST 128u /* longer ones match nothing */

static const char *const shown[] = {
    "activedefrag", "activerehashing", "appendfsync", "appendonly", "aof-use-rdb-preamble", "busy-reply-threshold", "databases",
    "hash-max-listpack-entries", "hash-max-listpack-value", "hash-max-ziplist-entries", "hash-max-ziplist-value",
    "hll-sparse-max-bytes", "hz", "io-threads", "latency-monitor-threshold", "latency-tracking", "lazyfree-lazy-eviction",
    "lazyfree-lazy-expire", "lazyfree-lazy-server-del", "lazyfree-lazy-user-del", "lazyfree-lazy-user-flush", "lfu-decay-time",
    "lfu-log-factor", "list-compress-depth", "list-max-listpack-size", "list-max-ziplist-size", "lua-time-limit", "maxclients",
    "maxmemory", "maxmemory-clients", "maxmemory-eviction-tenacity", "maxmemory-policy", "maxmemory-samples",
    "min-replicas-max-lag", "min-replicas-to-write", "notify-keyspace-events", "proto-max-bulk-len", "replica-read-only", "save",
    "set-max-intset-entries", "set-max-listpack-entries", "set-max-listpack-value", "slowlog-log-slower-than",
    "slowlog-max-len", "stream-node-max-bytes", "stream-node-max-entries", "tcp-keepalive", "timeout",
    "tracking-table-max-keys", "zset-max-listpack-entries", "zset-max-listpack-value", "zset-max-ziplist-entries",
    "zset-max-ziplist-value",
};

/* Asked for nothing that is shown: answered here, and never inside a transaction, where it would go to a server. */
static const struct cmd nothing = {.name = "config|get", .id = RESP_CONFIG_GET, .route = ROUTE_LOCAL, .flags = CMD_STATE};

/* One character of a set "[a-c]"; *p moves behind it. */
static bool set_has(struct slice *p, uint8_t c) {
    size_t i = 1;
    bool not = i < p->n && p->p[i] == '^', found = false;
    for (i += not ? 1 : 0; i < p->n && p->p[i] != ']'; i++) {
        uint8_t from = ascii_lower(p->p[i]), to = from;
        if (i + 2 < p->n && p->p[i + 1] == '-' && p->p[i + 2] != ']') {
            to = ascii_lower(p->p[i + 2]);
            i += 2;
        }
        found |= (from <= c && c <= to) || (to <= c && c <= from);
    }
    i += i < p->n ? 1 : 0;
    *p = slice(p->p + i, p->n - i);
    return found != not;
}

/* As Redis matches names: *, ?, sets and backslashes. After a star there is one place to come back to: enough for any number
 * of stars, and never slow. */
static bool matches(struct slice p, struct slice name) {
    struct slice star = {0}, from = {0};
    while (name.n > 0 || p.n > 0) {
        if (p.n > 0 && p.p[0] == '*') {
            p = star = slice(p.p + 1, p.n - 1);
            from = name;
            continue;
        }
        bool same = false;
        if (p.n > 0 && name.n > 0 && p.p[0] == '[') {
            same = set_has(&p, name.p[0]);
        } else if (p.n > 0 && name.n > 0) {
            size_t escaped = p.p[0] == '\\' && p.n > 1;
            same = ascii_lower(p.p[escaped]) == name.p[0] || (escaped == 0 && p.p[0] == '?');
            p = slice(p.p + 1 + escaped, p.n - 1 - escaped);
        }
        if (same) {
            name = slice(name.p + 1, name.n - 1);
        } else if (star.p != NULL && from.n > 0) {
            p = star;
            name = from = slice(from.p + 1, from.n - 1);
        } else {
            return false;
        }
    }
    return true;
}

/* Sets want[] for what the request asks for; returns how many of its words are names of the list. */
static uint32_t look_up(const struct msg *m, bool *want) {
    uint32_t names = 0;
    for (uint32_t i = 2; i < m->nargs; i++) {
        struct slice a = msg_arg(m, i);
        for (size_t k = 0; a.n <= PATTERN_LONGEST && k < ARRAY_LEN(shown); k++) {
            names += slice_ieq(a, slice_str(shown[k]));
            want[k] = want[k] || matches(a, slice_str(shown[k]));
        }
    }
    return names;
}

/* The request becomes one for the names of want[] only. */
static bool rewrite(struct msg *m, const bool *want) {
    static const char *const head[] = {"CONFIG", "GET"};
    size_t room = sizeof "CONFIGGET";
    for (size_t k = 0; k < ARRAY_LEN(shown); k++) {
        room += want[k] ? strlen(shown[k]) : 0;
    }
    if (m->scratch_cap < room) {
        m->scratch_cap = room;
        m->scratch = mem_realloc(m->scratch, room);
    }
    uint32_t at = 0;
    m->nargs = 0;
    for (size_t k = 0; k < ARRAY_LEN(head) + ARRAY_LEN(shown); k++) {
        const char *word = k < ARRAY_LEN(head) ? head[k] : shown[k - ARRAY_LEN(head)];
        if (k >= ARRAY_LEN(head) && !want[k - ARRAY_LEN(head)]) {
            continue;
        }
        if (m->nargs == m->args_cap) {
            resp_args_grow(m);
        }
        uint32_t n = (uint32_t)strlen(word);
        memcpy(m->scratch + at, word, n);
        m->args[m->nargs++] = (struct arg){at, n};
        at += n;
    }
    m->base = m->scratch;
    m->flags |= MSG_REWRITE;
    return m->nargs > ARRAY_LEN(head);
}

void resp_config_judge(struct msg *m) {
    bool want[ARRAY_LEN(shown)] = {false};
    if (m->nargs > PATTERNS_MAX + 2) {
        resp_answer(m, "ERR CONFIG GET with more than %u names is not supported by kvmux", PATTERNS_MAX);
        return;
    }
    if (look_up(m, want) == m->nargs - 2) {
        return; /* nothing but names: as it came */
    }
    if (!rewrite(m, want)) {
        m->cmd = &nothing;
        m->route = ROUTE_LOCAL;
    }
}
