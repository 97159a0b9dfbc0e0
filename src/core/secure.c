#include "core/secure.h"

#include "core/worker_state.h"

static bool may_say(struct pool *p) {
    return log_pass(&p->secure.log_limit, worker_now(p->worker), 1000000, 10);
}

static void on_client_news(void *owner, const struct stream *s, enum tls_news news, const char *words) {
    static const uint8_t rows[] = {
        [TLS_DONE] = POOL_tls_handshakes,    [TLS_RESUMED] = POOL_tls_resumed, [TLS_FAILED] = POOL_tls_failures,
        [TLS_TIMEDOUT] = POOL_tls_timeouts, [TLS_PUT_OFF] = POOL_tls_put_off,
    };
    struct pool *p = owner;
    metric_add(&p->stats.v[rows[news]], 1);
    if (news == TLS_RESUMED) {
        metric_add(&p->stats.v[POOL_tls_handshakes], 1);
    } else if ((news == TLS_FAILED || news == TLS_TIMEDOUT) && may_say(p)) {
        char peer[ADDR_TEXT_MAX], text[512];
        log_line(LOG_WARN, "client_tls_failed pool=%s client=%s reason=\"%s\"", p->conf->name, stream_peer(s, peer, sizeof peer),
                 log_quote(text, sizeof text, slice_str(words)));
    }
}

static void on_server_news(void *owner, const struct stream *s, enum tls_news news, const char *words) {
    struct server *server = owner;
    uint64_t *v = server->stats.v;
    if (news == TLS_DONE || news == TLS_RESUMED) {
        metric_add(&v[SERVER_tls_handshakes], 1);
        metric_add(&v[SERVER_tls_resumed], news == TLS_RESUMED ? 1 : 0);
    } else if (news == TLS_PUT_OFF) {
        metric_add(&server->pool->stats.v[POOL_tls_put_off], 1);
    } else {
        metric_add(&v[SERVER_tls_failures], 1);
        if (may_say(server->pool)) {
            char text[512];
            log_line(LOG_WARN, "server_tls_failed pool=%s server=%s address=%s reason=\"%s\"", server->pool->conf->name,
                     server->conf->name, server->conf->address, log_quote(text, sizeof text, slice_str(words)));
        }
    }
}

/* It can be made: the same was tried when the configuration was read. */
static struct tls_ctx *make(struct pool *p, const struct tls_opts *opts, tls_news_fn *news) {
    enum tls_part wrong;
    char why[256];
    struct tls_ctx *ctx = tls_ctx_new(opts, news, p, &wrong, why, sizeof why);
    ASSERT(ctx != NULL);
    return ctx;
}

void secure_open(struct pool *p) {
    const struct conf *conf = p->worker->opts.conf;
    if (p->conf->tls_pem.certificate != NULL) {
        struct tls_opts opts = conf_tls_accept(conf, p->conf);
        p->secure.clients = make(p, &opts, on_client_news);
    }
    if (p->conf->server_tls) {
        struct tls_opts opts = conf_tls_connect(conf, p->conf);
        p->secure.servers = make(p, &opts, on_server_news);
    }
}

void secure_close(struct pool *p) {
    tls_ctx_unref(&p->secure.servers);
    tls_ctx_unref(&p->secure.clients);
}

struct tls_peer *secure_peer(const struct pool *p, const struct conf_server *conf, struct server *s) {
    return p->secure.servers != NULL ? tls_peer_new(p->secure.servers, conf_tls_name(p->conf, conf), s) : NULL;
}

void secure_change(struct pool *p, const struct conf *conf, const struct conf_pool *before) {
    if (!conf_tls_same(conf, before, p->worker->opts.conf, p->conf)) {
        secure_close(p);
        secure_open(p);
    }
    for (uint32_t i = 0; i < p->nservers; i++) {
        tls_peer_unref(&p->servers[i]->tls);
        p->servers[i]->tls = secure_peer(p, &p->conf->servers[i], p->servers[i]);
    }
}

void secure_listener(const struct pool *p, const struct addr *addr, struct listener *l) {
    l->tls = NULL;
    for (uint32_t i = 0; i < p->conf->nlistens; i++) {
        const struct conf_listen *at = &p->conf->listens[i];
        if (at->tls && addr_eq(&at->addr, addr)) {
            l->tls = p->secure.clients;
        }
    }
}

bool secure_differs(const struct conf_pool *a, const struct conf_pool *b) {
    const char *x = a->server_tls_name, *y = b->server_tls_name;
    return a->server_tls != b->server_tls || a->server_tls_verify != b->server_tls_verify ||
           a->server_tls_min_version != b->server_tls_min_version || (x == NULL || y == NULL ? x != y : strcmp(x, y) != 0);
}
