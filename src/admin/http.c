#include "admin/http.h"

#include "admin/control_state.h"
#include "admin/page.h"
#include "admin/request.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/keys.h"
#include "conf/problem.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>

#define HTTP_CONNECTIONS 64
#define HTTP_MEMORY 16384     /* of a connection: request line and headers, then those of the answer */
#define BODY_MAX 4096
#define FIELDS_MAX 4          /* of a form */
#define TOKEN_MAX 1024        /* bytes */
#define REQUEST_USEC 10000000 /* until the first request is there whole, headers and all */
#define ANSWER_USEC 30000000  /* for its body and the answer */
#define LAST_RUNS 3           /* of MHD: a connection goes on, is asked for its answer, sends it */
#define IDLE_USEC 120000000   /* between two requests: longer than Prometheus' usual pauses */

struct http {
    struct control *control;
    struct http_opts opts;
    char *token; /* opts.token as it was read last; NULL: not again since the start */
    struct MHD_Daemon *daemon;
    struct listener listener;
    struct guest epoll; /* MHD's */
    struct timer timer; /* MHD has something to do without an event */
    struct http_counts counts;
};

struct conn {
    struct http *http;
    struct timer timer;
    int fd;
    bool idle; /* between two requests: its end is nothing to count */
    char from[ADDR_TEXT_MAX];
};

struct field {
    char name[32];
    struct str value;
};

struct request {
    struct http *http;
    struct conn *conn;
    struct MHD_Connection *connection;
    const struct http_route *route; /* NULL: none fits */
    struct MHD_PostProcessor *form; /* NULL: the body, if there is one, is none */
    struct field fields[FIELDS_MAX];
    uint32_t nfields;
    size_t nbody;
    bool suspended;
    unsigned status; /* 0: no answer yet */
    const char *type;
    struct str body;
    char allow[32]; /* 405 */
};

/* ---- running ---- */

static void http_run(struct http *h) {
    MHD_UNSIGNED_LONG_LONG msec;
    struct loop *loop = h->control->loop;
    MHD_run(h->daemon);
    if (MHD_get_timeout(h->daemon, &msec) == MHD_YES) {
        timer_set(loop, &h->timer, loop_now(loop) + (int64_t)msec * 1000);
    } else {
        timer_cancel(loop, &h->timer);
    }
}

static void http_on_events(struct guest *g) {
    http_run(CONTAINER_OF(g, struct http, epoll));
}

static void http_on_timer(struct timer *t) {
    http_run(CONTAINER_OF(t, struct http, timer));
}

static void http_log(void *ctx, const char *format, va_list args) {
    char text[256], line[512];
    vsnprintf(text, sizeof text, format, args);
    log_line(LOG_DEBUG, "admin_http text=\"%s\"", log_quote(line, sizeof line, slice(text, strcspn(text, "\n"))));
}

/* ---- connections ---- */

static void conn_on_timer(struct timer *t) {
    struct conn *c = CONTAINER_OF(t, struct conn, timer);
    c->http->counts.dropped += !c->idle;
    listener_hang_up(c->fd); /* MHD sees its end, and closes it */
}

static void conn_allow(struct conn *c, int64_t usec, bool idle) {
    struct loop *loop = c->http->control->loop;
    c->idle = idle;
    timer_set(loop, &c->timer, loop_now(loop) + usec);
}

static void http_on_accept(struct listener *l, int fd) {
    struct http *h = CONTAINER_OF(l, struct http, listener);
    if (h->counts.connections >= HTTP_CONNECTIONS) {
        h->counts.dropped++;
        if (log_pass(&h->control->log_limit, loop_now(h->control->loop), 10000000, 1)) {
            log_line(LOG_WARN, "admin_full connections=%d", HTTP_CONNECTIONS);
        }
        return;
    }
    struct addr peer;
    listener_take(l, fd, &peer);
    if (MHD_add_connection(h->daemon, fd, (const struct sockaddr *)(const void *)&peer.sa, peer.len) != MHD_YES) {
        h->counts.dropped++; /* MHD has closed it */
    }
}

