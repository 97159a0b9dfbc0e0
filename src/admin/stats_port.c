#include "admin/stats_port.h"

#include "admin/control_state.h"
#include "admin/json.h"
#include "base/mem.h"

#define READERS_MAX 64
#define READER_USEC 5000000 /* for a reader to take it all */

struct reader {
    struct stream stream;
    struct stats_port *port;
    struct list link;
    struct timer timer;
    char *text;
    size_t len, sent;
    bool eof; /* the reader will send no more */
};

static void reader_close(struct reader *r) {
    struct stats_port *port = r->port;
    timer_cancel(port->control->loop, &r->timer);
    stream_close(&r->stream);
    mem_free(r->text);
    r->text = NULL;
    port->nreaders--;
    list_remove(&r->link);
    list_push(&port->dead, &r->link);
}

void stats_port_bury(struct stats_port *port) {
    struct list *l;
    while ((l = list_pop(&port->dead)) != NULL) {
        mem_free(CONTAINER_OF(l, struct reader, link));
    }
}

static void reader_send(struct reader *r) {
    struct iovec iov = {r->text + r->sent, r->len - r->sent};
    r->sent += stream_send(&r->stream, &iov, 1);
    if (r->sent == r->len && r->eof) {
        reader_close(r);
    } else if (r->sent == r->len) {
        stream_shutdown(&r->stream); /* and wait for the reader's FIN, so that nothing is lost */
    }
}

static size_t reader_on_recv(struct stream *s, struct buf *b, struct slice in) {
    return in.n; /* an HTTP request, perhaps: not read */
}

static void reader_on_eof(struct stream *s) {
    struct reader *r = CONTAINER_OF(s, struct reader, stream);
    r->eof = true;
    if (r->sent == r->len) {
        reader_close(r);
    }
}

static void reader_on_room(struct stream *s) {
    reader_send(CONTAINER_OF(s, struct reader, stream));
}

static void reader_on_error(struct stream *s, enum reason why) {
    reader_close(CONTAINER_OF(s, struct reader, stream));
}

static void reader_on_timer(struct timer *t) {
    reader_close(CONTAINER_OF(t, struct reader, timer));
}

static const struct stream_ops reader_ops = {
    .on_recv = reader_on_recv,
    .on_eof = reader_on_eof,
    .on_room = reader_on_room,
    .on_error = reader_on_error,
};

static void stats_port_on_accept(struct listener *l, int fd) {
    struct stats_port *port = CONTAINER_OF(l, struct stats_port, listener);
    struct control *c = port->control;
    if (port->nreaders >= READERS_MAX) {
        return;
    }
    struct reader *r = mem_zalloc(sizeof *r);
    r->port = port;
    timer_init(&r->timer, reader_on_timer);
    list_push(&port->readers, &r->link);
    port->nreaders++;
    stream_accept(l, fd, &r->stream, &reader_ops, &(struct accept_opts){0});
    timer_set(c->loop, &r->timer, loop_now(c->loop) + READER_USEC);
    r->text = json_stats(c, &r->len);
    reader_send(r);
}

static void stats_port_on_paused(struct listener *l, enum reason why) {
    struct control *c = CONTAINER_OF(l, struct stats_port, listener)->control;
    if (log_pass(&c->log_limit, loop_now(c->loop), 10000000, 1)) {
        log_line(LOG_WARN, "stats_paused reason=\"%s\"", reason_words(why));
    }
}

static const struct listener_ops port_ops = {.on_accept = stats_port_on_accept, .on_paused = stats_port_on_paused};

void stats_port_start(struct stats_port *port, struct control *c, int fd) {
    *port = (struct stats_port){.control = c, .open = fd >= 0};
    list_init(&port->readers);
    list_init(&port->dead);
    if (port->open) {
        listener_start(c->loop, &port->listener, &port_ops, fd);
    }
}

void stats_port_shut(struct stats_port *port) {
    if (port->open) {
        listener_close(&port->listener);
        port->open = false;
    }
}

void stats_port_fini(struct stats_port *port) {
    while (!list_empty(&port->readers)) {
        reader_close(CONTAINER_OF(list_first(&port->readers), struct reader, link));
    }
    stats_port_bury(port);
    stats_port_shut(port);
}
