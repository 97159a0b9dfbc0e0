#include "core/pool.h"

#include "base/mem.h"
#include "core/channel.h"
#include "core/hot.h"
#include "core/lease.h"
#include "core/slowlog.h"
#include "core/worker_state.h"
#include "proto/book.h"
#include "stats/times.h"

void pool_derive(struct pool *p) {
    p->timeout = p->conf->timeout * 1000;
    p->base_profile = (uint32_t)p->conf->redis_db;
    p->plain_dbs = conf_plain_dbs(p->conf);
    patience_derive(p);
    slowlog_derive(p);
    hot_derive(p);
}

struct server *server_new(struct pool *p, uint32_t index) {
    struct server *s = mem_alloc(sizeof *s);
    server_init(s, p, index);
    return s;
}

void server_free(struct server **sp) {
    struct server *s = *sp;
    *sp = NULL;
    server_fini(s);
    conf_unref(&s->keeps);
    mem_free(s);
}

struct pool *pool_new(struct worker *w, const struct conf_pool *conf, const struct pool_start *start) {
    struct pool *p = mem_alloc(sizeof *p);
    *p = (struct pool){
        .worker = w,
        .conf = conf,
        .front = proto_by_id(conf->client_proto),
        .back = proto_by_id(conf->server_proto),
        .ring = ring_ref(start->ring),
        .nservers = conf->nservers,
        .id = conf->id,
        .nclients = start->clients,
        .times = mem_zalloc(sizeof *p->times),
    };
    list_init(&p->clients);
    list_init(&p->channel_sets);
    list_init(&p->leaving);
    scripts_init(&p->scripts, p);
    pool_derive(p);
    secure_open(p);
    p->servers = mem_alloc(p->nservers * sizeof *p->servers);
    for (uint32_t i = 0; i < p->nservers; i++) {
        p->servers[i] = server_new(p, i);
    }
    return p;
}

void pool_free(struct pool **pp) {
    struct pool *p = *pp;
    *pp = NULL;
    ASSERT(list_empty(&p->clients) && list_empty(&p->channel_sets));
    secure_close(p);
    patience_end(p);
    for (uint32_t i = 0; i < p->nservers; i++) {
        server_free(&p->servers[i]);
    }
    LIST_EACH_SAFE(&p->leaving, l) {
        struct server *s = CONTAINER_OF(l, struct server, link);
        server_free(&s);
    }
    mem_free(p->servers);
    mem_free(p->times);
    slowlog_free(p);
    hot_free(p);
    mem_free(p->walk_ids);
    scripts_fini(&p->scripts);
    ring_unref(&p->ring);
    book_unref(&p->learned);
    conf_unref(&p->keeps);
    mem_free(p);
}

struct server *pool_server(const struct pool *p, uint32_t id) {
    for (uint32_t i = 0; i < p->nservers; i++) {
        if (p->servers[i]->id == id) {
            return p->servers[i];
        }
    }
    return NULL;
}

enum reason pool_denies(const struct pool *p, const struct msg *m) {
    if ((m->cmd->flags & CMD_FLUSH) && p->conf->flush == FLUSH_DENY) {
        return REASON_FLUSH_DENIED;
    }
    if ((m->flags & MSG_OTHER_DB) && !p->plain_dbs) {
        return REASON_OTHER_DB;
    }
    if ((m->cmd->flags & CMD_ALONE) && p->nservers > 1) {
        return REASON_ALONE;
    }
    return REASON_NONE;
}

struct slice pool_words(struct pool *p, struct stage *stage, const struct msg *m, struct rope *rope) {
    struct out out = {rope, stage};
    struct buf *b;
    p->back->build(m, NULL, NULL, 0, &out);
    return rope_flat(rope, &p->worker->bufs, &b);
}

void pool_set_ring(struct pool *p, struct ring *ring) {
    ring_unref(&p->ring);
    p->ring = ring;
    lease_moved(p);
}

void pool_set_learned(struct pool *p, struct book *learned, const char *version) {
    book_unref(&p->learned); /* requests point to rows, and rows live as long as control (proto/book.h) */
    p->learned = learned;
    memcpy(p->version, version, sizeof p->version);
}
