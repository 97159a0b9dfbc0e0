#include "conf/entry.h"

#include "base/mem.h"
#include "base/num.h"
#include "conf/keys.h"
#include "conf/near.h"

#include <stdio.h>

#define SERVER_FORMS "\"host:port:weight [name]\" or \"/path:weight [name]\""
#define WEIGHT_MAX INT32_MAX
#define PORT_UNNAMED 11211 /* left out of the name of a server that has none of its own (compat part 4.1) */

int name_compare(const char *a, const char *b) {
    size_t na = strlen(a), nb = strlen(b);
    if (na != nb) {
        return na < nb ? -1 : 1;
    }
    return memcmp(a, b, na);
}

void conf_server_fini(struct conf_server *s) {
    mem_free(s->name);
    mem_free(s->host);
    mem_free(s->address);
    *s = (struct conf_server){0};
}

static char *join(const char *a, const char *b, const char *c) {
    size_t n = strlen(a) + strlen(b) + strlen(c) + 1;
    char *text = mem_alloc(n);
    snprintf(text, n, "%s%s%s", a, b, c);
    return text;
}

/* The parts of an entry, as written. NULL: not given. */
struct parts {
    char *host, *path, *port, *weight, *name;
    struct place host_at, port_at, weight_at, name_at;
};

static void parts_fini(struct parts *p) {
    mem_free(p->host);
    mem_free(p->path);
    mem_free(p->port);
    mem_free(p->weight);
    mem_free(p->name);
}

static bool parse_range(const char *text, uint64_t max, uint64_t *out) {
    size_t zeros = strspn(text, "0");
    return num_u64(slice_str(text + zeros), out) && *out <= max;
}

static bool parse_weight(const struct parts *p, struct conf_problems *ps, uint32_t *weight) {
    struct quoted q;
    uint64_t v = 1;
    if (p->weight != NULL && !parse_range(p->weight, WEIGHT_MAX, &v)) {
        size_t n = strlen(p->weight);
        bool zero = n > 0 && strspn(p->weight, "0") == n;
        problem_error(ps, p->weight_at, "servers: %s weight \"%s\"; allowed: 1 to %d, in " SERVER_FORMS
                                        " (one blank before the name, none inside it)",
                      zero ? "zero" : "invalid", quote(&q, p->weight), WEIGHT_MAX);
        return false;
    }
    *weight = (uint32_t)v;
    return true;
}

/* Name and address of a unix socket. */
static bool make_unix(const struct parts *p, struct conf_problems *ps, struct conf_server *s) {
    struct quoted q;
    if (!addr_unix(&s->addr, slice_str(p->path))) {
        problem_error(ps, p->host_at, "servers: path \"%s\" is too long; allowed: up to 107 bytes", quote(&q, p->path));
        return false;
    }
    s->address = mem_strdup(p->path);
    s->name = p->name != NULL ? mem_strdup(p->name) : join(p->path, ":", "");
    return true;
}

static bool make_tcp(const struct parts *p, struct conf_problems *ps, struct conf_server *s) {
    struct quoted q;
    uint64_t port;
    if (!parse_range(p->port, 65535, &port)) {
        problem_error(ps, p->port_at, "servers: invalid port \"%s\"; allowed: 1 to 65535", quote(&q, p->port));
        return false;
    }
    s->port = (uint16_t)port;
    struct slice host = slice_str(p->host);
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        host = slice(host.p + 1, host.n - 2); /* only here: the name keeps what was written */
    }
    if (host.n == 0) {
        problem_warn(ps, p->host_at, "servers: an entry has no host, it will never be reached");
    }
    s->host = mem_strndup(host);
    if (!addr_ip(&s->addr, host, s->port)) {
        s->addr = (struct addr){0};
    }
    bool bare_ipv6 = memchr(host.p, ':', host.n) != NULL && p->host[0] != '[';
    char *bracketed = bare_ipv6 ? join("[", p->host, "]") : mem_strdup(p->host);
    s->address = join(bracketed, ":", p->port);
    mem_free(bracketed);
    s->name = p->name != NULL       ? mem_strdup(p->name)
              : port == PORT_UNNAMED ? mem_strdup(p->host)
                                     : join(p->host, ":", p->port);
    return true;
}

static bool make_server(const struct parts *p, struct conf_problems *ps, struct conf_server *s) {
    bool ok = parse_weight(p, ps, &s->weight);
    ok = (p->path != NULL ? make_unix(p, ps, s) : make_tcp(p, ps, s)) && ok;
    if (p->name != NULL && p->name[0] == '\0') {
        problem_warn(ps, p->name_at, "servers: an entry ends in a blank, so its name is the empty text, as in nutcracker");
    }
    if (!ok) {
        conf_server_fini(s);
    }
    return ok;
}

