#include "io/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/un.h>
#include <cmocka.h>

static void test_ip(void **state) {
    static const struct {
        const char *host;
        uint16_t port;
        const char *text; /* NULL: not a numeric address */
    } rows[] = {
        {"127.0.0.1", 80, "127.0.0.1:80"},
        {"0.0.0.0", 0, "0.0.0.0:0"},
        {"255.255.255.255", 65535, "255.255.255.255:65535"},
        {"::1", 6379, "[::1]:6379"},
        {"2001:DB8:0:0::5", 1, "[2001:db8::5]:1"},
        {"::ffff:10.0.0.1", 1, "[::ffff:10.0.0.1]:1"},
        {"", 1, NULL},
        {"localhost", 1, NULL},
        {"127.1", 1, NULL},
        {"[::1]", 1, NULL},
        {"127.0.0.1 ", 1, NULL},
        {"256.0.0.1", 1, NULL},
        {"/tmp/x", 1, NULL},
        {"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111", 1, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct addr a, b;
        char text[ADDR_TEXT_MAX];
        bool ok = addr_ip(&a, slice_str(rows[i].host), rows[i].port);
        assert_int_equal(ok, rows[i].text != NULL);
        if (ok) {
            assert_string_equal(addr_text(&a, text, sizeof text), rows[i].text);
            assert_false(addr_is_unix(&a));
            assert_true(addr_ip(&b, slice_str(rows[i].host), rows[i].port));
            assert_true(addr_eq(&a, &b));
            assert_true(addr_ip(&b, slice_str(rows[i].host), (uint16_t)(rows[i].port + 1)));
            assert_false(addr_eq(&a, &b));
        }
    }
    struct addr a; /* a slice need not end in NUL */
    assert_true(addr_ip(&a, slice("10.0.0.12345", 8), 1));
}

static void test_local(void **state) {
    static const struct {
        const char *host;
        bool local;
    } rows[] = {{"127.0.0.1", true}, {"127.9.9.9", true}, {"::1", true},      {"0.0.0.0", false},
                {"10.0.0.1", false}, {"::", false},       {"2001::1", false}, {"128.0.0.1", false}};
    struct addr a = {0};
    assert_false(addr_is_local(&a));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(addr_ip(&a, slice_str(rows[i].host), 1));
        assert_int_equal(addr_is_local(&a), rows[i].local);
    }
    assert_true(addr_unix(&a, slice_str("/x")) && addr_is_local(&a));
}

static void test_unix(void **state) {
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1], text[ADDR_TEXT_MAX];
    struct addr a, b;
    memset(path, 'x', sizeof path);
    path[0] = '/';
    assert_false(addr_unix(&a, slice(path, 0)));
    assert_false(addr_unix(&a, slice("/a\0b", 4)));
    assert_false(addr_unix(&a, slice(path, sizeof path)));
    assert_false(addr_unix(&a, slice(path, sizeof path - 1)));
    assert_true(addr_unix(&a, slice(path, sizeof path - 2)));
    assert_true(addr_is_unix(&a));
    assert_int_equal(strlen(addr_text(&a, text, sizeof text)), sizeof path - 2);
    assert_memory_equal(text, path, sizeof path - 2);
    assert_true(addr_unix(&b, slice(path, sizeof path - 3)));
    assert_false(addr_eq(&a, &b));
    assert_true(addr_unix(&b, slice(path, sizeof path - 2)));
    assert_true(addr_eq(&a, &b));
}

static void test_none(void **state) {
    struct addr none = {0};
    char text[ADDR_TEXT_MAX], small[4];
    assert_false(addr_is_unix(&none));
    assert_string_equal(addr_text(&none, text, sizeof text), "none");
    assert_true(addr_ip(&none, slice_str("127.0.0.1"), 80));
    assert_string_equal(addr_text(&none, small, sizeof small), "127"); /* cut, not overrun */
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ip), cmocka_unit_test(test_local), cmocka_unit_test(test_unix), cmocka_unit_test(test_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
