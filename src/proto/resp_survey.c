/* resp_survey.c: CLIENT LIST, INFO and KILL, PUBSUB NUMSUB: questions about all clients of the pool (ROUTE_SURVEY). */
#include "proto/resp.h"

#include "base/mem.h"

#include <stdio.h>

/* Which clients are meant. Slices with p NULL: any. */
struct filter {
    struct slice addr, here, user, type;
    uint32_t ids, nids; /* args [ids, ids + nids); none: any */
    int64_t max_age;    /* the youngest that is meant, in seconds; 0: any */
    bool skip_me;
};

static bool arg_is(const struct msg *m, uint32_t i, const char *word) {
    return slice_ieq(msg_arg(m, i), slice_str(word));
}

static bool is_type(struct slice s) {
    static const char *const types[] = {"normal", "master", "replica", "slave", "pubsub"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (slice_ieq(s, slice_str(types[i]))) {
            return true;
        }
    }
    return false;
}

static const char syntax[] = "ERR syntax error";
static const char unknown_type[] = "ERR Unknown client type '%.*s'";

/* These return what is wrong, NULL for nothing. */
static const char *read_list(const struct msg *m, struct filter *f) {
    int64_t id;
    if (m->nargs == 2) {
        return NULL;
    }
    if (m->nargs == 4 && arg_is(m, 2, "type")) {
        f->type = msg_arg(m, 3);
        return is_type(f->type) ? NULL : unknown_type;
    }
    if (m->nargs == 3 || !arg_is(m, 2, "id")) {
        return syntax;
    }
    f->ids = 3;
    f->nids = m->nargs - 3;
    for (uint32_t i = 3; i < m->nargs; i++) {
        if (!resp_int(msg_arg(m, i), &id)) {
            return "ERR Invalid client ID";
        }
    }
    return NULL;
}

static const char *read_pair(const struct msg *m, uint32_t i, struct filter *f) {
    struct slice value = msg_arg(m, i + 1);
    int64_t n = 0;
    if (arg_is(m, i, "id")) {
        f->ids = i + 1;
        f->nids = 1;
        return resp_int(value, &n) && n > 0 ? NULL : "ERR client-id should be greater than 0";
    }
    if (arg_is(m, i, "type")) {
        f->type = value;
        return is_type(value) ? NULL : unknown_type;
    }
    if (arg_is(m, i, "addr")) {
        f->addr = value;
    } else if (arg_is(m, i, "laddr")) {
        f->here = value;
    } else if (arg_is(m, i, "user")) {
        f->user = value;
    } else if (arg_is(m, i, "skipme")) {
        f->skip_me = arg_is(m, i + 1, "yes");
        return f->skip_me || arg_is(m, i + 1, "no") ? NULL : syntax;
    } else if (arg_is(m, i, "maxage")) {
        bool number = resp_int(value, &f->max_age);
        return !number ? "ERR maxage is not an integer or out of range" : f->max_age > 0 ? NULL : "ERR maxage should be greater than 0";
    } else {
        return syntax;
    }
    return NULL;
}

static const char *read_kill(const struct msg *m, struct filter *f) {
    if (m->nargs == 3) { /* the old form: an address, one's own too */
        f->addr = msg_arg(m, 2);
        return NULL;
    }
    f->skip_me = true;
    for (uint32_t i = 2; i < m->nargs; i += 2) {
        const char *wrong = i + 1 < m->nargs ? read_pair(m, i, f) : syntax;
        if (wrong != NULL) {
            return wrong;
        }
    }
    return NULL;
}

static const char *read_filter(const struct msg *m, struct filter *f) {
    *f = (struct filter){0};
    switch (m->cmd->id) {
    case RESP_CLIENT_LIST:
        return read_list(m, f);
    case RESP_CLIENT_KILL:
        return read_kill(m, f);
    default: /* CLIENT INFO, PUBSUB NUMSUB */
        return NULL;
    }
}

