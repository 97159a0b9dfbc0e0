#include "admin/listeners.h"

#include "base/log.h"
#include "base/mem.h"
#include "conf/problem.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool listeners_resolve(const char *host, uint16_t port, struct addr *addr, const char **why) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    int rc = getaddrinfo(host, NULL, &hints, &found);
    if (rc != 0) {
        *why = gai_strerror(rc);
        return false;
    }
    *addr = (struct addr){0};
    bool ok = found->ai_addrlen <= sizeof addr->sa;
    if (ok) {
        memcpy(&addr->sa, found->ai_addr, found->ai_addrlen);
        addr->len = found->ai_addrlen;
        uint16_t net_port = htons(port);
        if (addr->sa.family == AF_INET) {
            memcpy(addr->sa.bytes + offsetof(struct sockaddr_in, sin_port), &net_port, sizeof net_port);
        } else if (addr->sa.family == AF_INET6) {
            memcpy(addr->sa.bytes + offsetof(struct sockaddr_in6, sin6_port), &net_port, sizeof net_port);
        }
    }
    *why = "an address of an unknown kind";
    freeaddrinfo(found);
    return ok;
}

bool listeners_resolve_nothing(const char *host, uint16_t port, struct addr *addr, const char **why) {
    *addr = (struct addr){0};
    return true;
}

/* ---- descriptors that somebody else bound ---- */

bool listeners_hand(struct listeners *l, int fd, bool ours) {
    struct handed h = {.fd = fd, .ours = ours};
    if (!listen_adopt(fd, &h.addr)) {
        return false;
    }
    l->handed = mem_realloc(l->handed, (l->nhanded + 1) * sizeof *l->handed);
    l->handed[l->nhanded++] = h;
    return true;
}

/* All that listen at this address: each may have clients in its queue. With fewer than `n` some loops share one. */
static void handed_take(struct listeners *l, struct listening *at, unsigned n) {
    at->fds = mem_alloc((n + l->nhanded) * sizeof *at->fds);
    for (uint32_t i = 0; i < l->nhanded;) {
        if (addr_eq(&l->handed[i].addr, &at->addr)) {
            at->fds[at->nfds++] = l->handed[i].fd;
            at->ours = l->handed[i].ours;
            l->handed[i] = l->handed[--l->nhanded];
        } else {
            i++;
        }
    }
    uint32_t have = at->nfds;
    at->handed = have > 0;
    while (have > 0 && at->nfds < n) {
        int fd = listen_again(at->fds[at->nfds % have]);
        if (fd < 0) {
            break; /* that worker takes no clients here */
        }
        at->fds[at->nfds++] = fd;
    }
    if (!at->handed) {
        mem_free(at->fds);
        at->fds = NULL;
    }
}

/* ---- one address ---- */

static void note_path(struct listening *at) {
    char path[ADDR_TEXT_MAX];
    struct stat st;
    addr_text(&at->addr, path, sizeof path);
    if (addr_is_unix(&at->addr) && stat(path, &st) == 0) {
        at->path = mem_strdup(path);
        at->ours = true;
        at->dev = st.st_dev;
        at->ino = st.st_ino;
    }
}

/* Removes the socket if it is still the file that we made. */
static void listening_fini(struct listening *at) {
    struct stat st;
    if (at->path != NULL && stat(at->path, &st) == 0 && (uint64_t)st.st_dev == at->dev && st.st_ino == at->ino) {
        unlink(at->path);
    }
    mem_free(at->path);
    mem_free(at->fds);
}

static enum reason open_one(struct listeners *l, const struct addr *addr, const struct bind_opts *opts, unsigned n) {
    struct listening at = {.addr = *addr, .mode = opts->unix_mode, .fresh = true};
    enum reason why = REASON_NONE;
    handed_take(l, &at, n);
    if (!at.handed) {
        at.fds = mem_alloc(n * sizeof *at.fds);
        at.nfds = n;
        why = listen_open(addr, opts, at.fds, n);
    }
    if (why != REASON_NONE) {
        mem_free(at.fds);
        return why;
    }
    if (!at.handed) {
        note_path(&at);
    }
    l->v = mem_realloc(l->v, (l->n + 1) * sizeof *l->v);
    l->v[l->n++] = at;
    return REASON_NONE;
}

