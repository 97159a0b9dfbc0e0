#include "main/admin_port.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/problem.h"

#include <stdio.h>

static bool read_token(struct admin_port *port, const char *path, char *why, size_t room) {
    struct conf_problems problems = {0};
    port->token = http_token(path, &problems);
    if (port->token == NULL) {
        snprintf(why, room, "%s", problems.v[0].text);
    }
    conf_problems_fini(&problems);
    port->opts.token = port->token;
    port->opts.token_file = path;
    return port->token != NULL;
}

/* "host:port" or "[ipv6]:port" */
static bool find_tcp(struct admin_port *port, const char *text, struct addr *addr, const char **why) {
    const char *colon = strrchr(text, ':');
    uint64_t number;
    *why = "allowed: HOST:PORT, a path that starts with /, or none";
    if (colon == NULL || colon == text || !num_u64(slice_str(colon + 1), &number) || number < 1 || number > 65535) {
        return false;
    }
    struct slice host = slice(text, (size_t)(colon - text));
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        host = slice(host.p + 1, host.n - 2);
    }
    port->host = mem_strndup(host);
    port->opts.name = port->host;
    return addr_ip(addr, host, (uint16_t)number) || listeners_resolve(port->host, (uint16_t)number, addr, why);
}

static bool find_addr(struct admin_port *port, const char *text, struct addr *addr, char *why, size_t room) {
    const char *reason = "the path is too long";
    bool unix_path = text[0] == '/';
    if (unix_path ? !addr_unix(addr, slice_str(text)) : !find_tcp(port, text, addr, &reason)) {
        snprintf(why, room, "admin address '%s': %s", text, reason);
        return false;
    }
    port->opts.unix_path = unix_path;
    port->opts.local = addr_is_local(addr);
    return true;
}

bool admin_port_open(struct admin_port *port, const struct args *a, const struct conf *conf, struct listeners *listeners, char *why,
                     size_t room) {
    struct addr addr;
    char text[ADDR_TEXT_MAX];
    *port = (struct admin_port){.opts.fd = -1};
    if (strcmp(a->admin, "none") == 0) {
        return true;
    }
    if ((a->admin_token_file != NULL && !read_token(port, a->admin_token_file, why, room)) ||
        !find_addr(port, a->admin, &addr, why, room)) {
        return false;
    }
    if (!http_possible()) {
        snprintf(why, room, "admin address '%s': this system has no epoll", a->admin);
    }
    if (!http_possible() || !listeners_open_admin(listeners, &addr, &port->opts.fd, why, room)) {
        port->opts.fd = -1;
        if (!a->admin_given) {
            log_line(LOG_WARN, "listen_admin_failed reason=\"%s\" note=\"there is no admin port; --admin gives it another address\"", why);
        }
        return !a->admin_given;
    }
    log_line(LOG_NOTICE, "listen_admin address=%s", addr_text(&addr, text, sizeof text));
    if (!port->opts.local && port->token == NULL && conf->admin_token == NULL) {
        log_line(LOG_WARN, "admin_without_token address=%s note=\"other machines can read everything there; POST is refused until there is an "
                           "admin_token\"", text);
    }
    return true;
}

void admin_port_fini(struct admin_port *port) {
    mem_free(port->host);
    mem_free(port->token);
    *port = (struct admin_port){.opts.fd = -1};
}