static void http_on_paused(struct listener *l, enum reason why) {
    struct http *h = CONTAINER_OF(l, struct http, listener);
    if (log_pass(&h->control->log_limit, loop_now(h->control->loop), 10000000, 1)) {
        log_line(LOG_WARN, "admin_paused reason=\"%s\"", reason_words(why));
    }
}

static const struct listener_ops http_ops = {.on_accept = http_on_accept, .on_paused = http_on_paused};

static struct conn *conn_new(struct http *h, struct MHD_Connection *connection) {
    struct conn *c = mem_zalloc(sizeof *c);
    c->http = h;
    c->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    const struct sockaddr *peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr;
    strcpy(c->from, "unix");
    if (peer != NULL && (peer->sa_family == AF_INET || peer->sa_family == AF_INET6)) {
        struct addr addr = {.len = peer->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)};
        memcpy(addr.sa.bytes, peer, addr.len);
        addr_text(&addr, c->from, sizeof c->from);
    }
    timer_init(&c->timer, conn_on_timer);
    h->counts.connections++;
    conn_allow(c, REQUEST_USEC, false);
    return c;
}

static void conn_free(struct conn *c) {
    timer_cancel(c->http->control->loop, &c->timer);
    c->http->counts.connections--;
    mem_free(c);
}

static void http_on_connection(void *ctx, struct MHD_Connection *connection, void **conn, enum MHD_ConnectionNotificationCode what) {
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        *conn = conn_new(ctx, connection);
    } else if (*conn != NULL) {
        conn_free(*conn);
        *conn = NULL;
    }
}

/* ---- a request ---- */

/* A piece of a form: a field may come in several. */
static enum MHD_Result request_on_field(void *ctx, enum MHD_ValueKind kind, const char *name, const char *file, const char *type,
                                        const char *coding, const char *data, uint64_t at, size_t n) {
    struct request *r = ctx;
    if (at == 0) {
        if (r->nfields == FIELDS_MAX) {
            return MHD_NO;
        }
        snprintf(r->fields[r->nfields++].name, sizeof r->fields->name, "%s", name);
    }
    str_put_slice(&r->fields[r->nfields - 1].value, slice(data, n));
    return MHD_YES;
}

