/* The table of scripts: found by body and by digest, bounded, what was used last stays. */
#include "core/scripts.h"

#include "core/worker_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
    struct shared shared;
    struct worker worker;
    struct conf_pool conf;
    struct pool pool;
};

/* One worker: nobody to tell. */
static void begin(struct fixture *f, int64_t cache) {
    *f = (struct fixture){.shared = {.workers = 1}};
    f->worker.opts.shared = &f->shared;
    f->conf.script_cache = cache;
    f->pool = (struct pool){.worker = &f->worker, .conf = &f->conf, .back = proto_by_id(PROTO_RESP)};
    scripts_init(&f->pool.scripts, &f->pool);
}

static struct script *find(struct fixture *f, struct slice body) {
    uint8_t digest[SCRIPT_DIGEST];
    assert_true(f->pool.back->script.digest(body, digest));
    return scripts_find(&f->pool.scripts, digest);
}

static struct slice numbered(char *to, uint32_t i) {
    return slice(to, (size_t)snprintf(to, 64, "return %u -- and some more text", i));
}

static void test_many(void **state) {
    struct fixture f;
    char text[64];
    begin(&f, 16 << 20);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 1000; i++) {
            scripts_learn(&f.pool.scripts, numbered(text, i));
        }
        assert_int_equal(f.pool.scripts.n, 1000);
    }
    uint32_t slots = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        struct script *s = find(&f, numbered(text, i));
        assert_non_null(s);
        assert_true(slice_eq(script_body(s), numbered(text, i)));
        assert_true(s->serial > 0 && s->slot < 1000);
        slots += s->slot;
    }
    assert_int_equal(slots, 999 * 1000 / 2); /* each slot once */
    assert_null(find(&f, slice_str("return 1")));
    assert_int_equal(f.pool.stats.v[POOL_scripts], 1000);
    scripts_clear(&f.pool.scripts);
    assert_int_equal(f.pool.scripts.bytes, 0);
    assert_null(find(&f, numbered(text, 7)));
    scripts_learn(&f.pool.scripts, numbered(text, 7));
    assert_true(find(&f, numbered(text, 7))->slot < 1000 && find(&f, numbered(text, 7))->serial == 1001);
    scripts_fini(&f.pool.scripts);
}

static void test_bound(void **state) {
    struct fixture f;
    char text[64];
    begin(&f, 16384);
    for (uint32_t i = 0; i < 1000; i++) {
        scripts_learn(&f.pool.scripts, numbered(text, i));
        assert_true(f.pool.scripts.bytes <= 16384);
        assert_non_null(find(&f, numbered(text, 0))); /* in use */
    }
    uint32_t n = f.pool.scripts.n;
    assert_true(n > 16 && n < 200);
    assert_null(find(&f, numbered(text, 1)));
    assert_null(find(&f, numbered(text, 1000 - n)));
    assert_non_null(find(&f, numbered(text, 999)));
    assert_int_equal(f.pool.stats.v[POOL_script_evictions], 1000 - n);
    char large[2049] = {0};
    scripts_learn(&f.pool.scripts, slice(large, 2049)); /* more than its share */
    assert_null(find(&f, slice(large, 2049)));
    assert_int_equal(f.pool.scripts.n, n);
    scripts_fini(&f.pool.scripts);
}

static void test_none(void **state) {
    struct fixture f;
    begin(&f, 0);
    scripts_learn(&f.pool.scripts, slice_str("return 1"));
    assert_null(find(&f, slice_str("return 1")));
    scripts_clear(&f.pool.scripts);
    scripts_fini(&f.pool.scripts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
