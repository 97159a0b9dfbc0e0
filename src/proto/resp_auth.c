/* resp_auth.c: who a client is: AUTH, HELLO, RESET, ACL WHOAMI. Texts are Redis 7.0's; those of AUTH are nutcracker's in pools
 * that have nothing but redis_auth. */
#include "proto/resp.h"

#define WRONGPASS "WRONGPASS invalid username-password pair or user is disabled."

/* Takes as long for a wrong text as for the right one of that length. */
static bool is_secret(struct slice given, const char *secret) {
    size_t n = strlen(secret);
    uint32_t differ = given.n != n;
    for (size_t i = 0; i < given.n; i++) {
        differ |= (uint32_t)given.p[i] ^ (uint8_t)secret[n == 0 ? 0 : i % n];
    }
    return differ == 0;
}

/* Both texts are compared, whatever comes of the first. */
static bool is_user(struct slice name, struct slice password, const char *right_name, const char *right_password) {
    uint32_t right = is_secret(name, right_name);
    right &= is_secret(password, right_password);
    return right != 0;
}

/* Logs in as one of those who may. Every user is compared with: a wrong name costs what a wrong password does. */
static bool enter(struct session *s, const struct facts *f, struct slice name, struct slice password) {
    int64_t who = -1;
    if (f->password != NULL && is_user(name, password, "default", f->password)) {
        who = 0;
    }
    for (uint32_t i = 0; i < f->nusers; i++) {
        if (is_user(name, password, f->users[i].name, f->users[i].password)) {
            who = f->users[i].id;
        }
    }
    s->authed = who >= 0;
    if (who >= 0) {
        s->user = (uint16_t)who;
    }
    return who >= 0;
}

void resp_auth(const struct msg *m, struct session *s, const struct facts *f, struct out *o) {
    if (m->nargs > 3) {
        resp_put_error(o, "ERR syntax error");
        return;
    }
    if (!facts_must_log_in(f)) {
        resp_put_error(o, "ERR Client sent AUTH, but no password is set");
        return;
    }
    struct slice name = m->nargs == 3 ? msg_arg(m, 1) : slice_str("default");
    if (enter(s, f, name, msg_arg(m, m->nargs - 1))) {
        out_str(o, "+OK\r\n");
    } else {
        resp_put_error(o, f->nusers > 0 ? WRONGPASS : "ERR invalid password");
    }
}

void resp_whoami(const struct session *s, const struct facts *f, struct out *o) {
    const struct user *u = user_by_id(f->users, f->nusers, s->user);
    resp_put_str(o, u != NULL ? u->name : "default");
}

/* What a client says about itself stays, as in Redis, but for its name. */
void resp_reset(struct session *s, const struct facts *f, struct out *o) {
    s->authed = !facts_must_log_in(f);
    s->hush = s->hush == HUSH_THIS ? HUSH_THIS : HUSH_NONE; /* SKIP in front of it holds, as in Redis */
    s->listening = false;
    s->version = 0;
    s->user = 0;
    s->db = f->db;
    s->texts[SESSION_NAME] = NULL;
    out_str(o, "+RESET\r\n");
}

static void put_hello_syntax(struct out *o, struct slice option) {
    out_str(o, "-ERR Syntax error in HELLO option '");
    out_put(o, slice(option.p, resp_is_text(option) ? min_size(option.n, 128) : 0));
    out_str(o, "'\r\n");
}

static void put_hello(const struct session *s, struct out *o) {
    if (s->version == 3) {
        resp_put_head(o, '%', 7);
    } else {
        resp_put_head(o, '*', 14);
    }
    resp_put_str(o, "server");
    resp_put_str(o, "kvmux");
    resp_put_str(o, "version");
    resp_put_str(o, KVMUX_VERSION);
    resp_put_str(o, "proto");
    resp_put_head(o, ':', s->version == 3 ? 3 : 2);
    resp_put_str(o, "id");
    resp_put_head(o, ':', (int64_t)s->id);
    resp_put_str(o, "mode");
    resp_put_str(o, "standalone");
    resp_put_str(o, "role");
    resp_put_str(o, "master");
    resp_put_str(o, "modules");
    resp_put_head(o, '*', 0);
}

/* The options of HELLO; `name` is what SETNAME says. False: answered already. */
static bool take_hello(const struct msg *m, struct session *s, const struct facts *f, struct slice *name, struct out *o) {
    for (uint32_t i = 2; i < m->nargs; i++) {
        if (slice_ieq(msg_arg(m, i), slice_str("auth")) && i + 2 < m->nargs) {
            if (!facts_must_log_in(f)) {
                resp_put_error(o, "ERR Client sent AUTH, but no password is set");
                return false;
            }
            if (!enter(s, f, msg_arg(m, i + 1), msg_arg(m, i + 2))) {
                resp_put_error(o, WRONGPASS);
                return false;
            }
            i += 2;
        } else if (slice_ieq(msg_arg(m, i), slice_str("setname")) && i + 1 < m->nargs) {
            *name = msg_arg(m, ++i);
            if (!resp_is_text(*name)) {
                resp_put_error(o, resp_bad_name);
                return false;
            }
        } else {
            put_hello_syntax(o, msg_arg(m, i));
            return false;
        }
    }
    return true;
}

void resp_hello(const struct msg *m, struct session *s, const struct facts *f, struct out *o) {
    int64_t version = s->version == 3 ? 3 : 2;
    if (m->nargs > 1 && !resp_int(msg_arg(m, 1), &version)) {
        resp_put_error(o, "ERR Protocol version is not an integer or out of range");
        return;
    }
    if (version != 2 && version != 3) {
        resp_put_error(o, "NOPROTO unsupported protocol version"); /* clients step down on exactly this */
        return;
    }
    struct slice name = {0};
    if (!take_hello(m, s, f, &name, o)) {
        return;
    }
    if (!s->authed) {
        resp_put_error(o, "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> "
                     "<pass> option can be used to authenticate the client and select the RESP protocol version at the "
                     "same time");
        return;
    }
    if (name.p != NULL) {
        resp_take_name(s, name);
    }
    s->version = version == 3 ? 3 : 0; /* when the servers agree: core asks them */
    put_hello(s, o);
}

