/* Whole configurations against nutcracker: every ring, every key, every hash, bit for bit. The tables name servers by
 * their place in the configuration; a ring wants them sorted by hashed name. */
#include "golden.h"

#include "base/mem.h"
#include "base/num.h"
#include "route/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define CONFIGS        12
#define SERVERS        86     /* of all configurations together */
#define MAX_SERVERS    64     /* of one */
#define KEYS           600    /* of one configuration */
#define OWNERS         172800 /* CONFIGS * KEYS * two distributions * twelve hashes */
#define RING_VALUES    13592  /* points of all continuum files together */
#define KETAMA_WEIGHTS 192    /* rows of ketama_points.tsv */

struct entry {
    struct ring_server server;
    uint32_t place; /* in the configuration */
};

struct config {
    char name[64];
    char tag[2];
    bool tagged;
    uint32_t n;
    struct ring_server servers[MAX_SERVERS]; /* sorted */
    uint32_t place[MAX_SERVERS];             /* of each of them */
};

static struct golden list; /* keeps the texts of the names */
static struct config configs[CONFIGS];
static struct entry entries[CONFIGS][MAX_SERVERS];

static struct slice before_last(struct slice s, char c, struct slice *after) {
    const uint8_t *at = memrchr(s.p, c, s.n);
    ASSERT(at != NULL);
    *after = slice(at + 1, (size_t)(s.p + s.n - at - 1));
    return slice(s.p, (size_t)(at - s.p));
}

/* Hashed name and weight of "host:port:weight [name]" or "/path:weight [name]" (docs/placement.md, section 2). */
static struct ring_server read_entry(char *text) {
    struct slice s = slice_str(text), name = {NULL, 0}, weight, port;
    if (strchr(text, ' ') != NULL) {
        s = before_last(s, ' ', &name);
    }
    struct slice where = before_last(s, ':', &weight);
    if (name.n == 0 && text[0] == '/') {
        name = slice(where.p, where.n + 1);
    } else if (name.n == 0) {
        struct slice host = before_last(where, ':', &port);
        name = slice_is(port, "11211") ? host : where;
    }
    uint64_t w;
    assert_true(num_u64(weight, &w));
    return (struct ring_server){name, (uint32_t)w, true};
}

static int entry_cmp(const void *a, const void *b) {
    const struct slice *x = &((const struct entry *)a)->server.name, *y = &((const struct entry *)b)->server.name;
    if (x->n != y->n) {
        return x->n < y->n ? -1 : 1;
    }
    return memcmp(x->p, y->p, x->n);
}

static int load_configs(void **state) {
    unsigned nconfigs = 0, nservers = 0;
    golden_open(&list, "mapping/servers.tsv");
    while (golden_next(&list)) {
        ASSERT(list.nfields == 4);
        if (nconfigs == 0 || strcmp(configs[nconfigs - 1].name, list.fields[0]) != 0) {
            ASSERT(nconfigs < CONFIGS);
            snprintf(configs[nconfigs].name, sizeof configs[0].name, "%s", list.fields[0]);
            nconfigs++;
        }
        struct config *c = &configs[nconfigs - 1];
        c->tagged = list.fields[1][0] != '\0';
        memcpy(c->tag, list.fields[1], c->tagged ? 2 : 0);
        struct entry *e = &entries[nconfigs - 1][c->n];
        *e = (struct entry){read_entry(list.fields[3]), c->n};
        e->server.alive = list.fields[2][0] == '1';
        c->n++;
        nservers++;
    }
    ASSERT(nconfigs == CONFIGS && nservers == SERVERS);
    for (unsigned i = 0; i < CONFIGS; i++) {
        struct config *c = &configs[i];
        qsort(entries[i], c->n, sizeof entries[i][0], entry_cmp);
        for (uint32_t s = 0; s < c->n; s++) {
            c->servers[s] = entries[i][s].server;
            c->place[s] = entries[i][s].place;
        }
    }
    return 0;
}

static int drop_configs(void **state) {
    golden_close(&list);
    return 0;
}

static struct ring *config_ring(const struct config *c, enum dist dist, enum hash hash) {
    return ring_new(dist, hash, c->tagged ? c->tag : NULL, c->servers, c->n);
}

static void test_continuum(void **state) {
    unsigned checked = 0;
    for (unsigned i = 0; i < CONFIGS; i++) {
        const struct config *c = &configs[i];
        struct ring *r = config_ring(c, DIST_KETAMA, HASH_FNV1A_64);
        struct golden g;
        char file[128];
        uint32_t at = 0, value, server;
        snprintf(file, sizeof file, "mapping/continuum_%.63s.tsv", c->name);
        golden_open(&g, file);
        for (; golden_next(&g); at++, checked++) {
            ring_point(r, at, &value, &server);
            if (value != golden_u32(g.fields[0]) || c->place[server] != golden_u32(g.fields[1])) {
                fail_msg("%s: point %u", c->name, at);
            }
        }
        assert_int_equal(at, ring_points(r));
        golden_close(&g);
        ring_unref(&r);
    }
    assert_int_equal(checked, RING_VALUES);
    print_message("continuum_*.tsv: %u points checked\n", checked);
}

