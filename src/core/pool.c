#include "core/pool.h"

#include "base/mem.h"
#include "core/channel.h"
#include "core/lease.h"
#include "core/worker_state.h"
#include "proto/book.h"

void pool_init(struct pool *p, struct worker *w, const struct conf_pool *conf, uint32_t index, struct ring *ring) {
    *p = (struct pool){
        .worker = w,
        .conf = conf,
        .front = proto_by_id(conf->client_proto),
        .back = proto_by_id(conf->server_proto),
        .ring = ring_ref(ring),
        .nservers = conf->nservers,
        .index = index,
        .nclients = &w->opts.shared->clients[index],
        .timeout = conf->timeout * 1000,
        .base_profile = (uint32_t)conf->redis_db,
        .plain_dbs = conf_plain_dbs(conf),
    };
    list_init(&p->clients);
    list_init(&p->channel_sets);
    scripts_init(&p->scripts, p);
    p->servers = mem_zalloc(p->nservers * sizeof *p->servers);
    for (uint32_t i = 0; i < p->nservers; i++) {
        server_init(&p->servers[i], p, i);
    }
}

void pool_fini(struct pool *p) {
    ASSERT(list_empty(&p->clients) && list_empty(&p->channel_sets));
    for (uint32_t i = 0; i < p->nservers; i++) {
        server_fini(&p->servers[i]);
    }
    mem_free(p->servers);
    mem_free(p->walk_ids);
    scripts_fini(&p->scripts);
    ring_unref(&p->ring);
    book_unref(&p->learned);
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
