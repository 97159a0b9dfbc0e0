/* tells.c: the routes that only tell. */
#include "admin/control_state.h"
#include "admin/json.h"
#include "admin/page.h"
#include "admin/prom.h"
#include "admin/request.h"
#include "admin/view.h"
#include "base/mem.h"
#include "base/num.h"
#include "conf/conf.h"

void tell_page(struct request *r, struct control *c) {
    struct str body = {0};
    str_put_slice(&body, slice(page_html, page_len));
    request_answer(r, 200, page_type, &body);
}

void tell_metrics(struct request *r, struct control *c) {
    struct str body = {0};
    prom_metrics(c, &body);
    request_answer(r, 200, PROM_TYPE, &body);
}

void tell_stats(struct request *r, struct control *c) {
    struct str body = {0};
    body.p = json_stats(c, &body.n);
    request_json(r, &body);
}

void tell_health(struct request *r, struct control *c) {
    request_say(r, 200, "alive");
}

void tell_ready(struct request *r, struct control *c) {
    struct str body = {0};
    bool ready = view_ready(c, &body);
    str_put(&body, "\n");
    request_answer(r, ready ? 200 : 503, "text/plain; charset=utf-8", &body);
}

void tell_config(struct request *r, struct control *c) {
    struct str body = {0};
    conf_dump(c->conf, &body);
    request_answer(r, 200, "text/yaml; charset=utf-8", &body);
}

void tell_pools(struct request *r, struct control *c) {
    struct str body = {0};
    view_pools(c, &body);
    request_json(r, &body);
}

void tell_history(struct request *r, struct control *c) {
    struct str body = {0};
    history_json(c->history, &body);
    request_json(r, &body);
}

void tell_log_level(struct request *r, struct control *c) {
    request_say(r, 200, "%d", log_level());
}

/* ---- where ---- */

static void put_place(struct str *to, const char *name, const struct conf_pool *pool, uint32_t server) {
    str_quote(to, slice_str(name));
    if (server == RING_NONE) {
        str_put(to, ":null");
        return;
    }
    str_put(to, ":{\"name\":");
    str_quote(to, slice_str(pool->servers[server].name));
    str_put(to, ",\"address\":");
    str_quote(to, slice_str(pool->servers[server].address));
    str_put(to, "}");
}

/* `key` NULL: it was not hexadecimal. To be freed. */
static uint8_t *where_key(struct slice given, bool hex, size_t *n) {
    uint8_t *key = mem_alloc(given.n + 1);
    if (!hex) {
        memcpy(key, given.p, given.n);
        *n = given.n;
    } else if (!num_hex(given, key, n)) {
        mem_free(key);
        return NULL;
    }
    return key;
}

void tell_where(struct request *r, struct control *c) {
    struct slice given = request_arg(r, "key");
    int index = request_pool(r, c);
    if (index < 0) {
        return;
    }
    if (given.p == NULL) {
        request_say(r, 400, "the argument key is missing: /where?pool=NAME&key=KEY");
        return;
    }
    size_t n;
    uint8_t *key = where_key(given, request_flag(r, "hex"), &n);
    if (key == NULL) {
        request_say(r, 400, "key is not hexadecimal");
        return;
    }
    const struct conf_pool *pool = &c->conf->pools[index];
    struct ring *all = conf_ring(pool, NULL);
    struct rng rng;
    struct str body = {0};
    rng_seed(&rng, (uint64_t)loop_now(c->loop)); /* distribution: random: any of them */
    str_put(&body, "{\"pool\":");
    str_quote(&body, slice_str(pool->name));
    str_put(&body, ",\"key\":");
    str_quote(&body, given);
    str_put(&body, ",");
    put_place(&body, "server", pool, ring_pick(c->pools[index]->ring, &rng, slice(key, n)));
    str_put(&body, ",");
    put_place(&body, "home", pool, ring_pick(all, &rng, slice(key, n)));
    str_put(&body, "}\n");
    ring_unref(&all);
    mem_free(key);
    request_json(r, &body);
}
