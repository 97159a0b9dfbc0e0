/* request.h: one request to the admin port, for those who answer it (routes.def). Each of their functions gives exactly one
 * answer, or keeps the request with request_wait and answers later. Control thread. */
#ifndef KVMUX_ADMIN_REQUEST_H
#define KVMUX_ADMIN_REQUEST_H

#include "admin/guard.h"
#include "base/str.h"

struct control;
struct request;

struct http_route {
    const char *method, *path, *args;
    void (*fn)(struct request *, struct control *);
    enum access access;
    const char *help;
};
extern const struct http_route http_routes[];
extern const uint32_t http_nroutes;

/* An argument of the query, or of a form in the body; p NULL: it is not there. Valid until the answer. */
struct slice request_arg(const struct request *, const char *name);
bool request_flag(const struct request *, const char *name); /* it is there, and 1 */
/* The index of the pool that the argument `pool` names; -1 after saying that there is none. */
int request_pool(struct request *, const struct control *);
const char *request_from(const struct request *);            /* the peer, for logs */

/* `body` is taken over, and left empty. */
void request_answer(struct request *, unsigned status, const char *type, struct str *body);
void request_json(struct request *, struct str *body); /* 200 */
/* A line of text. */
void request_say(struct request *, unsigned status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The answer comes later. */
void request_wait(struct request *);
/* After the answer was given to one that waited. */
void request_go_on(struct request *);

#define ROUTE(method, path, args, fn, access, help) void fn(struct request *, struct control *);
#include "admin/routes.def"
#undef ROUTE

#endif
