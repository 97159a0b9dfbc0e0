/* random.c: one random run: a configuration, then steps (clients ask and leave, servers die, stall, lie, time passes),
 * then everything heals and every promise is checked. */
#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "random_int.h"
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- servers ---- */

static enum sim_answer on_connect(void *ctx, const struct addr *addr, int64_t *delay) {
    struct rnd *r = ctx;
    for (uint32_t i = 0; i < r->nservers; i++) {
        if (addr_eq(&r->servers[i].addr, addr)) {
            *delay = r->servers[i].delay;
            return r->servers[i].n + 1 < RND_CONNS ? r->servers[i].answer : SIM_REFUSE;
        }
    }
    return SIM_REFUSE;
}

static void on_open(void *ctx, const struct addr *addr, struct sim_conn *c) {
    struct rnd *r = ctx;
    for (uint32_t i = 0; i < r->nservers; i++) {
        struct rnd_server *s = &r->servers[i];
        if (addr_eq(&s->addr, addr)) {
            if (s->n == RND_CONNS) { /* accepted before the limit was seen */
                sim_peer_reset(c);
                sim_peer_free(&c);
                return;
            }
            s->conns[s->n++] = c;
            return;
        }
    }
}

static bool serve(void *ctx) {
    struct rnd *r = ctx;
    bool moved = false;
    for (uint32_t i = 0; i < r->nservers; i++) {
        struct rnd_server *s = &r->servers[i];
        for (uint32_t k = 0; k < s->n; k++) {
            if (s->conns[k] == NULL) {
                continue;
            }
            if (sim_peer_eof(s->conns[k])) {
                sim_peer_free(&s->conns[k]);
                model_conn_fini(&s->states[k]);
                moved = true;
            } else if (s->stalled || s->broken[k]) {
                continue;
            } else if (sim_peer_in(s->conns[k]).n > 0 && sim_below(3) == 0) {
                moved = true; /* later: connections are not served in order of age */
            } else {
                moved |= model_serve(s->model, &s->states[k], s->conns[k], 1 + sim_below(8)) > 0;
            }
        }
    }
    return moved;
}

/* A key or an element with an id was touched; "x:" and "w:" keys have none. */
static void on_key(void *ctx, struct slice key, struct model_conn *mc) {
    struct rnd *r = ctx;
    char t[48];
    snprintf(t, sizeof(t), "%.*s", (int)key.n, (const char *)key.p);
    unsigned long id = strtoul(t + 2, NULL, 10);
    uint8_t profile = RND_PROFILE(mc->db != r->db, mc->version);
    if (t[0] == 'x' || t[0] == 'w') {
        if (profile != 0) {
            sim_fail("%s on a connection of profile %u\n%s", t, profile, world_log(r->world));
        }
        return;
    }
    if (id >= RND_IDS) {
        return;
    }
    if (++r->executed[id] > 1) {
        sim_fail("the request of %s was carried out twice\n%s", t, world_log(r->world));
    }
    if (!(r->profiles[id] & (1u << profile))) {
        sim_fail("%s on a connection of profile %u, not %x\n%s", t, profile, r->profiles[id], world_log(r->world));
    }
    bool first = mc->mark == 0 && model_in_exec(mc);
    mc->mark = first ? r->txn[id] : mc->mark;
    if (r->txn[id] == RND_NEVER || (model_in_exec(mc) ? r->txn[id] == 0 || r->txn[id] != mc->mark : r->txn[id] != 0)) {
        sim_fail("%s of transaction %u in transaction %u\n%s", t, r->txn[id], mc->mark, world_log(r->world));
    }
}

static void on_pop(void *ctx, struct slice element) {
    struct rnd *r = ctx;
    r->popped++;
}

/* A client waits for one pop at a time, and however many servers it asks, one connection at most waits for it. */
static void check_pops(struct rnd *r) {
    uint32_t waiting = 0, clients = 0;
    for (uint32_t i = 0; i < r->nservers; i++) {
        struct rnd_server *s = &r->servers[i];
        for (uint32_t k = 0; k < s->n; k++) {
            waiting += s->conns[k] != NULL && !s->broken[k] && !sim_peer_gone(s->conns[k]) && model_waits(&s->states[k]);
        }
    }
    for (uint32_t i = 0; i < r->nclients; i++) {
        clients += r->clients[i].conn != NULL && !sim_peer_gone(r->clients[i].conn);
    }
    if (waiting > clients) {
        sim_fail("%u pops wait at servers for %u clients\n%s", waiting, clients, world_log(r->world));
    }
}

