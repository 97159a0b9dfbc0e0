#include "admin/learn.h"

#include "admin/control_state.h"
#include "base/mem.h"

#include <stdlib.h>

#define LEARN_GAP_USEC 10000000 /* between two times that a server is asked */
#define LEARN_PATIENCE_USEC 10000000
#define LEARN_TRIES 5 /* without an answer; then not before it was lost again */

_Static_assert(sizeof((struct lore *)0)->version == MAIL_VERSION_MAX, "versions travel in mails");

static const struct conf_pool *conf_of(const struct learn *l) {
    return &l->control->conf->pools[l->pool];
}

static const struct conf_server *server_of(const struct learn *l) {
    return &conf_of(l)->servers[l->server];
}

static const struct proto *proto_of(const struct learn *l) {
    return proto_by_id(conf_of(l)->server_proto);
}

/* ---- what all servers of a pool said ---- */

int version_compare(const char *a, const char *b) {
    while (*a != '\0' || *b != '\0') {
        char *end_a, *end_b;
        unsigned long x = strtoul(a, &end_a, 10), y = strtoul(b, &end_b, 10);
        if (x != y) {
            return x < y ? -1 : 1;
        }
        if (end_a == a || end_b == b) { /* no number here */
            int order = strcmp(a, b);
            return order < 0 ? -1 : order > 0;
        }
        a = *end_a == '.' ? end_a + 1 : end_a;
        b = *end_b == '.' ? end_b + 1 : end_b;
    }
    return 0;
}

static const char *lowest_version(const struct control_pool *p) {
    const char *lowest = "";
    for (uint32_t i = 0; i < p->nservers; i++) {
        const char *v = p->servers[i]->learn.identity.version;
        if (v[0] != '\0' && (lowest[0] == '\0' || version_compare(v, lowest) < 0)) {
            lowest = v;
        }
    }
    return lowest;
}

/* A command is known when any server knows it; the first server's row counts. */
static struct book *all_rows(const struct control_pool *p) {
    struct rows rows = {0};
    for (uint32_t i = 0; i < p->nservers; i++) {
        const struct rows *own = &p->servers[i]->learn.rows;
        for (uint32_t k = 0; k < own->n; k++) {
            rows_add(&rows, own->v[k]);
        }
    }
    struct book *book = book_new(&rows);
    rows_fini(&rows);
    return book;
}

void lore_tell(struct control *c, uint32_t pool) {
    struct control_pool *p = c->pools[pool];
    struct lore *all = &p->lore;
    struct book *book = all_rows(p);
    const char *version = lowest_version(p);
    if (book_same(book, all->book) && strcmp(version, all->version) == 0) {
        book_unref(&book);
        return;
    }
    book_unref(&all->book);
    all->book = book;
    memset(all->version, 0, sizeof all->version);
    memcpy(all->version, version, strlen(version));
    metric_set(&p->block.v[POOL_learned_commands], book_size(book));
    control_post_commands(c, pool);
}

/* ---- asking one ---- */

static void learn_end(struct learn *l, enum learn_state next, int64_t wait) {
    struct loop *loop = l->control->loop;
    timer_cancel(loop, &l->timer);
    stream_close(&l->stream);
    l->parser = (struct parser){0};
    mem_free(l->unsent);
    l->unsent = NULL;
    l->nunsent = 0;
    l->state = next;
    if (next == LEARN_RESTING) {
        timer_set(loop, &l->timer, loop_now(loop) + wait);
    }
}

static void learn_failed(struct learn *l) {
    if (++l->failures < LEARN_TRIES) {
        learn_end(l, LEARN_RESTING, LEARN_GAP_USEC * l->failures);
    } else {
        learn_end(l, LEARN_IDLE, 0);
    }
}

static void learn_done(struct learn *l) {
    l->failures = 0;
    learn_end(l, l->again ? LEARN_RESTING : LEARN_IDLE, LEARN_GAP_USEC);
    l->again = false;
}

