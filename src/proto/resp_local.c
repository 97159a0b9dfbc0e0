/* resp_local.c: requests that kvmux answers itself. Texts are Redis 7.0's, but for AUTH, which is nutcracker's. */
#include "proto/resp.h"

#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>

static void put_error(struct out *o, const char *text) {
    out_str(o, "-");
    out_str(o, text);
    out_str(o, "\r\n");
}

static void put_str(struct out *o, const char *s) {
    resp_put_bulk(o, slice_str(s));
}

static void put_num(struct out *o, uint64_t n) {
    char text[NUM_MAX];
    resp_put_bulk(o, slice(text, num_put_u64(text, n)));
}

/* Takes as long for a wrong password as for the right one of that length. */
static bool is_password(struct slice given, const char *password) {
    size_t n = strlen(password);
    uint32_t differ = given.n != n;
    for (size_t i = 0; i < given.n; i++) {
        differ |= (uint32_t)given.p[i] ^ (uint8_t)password[n == 0 ? 0 : i % n];
    }
    return differ == 0;
}

static bool may_enter(const struct facts *f, struct slice user, struct slice password) {
    bool right = is_password(password, f->password);
    return slice_is(user, "default") && right;
}

static void do_auth(const struct msg *m, struct session *s, const struct facts *f, struct out *o) {
    if (m->nargs > 3) {
        put_error(o, "ERR syntax error");
        return;
    }
    if (f->password == NULL) {
        put_error(o, "ERR Client sent AUTH, but no password is set");
        return;
    }
    struct slice user = m->nargs == 3 ? msg_arg(m, 1) : slice_str("default");
    s->authed = may_enter(f, user, msg_arg(m, m->nargs - 1));
    if (s->authed) {
        out_str(o, "+OK\r\n");
    } else {
        put_error(o, "ERR invalid password");
    }
}

static bool is_client_name(struct slice name) {
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < '!' || name.p[i] > '~') {
            return false;
        }
    }
    return true;
}

static const char bad_name[] = "ERR Client names cannot contain spaces, newlines or special characters.";

/* False: not a name. An empty one takes the name away. */
static bool take_name(struct session *s, struct slice name) {
    if (!is_client_name(name)) {
        return false;
    }
    s->name = name.n == 0 ? NULL : mem_strndup(name);
    return true;
}

static void put_hello_syntax(struct out *o, struct slice option) {
    out_str(o, "-ERR Syntax error in HELLO option '");
    out_put(o, slice(option.p, is_client_name(option) ? min_size(option.n, 128) : 0));
    out_str(o, "'\r\n");
}

static void put_hello(const struct session *s, struct out *o) {
    if (s->version == 3) {
        resp_put_head(o, '%', 7);
    } else {
        resp_put_head(o, '*', 14);
    }
    put_str(o, "server");
    put_str(o, "kvmux");
    put_str(o, "version");
    put_str(o, KVMUX_VERSION);
    put_str(o, "proto");
    resp_put_head(o, ':', s->version == 3 ? 3 : 2);
    put_str(o, "id");
    resp_put_head(o, ':', (int64_t)s->id);
    put_str(o, "mode");
    put_str(o, "standalone");
    put_str(o, "role");
    put_str(o, "master");
    put_str(o, "modules");
    resp_put_head(o, '*', 0);
}

/* The options of HELLO; `name` is what SETNAME says. False: answered already. */
static bool take_hello(const struct msg *m, struct session *s, const struct facts *f, struct slice *name, struct out *o) {
    for (uint32_t i = 2; i < m->nargs; i++) {
        if (slice_ieq(msg_arg(m, i), slice_str("auth")) && i + 2 < m->nargs) {
            if (f->password == NULL) {
                put_error(o, "ERR Client sent AUTH, but no password is set");
                return false;
            }
            s->authed = may_enter(f, msg_arg(m, i + 1), msg_arg(m, i + 2));
            if (!s->authed) {
                put_error(o, "WRONGPASS invalid username-password pair or user is disabled.");
                return false;
            }
            i += 2;
        } else if (slice_ieq(msg_arg(m, i), slice_str("setname")) && i + 1 < m->nargs) {
            *name = msg_arg(m, ++i);
            if (!is_client_name(*name)) {
                put_error(o, bad_name);
                return false;
            }
        } else {
            put_hello_syntax(o, msg_arg(m, i));
            return false;
        }
    }
    return true;
}

