/* resp_keys.c: where a request's keys are, for the commands that have more than one or move it about. Where the words
 * of a request contradict each other, as few keys as are certain are reported: some server gets the request and says in its
 * own words what is wrong with it. Nothing that a server would accept may be judged malformed here. */
#include "proto/resp.h"

#include "base/num.h"

static bool arg_is(const struct msg *m, uint32_t i, const char *word) {
    return slice_ieq(msg_arg(m, i), slice_str(word));
}

static void keys_at(struct msg *m, uint32_t first, uint32_t step, uint32_t n) {
    m->first_key = first;
    m->key_step = step;
    m->nkeys = n;
}

static void find_range(struct msg *m) {
    const struct cmd *c = m->cmd;
    int64_t last = c->last < 0 ? (int64_t)m->nargs + c->last : c->last;
    if (last < c->first || last >= (int64_t)m->nargs) {
        return;
    }
    uint32_t args = (uint32_t)last - (uint32_t)c->first + 1;
    bool even = args % (uint32_t)c->step == 0; /* else MSET with a key and no value: the first one's server says it */
    keys_at(m, (uint32_t)c->first, (uint32_t)c->step, even ? args / (uint32_t)c->step : 1);
}

/* How many keys follow argument `at`, which says so; 0 when it lies. */
static uint32_t counted(const struct msg *m, uint32_t at, uint32_t step) {
    uint64_t n;
    if (!num_u64(msg_arg(m, at), &n) || n > (m->nargs - at - 1) / step) {
        return 0;
    }
    return (uint32_t)n;
}

static void find_streams(struct msg *m) {
    uint32_t i = 1;
    while (i < m->nargs && !arg_is(m, i, "streams")) {
        if (arg_is(m, i, "block")) {
            m->route = ROUTE_LEASE;
        }
        /* A value may look like a word: COUNT STREAMS is malformed, GROUP STREAMS BLOCK is not. */
        i += arg_is(m, i, "group") ? 3 : arg_is(m, i, "count") || arg_is(m, i, "claim") || arg_is(m, i, "block") ? 2 : 1;
    }
    if (i < m->nargs && (m->nargs - i - 1) % 2 == 0) {
        keys_at(m, i + 1, 1, (m->nargs - i - 1) / 2);
    }
}

/* One key at `first`, and perhaps one more at `second`: any two are equally spaced. */
static void keys_two(struct msg *m, uint32_t first, uint32_t second) {
    keys_at(m, first, second > first ? second - first : 1, second > first ? 2 : 1);
}

static void find_sort(struct msg *m) {
    uint32_t to = 0;
    for (uint32_t i = 2; i < m->nargs; i++) {
        if (arg_is(m, i, "limit")) {
            i += 2;
        } else if (arg_is(m, i, "get") || arg_is(m, i, "by")) {
            i += 1;
        } else if (arg_is(m, i, "store") && i + 1 < m->nargs) {
            to = ++i; /* the last one counts */
        }
    }
    keys_two(m, 1, to);
}

static void find_geo(struct msg *m) {
    uint32_t to = 0;
    for (uint32_t i = (uint32_t)-m->cmd->arity; i + 1 < m->nargs; i++) { /* options begin where the arity ends */
        if (arg_is(m, i, "store") || arg_is(m, i, "storedist")) {
            to = ++i;
        }
    }
    keys_two(m, 1, to);
}

static void find_migrate(struct msg *m) {
    for (uint32_t i = 6; i < m->nargs && msg_arg(m, 3).n == 0; i++) {
        if (arg_is(m, i, "auth")) {
            i += 1;
        } else if (arg_is(m, i, "auth2")) {
            i += 2;
        } else if (arg_is(m, i, "keys")) {
            keys_at(m, i + 1, 1, m->nargs - i - 1);
            return;
        }
    }
    keys_at(m, 3, 1, 1);
}

/* MOVE key db, SWAPDB db db; COPY from to [DB db] [REPLACE]. */
static void find_other_db(struct msg *m) {
    bool named = m->cmd->arity > 0;
    for (uint32_t i = (uint32_t)(named ? 0 : -m->cmd->arity); i < m->nargs && !named; i++) {
        named = arg_is(m, i, "db");
    }
    m->flags |= named ? MSG_OTHER_DB : 0;
    if (m->cmd->first > 0) {
        find_range(m);
    }
}

void resp_find_keys(struct msg *m) {
    const struct cmd *c = m->cmd;
    switch ((enum resp_keys)c->keys) {
    case RESP_NOKEYS:
    case RESP_SINGLE:
        break;
    case RESP_RANGE:
        find_range(m);
        break;
    case RESP_COUNTED:
        keys_at(m, (uint32_t)c->first + 1, (uint32_t)c->step, counted(m, (uint32_t)c->first, (uint32_t)c->step));
        break;
    case RESP_DEST_COUNTED: /* 1, then from 3 on */
        keys_at(m, 1, 1, 1 + counted(m, 2, 1));
        m->key_gap = 1;
        break;
    case RESP_STREAMS:
        find_streams(m);
        break;
    case RESP_SORT_STORE:
        find_sort(m);
        break;
    case RESP_GEO_STORE:
        find_geo(m);
        break;
    case RESP_MIGRATE_KEYS:
        find_migrate(m);
        break;
    case RESP_SPECS:
        resp_spec_keys(m);
        break;
    case RESP_OTHER_DB:
        find_other_db(m);
        break;
    case RESP_SETTINGS:
        resp_config_judge(m);
        break;
    }
}