/* What the socket did not take waits for on_room. */
static void learn_write(struct learn *l, struct slice bytes) {
    struct iovec iov = {(void *)(uintptr_t)bytes.p, bytes.n};
    size_t sent = stream_send(&l->stream, &iov, 1);
    size_t left = bytes.n - sent;
    uint8_t *unsent = left > 0 ? mem_alloc(left) : NULL;
    if (left > 0) {
        memcpy(unsent, bytes.p + sent, left);
    }
    mem_free(l->unsent);
    l->unsent = unsent;
    l->nunsent = left;
}

static void learn_on_room(struct stream *s) {
    struct learn *l = CONTAINER_OF(s, struct learn, stream);
    if (l->nunsent > 0) {
        learn_write(l, slice(l->unsent, l->nunsent));
    }
}

static void learn_say(struct learn *l, void (*greet)(struct learn *, struct out *), void (*question)(struct out *)) {
    struct rope rope = {0};
    struct stage stage;
    stage_init(&stage, &l->control->bufs);
    struct out out = {&rope, &stage};
    if (greet != NULL) {
        greet(l, &out);
    }
    question(&out);
    struct buf *b;
    learn_write(l, rope_flat(&rope, &l->control->bufs, &b));
    rope_fini(&rope);
    stage_release(&stage);
}

static void learn_greet(struct learn *l, struct out *out) {
    const struct conf_pool *conf = conf_of(l);
    struct greeting greeting = conf_greeting(conf, 0);
    greeting.db = conf_server_db(conf, server_of(l));
    l->greeting_left = proto_of(l)->greet(&greeting, out);
}

static void learn_on_connect(struct stream *s) {
    struct learn *l = CONTAINER_OF(s, struct learn, stream);
    l->wants_what = false;
    learn_say(l, learn_greet, proto_of(l)->learn->who);
}

static void learn_log_refusal(const struct learn *l, struct slice reply) {
    char text[256];
    while (reply.n > 0 && (reply.p[reply.n - 1] == '\r' || reply.p[reply.n - 1] == '\n')) {
        reply.n--;
    }
    log_line(LOG_NOTICE, "commands_not_told pool=%s server=%s address=%s answer=\"%s\"", conf_of(l)->name, server_of(l)->name,
             server_of(l)->address, log_quote(text, sizeof text, slice(reply.p, min_size(reply.n, 128))));
}

static void learn_commands(struct learn *l, struct slice reply) {
    struct control_pool *all = l->control->pools[l->pool];
    struct rows rows = {0};
    if (!proto_of(l)->learn->hear_what(reply, &all->lore.shelf, &rows)) {
        rows_fini(&rows);
        learn_log_refusal(l, reply);
    } else {
        rows_fini(&l->rows);
        l->rows = rows;
        log_line(LOG_NOTICE, "commands_learned pool=%s server=%s address=%s product=\"%s\" new_commands=%u", conf_of(l)->name,
                 server_of(l)->name, server_of(l)->address, l->heard.product, rows.n);
    }
    if (rows.dropped > 0) {
        metric_add(&all->block.v[POOL_dropped_commands], rows.dropped);
        log_line(LOG_WARN, "commands_dropped pool=%s server=%s commands=%u note=\"too many, or names that are too long\"",
                 conf_of(l)->name, server_of(l)->name, rows.dropped);
    }
    l->identity = l->heard;
    lore_tell(l->control, l->pool);
    learn_done(l);
}

static void learn_who(struct learn *l, struct slice reply) {
    const struct lessons *lessons = proto_of(l)->learn;
    bool told = lessons->hear_who(reply, &l->heard);
    if (told && l->heard.run_id[0] != '\0' && strcmp(l->heard.run_id, l->identity.run_id) == 0 &&
        strcmp(l->heard.version, l->identity.version) == 0) {
        learn_done(l);
        return;
    }
    l->wants_what = true;
    learn_say(l, NULL, lessons->what);
}