static struct listening *find(const struct listeners *l, const struct addr *addr) {
    for (uint32_t i = 0; i < l->n; i++) {
        if (addr_eq(&l->v[i].addr, addr)) {
            return &l->v[i];
        }
    }
    return NULL;
}

static bool is_wanted(const struct conf *conf, const struct listening *at) {
    for (uint32_t p = 0; p < conf->npools; p++) {
        for (uint32_t i = 0; i < conf->pools[p].nlistens; i++) {
            if (addr_eq(&conf->pools[p].listens[i].addr, &at->addr)) {
                return true;
            }
        }
    }
    return at->stats;
}

/* ---- all of them ---- */

/* The address is not open yet. NONE, or why it cannot be. */
static enum reason open_listen(struct listeners *l, const struct conf_pool *pool, const struct conf_listen *at) {
    struct bind_opts opts = {.backlog = (int)pool->backlog, .share = l->workers > 1, .unix_mode = at->unix_mode};
    enum reason why = open_one(l, &at->addr, &opts, l->workers);
    if (why == REASON_NONE) {
        char text[ADDR_TEXT_MAX];
        log_line(LOG_NOTICE, "listen pool=%s address=%s protocol=%s tls=%s servers=%u", pool->name,
                 addr_text(&at->addr, text, sizeof text), pool->redis ? "redis" : "memcached", at->tls ? "true" : "false", pool->nservers);
    }
    return why;
}

/* Opens what is new; what could not be is told as a problem of the file. */
bool listeners_change(struct listeners *l, const struct conf *conf, struct conf_problems *ps) {
    struct quoted q;
    bool ok = true;
    for (uint32_t p = 0; p < conf->npools; p++) {
        for (uint32_t i = 0; i < conf->pools[p].nlistens; i++) {
            const struct conf_listen *at = &conf->pools[p].listens[i];
            enum reason why = find(l, &at->addr) == NULL ? open_listen(l, &conf->pools[p], at) : REASON_NONE;
            if (why != REASON_NONE) {
                problem_error(ps, (struct place){at->line, at->column}, "listen: \"%s\": %s", quote(&q, at->text), reason_text(why));
                ok = false;
            }
        }
    }
    return ok;
}

static void drop(struct listeners *l, uint32_t i) {
    listening_fini(&l->v[i]);
    l->v[i] = l->v[--l->n];
}

void listeners_undo(struct listeners *l) {
    for (uint32_t i = 0; i < l->n;) {
        if (!l->v[i].fresh) {
            i++;
            continue;
        }
        for (uint32_t k = 0; k < l->v[i].nfds; k++) {
            listen_discard(l->v[i].fds[k]);
        }
        drop(l, i);
    }
}

static void set_mode(const struct listeners *l, const struct conf_listen *at) {
    struct listening *has = find(l, &at->addr);
    if (has != NULL && has->path != NULL && at->unix_mode != 0 && at->unix_mode != has->mode) {
        has->mode = at->unix_mode;
        chmod(has->path, (mode_t)at->unix_mode);
    }
}

void listeners_commit(struct listeners *l, const struct conf *conf) {
    for (uint32_t i = 0; i < l->n;) {
        if (!is_wanted(conf, &l->v[i])) {
            char text[ADDR_TEXT_MAX];
            log_line(LOG_NOTICE, "listen_end address=%s", addr_text(&l->v[i].addr, text, sizeof text));
            drop(l, i);
            continue;
        }
        l->v[i].fresh = false;
        i++;
    }
    for (uint32_t p = 0; p < conf->npools; p++) {
        for (uint32_t i = 0; i < conf->pools[p].nlistens; i++) {
            set_mode(l, &conf->pools[p].listens[i]);
        }
    }
}

static uint32_t pool_of(const struct conf *conf, const struct listening *at) {
    for (uint32_t p = 0; p < conf->npools; p++) {
        for (uint32_t i = 0; i < conf->pools[p].nlistens; i++) {
            if (addr_eq(&conf->pools[p].listens[i].addr, &at->addr)) {
                return p;
            }
        }
    }
    ASSERT(false && "nobody wants this address");
    return 0;
}

