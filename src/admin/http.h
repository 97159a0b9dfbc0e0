/* http.h: the admin port: HTTP by libmicrohttpd, driven by control's loop. What is answered is in routes.def.
 *
 *   listener ─▶ on_accept ─▶ MHD_add_connection        its sockets are in an epoll of its own,
 *   watch of that epoll, timer ─▶ MHD_run              so numbers above 1023 are no matter
 *
 * No thread; nothing here waits. Bounded: HTTP_CONNECTIONS, what a request may hold (HTTP_MEMORY, FORM_MAX), and how long it
 * may take. Control thread. */
#ifndef KVMUX_ADMIN_HTTP_H
#define KVMUX_ADMIN_HTTP_H

#include "base/base.h"

struct conf_problems;
struct control;
struct http;

struct http_opts {
    int fd;            /* listens; -1: no admin port */
    const char *name;  /* the host as it was given with --admin; NULL: the default */
    const char *token; /* wins over the configuration's; NULL: none */
    const char *token_file; /* that it comes from, read again at a reload; NULL: none */
    bool local;        /* nobody outside this machine reaches it */
    bool unix_path;
};
struct http_counts {
    uint64_t connections, requests, refused, dropped; /* now; since the start */
};

/* False: libmicrohttpd cannot do without select() here, and there is no admin port (systems without epoll). */
bool http_possible(void);
/* NULL: no descriptors. Takes opts->fd. */
struct http *http_new(struct control *, const struct http_opts *);
/* The token in the file of --admin-token-file; NULL after telling the problem. Allocated. */
char *http_token(const char *path, struct conf_problems *);
/* Reads the token's file again. When that fails the token stays, and the log says so. NULL is fine. */
void http_read_token(struct http *);
void http_shut(struct http *); /* takes no more connections: another process does. NULL is fine */
void http_free(struct http **);
struct http_counts http_counts(const struct http *); /* NULL is fine */

#endif