/* Something happens to one connection of a server. */
static void hurt(struct rnd *r, struct rnd_server *s) {
    uint32_t k = s->n > 0 ? sim_below(s->n) : 0;
    if (s->n == 0 || s->conns[k] == NULL || s->broken[k]) {
        return;
    }
    struct sim_conn *c = s->conns[k];
    s->broken[k] = true;
    switch (sim_below(6)) {
    case 0:
        sim_peer_reset(c);
        break;
    case 1:
        sim_peer_fin(c);
        break;
    case 2:
        sim_peer_close(c);
        break;
    case 3: /* half a reply, then the end */
        sim_peer_lose(c);
        sim_peer_close(c);
        break;
    case 4: /* half a reply, then silence */
        sim_peer_lose(c);
        break;
    default:
        sim_peer_send(c, slice_str("garbage that is no reply\r\n"));
    }
}

/* The name of all servers: resolves to a dead address and the good one, to the good one, not at all, or later. */
static void step_name(struct rnd *r, uint32_t how) {
    struct addr addrs[2];
    addr_ip(&addrs[0], slice_str("127.0.0.9"), 1);
    addr_ip(&addrs[1], slice_str("127.0.0.1"), 1);
    if (how == 3) {
        sim_name_pending("db.example");
    } else {
        sim_name("db.example", how == 0 ? addrs : addrs + 1, how == 0 ? 2 : how == 1 ? 1 : 0, 1 + sim_below(3));
    }
}

static void name_at_start(void *ctx) {
    step_name(ctx, sim_below(4));
}

static void step_server(struct rnd *r) {
    if (r->names && sim_below(6) == 0) {
        step_name(r, sim_below(4));
    }
    struct rnd_server *s = &r->servers[sim_below(r->nservers)];
    if (sim_below(16) == 0) {
        model_forget_scripts(s->model); /* somebody emptied it behind our back */
    }
    switch (sim_below(8)) {
    case 0:
        s->answer = sim_below(2) == 0 ? SIM_REFUSE : SIM_ABSENT;
        break;
    case 1:
        s->answer = SIM_SILENT;
        break;
    case 2:
        s->answer = SIM_ACCEPT;
        s->delay = 1000 * (int64_t)sim_below(60);
        break;
    case 3:
        s->stalled = !s->stalled;
        break;
    case 4: /* the whole server dies, and may be back at once */
        model_forget_scripts(s->model);
        s->answer = sim_below(2) == 0 ? SIM_REFUSE : SIM_ACCEPT;
        for (uint32_t k = 0; k < s->n; k++) {
            if (s->conns[k] != NULL) {
                s->broken[k] = true;
                sim_peer_reset(s->conns[k]);
            }
        }
        break;
    default:
        s->answer = SIM_ACCEPT;
        hurt(r, s);
    }
}

/* ---- clients ---- */

static void leave(struct rnd *r, struct rnd_client *c) {
    switch (sim_below(3)) {
    case 0:
        sim_peer_reset(c->conn);
        rnd_client_drop(c);
        break;
    case 1:
        sim_peer_close(c->conn);
        rnd_client_drop(c);
        break;
    default: /* half-close, between two requests: everything is still answered */
        rnd_client_send(r, c, SIZE_MAX);
        sim_peer_fin(c->conn);
        c->fin = c->last_sent = true;
    }
}

static void step_client(struct rnd *r) {
    if (rnd_listen_step(r)) {
        return;
    }
    struct rnd_client *c = &r->clients[sim_below(r->nclients)];
    if (c->conn == NULL) {
        rnd_client_open(r, c);
        return;
    }
    switch (sim_below(12)) {
    case 0:
        if (sim_below(3) == 0) {
            leave(r, c);
        }
        break;
    case 1:
        c->slow = !c->slow;
        c->was_slow = true;
        sim_peer_window(c->conn, c->slow ? sim_below(3000) : 1u << 20);
        break;
    case 2:
    case 3:
        rnd_client_send(r, c, sim_below(50));
        break;
    default:
        for (uint32_t n = 1 + sim_below(sim_below(4) == 0 ? 60 : 6); n > 0; n--) {
            rnd_client_ask(r, c);
        }
        rnd_client_send(r, c, sim_below(4) == 0 ? sim_below(400) : SIZE_MAX);
    }
}

