/* Networks: what is one, what is in it, and what is said of what is none. */
#include "io/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>

#include <cmocka.h>

static const struct {
    const char *text;
    const char *shown; /* NULL: refused */
    const char *says;  /* part of why, or the proposal */
} texts[] = {
    {"10.0.0.0/8", "10.0.0.0/8", NULL},
    {"10.1.2.3", "10.1.2.3", NULL},
    {"10.1.2.3/32", "10.1.2.3", NULL},
    {"0.0.0.0/0", "0.0.0.0/0", NULL},
    {"10.128.0.0/9", "10.128.0.0/9", NULL},
    {"2001:db8::/32", "2001:db8::/32", NULL},
    {"::1", "::1", NULL},
    {"::/0", "::/0", NULL},
    {"::ffff:10.1.2.3", "10.1.2.3", NULL},
    {"unix", "unix", NULL},
    {"10.1.2.3/8", NULL, "10.0.0.0/8"},
    {"10.128.0.0/8", NULL, "10.0.0.0/8"},
    {"2001:db8::1/32", NULL, "2001:db8::/32"},
    {"10.0.0.1/0", NULL, "0.0.0.0/0"},
    {"10.0.0.0/33", NULL, "0 to 32"},
    {"::/129", NULL, "0 to 128"},
    {"10.0.0.0/", NULL, "0 to 32"},
    {"10.0.0.0/ 8", NULL, "0 to 32"},
    {"10.0.0.0/-1", NULL, "0 to 32"},
    {"10.0.0", NULL, "no numeric address"},
    {"localhost", NULL, "no numeric address"},
    {"", NULL, "no numeric address"},
    {"/8", NULL, "no numeric address"},
    {"/run/x.sock", NULL, "no numeric address"},
};

static void test_texts(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct network n;
        const char *why = "";
        char instead[NETWORK_TEXT_MAX], shown[NETWORK_TEXT_MAX];
        bool ok = network_parse(&n, slice_str(texts[i].text), &why, instead);
        assert_int_equal(ok, texts[i].shown != NULL);
        if (ok) {
            assert_string_equal(network_text(&n, shown, sizeof shown), texts[i].shown);
        } else if (instead[0] != '\0') {
            assert_string_equal(instead, texts[i].says);
        } else {
            assert_non_null(strstr(why, texts[i].says));
        }
    }
}

static bool has(const char *network, const char *host) {
    struct network n;
    struct addr a;
    const char *why;
    char instead[NETWORK_TEXT_MAX];
    assert_true(network_parse(&n, slice_str(network), &why, instead));
    if (host[0] == '/') {
        assert_true(addr_unix(&a, slice_str(host)));
    } else {
        assert_true(addr_ip(&a, slice_str(host), 4711));
    }
    return network_has(&n, &a);
}

static void test_has(void **state) {
    assert_true(has("10.0.0.0/8", "10.255.255.255"));
    assert_false(has("10.0.0.0/8", "11.0.0.0"));
    assert_false(has("10.0.0.0/8", "9.255.255.255"));
    assert_true(has("10.128.0.0/9", "10.128.0.0"));
    assert_false(has("10.128.0.0/9", "10.127.255.255"));
    assert_true(has("10.0.0.0/31", "10.0.0.1"));
    assert_false(has("10.0.0.0/31", "10.0.0.2"));
    assert_true(has("10.0.0.1", "10.0.0.1"));
    assert_false(has("10.0.0.1", "10.0.0.2"));
    assert_true(has("0.0.0.0/0", "255.255.255.255"));
    assert_true(has("2001:db8::/33", "2001:db8:7fff:ffff::1"));
    assert_false(has("2001:db8::/33", "2001:db8:8000::"));
    assert_true(has("::/0", "fe80::1"));
    /* a dual socket shows IPv4 clients in IPv6's clothes */
    assert_true(has("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert_false(has("::/0", "::ffff:10.1.2.3"));
    assert_false(has("::/0", "10.1.2.3"));
    assert_false(has("0.0.0.0/0", "::1"));
    assert_true(has("unix", "/run/x"));
    assert_false(has("unix", "127.0.0.1"));
    assert_false(has("0.0.0.0/0", "/run/x"));
}

/* Every prefix length: the network has its own first and last address, and not the ones next to them. */
static void test_edges(void **state) {
    for (unsigned bits = 1; bits <= 32; bits++) {
        uint32_t first = bits == 32 ? 0x0a000000u : 0x0a000000u & (UINT32_MAX << (32 - bits)), last = first | (bits == 32 ? 0 : UINT32_MAX >> bits);
        const uint32_t hosts[] = {first, last, first - 1, last + 1};
        char text[64];
        snprintf(text, sizeof text, "%u.%u.%u.%u/%u", first >> 24, first >> 16 & 255, first >> 8 & 255, first & 255, bits);
        for (unsigned i = 0; i < ARRAY_LEN(hosts); i++) {
            char host[32];
            snprintf(host, sizeof host, "%u.%u.%u.%u", hosts[i] >> 24, hosts[i] >> 16 & 255, hosts[i] >> 8 & 255, hosts[i] & 255);
            assert_int_equal(has(text, host), i < 2);
        }
    }
}

static void test_list(void **state) {
    struct addr a;
    struct addr none = {0};
    struct networks *l = calloc(1, sizeof *l + 2 * sizeof *l->v);
    const char *why;
    char instead[NETWORK_TEXT_MAX];
    addr_ip(&a, slice_str("192.168.7.1"), 1);
    assert_false(networks_have(NULL, &a));
    assert_false(networks_have(l, &a));
    l->n = 2;
    network_parse(&l->v[0], slice_str("10.0.0.0/8"), &why, instead);
    network_parse(&l->v[1], slice_str("192.168.0.0/16"), &why, instead);
    assert_true(networks_have(l, &a));
    assert_false(networks_have(l, &none));
    free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_has),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
