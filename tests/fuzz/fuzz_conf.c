/* The configuration: any text is taken, or refused with a reason. What is taken can be used: rings, names, order. */
#include "conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A name is an address when it is short enough: no lookup, so that the result depends on the input only. */
static bool resolve(const char *host, uint16_t port, struct addr *addr, const char **why) {
    *why = "no such host";
    return strlen(host) < 8 && addr_ip(addr, slice_str("127.0.0.9"), port);
}

static void check_pool(const struct conf *c, const struct conf_pool *p) {
    ASSERT(p->nlistens > 0 && p->nservers > 0);
    ASSERT(conf_pool_by_name(c, p->name) == (int)(p - c->pools));
    uint64_t weight = 0;
    for (uint32_t i = 0; i < p->nservers; i++) {
        const struct conf_server *s = &p->servers[i];
        ASSERT(s->weight > 0 && s->name != NULL && s->address != NULL && s->line > 0);
        weight += s->weight;
        if (i > 0) {
            size_t a = strlen(p->servers[i - 1].name), b = strlen(s->name);
            ASSERT(a < b || (a == b && memcmp(p->servers[i - 1].name, s->name, a) < 0));
        }
    }
    if (p->nservers < 100 && weight < 10000) {
        struct ring *r = conf_ring(p, NULL);
        struct rng rng;
        rng_seed(&rng, 1);
        uint32_t owner = ring_pick(r, &rng, slice_str(p->name));
        ASSERT(owner < p->nservers || owner == RING_NONE);
        ring_unref(&r);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct conf_problems ps = {0};
    struct conf *c = conf_parse("fuzz.yml", slice(data, size), resolve, &ps);
    ASSERT((c == NULL) == (conf_errors(&ps) > 0));
    for (uint32_t i = 1; i < ps.n; i++) {
        const struct conf_problem *a = &ps.v[i - 1], *b = &ps.v[i];
        ASSERT(b->line == 0 || (a->line != 0 && (a->line < b->line || (a->line == b->line && a->column <= b->column))));
        ASSERT(b->text[0] != '\0');
    }
    for (uint32_t i = 0; c != NULL && i < c->npools; i++) {
        check_pool(c, &c->pools[i]);
    }
    conf_unref(&c);
    conf_problems_fini(&ps);
    return 0;
}