static const char *header(const struct request *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

struct slice request_arg(const struct request *r, const char *name) {
    const char *value;
    size_t n;
    if (MHD_lookup_connection_value_n(r->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, &n) == MHD_YES) {
        return slice(value != NULL ? value : "", n);
    }
    for (uint32_t i = 0; i < r->nfields; i++) {
        if (strcmp(r->fields[i].name, name) == 0) {
            return slice(r->fields[i].value.p != NULL ? r->fields[i].value.p : "", r->fields[i].value.n);
        }
    }
    return slice(NULL, 0);
}

bool request_flag(const struct request *r, const char *name) {
    return slice_is(request_arg(r, name), "1");
}

const char *request_from(const struct request *r) {
    return r->conn->from;
}

void request_answer(struct request *r, unsigned status, const char *type, struct str *body) {
    ASSERT(r->status == 0);
    r->status = status;
    r->type = type;
    r->body = *body;
    *body = (struct str){0};
}

void request_json(struct request *r, struct str *body) {
    request_answer(r, 200, "application/json", body);
}

void request_say(struct request *r, unsigned status, const char *format, ...) {
    char text[400];
    struct str body = {0};
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    str_put(&body, text);
    str_put(&body, "\n");
    request_answer(r, status, "text/plain; charset=utf-8", &body);
}

/* ---- which route, and may it? ---- */

static bool method_fits(const struct http_route *route, const char *method) {
    return strcmp(route->method, method) == 0 || (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static void request_say_routes(struct request *r) {
    struct str text = {0};
    str_put(&text, "There is no such path. There are:\n\n");
    for (uint32_t i = 0; i < http_nroutes; i++) {
        const struct http_route *route = &http_routes[i];
        str_format(&text, "  %-4s %-16s %s%s%s%s\n", route->method, route->path, route->help, route->args[0] != '\0' ? " (" : "",
                   route->args, route->args[0] != '\0' ? ")" : "");
    }
    request_answer(r, 404, "text/plain; charset=utf-8", &text);
}

static void request_find(struct request *r, const char *method, const char *path) {
    bool there = false;
    for (uint32_t i = 0; i < http_nroutes; i++) {
        if (strcmp(http_routes[i].path, path) != 0) {
            continue;
        }
        if (method_fits(&http_routes[i], method)) {
            r->route = &http_routes[i];
            return;
        }
        there = true;
        size_t n = strlen(r->allow);
        bool get = strcmp(http_routes[i].method, "GET") == 0;
        snprintf(r->allow + n, sizeof r->allow - n, "%s%s", n > 0 ? ", " : "", get ? "GET, HEAD" : http_routes[i].method);
    }
    if (there) {
        request_say(r, 405, "allowed: %s", r->allow);
    } else {
        request_say_routes(r);
    }
}

static void request_judge(struct request *r) {
    const struct http *h = r->http;
    const char *conf_token = h->control->conf->admin_token;
    const struct guard guard = {
        .name = h->opts.name,
        .token = h->opts.token != NULL ? h->opts.token : conf_token,
        .local = h->opts.local,
        .unix_path = h->opts.unix_path,
    };
    const struct visitor visitor = {
        .host = header(r, "Host"),
        .origin = header(r, "Origin"),
        .fetch_site = header(r, "Sec-Fetch-Site"),
        .authorization = header(r, "Authorization"),
    };
    enum guard_says said = guard_judge(&guard, r->route->access, &visitor);
    if (said != GUARD_PASS) {
        r->http->counts.refused++;
        request_say(r, said == GUARD_TOKEN ? 401 : 403, "%s", guard_words(said));
    }
}

/* ---- its answer ---- */

static void request_free(struct request *r) {
    if (r->form != NULL) {
        MHD_destroy_post_processor(r->form);
    }
    for (uint32_t i = 0; i < r->nfields; i++) {
        str_fini(&r->fields[i].value);
    }
    str_fini(&r->body);
    mem_free(r);
}

static enum MHD_Result request_send(struct request *r) {
    struct MHD_Response *answer = MHD_create_response_from_buffer_with_free_callback(r->body.n, r->body.p, mem_free);
    if (answer == NULL) {
        return MHD_NO;
    }
    r->body = (struct str){0};
    bool page = r->type == page_type;
    MHD_add_response_header(answer, "Content-Type", r->type);
    MHD_add_response_header(answer, "Cache-Control", "no-store");
    MHD_add_response_header(answer, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(answer, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(answer, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(answer, "Content-Security-Policy", page ? page_policy : "default-src 'none'; frame-ancestors 'none'");
    if (r->status == 401) {
        MHD_add_response_header(answer, "WWW-Authenticate", "Bearer");
    } else if (r->status == 405) {
        MHD_add_response_header(answer, "Allow", r->allow);
    }
    enum MHD_Result ok = MHD_queue_response(r->connection, r->status, answer);
    MHD_destroy_response(answer);
    return ok;
}

/* Who gives the answer bounds the wait. */
void request_wait(struct request *r) {
    r->suspended = true;
    timer_cancel(r->http->control->loop, &r->conn->timer);
    MHD_suspend_connection(r->connection);
}

void request_go_on(struct request *r) {
    struct http *h = r->http;
    ASSERT(r->status != 0 && r->suspended);
    r->suspended = false;
    conn_allow(r->conn, ANSWER_USEC, false);
    MHD_resume_connection(r->connection);
    timer_set(h->control->loop, &h->timer, loop_now(h->control->loop)); /* for MHD to notice */
}

/* The first sight of a request: its headers. What is wrong with it is answered before its body is read. */
static enum MHD_Result request_begin(struct request *r, const char *method, const char *path) {
    uint64_t length = 0;
    const char *text = header(r, "Content-Length");
    r->http->counts.requests++;
    conn_allow(r->conn, ANSWER_USEC, false);
    request_find(r, method, path);
    if (r->route != NULL) {
        request_judge(r);
    }
    if (r->status == 0 && text != NULL && (!num_u64(slice_str(text), &length) || length > BODY_MAX)) {
        request_say(r, 413, "a body has at most %d bytes; arguments may stand in the query, too", BODY_MAX);
    }
    if (r->status == 0) {
        r->form = MHD_create_post_processor(r->connection, 512, request_on_field, r);
    }
    return r->status != 0 ? request_send(r) : MHD_YES;
}

static enum MHD_Result request_take_body(struct request *r, const char *data, size_t n) {
    r->nbody += n;
    if (r->nbody > BODY_MAX) { /* one without a length is found out here */
        return MHD_NO;
    }
    if (r->status == 0 && r->form != NULL && MHD_post_process(r->form, data, n) != MHD_YES) {
        request_say(r, 400, "the form in the body is broken, or has more than %d fields", FIELDS_MAX);
    }
    return MHD_YES;
}

static enum MHD_Result http_on_request(void *ctx, struct MHD_Connection *connection, const char *path, const char *method,
                                       const char *version, const char *data, size_t *n, void **request) {
    struct http *h = ctx;
    struct request *r = *request;
    if (r == NULL) {
        *request = r = mem_zalloc(sizeof *r);
        r->http = h;
        r->connection = connection;
        r->conn = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
        return request_begin(r, method, path);
    }
    if (*n > 0) {
        enum MHD_Result ok = request_take_body(r, data, *n);
        *n = 0;
        return ok;
    }
    if (r->status == 0 && !r->suspended) {
        r->route->fn(r, h->control);
    }
    return r->suspended ? MHD_YES : request_send(r);
}

static void http_on_completed(void *ctx, struct MHD_Connection *connection, void **request, enum MHD_RequestTerminationCode code) {
    struct request *r = *request;
    if (r != NULL) {
        conn_allow(r->conn, IDLE_USEC, true);
        request_free(r);
        *request = NULL;
    }
}

/* ---- begin and end ---- */

struct http_counts http_counts(const struct http *h) {
    return h != NULL ? h->counts : (struct http_counts){0};
}

bool http_possible(void) {
    return MHD_is_feature_supported(MHD_FEATURE_EPOLL) == MHD_YES;
}

struct http *http_new(struct control *c, const struct http_opts *opts) {
    struct http *h = mem_zalloc(sizeof *h);
    h->control = c;
    h->opts = *opts;
    timer_init(&h->timer, http_on_timer);
    h->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, http_on_request, h,
        MHD_OPTION_EXTERNAL_LOGGER, http_log, h, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
        http_on_connection, h, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HTTP_MEMORY, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    const union MHD_DaemonInfo *info = h->daemon != NULL ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (info == NULL || !guest_start(c->loop, &h->epoll, info->epoll_fd, http_on_events)) {
        http_free(&h);
        return NULL;
    }
    listener_start(c->loop, &h->listener, &http_ops, opts->fd);
    return h;
}

char *http_token(const char *path, struct conf_problems *ps) {
    return secret_read_file("--admin-token-file", path, TOKEN_MAX, (struct place){0, 0}, ps);
}

void http_read_token(struct http *h) {
    struct conf_problems ps = {0};
    if (h == NULL || h->opts.token_file == NULL) {
        return;
    }
    char *token = http_token(h->opts.token_file, &ps);
    if (token == NULL) {
        log_line(LOG_WARN, "admin_token_kept reason=\"%s\" note=\"the token of before is still the one that counts\"", ps.v[0].text);
    } else {
        mem_free(h->token);
        h->opts.token = h->token = token;
    }
    conf_problems_fini(&ps);
}

void http_shut(struct http *h) {
    if (h != NULL && h->listener.loop != NULL) {
        listener_close(&h->listener);
    }
}

void http_free(struct http **hp) {
    struct http *h = *hp;
    *hp = NULL;
    if (h == NULL) {
        return;
    }
    http_shut(h);
    guest_end(&h->epoll);
    if (h->daemon != NULL) {
        for (int i = 0; i < LAST_RUNS; i++) { /* who waited was told at the last moment: short answers still leave */
            MHD_run(h->daemon);
        }
        MHD_stop_daemon(h->daemon);
    }
    timer_cancel(h->control->loop, &h->timer);
    mem_free(h->token);
    mem_free(h);
}
