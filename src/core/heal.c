#include "core/heal.h"

#include "base/mem.h"
#include "core/client.h"
#include "core/server.h"
#include "core/uplink.h"
#include "core/worker_state.h"

void heal_note(struct pool *pool, const struct msg *m) {
    if (m->cmd->flags & CMD_BODY) {
        scripts_learn(&pool->scripts, m->script);
    } else if (m->cmd->flags & CMD_FORGETS) {
        scripts_forget(&pool->scripts);
    }
}

/* ---- what a server has ---- */

static bool has(const struct uplink *u, const struct script *s) {
    return s->slot < u->nloaded && u->loaded[s->slot] == s->serial;
}

static void set_has(struct uplink *u, const struct script *s) {
    if (s->slot >= u->nloaded) {
        uint32_t n = 2 * s->slot + 16;
        u->loaded = mem_realloc(u->loaded, n * sizeof *u->loaded);
        memset(u->loaded + u->nloaded, 0, (n - u->nloaded) * sizeof *u->loaded);
        u->nloaded = n;
    }
    u->loaded[s->slot] = s->serial;
}

void heal_forget(struct uplink *u) {
    mem_free(u->loaded);
    u->loaded = NULL;
    u->nloaded = 0;
}

uint32_t heal_ahead(struct uplink *u, struct rope *rope, const uint8_t digest[SCRIPT_DIGEST]) {
    struct pool *pool = u->server->pool;
    const struct script *s = scripts_find(&pool->scripts, digest);
    if (s == NULL || has(u, s)) {
        return 0;
    }
    set_has(u, s);
    struct out out = {rope, &u->stage};
    pool->back->script.load(script_body(s), &out);
    metric_add(&pool->stats.v[POOL_script_loads], 1);
    return 1;
}

/* ---- a request as a fan of one part, which keeps its bytes ---- */

static void queue_part(struct uplink *u, struct fan *f) {
    struct req *part = fan_part_new(f, 0);
    part->skip = heal_ahead(u, &part->bytes, f->digest);
    part->flags |= REQ_SCRIPT;
    rope_add_all(&part->bytes, &f->request);
    req_start_clock(part);
    uplink_queue(u, part);
}

bool heal_send(struct uplink *u, struct req *whole, struct buf *b, const struct msg *m) {
    struct pool *pool = whole->pool;
    if (whole->flags & REQ_PART) {
        return false; /* of what goes to every server: noted before it was split */
    }
    heal_note(pool, m);
    if (!(m->cmd->flags & CMD_DIGEST) || scripts_find(&pool->scripts, m->digest) == NULL) {
        return false;
    }
    struct fan *f = fan_new(whole, 1, 0);
    f->server = u->server;
    memcpy(f->digest, m->digest, SCRIPT_DIGEST);
    struct out out = {&f->request, &u->stage};
    whole->client->front->build(m, b, NULL, 0, &out);
    queue_part(u, f);
    return true;
}

void heal_moved(struct uplink *to, struct req *part) {
    struct rope bytes = {0};
    if (part->skip > 0) {
        return; /* the body is in front already; that `to` has it then is learned when it is sent once more */
    }
    part->skip = heal_ahead(to, &bytes, part->fan->digest);
    rope_add_all(&bytes, &part->bytes);
    rope_fini(&part->bytes);
    rope_move(&part->bytes, &bytes);
    part->size = (uint32_t)rope_len(&part->bytes);
}

bool heal_again(struct fan *f, const struct req *part) {
    struct req *whole = f->whole;
    enum reason why;
    bool last = whole != NULL && whole->client_link.next == NULL; /* what came later must not overtake */
    if (!(part->flags & REQ_NO_SCRIPT) || f->healed || !last) {
        return false;
    }
    struct uplink *u = server_uplink(f->server, whole->client, whole->profile, &why);
    if (u == NULL) {
        return false;
    }
    f->healed = true;
    rope_fini(&f->parts[0].reply);
    queue_part(u, f);
    return true;
}
