#include "base/mem.h"
#include "base/num.h"
#include "conf/entry.h"

#define LISTEN_FORMS "\"host:port [tls]\", \"[ipv6]:port [tls]\" or \"/path [permissions]\""

void listen_fini(struct conf_listen *l) {
    mem_free(l->text);
    mem_free(l->host);
    *l = (struct conf_listen){0};
}

/* nutcracker takes any text after the last blank as octal digits as far as they go; none at all mean "leave it". */
static bool parse_mode(const char *text, unsigned *mode) {
    *mode = 0;
    for (; *text >= '0' && *text <= '7'; text++) {
        *mode = *mode * 8 + (unsigned)(*text - '0');
        if (*mode > 0777) {
            return false;
        }
    }
    return true;
}

static bool parse_path(const char *text, struct place at, struct conf_problems *ps, struct conf_listen *l) {
    struct quoted q;
    const char *blank = strrchr(text, ' ');
    size_t len = blank != NULL ? (size_t)(blank - text) : strlen(text);
    if (blank != NULL && strcmp(blank, " tls") == 0) {
        problem_error(ps, at, "listen: \"%s\": unix sockets do not speak TLS", quote(&q, text));
        return false;
    }
    if (blank != NULL) {
        if (!parse_mode(blank + 1, &l->unix_mode)) {
            problem_error(ps, at, "listen: permissions \"%s\" are out of range; allowed: octal, up to 0777",
                          quote(&q, blank + 1));
            return false;
        }
        if (blank[1] == '\0' || strspn(blank + 1, "01234567") != strlen(blank + 1)) {
            problem_warn(ps, at, "listen: permissions \"%s\" are not octal digits, %o is used (0: the system's default)",
                         quote(&q, blank + 1), l->unix_mode);
        }
    }
    if (!addr_unix(&l->addr, slice(text, len))) {
        problem_error(ps, at, "listen: the path of \"%s\" is too long; allowed: up to 107 bytes", quote(&q, text));
        return false;
    }
    return true;
}

static bool find_addr(const char *host, uint16_t port, conf_resolve_fn *resolve, struct place at,
                      struct conf_problems *ps, struct addr *addr) {
    if (strcmp(host, "*") == 0) {
        /* What glibc makes of it for nutcracker. A new program must not open a port to the world silently. */
        problem_warn(ps, at, "listen: \"*\" means loopback (::1) only, as in nutcracker; for all addresses write 0.0.0.0:%u "
                             "or \"[::]:%u\"", port, port);
        return addr_ip(addr, slice_str("::1"), port);
    }
    if (addr_ip(addr, slice_str(host), port)) {
        return true;
    }
    const char *why = "it is not a numeric address";
    if (resolve != NULL && resolve(host, port, addr, &why)) {
        return true;
    }
    struct quoted q;
    problem_error(ps, at, "listen: host \"%s\" cannot be resolved: %s", quote(&q, host), why);
    return false;
}

static bool parse_tcp(const char *text, conf_resolve_fn *resolve, struct place at, struct conf_problems *ps,
                      struct conf_listen *l) {
    struct quoted q;
    const char *colon = strrchr(text, ':'), *blank = strrchr(text, ' ');
    l->tls = blank != NULL && strcmp(blank, " tls") == 0;
    if (colon == NULL || colon == text) {
        problem_error(ps, at, "listen: \"%s\" has no %s; allowed: " LISTEN_FORMS, quote(&q, text),
                      colon == NULL ? "port" : "host");
        return false;
    }
    uint64_t port;
    const char *digits = colon + 1 + strspn(colon + 1, "0");
    if (!num_u64(slice(digits, l->tls ? (size_t)(blank - digits) : strlen(digits)), &port) || port > 65535) {
        problem_error(ps, at, "listen: \"%s\" has an invalid port; allowed: 1 to 65535", quote(&q, text));
        return false;
    }
    struct slice host = slice(text, (size_t)(colon - text));
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        host = slice(host.p + 1, host.n - 2);
    }
    char *name = mem_strndup(host);
    if (!find_addr(name, (uint16_t)port, resolve, at, ps, &l->addr)) {
        mem_free(name);
        return false;
    }
    l->host = name;
    l->port = (uint16_t)port;
    return true;
}

bool listen_parse(const struct node *node, conf_resolve_fn *resolve, struct conf_problems *ps, struct conf_listen *l) {
    struct place at = {node->line, node->column};
    *l = (struct conf_listen){.line = node->line, .column = node->column};
    if (node->kind != NODE_SCALAR || node->text[0] == '\0') {
        problem_error(ps, at, "listen: %s; allowed: " LISTEN_FORMS ", or a list of them; addresses in brackets stand in "
                              "quotes", node->kind == NODE_SCALAR ? "has no value" : "not an address");
        return false;
    }
    bool ok = node->text[0] == '/' ? parse_path(node->text, at, ps, l) : parse_tcp(node->text, resolve, at, ps, l);
    if (ok) {
        l->text = mem_strdup(node->text);
    }
    return ok;
}
