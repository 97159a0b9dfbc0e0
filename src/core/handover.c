#include "core/handover.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/subscriber.h"
#include "core/worker_state.h"

/* ---- passports ---- */

size_t passport_size(const struct passport *p) {
    size_t n = sizeof *p;
    for (int i = 0; i < PASSPORT_PARTS; i++) {
        n += p->len[i];
    }
    return n;
}

bool passport_fits(const struct passport *p, size_t n) {
    return n >= sizeof *p && n <= PASSPORT_MAX && passport_size(p) == n;
}

static struct slice part(const struct mail_client *m, int which) {
    size_t off = 0;
    for (int i = 0; i < which; i++) {
        off += m->passport.len[i];
    }
    return slice(m->bytes + off, m->passport.len[which]);
}

static const char *user_name(const struct client *c) {
    const struct user *u = user_by_id(c->pool->conf->users, c->pool->conf->nusers, c->session.user);
    return u != NULL ? u->name : "";
}

static struct slice text(const char *s) {
    return s != NULL ? slice_str(s) : slice("", 0);
}

/* NULL: it is too large. */
static struct mail_client *passport_make(const struct client *c) {
    const struct session *s = &c->session;
    const struct buf *tail = c->stream.tail;
    const struct addr *from = stream_proxied(&c->stream);
    const struct slice parts[PASSPORT_PARTS] = {
        [PASSPORT_POOL] = text(c->pool->conf->name),
        [PASSPORT_FRONT] = text(c->front != NULL ? c->front->name : NULL),
        [PASSPORT_USER] = text(user_name(c)),
        [PASSPORT_NAME] = text(s->texts[SESSION_NAME]),
        [PASSPORT_LIB] = text(s->texts[SESSION_LIB]),
        [PASSPORT_LAST] = text(c->last != NULL ? c->last->name : NULL),
        [PASSPORT_FROM] = from != NULL ? slice(from, sizeof *from) : slice("", 0),
        [PASSPORT_UNREAD] = tail != NULL ? slice(tail->data, tail->len) : slice("", 0),
    };
    size_t n = 0;
    for (int i = 0; i < PASSPORT_PARTS; i++) {
        n += parts[i].n;
    }
    if (n > PASSPORT_MAX - sizeof(struct passport)) {
        return NULL;
    }
    struct mail_client *m = mem_zalloc(sizeof *m + n);
    m->mail.kind = MAIL_CLIENT;
    m->passport = (struct passport){.id = s->id, .wrote = c->wrote, .db = s->db, .since = c->since, .read_at = c->read_at,
                                    .version = s->version, .authed = s->authed, .hush = s->hush};
    uint8_t *to = m->bytes;
    for (int i = 0; i < PASSPORT_PARTS; i++) {
        m->passport.len[i] = (uint32_t)parts[i].n;
        memcpy(to, parts[i].p, parts[i].n);
        to += parts[i].n;
    }
    return m;
}

/* ---- leaving ---- */

static bool listens(const struct client *c) {
    return c->sub != NULL && !list_empty(&c->sub->subscriptions);
}

/* It is not in the middle of anything that only this process knows of. */
static bool may_go(const struct client *c) {
    return c->state == CLIENT_OPEN && stream_plain(&c->stream) && c->txn == NULL && c->lease == NULL && c->upload == NULL &&
           !listens(c) && !c->refused && !c->parked && (c->stream.tail == NULL || c->stream.tail->len <= PASSPORT_MAX / 2);
}

static void hand_over(struct worker *w, struct client *c) {
    struct mail_client *m = passport_make(c);
    int fd = m != NULL ? stream_detach(&c->stream) : -1;
    if (fd < 0) {
        mem_free(m);
        return; /* it ends by itself */
    }
    m->fd = fd;
    client_close(c, REASON_DRAIN);
    mailbox_post(w->heir, &m->mail);
}

