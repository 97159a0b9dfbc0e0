#include "base/strmap.h"

#include "base/mem.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { NAMES = 500 };

struct thing {
    struct strmap_entry entry;
    char name[16];
    bool in;
};

/* Random entries come and go; the map always has exactly those that are in, each under its name. */
static void test_against_array(void **state) {
    static struct thing things[NAMES];
    struct strmap m;
    struct rng rng;
    rng_seed(&rng, 5);
    strmap_init(&m, 77);
    assert_null(strmap_find(&m, slice_str("")));
    assert_null(strmap_next(&m, NULL));
    size_t n = 0;
    for (int i = 0; i < NAMES; i++) {
        snprintf(things[i].name, sizeof things[i].name, "%.*s%d", i % 3, "xy", i);
    }
    for (int round = 0; round < 20000; round++) {
        struct thing *t = &things[rng_below(&rng, NAMES)];
        struct slice name = slice_str(t->name);
        assert_ptr_equal(strmap_find(&m, name), t->in ? &t->entry : NULL);
        if (t->in) {
            strmap_remove(&m, &t->entry);
            n--;
        } else {
            strmap_add(&m, &t->entry, name);
            n++;
        }
        t->in = !t->in;
        assert_int_equal(m.n, n);
    }
    size_t seen = 0;
    for (struct strmap_entry *e = strmap_next(&m, NULL); e != NULL; e = strmap_next(&m, e)) {
        assert_true(CONTAINER_OF(e, struct thing, entry)->in);
        seen++;
    }
    assert_int_equal(seen, n);
    for (struct strmap_entry *e = strmap_next(&m, NULL), *next; e != NULL; e = next) { /* leaving while walking */
        next = strmap_next(&m, e);
        strmap_remove(&m, e);
    }
    assert_int_equal(m.n, 0);
    strmap_fini(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_array)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