static void read_all(struct rnd *r) {
    rnd_listen_read(r);
    for (uint32_t i = 0; i < r->nclients; i++) {
        rnd_client_read(r, &r->clients[i]);
    }
}

/* ---- the configuration ---- */

struct text {
    char s[4096];
    size_t n;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct text *t, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    t->n += (size_t)vsnprintf(t->s + t->n, sizeof(t->s) - t->n, fmt, ap);
    va_end(ap);
}

static uint32_t pick(struct rng *g, const uint32_t *from, uint32_t n) {
    return from[rng_below(g, n)];
}
#define PICK(...) pick(g, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void choose_config(struct rnd *r, struct rng *g, struct text *t) {
    r->memcached = rng_below(g, 3) == 0;
    r->workers = 1 + rng_below(g, 3);
    r->nservers = 1 + rng_below(g, RND_SERVERS);
    r->nclients = 1 + rng_below(g, RND_CLIENTS);
    r->limits_clients = rng_below(g, 6) == 0;
    r->miss = r->memcached && rng_below(g, 2) == 0;
    r->password = !r->memcached && rng_below(g, 4) == 0 ? "secret" : NULL;
    uint32_t db = !r->memcached && rng_below(g, 4) == 0 ? 3 : 0;
    r->db = db;
    r->other_db = 5;
    r->changes = rng_below(g, 2) == 0;
    if (rng_below(g, 6) == 0) {
        add(t, "kvmux:\n  buffer_limit: 1048576\n");
        r->tight = true;
    }
    r->calm = rng_below(g, 2) == 0;
    r->names = rng_below(g, 4) == 0;
    add(t, "p:\n  listen: 127.0.0.1:22121\n  redis: %s\n", r->memcached ? "false" : "true");
    add(t, "  timeout: %u\n", PICK(0, 50, 200, 400, 1000));
    bool eject = rng_below(g, 2) == 0;
    add(t, "  auto_eject_hosts: %s\n", eject ? "true" : "false");
    add(t, "  server_failure_limit: %u\n  server_retry_timeout: %u\n", 1 + rng_below(g, 3), PICK(0, 100, 500, 2000));
    add(t, "  server_connections: %u\n  preconnect: %s\n", 1 + rng_below(g, 3), rng_below(g, 3) ? "false" : "true");
    add(t, "  client_max_requests: %u\n  client_buffer: %u\n", PICK(1, 4, 64, 1024), PICK(4096, 65536, 1048576));
    uint32_t limit = PICK(65536, 1048576, 67108864, 67108864);
    r->tight |= limit < 67108864; /* also a client that reads may have that much waiting for a moment */
    add(t, "  client_buffer_limit: %u\n", limit);
    r->cut_through = PICK(0, 40, 300, 65536);
    add(t, "  cut_through: %u\n  server_uploads: %u\n  server_downloads: %u\n", r->cut_through, PICK(0, 1, 2, 32), PICK(0, 1, 256));
    add(t, "  connect_timeout: %u\n  server_queue_limit: %u\n", PICK(20, 300, 3000), PICK(2, 50, 65536));
    uint32_t dist = rng_below(g, 3);
    add(t, "  distribution: %s\n", (const char *[]){"ketama", "modula", "random"}[dist]);
    r->fixed = !eject && dist < 2;
    r->owned = dist < 2;
    r->rotate = !r->memcached && r->owned && rng_below(g, 2) == 0;
    if (r->rotate) {
        add(t, "  cross_shard_blocking: rotate\n  server_leases: %u\n", PICK(1, 3, 256));
    }
    add(t, "  hash_tag: \"{}\"\n");
    if (r->limits_clients) {
        add(t, "  client_connections: %u\n", 1 + rng_below(g, 6));
    }
    if (r->miss) {
        add(t, "  multiget_failure: miss\n");
    }
    if (r->password != NULL) {
        add(t, "  redis_auth: %s\n", r->password);
    }
    if (db > 0) {
        add(t, "  redis_db: %u\n", db);
    }
    add(t, "  servers:\n");
    for (uint32_t i = 0; i < r->nservers; i++) {
        struct rnd_server *s = &r->servers[i];
        struct model_opts mo = {.kind = r->memcached ? MODEL_MEMCACHED : MODEL_REDIS,
                                .password = r->password,
                                .db = db,
                                .other_db = r->other_db,
                                .on_key = on_key,
                                .on_pop = on_pop,
                                .on_publish = rnd_listen_publish,
                                .refuses = rnd_listen_refuses,
                                .ctx = r};
        add(t, "    - %s:%u:%u s%u\n", r->names ? "db.example" : "127.0.0.1", 7001 + i, 1 + rng_below(g, 2), i + 1);
        addr_ip(&s->addr, slice_str("127.0.0.1"), (uint16_t)(7001 + i));
        s->model = model_new(&mo);
    }
}