void worker_hand_over(struct worker *w) {
    for (uint32_t i = 0; i < w->npools; i++) {
        LIST_EACH_SAFE(&w->pools[i]->clients, l) {
            struct client *c = CONTAINER_OF(l, struct client, link);
            if (!may_go(c)) {
                continue;
            }
            if (c->fifo.head == NULL && !c->blocked && !c->waiting) {
                hand_over(w, c);
            } else {
                stream_pause(&c->stream); /* what it sends from here on is the other one's */
            }
        }
    }
}

void worker_leave(struct worker *w, struct mailbox *heir) {
    w->heir = heir;
    w->phase = WORKER_LEAVING;
}

/* ---- arriving ---- */

static struct pool *pool_named(const struct worker *w, struct slice name) {
    for (uint32_t i = 0; i < w->npools; i++) {
        if (slice_is(name, w->pools[i]->conf->name)) {
            return w->pools[i];
        }
    }
    return NULL;
}

/* False: this pool does not speak it (any more). */
static bool find_front(const struct pool *pool, struct slice name, const struct proto **front) {
    const struct proto *own = pool->front;
    *front = NULL;
    if (slice_is(name, own->name)) {
        *front = own;
    } else if (own->other != NULL && slice_is(name, own->other->name)) {
        *front = own->other;
    }
    return *front != NULL || name.n == 0;
}

/* False: there is no such user (any more). */
static bool find_user(const struct conf_pool *conf, struct slice name, uint16_t *id) {
    *id = 0;
    for (uint32_t i = 0; i < conf->nusers && *id == 0; i++) {
        if (slice_is(name, conf->users[i].name)) {
            *id = conf->users[i].id;
        }
    }
    return *id != 0 || name.n == 0;
}

/* NULL: it asked for nothing yet, or for something that only the servers know. */
static const struct cmd *find_cmd(const struct proto *front, struct slice name) {
    for (uint32_t i = 0; front != NULL && name.n > 0 && i < front->ncmds; i++) {
        if (slice_is(name, front->cmds[i].name)) {
            return &front->cmds[i];
        }
    }
    return NULL;
}

static char *text_of(const struct mail_client *m, int which) {
    struct slice s = part(m, which);
    char *copy = NULL;
    if (s.n > 0) {
        copy = mem_zalloc(s.n + 1);
        memcpy(copy, s.p, s.n);
    }
    return copy;
}

void worker_take_client(struct worker *w, const struct mail_client *m) {
    const struct passport *p = &m->passport;
    struct pool *pool = pool_named(w, part(m, PASSPORT_POOL));
    const struct proto *front;
    uint16_t user;
    if (pool == NULL || !find_front(pool, part(m, PASSPORT_FRONT), &front) ||
        !find_user(pool->conf, part(m, PASSPORT_USER), &user)) {
        listen_discard(m->fd);
        return;
    }
    const struct session session = {
        .db = p->db,
        .user = user,
        .version = p->version,
        .authed = p->authed != 0,
        .hush = p->hush & 3u,
        .id = p->id & (UINT64_MAX >> 8),
        .texts = {[SESSION_NAME] = text_of(m, PASSPORT_NAME), [SESSION_LIB] = text_of(m, PASSPORT_LIB)},
    };
    struct client *c = client_adopt(pool, m->fd, &session, part(m, PASSPORT_UNREAD));
    struct addr from;
    if (part(m, PASSPORT_FROM).n == sizeof from) {
        memcpy(&from, part(m, PASSPORT_FROM).p, sizeof from);
        stream_comes_from(&c->stream, &from);
    }
    c->front = front;
    c->wrote = p->wrote;
    c->since = p->since;
    c->read_at = p->read_at;
    c->last = find_cmd(front, part(m, PASSPORT_LAST));
    if (c->last == NULL && p->len[PASSPORT_LAST] > 0) {
        c->since = client_clock(worker_now(w)); /* it is not one who never asked for anything */
    }
    if (w->phase == WORKER_DRAINING) {
        client_drain(c, REASON_DRAIN);
    }
}
