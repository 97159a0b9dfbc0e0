/* describe.c: the reference of all keys, from the tables. */
#include "conf/keys.h"

#include <stdio.h>

struct writer {
    void (*put)(void *ctx, const char *text);
    void *ctx;
};

static const char intro[] =
    "# Configuration reference\n"
    "\n"
    "Made from the tables in `src/conf/` by `tools/gen-docs`; do not edit.\n"
    "\n"
    "The file is YAML. Each top-level key is the name of a pool, its keys stand below it. Any file that nutcracker 0.5.0\n"
    "takes is taken, with the same meaning. `kvmux -t -c FILE` checks a file and tells every problem in it.\n"
    "\n"
    "```yaml\n"
    "alpha:\n"
    "  listen: 127.0.0.1:22121\n"
    "  redis: true\n"
    "  servers:\n"
    "    - 127.0.0.1:6379:1 server1\n"
    "    - 127.0.0.1:6380:1 server2\n"
    "```\n"
    "\n"
    "## Keys of a pool\n"
    "\n"
    "**`listen`** (required): where clients connect. `host:port`, `\"[ipv6]:port\"` or `/path`, the path optionally followed by\n"
    "a blank and the permissions of the socket in octal (`/run/kvmux.sock 0660`). A list of several addresses is taken too.\n"
    "A host name is resolved when the file is read. `*` means loopback, as in nutcracker; all addresses are `0.0.0.0` or\n"
    "`\"[::]\"`.\n"
    "\n"
    "**`servers`** (required): a list. Each entry is `host:port:weight` or `/path:weight`, optionally followed by a blank and a\n"
    "name, or a mapping: `{host: h, port: 6379, weight: 1, name: n}`, `{path: /p, weight: 1, name: n}` (there the weight may be\n"
    "left out). The name decides which keys a server gets: keep it when an address changes. Without one the name is\n"
    "`host:port` as written (`host` alone for port 11211), or the path and a colon. Names must differ within a pool.\n"
    "\n";

static const char middle[] =
    "\n"
    "Numbers are digits; times are milliseconds. Booleans are exactly `true` or `false`. A password can be kept out of the\n"
    "file: `redis_auth: {file: /path}` reads a file of one line, `redis_auth: {env: NAME}` an environment variable.\n"
    "`sentinels` is recognised and refused: it is not built yet.\n"
    "\n"
    "\"Changes\" says when a changed value takes effect: *live* on reload, *restart* only at the next start.\n"
    "\n"
    "## The section `kvmux`\n"
    "\n"
    "Settings of the whole process. A top-level key named `kvmux` is this section unless it has `listen` or `servers`; then it\n"
    "is a pool of that name.\n"
    "\n";

static void describe_row(const struct writer *w, const struct key_row *row) {
    char allowed[256], line[1024];
    const char *def = row->def[0] != '\0' ? row->def : "none";
    snprintf(line, sizeof line, "| `%s` | %s | %s | %s | %s |\n", row->name, key_allowed(row, allowed, sizeof allowed), def,
             row->change == KEY_LIVE ? "live" : "restart", row->help);
    w->put(w->ctx, line);
}

static void describe_table(const struct writer *w, const struct key_table *t) {
    w->put(w->ctx, "| key | allowed | default | changes | meaning |\n|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < t->n; i++) {
        describe_row(w, &t->rows[i]);
    }
}

void conf_reference(void (*put)(void *ctx, const char *text), void *ctx) {
    struct writer w = {put, ctx};
    put(ctx, intro);
    describe_table(&w, &keys_pool);
    put(ctx, middle);
    describe_table(&w, &keys_global);
}
