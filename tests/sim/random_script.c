/* random_script.c: random clients ask by scripts, which servers forget now and then; and WAIT. */
#include "random_int.h"

#include <stdio.h>

/* A command as a script, by its digest as a rule. */
static void ask_script(struct rnd_client *c, uint32_t script, const char *key, const char *value, enum want_kind kind, uint32_t id) {
    char hex[MODEL_DIGEST];
    bool by_digest = sim_below(8) != 0;
    model_digest(script, hex);
    rnd_make_command(c, by_digest ? "evalsha" : "EVAL", value != NULL ? 4 : 3);
    rnd_make_arg(c, "%s", by_digest ? hex : model_scripts[script]);
    rnd_make_arg(c, "1");
    rnd_make_arg(c, "%s", key);
    if (value != NULL) {
        rnd_make_arg(c, "%s", value);
    }
    rnd_want(c, kind, id, 1)->by_digest = by_digest;
}

/* In order with what asks for the same key without a script. */
static void ask_seq(struct rnd *r, struct rnd_client *c) {
    char key[48], n[16];
    if (c->seq < 255) {
        snprintf(key, sizeof(key), "x:%u:%u", (unsigned)(c - r->clients), c->serial);
        snprintf(n, sizeof(n), "%u", ++c->seq);
        ask_script(c, 1, key, n, WANT_SEQ_SET, c->seq);
    }
}

static void ask_value(struct rnd *r, struct rnd_client *c) {
    char key[48];
    uint32_t id = rnd_ids(r, c, 1);
    rnd_key(r, id, key, sizeof(key));
    ask_script(c, 0, key, NULL, WANT_VALUE, id);
}

static void ask_incr(struct rnd *r, struct rnd_client *c) {
    char key[48];
    uint32_t id = rnd_ids(r, c, 1);
    snprintf(key, sizeof(key), "n:%u", id);
    ask_script(c, 2, key, NULL, WANT_ONE, id);
}

void rnd_script_ask(struct rnd *r, struct rnd_client *c) {
    uint32_t n = sim_below(r->fixed && c->profiles == 1 ? 12 : 8);
    if (n == 0) {
        rnd_make_command(c, "script", 1);
        rnd_make_arg(c, "flush");
        rnd_want(c, WANT_FINE, 0, 0);
    } else if (n == 1) {
        rnd_make_command(c, "WAIT", 2);
        rnd_make_arg(c, "0");
        rnd_make_arg(c, "0");
        rnd_want(c, WANT_WAIT, 0, 0);
    } else if (n < 4) {
        ask_incr(r, c);
    } else if (n < 8) {
        ask_value(r, c);
    } else {
        ask_seq(r, c);
    }
}
