#include "main/listeners.h"

#include "base/log.h"
#include "base/mem.h"

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

static void note_path(struct listeners *l, const struct addr *addr) {
    char path[ADDR_TEXT_MAX];
    struct stat st;
    addr_text(addr, path, sizeof path);
    if (!addr_is_unix(addr) || stat(path, &st) != 0) {
        return;
    }
    l->paths = mem_realloc(l->paths, (l->npaths + 1) * sizeof *l->paths);
    l->paths[l->npaths++] = (struct listener_path){mem_strdup(path), st.st_dev, st.st_ino};
}

static bool open_one(struct listeners *l, const struct addr *addr, const struct bind_opts *opts, int *fds, unsigned n,
                     char *why, size_t room) {
    enum reason reason = listen_open(addr, opts, fds, n);
    if (reason != REASON_NONE) {
        char text[ADDR_TEXT_MAX];
        snprintf(why, room, "%s: %s", addr_text(addr, text, sizeof text), reason_text(reason));
        return false;
    }
    note_path(l, addr);
    return true;
}

static bool open_pool(struct listeners *l, const struct conf_pool *pool, uint32_t index, unsigned workers, int *fds,
                      char *why, size_t room) {
    for (uint32_t i = 0; i < pool->nlistens; i++) {
        const struct conf_listen *at = &pool->listens[i];
        struct bind_opts opts = {.backlog = (int)pool->backlog, .share = workers > 1, .unix_mode = at->unix_mode};
        if (!open_one(l, &at->addr, &opts, fds, workers, why, room)) {
            return false;
        }
        l->fds = mem_realloc(l->fds, (l->nfds + workers) * sizeof *l->fds);
        for (unsigned w = 0; w < workers; w++) {
            l->fds[l->nfds++] = (struct listener_fd){index, w, fds[w]};
        }
        char text[ADDR_TEXT_MAX];
        log_line(LOG_NOTICE, "listen pool=%s address=%s protocol=%s servers=%u", pool->name,
                 addr_text(&at->addr, text, sizeof text), pool->redis ? "redis" : "memcached", pool->nservers);
    }
    return true;
}

bool listeners_open(struct listeners *l, const struct conf *conf, const struct addr *stats, unsigned workers, char *why,
                    size_t room) {
    *l = (struct listeners){.stats_fd = -1};
    char text[ADDR_TEXT_MAX];
    if (stats->len != 0) {
        struct bind_opts opts = {.backlog = SOMAXCONN};
        if (!open_one(l, stats, &opts, &l->stats_fd, 1, why, room)) {
            return false;
        }
        log_line(LOG_NOTICE, "listen_stats address=%s", addr_text(stats, text, sizeof text));
    }
    int *fds = mem_alloc(workers * sizeof *fds);
    bool ok = true;
    for (uint32_t p = 0; ok && p < conf->npools; p++) {
        ok = open_pool(l, &conf->pools[p], p, workers, fds, why, room);
    }
    mem_free(fds);
    return ok;
}

void listeners_give(struct listeners *l, unsigned index, struct worker *w) {
    for (uint32_t i = 0; i < l->nfds; i++) {
        if (l->fds[i].worker == index) {
            worker_listen(w, l->fds[i].pool, l->fds[i].fd);
        }
    }
}

void listeners_fini(struct listeners *l) {
    for (uint32_t i = 0; i < l->npaths; i++) {
        struct stat st;
        if (stat(l->paths[i].path, &st) == 0 && (uint64_t)st.st_dev == l->paths[i].dev && st.st_ino == l->paths[i].ino) {
            unlink(l->paths[i].path);
        }
        mem_free(l->paths[i].path);
    }
    mem_free(l->paths);
    mem_free(l->fds);
    *l = (struct listeners){.stats_fd = -1};
}
