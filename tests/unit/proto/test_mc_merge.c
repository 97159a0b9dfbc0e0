/* merge(split(x)) is what one server would answer: a model server, keys spread at random, hits, misses, duplicates. */
#include "test_mc.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define SERVERS 40 /* more than merge keeps on its stack */
#define KEYS 60

/* Key i: does it exist? The value shows its number and its server, and may hold what looks like a reply. */
struct world {
    bool has[KEYS];
    uint32_t owner[KEYS];
};

static void model_answer(const struct world *w, const struct msg *m, struct text *to) {
    for (uint32_t i = 0; i < m->nkeys; i++) {
        struct slice key = msg_key(m, i);
        int k = atoi((const char *)key.p + 1);
        char value[64], block[160];
        if (!w->has[k]) {
            continue;
        }
        snprintf(value, sizeof value, k % 3 == 1 ? "v%d" : "%d\r\nEND\r\n", k);
        value[k % 3 == 0 ? 0 : strlen(value)] = 0;
        snprintf(block, sizeof block, "VALUE k%d %d %zu\r\n%s\r\n", k, k * 7, strlen(value), value);
        text_str(to, block);
    }
    text_str(to, "END\r\n");
}

static void parse(struct slice in, struct msg *m) {
    struct parser p = {0};
    assert_int_equal(mc_parse_req(&p, in, m), PARSE_DONE);
    assert_int_equal(m->raw.n, in.n);
}

struct split {
    uint32_t nparts;
    uint16_t owner[128];
    struct text sent[SERVERS], reply[SERVERS];
};

/* As core does it: a part for each server that owns a key. */
static void split(const struct world *w, const struct msg *m, struct split *s) {
    uint32_t part_of[SERVERS];
    struct built b;
    struct msg part;
    built_init(&b);
    msg_init(&part);
    memset(part_of, 0xff, sizeof part_of);
    memset(s, 0, sizeof *s);
    for (uint32_t i = 0; i < m->nkeys; i++) {
        uint32_t server = w->owner[atoi((const char *)msg_key(m, i).p + 1)];
        if (part_of[server] == UINT32_MAX) {
            part_of[server] = s->nparts++;
        }
        s->owner[i] = (uint16_t)part_of[server];
    }
    for (uint32_t p = 0; p < s->nparts; p++) {
        uint32_t keys[128], n = 0;
        for (uint32_t i = 0; i < m->nkeys; i++) {
            if (s->owner[i] == p) {
                keys[n++] = i;
            }
        }
        mc_build(m, NULL, keys, n, &b.out);
        built_take(&b, &s->sent[p]);
        parse(text_slice(&s->sent[p]), &part);
        assert_int_equal(part.nkeys, n);
        model_answer(w, &part, &s->reply[p]);
    }
    msg_fini(&part);
    built_fini(&b);
}

static void split_fini(struct split *s) {
    for (uint32_t p = 0; p < s->nparts; p++) {
        text_fini(&s->sent[p]);
        text_fini(&s->reply[p]);
    }
}

static void merge(const struct cmd *cmd, const struct split *s, uint32_t nkeys, struct text *to) {
    struct part parts[SERVERS] = {{0}};
    struct built b;
    for (uint32_t p = 0; p < s->nparts; p++) {
        struct parser parser = {0};
        struct rsp r;
        assert_int_equal(mc_parse_rsp(&parser, cmd, text_slice(&s->reply[p]), &r), PARSE_DONE);
        assert_int_equal(r.len, s->reply[p].n);
        parts[p].reply = text_slice(&s->reply[p]);
    }
    struct fan_in in = {.cmd = cmd, .parts = parts, .nparts = s->nparts, .owner = s->owner, .nkeys = nkeys};
    built_init(&b);
    mc_merge(&in, &b.out);
    built_take(&b, to);
    built_fini(&b);
}

