/* resp_client.c: what a client says and asks about its own connection: CLIENT SETNAME, SETINFO, REPLY, TRACKING, ... (lists of
 * all clients: resp_survey.c). */
#include "proto/resp.h"

#include "base/mem.h"

#define TEXT_LONGEST 1024u

const char resp_bad_name[] = "ERR Client names cannot contain spaces, newlines or special characters.";

bool resp_is_text(struct slice s) {
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '!' || s.p[i] > '~') {
            return false;
        }
    }
    return s.n <= TEXT_LONGEST;
}

void resp_take_name(struct session *s, struct slice name) {
    s->texts[SESSION_NAME] = name.n == 0 ? NULL : mem_strndup(name);
}

static void set_name(const struct msg *m, struct session *s, struct out *o) {
    if (resp_is_text(msg_arg(m, 2))) {
        resp_take_name(s, msg_arg(m, 2));
        out_str(o, "+OK\r\n");
    } else {
        resp_put_error(o, resp_bad_name);
    }
}

static void get_name(const struct session *s, struct out *o) {
    if (s->texts[SESSION_NAME] != NULL) {
        resp_put_str(o, s->texts[SESSION_NAME]);
    } else {
        out_str(o, s->version == 3 ? "_\r\n" : "$-1\r\n");
    }
}

void resp_library(const struct session *s, struct slice *name, struct slice *version) {
    const char *text = s->texts[SESSION_LIB] != NULL ? s->texts[SESSION_LIB] : " ";
    const char *blank = strchr(text, ' ');
    ASSERT(blank != NULL);
    *name = slice(text, (size_t)(blank - text));
    *version = slice_str(blank + 1);
}

static void take_library(struct session *s, struct slice name, struct slice version) {
    char *text = NULL;
    if (name.n + version.n > 0) {
        text = mem_alloc(name.n + version.n + 2);
        memcpy(text, name.p, name.n);
        text[name.n] = ' ';
        memcpy(text + name.n + 1, version.p, version.n);
        text[name.n + 1 + version.n] = '\0';
    }
    s->texts[SESSION_LIB] = text;
}

/* What library a client is made with. */
static void set_info(const struct msg *m, struct session *s, struct out *o) {
    struct slice what = msg_arg(m, 2), name, version;
    bool is_name = slice_ieq(what, slice_str("lib-name"));
    if (!is_name && !slice_ieq(what, slice_str("lib-ver"))) {
        out_str(o, "-ERR Unrecognized option '");
        out_put(o, slice(what.p, resp_is_text(what) ? min_size(what.n, 128) : 0));
        out_str(o, "'\r\n");
    } else if (resp_is_text(msg_arg(m, 3))) {
        resp_library(s, &name, &version);
        take_library(s, is_name ? msg_arg(m, 3) : name, is_name ? version : msg_arg(m, 3));
        out_str(o, "+OK\r\n");
    } else {
        resp_put_error(o, "ERR lib-name and lib-ver cannot contain spaces, newlines or special characters.");
    }
}

static bool says(const struct msg *m, const char *word) {
    return slice_ieq(msg_arg(m, 2), slice_str(word));
}

static void put_ok_if(bool right, struct out *o) {
    if (right) {
        out_str(o, "+OK\r\n");
    } else {
        resp_put_error(o, "ERR syntax error");
    }
}

/* OFF and SKIP are not answered themselves; a SKIP while everything is off changes nothing. */
static void reply(const struct msg *m, struct session *s, struct out *o) {
    if (says(m, "on")) {
        s->hush = HUSH_NONE;
        out_str(o, "+OK\r\n");
    } else if (says(m, "off")) {
        s->hush = HUSH_ALL;
    } else if (says(m, "skip")) {
        s->hush = s->hush == HUSH_ALL ? HUSH_ALL : HUSH_NEXT;
    } else {
        resp_put_error(o, "ERR syntax error");
    }
}

/* kvmux cannot tell when a key changes on a server, so what a client remembers would grow stale. */
static void tracking(const struct msg *m, struct out *o) {
    if (says(m, "on")) {
        resp_put_error(o, "ERR 'client|tracking' is refused by kvmux: servers would tell connections that clients share which keys "
                          "changed; use the client without client-side caching");
    } else {
        put_ok_if(says(m, "off"), o);
    }
}

static void tracking_info(const struct session *s, struct out *o) {
    bool three = s->version == 3;
    resp_put_head(o, three ? '%' : '*', three ? 3 : 6);
    resp_put_str(o, "flags");
    resp_put_head(o, three ? '~' : '*', 1);
    resp_put_str(o, "off");
    resp_put_str(o, "redirect");
    resp_put_head(o, ':', -1);
    resp_put_str(o, "prefixes");
    resp_put_head(o, '*', 0);
}

bool resp_client(const struct msg *m, struct session *s, struct out *o) {
    switch (m->cmd->id) {
    case RESP_CLIENT_SETNAME:
        set_name(m, s, o);
        return true;
    case RESP_CLIENT_GETNAME:
        get_name(s, o);
        return true;
    case RESP_CLIENT_ID:
        resp_put_head(o, ':', (int64_t)s->id);
        return true;
    case RESP_CLIENT_SETINFO:
        set_info(m, s, o);
        return true;
    case RESP_CLIENT_NO_EVICT: /* they concern a connection to one server: the promise they ask for is kept by keeping none */
    case RESP_CLIENT_NO_TOUCH:
        put_ok_if(says(m, "on") || says(m, "off"), o);
        return true;
    case RESP_CLIENT_REPLY:
        reply(m, s, o);
        return true;
    case RESP_CLIENT_TRACKING:
        tracking(m, o);
        return true;
    case RESP_CLIENT_TRACKINGINFO:
        tracking_info(s, o);
        return true;
    case RESP_CLIENT_CACHING:
        resp_put_error(o, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
                          "enabled");
        return true;
    case RESP_CLIENT_GETREDIR:
        resp_put_head(o, ':', -1);
        return true;
    case RESP_CLIENT_CAPA: /* what a client is able to do obliges nobody */
        out_str(o, "+OK\r\n");
        return true;
    default:
        return false;
    }
}
