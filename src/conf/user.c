/* user.c: one entry of `users:`. */
#include "base/mem.h"
#include "conf/entry.h"
#include "conf/keys.h"
#include "conf/near.h"

#define TEXT_LONGEST 65535

static const struct {
    const char *name;
    size_t offset; /* in struct user */
    bool secret;   /* may come from a file or the environment */
} fields[] = {
    {"name", offsetof(struct user, name), false},
    {"password", offsetof(struct user, password), true},
    {"server_user", offsetof(struct user, server_user), false},
    {"server_password", offsetof(struct user, server_password), true},
};

static struct place place_of(const struct node *n) {
    return (struct place){n->line, n->column};
}

static bool set_field(size_t field, struct user *u, const struct node *key, struct conf_problems *ps) {
    const struct node *value = key->next;
    const char *name = fields[field].name;
    char **member = (char **)(void *)((char *)u + fields[field].offset);
    if (*member != NULL) {
        problem_error(ps, place_of(key), "users: %s is given twice in one entry", name);
        return false;
    }
    if (value->kind == NODE_MAP && value->n > 0 && fields[field].secret) {
        *member = secret_read(name, value, TEXT_LONGEST, ps);
        return *member != NULL;
    }
    if (value->kind != NODE_SCALAR || value->text[0] == '\0' || strlen(value->text) > TEXT_LONGEST) {
        problem_error(ps, place_of(value), "users: %s: allowed: a text of 1 to %d bytes%s", name, TEXT_LONGEST,
                      fields[field].secret ? ", {file: PATH} or {env: NAME}" : "");
        return false;
    }
    if (!fields[field].secret && strpbrk(value->text, " \t\r\n") != NULL) {
        problem_error(ps, place_of(value), "users: %s: must not hold blanks", name); /* no server has such users either */
        return false;
    }
    *member = mem_strdup(value->text);
    return true;
}

static bool take_field(struct user *u, const struct node *key, struct conf_problems *ps) {
    struct near near;
    struct quoted q;
    near_init(&near, key->text);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(key->text, fields[i].name) == 0) {
            return set_field(i, u, key, ps);
        }
        near_try(&near, fields[i].name);
    }
    bool like = near.best != NULL;
    problem_error(ps, place_of(key), "users: unknown field \"%s\"; allowed: name, password, server_user, server_password%s%s%s",
                  quote(&q, key->text), like ? "; did you mean \"" : "", like ? near.best : "", like ? "\"?" : "");
    return false;
}

bool user_parse(const struct node *node, struct conf_problems *ps, struct user *u) {
    *u = (struct user){0};
    if (node->kind != NODE_MAP) {
        problem_error(ps, place_of(node), "users: an entry must be a mapping; allowed: {name: N, password: P}");
        return false;
    }
    bool ok = true;
    for (const struct node *key = node->first; key != NULL; key = key->next->next) {
        ok = take_field(u, key, ps) && ok;
    }
    if (ok && (u->name == NULL || u->password == NULL)) {
        problem_error(ps, place_of(node), "users: an entry has no %s", u->name == NULL ? "name" : "password");
        ok = false;
    }
    if (!ok) {
        user_fini(u);
        return false;
    }
    if (u->server_user == NULL) {
        u->server_user = mem_strdup(u->name);
    }
    if (u->server_password == NULL) {
        u->server_password = mem_strdup(u->password);
    }
    return true;
}

void user_fini(struct user *u) {
    mem_free(u->name);
    mem_free(u->password);
    mem_free(u->server_user);
    mem_free(u->server_password);
    *u = (struct user){0};
}