static struct sim_policy choose_policy(struct rng *g, uint64_t seed, struct slice bytes) {
    static const enum sim_cut cuts[] = {SIM_WHOLE, SIM_RANDOM, SIM_RANDOM, SIM_WHOLE};
    return (struct sim_policy){.recv = cuts[rng_below(g, 4)],
                               .send = cuts[rng_below(g, 4)],
                               .shuffle = rng_below(g, 4) != 0,
                               .reset_drops = true,
                               .seed = seed,
                               .bytes = bytes};
}

/* ---- a run ---- */

static void heal(struct rnd *r) {
    step_name(r, 1);
    if (r->reloads) {
        world_settle(r->world);
        rnd_reload(r, true);
    }
    for (uint32_t i = 0; i < r->nservers; i++) {
        struct rnd_server *s = &r->servers[i];
        s->answer = SIM_ACCEPT;
        s->delay = 0;
        s->stalled = false;
        for (uint32_t k = 0; k < s->n; k++) {
            if (s->conns[k] != NULL && s->broken[k]) {
                sim_peer_reset(s->conns[k]);
            }
        }
    }
    for (uint32_t i = 0; i < r->nclients; i++) {
        struct rnd_client *c = &r->clients[i];
        c->slow = false;
        if (c->conn != NULL) {
            sim_peer_window(c->conn, 1u << 30);
            rnd_client_send(r, c, SIZE_MAX);
        }
    }
    rnd_listen_heal(r);
    for (uint32_t i = 0; i < 40; i++) {
        world_advance(r->world, 250000);
        read_all(r);
    }
}

/* All is well again: whoever is still connected has all its replies, and gets new ones. */
static void check_healed(struct rnd *r) {
    for (uint32_t i = 0; i < r->nclients; i++) {
        struct rnd_client *c = &r->clients[i];
        if (c->conn != NULL && rnd_client_waiting(c) > 0) {
            sim_fail("client %u still waits for %u replies (kind %d id %u)\n%s", c->serial, rnd_client_waiting(c),
                     (int)c->wants[c->first % RND_EXPECT].kind, c->wants[c->first % RND_EXPECT].id, world_log(r->world));
        }
        if (c->conn != NULL && (c->fin || c->doomed)) {
            sim_fail("client %u was not closed\n%s", c->serial, world_log(r->world));
        }
    }
    /* errors that wait for nobody are remembered by health: one round of traffic makes it known that all works */
    for (uint32_t round = 0; round < 3; round++) {
        r->healthy = round == 2;
        for (uint32_t i = 0; i < r->nclients; i++) {
            if (r->clients[i].conn != NULL) {
                r->clients[i].was_slow = false;
                rnd_client_ask(r, &r->clients[i]);
                rnd_client_send(r, &r->clients[i], SIZE_MAX);
                world_settle(r->world);
                rnd_client_read(r, &r->clients[i]);
            }
        }
        world_advance(r->world, 5000000);
        read_all(r);
    }
    for (uint32_t i = 0; i < r->nclients; i++) {
        if (rnd_client_waiting(&r->clients[i]) > 0) {
            sim_fail("client %u waits although all is well\n%s", r->clients[i].serial, world_log(r->world));
        }
    }
}

