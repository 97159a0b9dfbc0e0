/* random_reload.c: another configuration in the middle of a random run: some servers fewer or back or elsewhere, other time-outs and numbers of
 * connections. It is the first one with some lines changed. */
#include "random_int.h"
#include "world.h"

#include "base/mem.h"

#include <stdio.h>

struct lines {
    char *p;
    size_t n;
};

static void put(struct lines *to, const char *line, size_t n) {
    to->p = mem_realloc(to->p, to->n + n + 1);
    memcpy(to->p + to->n, line, n);
    to->n += n;
    to->p[to->n] = 0;
}

static bool begins(const char *line, const char *with) {
    return strncmp(line, with, strlen(with)) == 0;
}

static void put_number(struct lines *to, const char *key, const uint32_t *values, uint32_t n) {
    char line[64];
    put(to, line, (size_t)snprintf(line, sizeof line, "%s %u\n", key, values[sim_below(n)]));
}

/* Each one lives where another one did. */
static void put_server(const struct rnd *r, struct lines *to, const char *line, size_t n, uint32_t shift) {
    const char *port = strstr(line, ":700") + 4;
    put(to, line, n);
    to->p[to->n - n + (size_t)(port - line)] = (char)('1' + ((uint32_t)(*port - '1') + shift) % r->nservers);
}

static void put_line(const struct rnd *r, struct lines *to, const char *line, size_t n, uint32_t shift,
                     bool *any) {
    static const uint32_t timeouts[] = {0, 50, 200, 400, 1000}, connections[] = {1, 2, 3};
    if (begins(line, "  timeout:")) {
        put_number(to, "  timeout:", timeouts, ARRAY_LEN(timeouts));
    } else if (begins(line, "  server_connections:")) {
        put_number(to, "  server_connections:", connections, ARRAY_LEN(connections));
    } else if (begins(line, "    - ")) {
        bool last = line[n] == 0;
        if (sim_below(3) > 0 || (last && !*any)) {
            put_server(r, to, line, n, shift);
            *any = true;
        }
    } else {
        put(to, line, n);
    }
}

void rnd_reload(struct rnd *r, bool first) {
    struct lines to = {0};
    bool any = false;
    uint32_t shift = sim_below(4) == 0 ? sim_below(r->nservers) : 0;
    for (const char *line = r->config; *line != 0;) {
        const char *end = strchr(line, '\n') + 1;
        if (first) {
            put(&to, line, (size_t)(end - line));
        } else {
            put_line(r, &to, line, (size_t)(end - line), shift, &any);
        }
        line = end;
    }
    if (!world_reload(r->world, slice(to.p, to.n)) && first) {
        sim_fail("the first configuration was not taken again\n%s", world_log(r->world));
    }
    mem_free(to.p);
}
