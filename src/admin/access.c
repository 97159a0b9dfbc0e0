#include "admin/access.h"

#include "admin/control_state.h"
#include "admin/log_json.h"
#include "base/mem.h"
#include "core/trace.h"
#include "io/append.h"

#define PERIOD_USEC 100000
#define CHUNK       65536 /* bytes that are written at a time */

/* ---- a line ---- */

static void put_text(struct str *to, const char *name, const char *value) {
    str_format(to, ",\"%s\":", name);
    str_quote(to, slice_str(value));
}

static void put_number(struct str *to, const char *name, uint64_t value) {
    str_format(to, ",\"%s\":%llu", name, (unsigned long long)value);
}

/* As the log shows bytes; "..." behind one that was cut. */
static void put_key(struct str *to, const struct trace *t) {
    char text[4 * TRACE_KEY_MAX + 16];
    log_quote(text, sizeof text - 4, slice(t->key, min_size(t->key_len, TRACE_KEY_MAX)));
    if (t->key_len > TRACE_KEY_MAX) {
        strcat(text, "...");
    }
    put_text(to, "key", text);
}

static const char *outcome(const struct trace *t) {
    switch (t->outcome) {
    case TRACE_OK: return "ok";
    case TRACE_ERROR: return "error";
    case TRACE_REFUSED: return "refused";
    case TRACE_LEFT: return "client_left";
    default: return reason_name(t->why);
    }
}

void access_line(struct str *to, const struct trace *t) {
    log_json_time(to, t->wall_usec);
    put_text(to, "pool", t->pool);
    put_text(to, "client", t->client);
    put_text(to, "command", t->command != NULL ? t->command : "");
    put_key(to, t);
    put_number(to, "keys", t->nkeys);
    put_text(to, "server", t->server);
    put_text(to, "outcome", outcome(t));
    put_number(to, "bytes_in", t->bytes_in);
    put_number(to, "bytes_out", t->bytes_out);
    put_number(to, "usec", t->total);
    put_number(to, "receive_usec", t->receive);
    put_number(to, "queue_usec", t->queue);
    put_number(to, "server_usec", t->at_server);
    put_number(to, "order_usec", t->order);
    put_number(to, "client_usec", t->write);
    str_put(to, "}\n");
}

/* ---- the file ---- */

static void put_out(struct access_log *a, struct str *lines, uint64_t n) {
    if (a->fd >= 0 && append_write(a->fd, slice(lines->p, lines->n))) {
        a->lines += n;
    } else {
        a->lost += n;
    }
    lines->n = 0;
}

void access_write(struct access_log *a) {
    struct control *c = a->control;
    struct str lines = {0};
    struct trace t;
    uint64_t n = 0;
    for (uint32_t w = 0; w < c->nworkers; w++) {
        /* so many at most: a worker that goes on while we write must not hold us */
        for (uint32_t i = 0; i < TRACE_RING && trace_take(c->workers[w], &t); i++) {
            access_line(&lines, &t);
            n++;
            if (lines.n >= CHUNK) {
                put_out(a, &lines, n);
                n = 0;
            }
        }
    }
    put_out(a, &lines, n);
    str_fini(&lines);
}

static void access_on_timer(struct timer *t) {
    struct access_log *a = CONTAINER_OF(t, struct access_log, timer);
    access_write(a);
    if (a->path != NULL) {
        timer_set(a->control->loop, t, loop_now(a->control->loop) + PERIOD_USEC);
    }
}

/* False, and nothing was changed. */
static bool open_path(struct access_log *a, const char *path) {
    const char *why = "";
    int fd = append_open(path, &why);
    if (fd < 0) {
        log_line(LOG_ERROR, "access_log_failed file=%s reason=\"%s\"", path, why);
        return false;
    }
    append_close(a->fd);
    a->fd = fd;
    return true;
}

static void shut(struct access_log *a) {
    append_close(a->fd);
    a->fd = -1;
    mem_free(a->path);
    a->path = NULL;
}

void access_follow(struct access_log *a) {
    const struct conf *conf = a->control->conf;
    const char *path = conf->access_log;
    if (path != NULL && a->path != NULL && strcmp(path, a->path) == 0) {
        return;
    }
    access_write(a); /* to the file that it was for */
    shut(a);
    if (path != NULL) {
        open_path(a, path); /* else what comes is lost, and counted; SIGUSR1 tries again */
        a->path = mem_strdup(path);
        timer_set(a->control->loop, &a->timer, loop_now(a->control->loop) + PERIOD_USEC);
    }
}

void access_reopen(struct access_log *a) {
    if (a->path != NULL) {
        access_write(a);
        open_path(a, a->path);
    }
}

void access_init(struct access_log *a, struct control *c) {
    *a = (struct access_log){.control = c, .fd = -1};
    timer_init(&a->timer, access_on_timer);
    access_follow(a);
}

void access_fini(struct access_log *a) {
    timer_cancel(a->control->loop, &a->timer);
    shut(a);
}