/* A ring for each column after the first, by its "distribution/hash". */
static void column_rings(const struct config *c, const struct golden *g, struct ring **rings) {
    for (unsigned f = 1; f < g->nfields; f++) {
        struct slice name = slice_str(g->fields[f]), hash;
        struct slice dist = before_last(name, '/', &hash);
        assert_int_not_equal(dist_by_name(dist), -1);
        assert_int_not_equal(hash_by_name(hash), -1);
        rings[f] = config_ring(c, (enum dist)dist_by_name(dist), (enum hash)hash_by_name(hash));
    }
}

static unsigned check_config(const struct config *c) {
    struct ring *rings[GOLDEN_FIELDS];
    struct golden g;
    char file[128];
    uint8_t room[1024];
    unsigned keys = 0, checked = 0;
    snprintf(file, sizeof file, "mapping/%.63s.tsv", c->name);
    golden_open(&g, file);
    unsigned columns = g.nfields;
    column_rings(c, &g, rings);
    for (; golden_next(&g); keys++) {
        assert_int_equal(g.nfields, columns);
        struct slice key = golden_bytes(g.fields[0], room, sizeof room);
        for (unsigned f = 1; f < columns; f++, checked++) {
            uint32_t got = ring_pick(rings[f], NULL, key);
            if (got >= c->n || c->place[got] != golden_u32(g.fields[f])) {
                fail_msg("%s: key %s, column %u: server %u", c->name, g.fields[0], f, got);
            }
        }
    }
    assert_int_equal(keys, KEYS);
    for (unsigned f = 1; f < columns; f++) {
        ring_unref(&rings[f]);
    }
    golden_close(&g);
    return checked;
}

static void test_owners(void **state) {
    unsigned checked = 0;
    for (unsigned i = 0; i < CONFIGS; i++) {
        checked += check_config(&configs[i]);
    }
    assert_int_equal(checked, OWNERS);
    print_message("mapping/*.tsv: %u owners checked\n", checked);
}

/* Numbers between commas; their count. `out` may be NULL. */
static uint32_t read_list(const char *text, uint32_t *out) {
    uint32_t n = 0;
    for (const char *at = text; at != NULL; n++) {
        uint64_t v;
        const char *comma = strchr(at, ',');
        size_t len = comma != NULL ? (size_t)(comma - at) : strlen(at);
        assert_true(num_u64(slice(at, len), &v));
        if (out != NULL) {
            out[n] = (uint32_t)v;
        }
        at = comma != NULL ? comma + 1 : NULL;
    }
    return n;
}

static void check_weights(const char *weights, const char *points) {
    uint32_t n = read_list(weights, NULL);
    assert_int_equal(read_list(points, NULL), n);
    uint32_t *w = mem_alloc(n * sizeof *w), *want = mem_alloc(n * sizeof *want), *got = mem_zalloc(n * sizeof *got);
    struct ring_server *servers = mem_alloc(n * sizeof *servers);
    read_list(weights, w);
    read_list(points, want);
    for (uint32_t i = 0; i < n; i++) {
        servers[i] = (struct ring_server){slice(&w[i], sizeof w[i]), w[i], true}; /* any name does */
    }
    struct ring *r = ring_new(DIST_KETAMA, HASH_MD5, NULL, servers, n);
    for (uint32_t i = 0; i < ring_points(r); i++) {
        uint32_t value, server;
        ring_point(r, i, &value, &server);
        got[server]++;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (got[i] != want[i]) {
            fail_msg("weights %s: server %u has %u points", weights, i, got[i]);
        }
    }
    ring_unref(&r);
    mem_free(servers);
    mem_free(got);
    mem_free(want);
    mem_free(w);
}

static void test_ketama_points(void **state) {
    struct golden g;
    unsigned checked = 0;
    golden_open(&g, "ketama_points.tsv");
    for (; golden_next(&g); checked++) {
        check_weights(g.fields[0], g.fields[1]);
    }
    golden_close(&g);
    assert_int_equal(checked, KETAMA_WEIGHTS);
    print_message("ketama_points.tsv: %u rows checked\n", checked);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_continuum),
        cmocka_unit_test(test_owners),
        cmocka_unit_test(test_ketama_points),
    };
    return cmocka_run_group_tests_name("placement", tests, load_configs, drop_configs);
}