static void do_hello(const struct msg *m, struct session *s, const struct facts *f, struct out *o) {
    int64_t version = s->version == 3 ? 3 : 2;
    if (m->nargs > 1 && !resp_int(msg_arg(m, 1), &version)) {
        put_error(o, "ERR Protocol version is not an integer or out of range");
        return;
    }
    if (version != 2 && version != 3) {
        put_error(o, "NOPROTO unsupported protocol version"); /* clients step down on exactly this */
        return;
    }
    struct slice name = {0};
    if (!take_hello(m, s, f, &name, o)) {
        return;
    }
    if (!s->authed) {
        put_error(o, "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> "
                     "<pass> option can be used to authenticate the client and select the RESP protocol version at the "
                     "same time");
        return;
    }
    if (name.p != NULL) {
        take_name(s, name);
    }
    s->version = version == 3 ? 3 : 0; /* when the servers agree: core asks them */
    put_hello(s, o);
}

/* Whether the servers have that database is theirs to say: core asks them. */
static void do_select(const struct msg *m, struct session *s, struct out *o) {
    int64_t db;
    if (!resp_int(msg_arg(m, 1), &db)) {
        put_error(o, "ERR value is not an integer or out of range");
    } else if (db < INT32_MIN || db > INT32_MAX) {
        put_error(o, "ERR value is out of range, value must between -2147483648 and 2147483647");
    } else if (db < 0) {
        put_error(o, "ERR DB index is out of range");
    } else {
        s->db = (uint32_t)db;
        out_str(o, "+OK\r\n");
    }
}

/* A client that listens, in RESP2, gets what looks like a message. */
static void do_ping(const struct msg *m, const struct session *s, struct out *o) {
    if (m->nargs <= 2 && s->listening && s->version == 0) {
        resp_put_head(o, '*', 2);
        put_str(o, "pong");
        resp_put_bulk(o, m->nargs == 2 ? msg_arg(m, 1) : slice(NULL, 0));
    } else if (m->nargs == 1) {
        out_str(o, "+PONG\r\n");
    } else if (m->nargs == 2) {
        resp_put_bulk(o, msg_arg(m, 1));
    } else {
        put_error(o, "ERR wrong number of arguments for 'ping' command");
    }
}

static void do_time(const struct facts *f, struct out *o) {
    resp_put_head(o, '*', 2);
    put_num(o, (uint64_t)f->wall_usec / 1000000);
    put_num(o, (uint64_t)f->wall_usec % 1000000);
}

static void do_client_setname(const struct msg *m, struct session *s, struct out *o) {
    if (take_name(s, msg_arg(m, 2))) {
        out_str(o, "+OK\r\n");
    } else {
        put_error(o, bad_name);
    }
}

static void do_client_getname(const struct session *s, struct out *o) {
    if (s->name != NULL) {
        put_str(o, s->name);
    } else {
        out_str(o, s->version == 3 ? "_\r\n" : "$-1\r\n");
    }
}

/* What library a client is made with is checked and forgotten: nothing shows it yet. */
static void do_client_setinfo(const struct msg *m, struct out *o) {
    struct slice what = msg_arg(m, 2);
    if (!slice_ieq(what, slice_str("lib-name")) && !slice_ieq(what, slice_str("lib-ver"))) {
        out_str(o, "-ERR Unrecognized option '");
        out_put(o, slice(what.p, is_client_name(what) ? min_size(what.n, 128) : 0));
        out_str(o, "'\r\n");
    } else if (is_client_name(msg_arg(m, 3))) {
        out_str(o, "+OK\r\n");
    } else {
        put_error(o, "ERR lib-name and lib-ver cannot contain spaces, newlines or special characters.");
    }
}

/* NO-EVICT and NO-TOUCH concern a connection to one server: the promise they ask for is kept by keeping none. */
static void do_client_on_off(const struct msg *m, struct out *o) {
    bool known = slice_ieq(msg_arg(m, 2), slice_str("on")) || slice_ieq(msg_arg(m, 2), slice_str("off"));
    if (known) {
        out_str(o, "+OK\r\n");
    } else {
        put_error(o, "ERR syntax error");
    }
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
        do_auth(m, s, f, o);
        break;
    case RESP_HELLO:
        do_hello(m, s, f, o);
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
    case RESP_CLIENT_SETNAME:
        do_client_setname(m, s, o);
        break;
    case RESP_CLIENT_GETNAME:
        do_client_getname(s, o);
        break;
    case RESP_CLIENT_ID:
        resp_put_head(o, ':', (int64_t)s->id);
        break;
    case RESP_CLIENT_SETINFO:
        do_client_setinfo(m, o);
        break;
    case RESP_CLIENT_NO_EVICT:
    case RESP_CLIENT_NO_TOUCH:
        do_client_on_off(m, o);
        break;
    case RESP_RESET:
        s->authed = f->password == NULL;
        s->version = 0;
        s->db = f->db;
        s->name = NULL;
        s->listening = false;
        out_str(o, "+RESET\r\n");
        break;
    case RESP_QUIT:
        out_str(o, "+OK\r\n");
        return true;
    default: /* every LOCAL row has its case above; a test calls each */
        ASSERT(m->cmd->route != ROUTE_LOCAL);
    }
    return false;
}