/* Takes the text behind the last `sep` off `rest`; NULL when there is none. */
static char *take_last(struct slice *rest, char sep) {
    const uint8_t *at = slice_last(*rest, sep);
    if (at == NULL) {
        return NULL;
    }
    char *part = mem_strndup(slice(at + 1, rest->n - (size_t)(at + 1 - rest->p)));
    rest->n = (size_t)(at - rest->p);
    return part;
}

/* From the right: the name behind the last blank, the weight behind the last colon, the port behind the next. */
static bool parse_text(const struct node *node, struct conf_problems *ps, struct conf_server *s) {
    struct place at = {node->line, node->column};
    struct parts p = {.host_at = at, .port_at = at, .weight_at = at, .name_at = at};
    struct slice rest = slice_str(node->text);
    bool is_path = node->text[0] == '/', ok;
    p.name = take_last(&rest, ' ');
    p.weight = take_last(&rest, ':');
    if (!is_path && p.weight != NULL) {
        p.port = take_last(&rest, ':');
    }
    struct quoted q;
    if (p.weight == NULL || (!is_path && p.port == NULL)) {
        problem_error(ps, at, "servers: \"%s\" has no %s; allowed: " SERVER_FORMS, quote(&q, node->text),
                      is_path ? "weight" : "port and weight");
        ok = false;
    } else if (is_path && memchr(rest.p, ':', rest.n) != NULL) {
        problem_error(ps, at, "servers: \"%s\": a path with a colon must be written as {path: ..., weight: ...}",
                      quote(&q, node->text));
        ok = false;
    } else {
        *(is_path ? &p.path : &p.host) = mem_strndup(rest);
        ok = make_server(&p, ps, s);
    }
    parts_fini(&p);
    return ok;
}

static const char *const fields[] = {"host", "path", "port", "weight", "name"};

static bool take_field(struct parts *p, const struct node *key, const struct node *value, struct conf_problems *ps) {
    struct place at = {value->line, value->column};
    char **const slots[] = {&p->host, &p->path, &p->port, &p->weight, &p->name};
    struct place *const places[] = {&p->host_at, &p->host_at, &p->port_at, &p->weight_at, &p->name_at};
    struct near near;
    near_init(&near, key->text);
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(key->text, fields[i]) == 0) {
            if (*slots[i] != NULL) {
                problem_error(ps, (struct place){key->line, key->column}, "servers: %s is given twice in one entry", fields[i]);
                return false;
            }
            if (value->kind != NODE_SCALAR || value->text[0] == '\0') {
                problem_error(ps, at, "servers: %s has no value", fields[i]);
                return false;
            }
            *slots[i] = mem_strdup(value->text);
            *places[i] = at;
            return true;
        }
        near_try(&near, fields[i]);
    }
    struct quoted q;
    problem_error(ps, (struct place){key->line, key->column}, "servers: unknown field \"%s\"; allowed: host, path, port, weight, name%s%s%s",
                  quote(&q, key->text), near.best != NULL ? "; did you mean \"" : "", near.best != NULL ? near.best : "",
                  near.best != NULL ? "\"?" : "");
    return false;
}

static bool parse_map(const struct node *node, struct conf_problems *ps, struct conf_server *s) {
    struct place at = {node->line, node->column};
    struct parts p = {.host_at = at, .port_at = at, .weight_at = at, .name_at = at};
    bool ok = true;
    for (const struct node *key = node->first; key != NULL; key = key->next->next) {
        ok = take_field(&p, key, key->next, ps) && ok;
    }
    bool whole = p.path != NULL ? p.host == NULL && p.port == NULL : p.host != NULL && p.port != NULL;
    if (ok && !whole) {
        problem_error(ps, at, "servers: an entry needs host and port, or path; allowed: {host, port, weight, name} or {path, "
                              "weight, name}");
        ok = false;
    }
    ok = ok && make_server(&p, ps, s);
    parts_fini(&p);
    return ok;
}

bool server_parse(const struct node *node, struct conf_problems *ps, struct conf_server *s) {
    *s = (struct conf_server){.line = node->line};
    if (node->kind == NODE_MAP) {
        return parse_map(node, ps, s);
    }
    if (node->kind == NODE_LIST || node->text[0] == '\0') {
        problem_error(ps, (struct place){node->line, node->column}, "servers: %s; allowed: " SERVER_FORMS,
                      node->kind == NODE_LIST ? "a list inside the list" : "an empty entry");
        return false;
    }
    return parse_text(node, ps, s);
}
