#include "io/resolve.h"

#include "io_test.h"

/* No test here asks a name server: what needs one is only started, cancelled and freed. */

struct ask {
    struct lookup lookup;
    unsigned answers, n;
    uint32_t ttl;
    char text[RESOLVE_MAX][ADDR_TEXT_MAX];
    char why[128];
    struct resolver *resolver;
    const char *next;  /* asked inside the callback */
    bool free_inside;
};

static void ask_on_answer(struct lookup *l, const struct addr *addrs, unsigned n, uint32_t ttl, const char *why) {
    struct ask *a = CONTAINER_OF(l, struct ask, lookup);
    assert_null(l->resolver);
    assert_true(n <= RESOLVE_MAX);
    a->answers++;
    a->n = n;
    a->ttl = ttl;
    snprintf(a->why, sizeof a->why, "%s", why);
    for (unsigned i = 0; i < n; i++) {
        addr_text(&addrs[i], a->text[i], sizeof a->text[i]);
    }
    if (a->next != NULL) {
        const char *next = a->next;
        a->next = NULL;
        lookup_start(a->resolver, l, next, 9, ask_on_answer);
    } else if (a->free_inside) {
        resolver_free(&a->resolver);
    }
}

static void ask_start(struct ask *a, struct resolver *r, const char *host, uint16_t port) {
    a->resolver = r;
    lookup_start(r, &a->lookup, host, port, ask_on_answer);
    assert_int_equal(a->answers, 0); /* never inside the call, however quickly c-ares knows */
}

static bool ask_has(const struct ask *a, const char *text) {
    for (unsigned i = 0; i < a->n; i++) {
        if (strcmp(a->text[i], text) == 0) {
            return true;
        }
    }
    return false;
}

static void test_known(void **state) {
    struct net t;
    net_init(&t, false);
    struct resolver *r = resolver_new(t.loop);
    assert_non_null(r);
    struct ask v4 = {0}, v6 = {0}, hosts = {0};
    ask_start(&v4, r, "127.0.0.1", 6379);
    ask_start(&v6, r, "::1", 65535);
    ask_start(&hosts, r, "localhost", 11211);
    UNTIL(t.loop, v4.answers + v6.answers + hosts.answers == 3);
    assert_int_equal(v4.n, 1);
    assert_string_equal(v4.text[0], "127.0.0.1:6379");
    assert_true(v4.ttl > 0);
    assert_int_equal(v6.n, 1);
    assert_string_equal(v6.text[0], "[::1]:65535");
    assert_true(ask_has(&hosts, "127.0.0.1:11211") || ask_has(&hosts, "[::1]:11211"));
    resolver_free(&r);
    assert_null(r);
    resolver_free(&r);
    net_fini(&t);
}

static void test_impossible(void **state) {
    struct net t;
    net_init(&t, false);
    struct resolver *r = resolver_new(t.loop);
    char label[80]; /* a label has 63 bytes at most */
    memset(label, 'a', sizeof label);
    label[sizeof label - 1] = '\0';
    struct ask a = {.next = "127.0.0.1"}; /* asks anew inside the callback */
    ask_start(&a, r, label, 1);
    UNTIL(t.loop, a.answers == 1);
    assert_int_equal(a.n, 0);
    assert_true(a.why[0] != '\0');
    UNTIL(t.loop, a.answers == 2);
    assert_string_equal(a.text[0], "127.0.0.1:9");
    resolver_free(&r);
    net_fini(&t);
}

static void test_cancel(void **state) {
    struct net t;
    net_init(&t, false);
    struct resolver *r = resolver_new(t.loop);
    struct ask known = {0}, unknown = {0}, other = {0};
    ask_start(&known, r, "127.0.0.1", 1);
    ask_start(&unknown, r, "kvmux-test.invalid", 1);
    lookup_cancel(&known.lookup);
    lookup_cancel(&known.lookup);
    lookup_cancel(&unknown.lookup);
    ask_start(&other, r, "127.0.0.1", 1);
    UNTIL(t.loop, other.answers == 1);
    assert_int_equal(known.answers + unknown.answers, 0);
    ask_start(&known, r, "127.0.0.1", 2); /* it may be asked again at once */
    UNTIL(t.loop, known.answers == 1);
    resolver_free(&r);
    net_fini(&t);
}

/* Freed with lookups open, answered and cancelled: no callback, no leak. */
static void test_free_open(void **state) {
    struct net t;
    net_init(&t, false);
    struct resolver *r = resolver_new(t.loop);
    struct ask a[4] = {0};
    ask_start(&a[0], r, "kvmux-test.invalid", 1);
    ask_start(&a[1], r, "127.0.0.1", 1);
    ask_start(&a[2], r, "kvmux-test-2.invalid", 1);
    ask_start(&a[3], r, "127.0.0.1", 1);
    lookup_cancel(&a[2].lookup);
    lookup_cancel(&a[3].lookup);
    resolver_free(&r);
    for (int i = 0; i < 3; i++) {
        loop_turn(t.loop, 2000);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(a[i].answers, 0);
        assert_null(a[i].lookup.resolver);
        lookup_cancel(&a[i].lookup);
    }
    net_fini(&t);
}

static void test_free_inside(void **state) {
    struct net t;
    net_init(&t, false);
    struct resolver *r = resolver_new(t.loop);
    struct ask a = {.free_inside = true}, b = {0}, c = {0};
    ask_start(&a, r, "127.0.0.1", 1);
    ask_start(&b, r, "127.0.0.1", 1);
    ask_start(&c, r, "kvmux-test.invalid", 1);
    UNTIL(t.loop, a.answers == 1);
    loop_turn(t.loop, 2000);
    assert_int_equal(b.answers, 0);
    assert_int_equal(c.answers, 0);
    net_fini(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),     cmocka_unit_test(test_impossible),  cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_free_open), cmocka_unit_test(test_free_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
