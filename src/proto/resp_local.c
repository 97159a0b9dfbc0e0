/* resp_local.c: requests that kvmux answers itself. Texts are Redis 7.0's. */
#include "proto/resp.h"

#include "base/num.h"

/* Whether the servers have that database is theirs to say: core asks them. */
static void do_select(const struct msg *m, struct session *s, struct out *o) {
    int64_t db;
    if (!resp_int(msg_arg(m, 1), &db)) {
        resp_put_error(o, "ERR value is not an integer or out of range");
    } else if (db < INT32_MIN || db > INT32_MAX) {
        resp_put_error(o, "ERR value is out of range, value must between -2147483648 and 2147483647");
    } else if (db < 0) {
        resp_put_error(o, "ERR DB index is out of range");
    } else {
        s->db = (uint32_t)db;
        out_str(o, "+OK\r\n");
    }
}

/* A client that listens, in RESP2, gets what looks like a message. */
static void do_ping(const struct msg *m, const struct session *s, struct out *o) {
    if (m->nargs <= 2 && s->listening && s->version == 0) {
        resp_put_head(o, '*', 2);
        resp_put_str(o, "pong");
        resp_put_bulk(o, m->nargs == 2 ? msg_arg(m, 1) : slice(NULL, 0));
    } else if (m->nargs == 1) {
        out_str(o, "+PONG\r\n");
    } else if (m->nargs == 2) {
        resp_put_bulk(o, msg_arg(m, 1));
    } else {
        resp_put_error(o, "ERR wrong number of arguments for 'ping' command");
    }
}

static void put_num(struct out *o, uint64_t n) {
    char text[NUM_MAX];
    resp_put_bulk(o, slice(text, num_put_u64(text, n)));
}

static void do_time(const struct facts *f, struct out *o) {
    resp_put_head(o, '*', 2);
    put_num(o, (uint64_t)f->wall_usec / 1000000);
    put_num(o, (uint64_t)f->wall_usec % 1000000);
}

static void put_empty(char type, struct out *o) {
    resp_put_head(o, type, 0);
}

static void put_empty_map(const struct session *s, struct out *o) {
    put_empty(s->version == 3 ? '%' : '*', o);
}

static void do_latency_graph(const struct msg *m, struct out *o) {
    struct slice event = msg_arg(m, 2);
    out_str(o, "-ERR No samples available for event '");
    out_put(o, slice(event.p, resp_is_text(event) ? min_size(event.n, 128) : 0));
    out_str(o, "'\r\n");
}

static bool do_watching(const struct msg *m, const struct session *s, struct out *o) {
    switch (m->cmd->id) {
    case RESP_LATENCY_RESET:
        put_empty(':', o);
        return true;
    case RESP_LATENCY_LATEST:
    case RESP_LATENCY_HISTORY:
        put_empty('*', o);
        return true;
    case RESP_LATENCY_HISTOGRAM:
        put_empty_map(s, o);
        return true;
    case RESP_LATENCY_GRAPH:
        do_latency_graph(m, o);
        return true;
    case RESP_LATENCY_DOCTOR:
        resp_put_verbatim(o, s->version, NULL, slice_str("kvmux does not sample latencies; ask the servers.\n"));
        return true;
    default:
        return false;
    }
}

/* A proxy is a master without replicas, at no offset. */
static void do_role(struct out *o) {
    resp_put_head(o, '*', 3);
    resp_put_str(o, "master");
    put_empty(':', o);
    put_empty('*', o);
}

static void refuse_listening(const struct msg *m, struct out *o) {
    out_str(o, "-ERR Can't execute '");
    out_str(o, m->cmd->name);
    out_str(o, "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context\r\n");
}

bool resp_local(const struct msg *m, struct session *s, const struct facts *f, struct out *o) {
    if (s->listening && s->version == 0 && !(m->cmd->flags & CMD_LISTENS)) {
        refuse_listening(m, o);
        return false;
    }
    switch (m->cmd->id) {
    case RESP_PING:
        do_ping(m, s, o);
        break;
    case RESP_ECHO:
        resp_put_bulk(o, msg_arg(m, 1));
        break;
    case RESP_AUTH:
        resp_auth(m, s, f, o);
        break;
    case RESP_HELLO:
        resp_hello(m, s, f, o);
        break;
    case RESP_SELECT:
        do_select(m, s, o);
        break;
    case RESP_TIME:
        do_time(f, o);
        break;
    case RESP_INFO:
        resp_info(m, s, f, o);
        break;
    case RESP_ACL_WHOAMI:
        resp_whoami(s, f, o);
        break;
    case RESP_CONFIG_GET:
        put_empty_map(s, o);
        break;
    case RESP_ROLE:
        do_role(o);
        break;
    case RESP_RESET:
        resp_reset(s, f, o);
        break;
    case RESP_QUIT:
        out_str(o, "+OK\r\n");
        return true;
    default: { /* every LOCAL row has its case above or there; a test calls each */
        bool known = resp_client(m, s, o) || do_watching(m, s, o);
        ASSERT(known);
    }
    }
    return false;
}