static int by_bytes(const void *a, const void *b) {
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

static void test_model(void **state) {
    struct rng rng;
    struct msg m;
    rng_seed(&rng, 11);
    msg_init(&m);
    for (int round = 0; round < 3000; round++) {
        struct world w;
        struct text line = {0}, one = {0}, many = {0};
        struct split s;
        uint32_t servers = 1 + rng_below(&rng, SERVERS), nkeys = 1 + rng_below(&rng, 100);
        bool hits = round % 2 == 0;
        for (int k = 0; k < KEYS; k++) {
            w.has[k] = hits || rng_below(&rng, 3) > 0;
            w.owner[k] = rng_below(&rng, servers);
        }
        text_str(&line, (const char *[]){"get", "gets", "gat 5", "gats -1"}[rng_below(&rng, 4)]);
        for (uint32_t i = 0; i < nkeys; i++) {
            char key[16];
            snprintf(key, sizeof key, " k%u", rng_below(&rng, KEYS));
            text_str(&line, key);
        }
        text_str(&line, "\r\n");
        parse(text_slice(&line), &m);
        model_answer(&w, &m, &one);
        split(&w, &m, &s);
        merge(m.cmd, &s, nkeys, &many);
        assert_int_equal(one.n, many.n);
        if (!hits) { /* the same blocks, where something is missing in another order */
            struct parser p = {0};
            struct rsp r;
            assert_int_equal(mc_parse_rsp(&p, m.cmd, text_slice(&many), &r), PARSE_DONE);
            assert_int_equal(r.len, many.n);
            qsort(one.p, one.n, 1, by_bytes);
            qsort(many.p, many.n, 1, by_bytes);
        }
        assert_memory_equal(one.p, many.p, one.n);
        split_fini(&s);
        text_fini(&line);
        text_fini(&one);
        text_fini(&many);
    }
    msg_fini(&m);
}

static void check(int id, bool miss, const struct part *parts, uint32_t nparts, const uint16_t *owner, uint32_t nkeys,
                  const char *want) {
    struct fan_in in = {
        .cmd = &mc_cmds[id], .parts = parts, .nparts = nparts, .owner = owner, .nkeys = nkeys, .miss_on_failure = miss};
    struct built b;
    struct text t = {0};
    built_init(&b);
    mc_merge(&in, &b.out);
    built_take(&b, &t);
    assert_string_equal(t.p, want);
    text_fini(&t);
    built_fini(&b);
}

static struct part said(const char *reply) {
    return (struct part){.reply = slice_str(reply)};
}

static void test_failures(void **state) {
    static const uint16_t owner[] = {0, 1, 0, 2};
    struct part parts[3] = {said("VALUE a 0 1\r\nx\r\nVALUE c 0 1\r\nz\r\nEND\r\n"), said("VALUE b 0 1\r\ny\r\nEND\r\n"),
                            said("END\r\n")};
    check(MC_ID_GET, false, parts, 3, owner, 4,
          "VALUE a 0 1\r\nx\r\nVALUE b 0 1\r\ny\r\nVALUE c 0 1\r\nz\r\nEND\r\n");
    parts[2] = (struct part){.failed = REASON_REFUSED};
    check(MC_ID_GET, false, parts, 3, owner, 4, "SERVER_ERROR Connection refused\r\n");
    check(MC_ID_GET, true, parts, 3, owner, 4,
          "VALUE a 0 1\r\nx\r\nVALUE b 0 1\r\ny\r\nVALUE c 0 1\r\nz\r\nEND\r\n");
    /* an error behind blocks: they are not the whole answer */
    parts[1] = said("VALUE b 0 1\r\ny\r\nSERVER_ERROR out of memory\r\n");
    check(MC_ID_GET, false, parts, 3, owner, 4, "SERVER_ERROR out of memory\r\n");
    check(MC_ID_GET, true, parts, 3, owner, 4, "VALUE a 0 1\r\nx\r\nVALUE c 0 1\r\nz\r\nEND\r\n");
    parts[0] = said("ERROR\r\n");
    check(MC_ID_GAT, false, parts, 3, owner, 4, "ERROR\r\n");
    check(MC_ID_GAT, true, parts, 3, owner, 4, "END\r\n");
    /* a value that looks like an error, a server that says more than it was asked for */
    parts[0] = said("VALUE a 0 7\r\n\nERROR\n\r\nVALUE c 0 1\r\nz\r\nVALUE d 0 1\r\nw\r\nEND\r\n");
    check(MC_ID_GETS, false, parts, 1, (uint16_t[]){0, 0}, 2, "VALUE a 0 7\r\n\nERROR\n\r\nVALUE c 0 1\r\nz\r\nEND\r\n");
}

static void test_all_ok(void **state) {
    struct part parts[3] = {said("OK\r\n"), said("OK\r\n"), said("OK\r\n")};
    check(MC_ID_FLUSH_ALL, false, parts, 3, NULL, 0, "OK\r\n");
    parts[2] = (struct part){.failed = REASON_TIMEDOUT};
    check(MC_ID_FLUSH_ALL, true, parts, 3, NULL, 0, "SERVER_ERROR Connection timed out\r\n");
    parts[1] = said("CLIENT_ERROR flush_all not allowed\r\n");
    check(MC_ID_FLUSH_ALL, false, parts, 3, NULL, 0, "CLIENT_ERROR flush_all not allowed\r\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_all_ok),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