static void learn_hear(struct learn *l, struct slice reply, enum rsp_kind kind) {
    if (kind == RSP_LOADING) {
        learn_failed(l); /* later */
    } else if (l->greeting_left > 0) {
        l->greeting_left--;
        if (kind != RSP_GOOD) {
            learn_failed(l); /* uplink_greeted tells the log */
        }
    } else if (!l->wants_what) {
        learn_who(l, reply);
    } else {
        learn_commands(l, reply);
    }
}

static size_t learn_on_recv(struct stream *s, struct buf *b, struct slice in) {
    struct learn *l = CONTAINER_OF(s, struct learn, stream);
    size_t used = 0;
    while (used < in.n && l->state == LEARN_ASKING) {
        struct rsp rsp = {0};
        struct slice rest = slice(in.p + used, in.n - used);
        enum parse_rc rc = proto_of(l)->parse_rsp(&l->parser, NULL, rest, &rsp);
        if (rc == PARSE_BAD || (rc == PARSE_MORE && (rest.n > LEARN_REPLY_MAX || rsp.need > LEARN_REPLY_MAX))) {
            learn_failed(l);
        } else if (rc == PARSE_MORE) {
            return used;
        } else {
            used += rsp.len;
            learn_hear(l, slice(rest.p, rsp.len), rsp.kind);
        }
    }
    return l->state == LEARN_ASKING ? used : in.n;
}

static void learn_on_eof(struct stream *s) {
    learn_failed(CONTAINER_OF(s, struct learn, stream));
}

static void learn_on_error(struct stream *s, enum reason why) {
    learn_failed(CONTAINER_OF(s, struct learn, stream));
}

static const struct stream_ops learn_ops = {
    .on_recv = learn_on_recv,
    .on_eof = learn_on_eof,
    .on_connect = learn_on_connect,
    .on_room = learn_on_room,
    .on_error = learn_on_error,
};

static void learn_ask(struct learn *l) {
    struct loop *loop = l->control->loop;
    const struct health *h = &l->control->pools[l->pool]->servers[l->server]->health; /* where it lives */
    const struct connect_opts opts = {.tls = h->tls};
    if (l->control->draining) {
        l->state = LEARN_IDLE;
        return;
    }
    l->state = LEARN_ASKING;
    l->asked = true;
    l->asked_at = loop_now(loop);
    if (h->naddrs == 0 || stream_connect(loop, &l->stream, &learn_ops, &h->addrs[l->next_addr++ % h->naddrs], &opts) != REASON_NONE) {
        learn_failed(l);
        return;
    }
    timer_set(loop, &l->timer, l->asked_at + LEARN_PATIENCE_USEC);
}

static void learn_on_timer(struct timer *t) {
    struct learn *l = CONTAINER_OF(t, struct learn, timer);
    if (l->state == LEARN_ASKING) {
        learn_failed(l);
    } else if (l->state == LEARN_RESTING) {
        learn_ask(l);
    }
}

void learn_up(struct learn *l) {
    int64_t now = loop_now(l->control->loop);
    if (proto_of(l)->learn == NULL || !conf_of(l)->learn_commands) {
        return;
    }
    l->failures = 0;
    if (l->state == LEARN_ASKING) {
        l->again = true;
    } else if (l->state == LEARN_IDLE && l->asked && now - l->asked_at < LEARN_GAP_USEC) {
        learn_end(l, LEARN_RESTING, l->asked_at + LEARN_GAP_USEC - now);
    } else if (l->state == LEARN_IDLE) {
        learn_ask(l);
    }
}

/* ---- begin and end ---- */

void learn_init(struct learn *l, struct control *c, uint32_t pool, uint32_t server) {
    *l = (struct learn){.control = c, .pool = pool, .server = server};
    timer_init(&l->timer, learn_on_timer);
}

void learn_fini(struct learn *l) {
    timer_cancel(l->control->loop, &l->timer);
    stream_close(&l->stream);
    rows_fini(&l->rows);
    mem_free(l->unsent);
}

void lore_init(struct lore *all) {
    *all = (struct lore){0};
    shelf_init(&all->shelf, LEARN_SHELF_MAX);
}

void lore_fini(struct lore *all) {
    book_unref(&all->book);
    shelf_fini(&all->shelf);
}
