/* resolve_sim.c: resolve.h from a table that the script fills. */
#include "sim_int.h"

struct name {
    struct list link;
    char *host;
    struct addr addrs[RESOLVE_MAX];
    unsigned n;
    uint32_t ttl;
    bool pending;
};

struct resolver {
    struct loop *loop;
};

/* One look-up under way: lookup->query. */
struct query {
    struct list link;
    struct lookup *lookup;
    char *host;
    uint64_t turn; /* in which it was asked: answered in a later one */
};

static struct name *name_get(const char *host, bool make) {
    LIST_EACH(&sim.names, l) {
        struct name *n = CONTAINER_OF(l, struct name, link);
        if (strcmp(n->host, host) == 0) {
            return n;
        }
    }
    if (!make) {
        return NULL;
    }
    struct name *n = mem_zalloc(sizeof(*n));
    n->host = mem_strdup(host);
    list_push(&sim.names, &n->link);
    return n;
}

void sim_name(const char *host, const struct addr *addrs, unsigned n, uint32_t ttl) {
    struct name *name = name_get(host, true);
    ASSERT(n <= RESOLVE_MAX);
    if (n > 0) {
        memcpy(name->addrs, addrs, n * sizeof(*addrs));
    }
    name->n = n;
    name->ttl = ttl;
    name->pending = false;
}

void sim_name_pending(const char *host) {
    name_get(host, true)->pending = true;
}

void sim_names_free(void) {
    LIST_EACH_SAFE(&sim.names, l) {
        struct name *n = CONTAINER_OF(l, struct name, link);
        list_remove(l);
        mem_free(n->host);
        mem_free(n);
    }
}

static bool ready(const struct loop *loop, const struct query *q) {
    if (loop->turning && q->turn == loop->turn) {
        return false;
    }
    const struct name *n = name_get(q->host, false);
    return n == NULL || !n->pending;
}

bool sim_lookups_ready(const struct loop *loop) {
    LIST_EACH(&loop->lookups, l) {
        if (ready(loop, CONTAINER_OF(l, struct query, link))) {
            return true;
        }
    }
    return false;
}

int64_t sim_lookups_next(const struct loop *loop) {
    return INT64_MAX; /* an answer is there at once, or it waits for the script */
}

static void query_free(struct query *q) {
    list_remove(&q->link);
    q->lookup->resolver = NULL;
    q->lookup->query = NULL;
    mem_free(q->host);
    mem_free(q);
}

void sim_lookups_run(struct loop *loop) {
    for (;;) {
        struct query *q = NULL;
        LIST_EACH(&loop->lookups, l) {
            if (ready(loop, CONTAINER_OF(l, struct query, link))) {
                q = CONTAINER_OF(l, struct query, link);
                break;
            }
        }
        if (q == NULL) {
            return;
        }
        struct lookup *up = q->lookup;
        const struct name *n = name_get(q->host, false);
        query_free(q);
        struct addr addrs[RESOLVE_MAX];
        unsigned count = n != NULL ? n->n : 0;
        for (unsigned i = 0; i < count; i++) {
            addrs[i] = n->addrs[i];
            struct sockaddr_storage *ss = (void *)&addrs[i].sa;
            uint16_t be = (uint16_t)(up->port << 8 | up->port >> 8);
            memcpy((uint8_t *)ss + 2, &be, 2); /* the port stands at the same place in IPv4 and IPv6 */
        }
        sim.activity++;
        up->fn(up, addrs, count, count > 0 ? n->ttl : 0, count > 0 ? NULL : "no such name");
    }
}

struct resolver *resolver_new(struct loop *loop) {
    struct resolver *r = mem_zalloc(sizeof(*r));
    r->loop = loop;
    return r;
}

void resolver_free(struct resolver **rp) {
    struct resolver *r = *rp;
    *rp = NULL;
    if (r == NULL) {
        return;
    }
    LIST_EACH_SAFE(&r->loop->lookups, l) {
        query_free(CONTAINER_OF(l, struct query, link));
    }
    mem_free(r);
}

void lookup_start(struct resolver *r, struct lookup *up, const char *host, uint16_t port, lookup_fn *fn) {
    SIM_RULE(up->resolver == NULL, "lookup_start of a look-up that is under way");
    struct query *q = mem_zalloc(sizeof(*q));
    *up = (struct lookup){.fn = fn, .resolver = r, .port = port, .query = q};
    q->lookup = up;
    q->host = mem_strdup(host);
    q->turn = r->loop->turn;
    list_push(&r->loop->lookups, &q->link);
}

void lookup_cancel(struct lookup *up) {
    if (up->resolver != NULL) {
        query_free(up->query);
    }
}
