#include "core/walk.h"

#include "base/mem.h"
#include "core/pool.h"
#include "proto/proto.h"

#define IDS (WALK_PLACES - 1) /* 1 .. IDS; 0 begins a walk */

/* FNV-1a, 64 bits, folded. It must never change: cursors out there were made with it. */
static uint32_t name_id(const char *name) {
    uint64_t h = 0xcbf29ce484222325u;
    for (; *name != '\0'; name++) {
        h = (h ^ (uint8_t)*name) * 0x100000001b3u;
    }
    return (uint32_t)((h ^ h >> 32) % IDS) + 1;
}

/* Made when the first walk begins; the names of a pool do not change. */
static const uint16_t *ids_of(struct pool *p) {
    if (p->walk_ids != NULL || p->nservers > IDS) {
        return p->walk_ids;
    }
    bool taken[WALK_PLACES] = {false};
    p->walk_ids = mem_alloc(p->nservers * sizeof *p->walk_ids);
    for (uint32_t i = 0; i < p->nservers; i++) {
        uint32_t id = name_id(p->conf->servers[i].name);
        while (taken[id]) {
            id = id % IDS + 1;
        }
        taken[id] = true;
        p->walk_ids[i] = (uint16_t)id;
    }
    return p->walk_ids;
}

uint32_t walk_server(struct pool *p, uint32_t id) {
    const uint16_t *ids = ids_of(p);
    for (uint32_t i = 0; ids != NULL && i < p->nservers; i++) {
        if (id == 0 || ids[i] == id) {
            return i;
        }
    }
    return WALK_NONE;
}

uint32_t walk_id(struct pool *p, uint32_t server) {
    return server < p->nservers ? ids_of(p)[server] : 0;
}