void resp_survey_judge(struct msg *m) {
    struct filter f;
    if (m->cmd->flags & CMD_SLOWLOG) {
        resp_slow_judge(m);
        return;
    }
    const char *wrong = read_filter(m, &f);
    if (wrong == unknown_type) {
        resp_answer(m, unknown_type, (int)min_size(f.type.n, 128), (const char *)f.type.p);
    } else if (wrong != NULL) {
        resp_answer(m, "%s", wrong);
    }
}

static bool id_fits(const struct msg *m, const struct filter *f, uint64_t id) {
    int64_t wanted;
    for (uint32_t i = 0; i < f->nids; i++) {
        if (resp_int(msg_arg(m, f->ids + i), &wanted) && wanted > 0 && (uint64_t)wanted == id) {
            return true;
        }
    }
    return f->nids == 0;
}

static const char *user_of(const struct portrait *p) {
    return p->user != NULL ? p->user : "default";
}

static bool is_listening(const struct portrait *p) {
    return p->channels[CHANNEL_NAME] + p->channels[CHANNEL_PATTERN] + p->channels[CHANNEL_SHARD] > 0;
}

static bool type_fits(struct slice type, const struct portrait *p) {
    return type.p == NULL || slice_ieq(type, slice_str(is_listening(p) ? "pubsub" : "normal"));
}

static bool fits(const struct msg *m, const struct filter *f, const struct portrait *p) {
    return id_fits(m, f, p->session->id) && type_fits(f->type, p) &&
           (f->user.p == NULL || slice_is(f->user, user_of(p))) && (f->max_age == 0 || p->age_sec >= f->max_age) &&
           !(f->skip_me && p->asks);
}

/* A client on a unix socket has no address of its own: it is shown with the path of the socket, as Redis does. */
static const char *addr_of(const struct portrait *p, const char *addr, char *to, size_t room) {
    if (!p->unix_socket) {
        return addr;
    }
    snprintf(to, room, "%s:0", p->here);
    return to;
}

static bool is_at(const struct filter *f, const struct portrait *p) {
    char addr[256], here[256];
    return (f->addr.p == NULL || slice_is(f->addr, addr_of(p, p->addr, addr, sizeof addr))) &&
           (f->here.p == NULL || slice_is(f->here, addr_of(p, p->here, here, sizeof here)));
}

/* The fields of Redis 7.2 in their order; what a proxy has no notion of has the value that says nothing. */
static void put_line(const struct portrait *p, struct out *o) {
    const struct session *s = p->session;
    char text[768], addr[256], here[256];
    struct slice lib_name, lib_ver;
    bool listens = is_listening(p), plain = p->txn < 0 && !p->blocked && !p->unix_socket && !listens;
    snprintf(text, sizeof text, "id=%llu addr=%s laddr=%s fd=%d name=", (unsigned long long)s->id,
             addr_of(p, p->addr, addr, sizeof addr), addr_of(p, p->here, here, sizeof here), p->fd);
    out_str(o, text);
    out_str(o, s->texts[SESSION_NAME] != NULL ? s->texts[SESSION_NAME] : "");
    snprintf(text, sizeof text,
             " age=%lld idle=%lld flags=%s%s%s%s%s db=%u sub=%u psub=%u ssub=%u multi=%lld qbuf=%zu qbuf-free=0 argv-mem=0 multi-mem=0 "
             "rbs=0 rbp=0 obl=0 oll=%u omem=%zu tot-mem=%zu events=%s cmd=%s user=",
             (long long)p->age_sec, (long long)p->idle_sec, plain ? "N" : "", listens ? "P" : "", p->txn >= 0 ? "x" : "", p->blocked ? "b" : "",
             p->unix_socket ? "U" : "", s->db, p->channels[CHANNEL_NAME], p->channels[CHANNEL_PATTERN],
             p->channels[CHANNEL_SHARD], (long long)p->txn, p->unread, p->waiting, p->unsent, p->unread + p->unsent,
             p->unsent > 0 ? "rw" : "r", p->last != NULL ? p->last->name : "NULL");
    out_str(o, text);
    out_str(o, user_of(p));
    out_str(o, s->version == 3 ? " redir=-1 resp=3 lib-name=" : " redir=-1 resp=2 lib-name=");
    resp_library(s, &lib_name, &lib_ver);
    out_put(o, lib_name);
    out_str(o, " lib-ver=");
    out_put(o, lib_ver);
    out_str(o, "\n");
}