static void one_step(struct rnd *r) {
    if (r->reloads && sim_below(30) == 0) {
        rnd_reload(r, false);
    }
    switch (sim_below(8)) {
    case 0:
        if (!r->calm || sim_below(8) == 0) {
            step_server(r);
        }
        break;
    case 1:
        world_advance(r->world, 1000 * (int64_t)sim_below(300));
        break;
    default:
        step_client(r);
    }
    if (sim_below(3) == 0) {
        world_settle(r->world);
        check_pops(r);
    } else {
        for (uint32_t n = sim_below(4); n > 0; n--) {
            world_round(r->world);
        }
    }
    read_all(r);
    if (world_buffers(r->world) > (256u << 20)) {
        sim_fail("%zu bytes of buffers", world_buffers(r->world));
    }
}

/* A pop over several servers goes on when one of them fails, and what that one gave is lost with its connection: so many
 * connections ended otherwise than by kvmux. */
static uint32_t servers_lost(const struct rnd *r) {
    static const char *const names[] = {"server_eof", "server_err", "server_timedout", "request_timeouts"};
    int64_t sum = 0;
    for (uint32_t i = 0; i < r->nservers; i++) {
        char server[16];
        snprintf(server, sizeof(server), "s%u", i + 1);
        for (uint32_t k = 0; k < ARRAY_LEN(names); k++) {
            int64_t v = 0;
            if (!world_metric(r->world, "p", server, names[k], &v)) {
                sim_fail("no metric %s of %s", names[k], server);
            }
            sum += v;
        }
    }
    return (uint32_t)sum;
}

static void finish(struct rnd *r, struct random_sum *sum) {
    uint32_t lost = 0;
    for (uint32_t i = 0; i < r->nclients; i++) {
        rnd_client_drop(&r->clients[i]);
        lost += r->clients[i].lost_pops;
    }
    if (r->rotate) {
        lost += servers_lost(r);
    }
    if (r->popped - r->delivered > lost && !(r->reloads && r->rotate)) { /* servers that went are not counted */
        sim_fail("%u elements were popped, %u delivered, %u pops failed\n%s", r->popped, r->delivered, lost, world_log(r->world));
    }
    rnd_listen_end(r);
    world_settle(r->world);
    for (uint32_t i = 0; i < r->nservers; i++) {
        for (uint32_t k = 0; k < r->servers[i].n; k++) {
            sim_peer_free(&r->servers[i].conns[k]);
            model_conn_fini(&r->servers[i].states[k]);
        }
    }
    world_free(&r->world);
    for (uint32_t i = 0; i < r->nservers; i++) {
        model_free(&r->servers[i].model);
    }
    if (sum != NULL) {
        sum->requests += r->sum.requests;
        sum->errors += r->sum.errors;
        sum->no_script += r->sum.no_script;
        sum->closed += r->sum.closed;
    }
    mem_free(r);
}

void random_run(uint64_t seed, struct slice bytes, bool verbose, struct random_sum *sum) {
    struct rnd *r = mem_zalloc(sizeof(*r));
    struct rng rng, *g = &rng;
    struct text config = {.n = 0};
    for (uint32_t i = 0; i < RND_CLIENTS; i++) {
        rnd_client_drop(&r->clients[i]); /* as one that has no connection yet */
    }
    rng_seed(g, seed);
    sim_title("random seed %llu", (unsigned long long)seed);
    choose_config(r, g, &config);
    if (verbose) {
        fprintf(stderr, "seed %llu\n%s", (unsigned long long)seed, config.s);
    }
    struct world_opts o = {.name = "random",
                           .config = slice(config.s, config.n),
                           .workers = r->workers,
                           .policy = choose_policy(g, seed, bytes),
                           .servers = {.on_connect = on_connect, .on_open = on_open, .ctx = r},
                           .learns = bytes.n == 0, /* not in the corpus: there a byte is a decision */
                           .peers = serve,
                           .peers_ctx = r,
                           .before_start = name_at_start,
                           .before_ctx = r};
    if (bytes.n == 0) {
        rnd_listen_begin(r, g);
        r->binary = r->memcached && rng_below(g, 2) == 0;
        r->reloads = rng_below(g, 3) == 0;
        r->fixed = r->fixed && !r->reloads;
        r->config = config.s;
    }
    r->world = world_new(&o);
    for (uint32_t i = 0; bytes.n > 0 ? sim_bytes_left() && i < 4000 : i < 250; i++) {
        one_step(r);
    }
    heal(r);
    check_healed(r);
    rnd_listen_check(r);
    finish(r, sum);
}