uint32_t listeners_fresh(const struct listeners *l, const struct conf *conf, unsigned worker, struct new_listener **out) {
    uint32_t n = 0;
    *out = NULL;
    for (uint32_t i = 0; i < l->n; i++) {
        const struct listening *at = &l->v[i];
        for (uint32_t k = worker; at->fresh && !at->stats && k < at->nfds; k += l->workers) {
            *out = mem_realloc(*out, (n + 1) * sizeof **out);
            (*out)[n++] = (struct new_listener){.addr = at->addr, .pool = pool_of(conf, at), .fd = at->fds[k]};
        }
    }
    return n;
}

bool listeners_open(struct listeners *l, const struct conf *conf, const struct addr *stats, unsigned workers, char *why,
                    size_t room) {
    l->stats_fd = -1;
    l->workers = workers;
    char text[ADDR_TEXT_MAX];
    if (stats->len != 0) {
        struct bind_opts opts = {.backlog = SOMAXCONN};
        enum reason reason = open_one(l, stats, &opts, 1);
        if (reason != REASON_NONE) {
            snprintf(why, room, "%s: %s", addr_text(stats, text, sizeof text), reason_text(reason));
            return false;
        }
        l->v[0].stats = true;
        l->stats_fd = l->v[0].fds[0];
        while (l->v[0].nfds > 1) { /* a mistake of whoever handed them */
            listen_discard(l->v[0].fds[--l->v[0].nfds]);
        }
        log_line(LOG_NOTICE, "listen_stats address=%s", addr_text(stats, text, sizeof text));
    }
    for (uint32_t p = 0; p < conf->npools; p++) {
        for (uint32_t i = 0; i < conf->pools[p].nlistens; i++) {
            const struct conf_listen *at = &conf->pools[p].listens[i];
            enum reason reason = open_listen(l, &conf->pools[p], at);
            if (reason != REASON_NONE) {
                snprintf(why, room, "%s: %s", addr_text(&at->addr, text, sizeof text), reason_text(reason));
                return false;
            }
        }
    }
    return true;
}

bool listeners_open_admin(struct listeners *l, const struct addr *addr, int *fd, char *why, size_t room) {
    struct bind_opts opts = {.backlog = SOMAXCONN, .unix_mode = 0660}; /* a path is for its owner and group: no token is asked there */
    enum reason reason = open_one(l, addr, &opts, 1);
    if (reason != REASON_NONE) {
        char text[ADDR_TEXT_MAX];
        snprintf(why, room, "%s: %s", addr_text(addr, text, sizeof text), reason_text(reason));
        return false;
    }
    l->v[l->n - 1].stats = true;
    *fd = l->v[l->n - 1].fds[0];
    return true;
}

void listeners_give(const struct listeners *l, const struct conf *conf, unsigned index, struct worker *w) {
    struct new_listener *fresh;
    uint32_t n = listeners_fresh(l, conf, index, &fresh);
    for (uint32_t i = 0; i < n; i++) {
        worker_listen(w, fresh[i].pool, &fresh[i].addr, fresh[i].fd);
    }
    mem_free(fresh);
}

void listeners_settle(struct listeners *l) {
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->v[i].ours && l->v[i].path == NULL) {
            note_path(&l->v[i]);
        }
    }
    while (l->nhanded > 0) {
        struct handed *h = &l->handed[--l->nhanded];
        struct listening at = {.addr = h->addr};
        char text[ADDR_TEXT_MAX];
        log_line(LOG_NOTICE, "listen_end address=%s", addr_text(&h->addr, text, sizeof text));
        if (h->ours) {
            note_path(&at);
        }
        listening_fini(&at);
        listen_discard(h->fd);
    }
    mem_free(l->handed);
    l->handed = NULL;
}

void listeners_lend(struct listeners *l) {
    for (uint32_t i = 0; i < l->n; i++) {
        mem_free(l->v[i].path);
        l->v[i].path = NULL;
    }
}

void listeners_fini(struct listeners *l) {
    while (l->n > 0) {
        drop(l, l->n - 1);
    }
    while (l->nhanded > 0) {
        listen_discard(l->handed[--l->nhanded].fd);
    }
    mem_free(l->handed);
    mem_free(l->v);
    *l = (struct listeners){.stats_fd = -1};
}
