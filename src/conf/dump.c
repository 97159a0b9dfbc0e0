/* dump.c: the configuration as it is in force, from the tables: every key with its value, the defaults too. */
#include "base/str.h"
#include "conf/keys.h"

static const char hidden[] = "\"(hidden)\"";

static void put_text(struct str *to, const char *text) {
    str_quote(to, slice_str(text));
}

static void put_networks(struct str *to, const struct networks *l) {
    char text[NETWORK_TEXT_MAX];
    for (uint32_t i = 0; i < l->n; i++) {
        str_put(to, i == 0 ? "[" : ", ");
        put_text(to, network_text(&l->v[i], text, sizeof text));
    }
    str_put(to, "]");
}

static void put_value(struct str *to, const struct key_row *row, const void *base) {
    const void *member = (const char *)base + row->offset;
    char text[64];
    if (row->type == KEY_SECRET) {
        str_put(to, hidden);
    } else if (key_is_text(row)) {
        put_text(to, *(char *const *)member);
    } else if (row->type == KEY_NETWORKS) {
        put_networks(to, *(struct networks *const *)member);
    } else if (row->type == KEY_TAG) {
        str_quote(to, slice(((const struct conf_tag *)member)->bytes, 2));
    } else { /* numbers and words */
        str_put(to, key_text(row, base, text, sizeof text));
    }
}

/* What was not given and has no default. */
static bool is_unset(const struct key_row *row, const void *member) {
    if (key_is_text(row) || row->type == KEY_NETWORKS) {
        return *(void *const *)member == NULL;
    }
    return row->type == KEY_TAG && !((const struct conf_tag *)member)->set;
}

static void put_keys(struct str *to, const struct key_table *t, const void *base) {
    for (uint32_t i = 0; i < t->n; i++) {
        const struct key_row *row = &t->rows[i];
        const void *member = (const char *)base + row->offset;
        if (!is_unset(row, member)) {
            str_put(to, "  ");
            str_put(to, row->name);
            str_put(to, ": ");
            put_value(to, row, base);
            str_put(to, "\n");
        }
    }
}

static void put_user(struct str *to, const struct user *u) {
    str_put(to, "    - {name: ");
    put_text(to, u->name);
    str_put(to, ", password: ");
    str_put(to, hidden);
    if (u->server_user != NULL) {
        str_put(to, ", server_user: ");
        put_text(to, u->server_user);
    }
    if (u->server_password != NULL) {
        str_put(to, ", server_password: ");
        str_put(to, hidden);
    }
    str_put(to, "}\n");
}

static void put_server(struct str *to, const struct conf_server *s) {
    str_put(to, s->host != NULL ? "    - {host: " : "    - {path: ");
    put_text(to, s->host != NULL ? s->host : s->address);
    if (s->host != NULL) {
        str_format(to, ", port: %u", s->port);
    }
    str_format(to, ", weight: %u, name: ", s->weight);
    put_text(to, s->name);
    str_put(to, "}\n");
}

static void put_raw(struct str *to, const char *key, const char *flow) {
    if (flow != NULL) {
        str_put(to, key);
        str_put(to, flow);
        str_put(to, "\n");
    }
}

static void put_pool(struct str *to, const struct conf_pool *p) {
    put_text(to, p->name);
    str_put(to, ":\n  listen:\n");
    for (uint32_t i = 0; i < p->nlistens; i++) {
        str_put(to, "    - ");
        put_text(to, p->listens[i].text);
        str_put(to, "\n");
    }
    put_keys(to, &keys_pool, p);
    put_raw(to, "  commands: ", p->commands);
    put_raw(to, "  deny_commands: ", p->deny_commands);
    if (p->nusers > 0) {
        str_put(to, "  users:\n");
    }
    for (uint32_t i = 0; i < p->nusers; i++) {
        put_user(to, &p->users[i]);
    }
    str_put(to, "  servers:\n");
    for (uint32_t i = 0; i < p->nservers; i++) {
        put_server(to, &p->servers[i]);
    }
}

void conf_dump(const struct conf *c, struct str *to) {
    if (conf_pool_by_name(c, "kvmux") < 0) { /* else there is no such section, and all of it has its default */
        str_put(to, "kvmux:\n");
        put_keys(to, &keys_global, c);
    }
    for (uint32_t i = 0; i < c->npools; i++) {
        str_put(to, "\n");
        put_pool(to, &c->pools[i]);
    }
}
