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
    "`\"[::]\"`. `host:port tls` listens for clients that speak TLS ([docs/tls.md](tls.md)).\n"
    "\n"
    "**`servers`** (required): a list. Each entry is `host:port:weight` or `/path:weight`, optionally followed by a blank and a\n"
    "name, or a mapping: `{host: h, port: 6379, weight: 1, name: n}`, `{path: /p, weight: 1, name: n}` (there the weight may be\n"
    "left out). The name decides which keys a server gets: keep it when an address changes. Without one the name is\n"
    "`host:port` as written (`host` alone for port 11211), or the path and a colon. Names must differ within a pool.\n"
    "\n"
    "**`users`**: a list of those who may log in to a redis pool by name (`AUTH name password`, `HELLO 3 AUTH name password`),\n"
    "each `{name: app, password: secret}`. Their connections to the servers log in by the same pair, so that the servers' own ACLs\n"
    "decide what they may do, or by `server_user` and `server_password` where an entry has them. When `users` or `redis_auth` is set,\n"
    "clients must log in. `redis_auth` is the password of the user `default`, who is served over connections that log in by\n"
    "`server_user` and `server_password` of the pool.\n"
    "\n"
    "**`commands`**: a list of commands that kvmux does not know, or is to treat in another way. What stands here counts before\n"
    "kvmux's own table, and that before what servers say of themselves (`learn_commands`). Each entry is a mapping:\n"
    "\n"
    "```yaml\n"
    "  commands:\n"
    "    - {name: my.set, first_key: 1, write: true}                 # one key, argument 1\n"
    "    - {name: my.mset, first_key: 1, last_key: -1, key_step: 2, write: true}   # key value key value ... to the end\n"
    "    - {name: my.pop, first_key: 1, last_key: -2, write: true, blocking: true} # may wait: gets a connection of its own\n"
    "    - {name: my.eval, numkeys: 2}                               # argument 2 says how many keys follow it\n"
    "    - {name: ft.search, keys: none, route: any}                 # no keys: one server, always the same\n"
    "    - {name: ft.create, keys: none, route: all, write: true}    # every server\n"
    "    - {name: my.count, keys: none, route: all, merge: sum}      # ... and their numbers added up\n"
    "    - {name: my.box|get, first_key: 2}                          # a subcommand; it is argument 1 itself\n"
    "```\n"
    "\n"
    "One of `keys: none`, `first_key` and `numkeys` says where the keys are: all of them must be on one server, or the client gets\n"
    "`-CROSSSLOT`. `last_key` is `first_key` when it is left out, negative: counted from the end; `key_step` is 1. `merge` says how the answers\n"
    "of `route: all` become one: `all_ok` (default: the first error, else the first answer), `sum`, `concat` (of lists). A command\n"
    "that changes the state of its connection, or that kvmux answers itself, cannot be changed; one that may wait needs\n"
    "`blocking: true`. Whether a command that kvmux does not know is fit for a connection that others share is the word of whoever\n"
    "writes it here: one that subscribes, or changes the database, is not. Redis only.\n"
    "\n"
    "**`deny_commands`**: a list of commands that clients get an error for: `[keys, flushall, \"config|set\"]`, memcached's as well:\n"
    "`[flush_all]`, for binary clients by the same names. A command with subcommands takes all of them along. What scripts call is the servers' own matter.\n"
    "\n";

static const char middle[] =
    "\n"
    "Numbers are digits; times are milliseconds. Booleans are exactly `true` or `false`. A password can be kept out of the\n"
    "file: `redis_auth: {file: /path}` reads a file of one line, `redis_auth: {env: NAME}` an environment variable; so do\n"
    "`server_password` and the passwords of `users`.\n"
    "`sentinels` is recognised and refused: it is not built yet.\n"
    "\n"
    "\"Changes\" says when a changed value takes effect: *live* on reload (SIGHUP, or `reload_on_change`), *restart* only at the next\n"
    "start. `kvmux -t --diff OLD NEW` shows what a reload would change, and how many keys would move to other servers. Lists change\n"
    "live, too.\n"
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