/* ---- listeners ---- */

static bool counts_listeners(const struct cmd *c) {
    return c->id == RESP_PUBSUB_NUMSUB || c->id == RESP_PUBSUB_SHARDNUMSUB;
}

/* The numbers of the arguments that the client listens to. */
static enum verdict put_channels(const struct msg *m, const struct portrait *p, struct out *o) {
    enum channel_kind kind = cmd_channel_kind(m->cmd);
    enum verdict said = VERDICT_PASS;
    for (uint32_t i = 2; i < m->nargs && p->channels[kind] > 0; i++) {
        if (p->listens(p->client, kind, msg_arg(m, i))) {
            out_put(o, slice(&i, sizeof i));
            said = VERDICT_SAID;
        }
    }
    return said;
}

/* [channel, listeners, ...] */
static void merge_listeners(struct slice said, struct slice request, struct out *o) {
    int64_t nargs;
    struct slice rest, name;
    bool good = resp_take_head(request, '*', &nargs, &rest) && resp_take_bulk(&rest, &name) && resp_take_bulk(&rest, &name);
    ASSERT(good && nargs >= 2); /* it was built by us */
    uint64_t *counts = mem_zalloc((size_t)nargs * sizeof *counts);
    for (size_t at = 0; at + sizeof(uint32_t) <= said.n; at += sizeof(uint32_t)) {
        uint32_t i;
        memcpy(&i, said.p + at, sizeof i);
        ASSERT(i < nargs);
        counts[i]++;
    }
    resp_put_head(o, '*', 2 * (nargs - 2));
    for (int64_t i = 2; i < nargs && resp_take_bulk(&rest, &name); i++) {
        resp_put_bulk(o, name);
        resp_put_head(o, ':', (int64_t)counts[i]);
    }
    mem_free(counts);
}

enum verdict resp_survey(const struct msg *m, const struct portrait *p, struct out *o) {
    struct filter f;
    if (counts_listeners(m->cmd)) {
        return put_channels(m, p, o);
    }
    read_filter(m, &f);
    if (!fits(m, &f, p)) {
        return VERDICT_PASS;
    }
    bool kill = m->cmd->id == RESP_CLIENT_KILL;
    if (p->addr == NULL && (!kill || f.addr.p != NULL || f.here.p != NULL)) {
        return VERDICT_LOOK;
    }
    if (kill) {
        return p->addr == NULL || is_at(&f, p) ? VERDICT_CLOSE : VERDICT_PASS;
    }
    put_line(p, o);
    return VERDICT_SAID;
}

void resp_survey_merge(const struct fan_in *in, struct out *o) {
    const struct part *said = &in->parts[0];
    if (in->cmd->flags & CMD_SLOWLOG) {
        resp_slow_merge(in, o);
    } else if (counts_listeners(in->cmd)) {
        merge_listeners(said->reply, in->request, o);
    } else if (in->cmd->id != RESP_CLIENT_KILL) {
        resp_put_verbatim(o, in->version, said->buf, said->reply);
    } else if (!slice_starts(in->request, "*3\r\n")) {
        resp_put_head(o, ':', (int64_t)in->deeds);
    } else if (in->deeds > 0) {
        out_str(o, "+OK\r\n");
    } else {
        resp_put_error(o, "ERR No such client");
    }
}
