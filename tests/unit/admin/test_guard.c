#include "admin/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_host(void **state) {
    static const struct {
        const char *host, *own;
        bool good;
    } rows[] = {
        {NULL, NULL, true},
        {"127.0.0.1:22280", NULL, true},
        {"127.0.0.1", NULL, true},
        {"[::1]:22280", NULL, true},
        {"[2001:db8::1]", NULL, true},
        {"10.1.2.3:80", NULL, true},
        {"localhost:22280", NULL, true},
        {"LocalHost", NULL, true},
        {"proxy-1:22280", "proxy-1", true},
        {"Proxy-1", "proxy-1", true},
        {"evil.example:22280", NULL, false},
        {"evil.example", "proxy-1", false},
        {"localhost.evil.example", NULL, false},
        {"127.0.0.1.evil.example", NULL, false},
        {"127.0.0.1@evil.example", NULL, false},
        {"[::1].evil.example", NULL, false},
        {"[::1", NULL, false},
        {"", NULL, false},
        {":80", NULL, false},
        {"2130706433", NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (guard_host(rows[i].host, rows[i].own) != rows[i].good) {
            fail_msg("host %s", rows[i].host);
        }
    }
}

static void test_origin(void **state) {
    static const struct {
        const char *host, *origin, *site;
        bool good;
    } rows[] = {
        {"127.0.0.1:80", NULL, NULL, true}, /* no browser */
        {"127.0.0.1:80", NULL, "same-origin", true},
        {"127.0.0.1:80", NULL, "none", true},
        {"127.0.0.1:80", NULL, "cross-site", false},
        {"127.0.0.1:80", NULL, "same-site", false},
        {"127.0.0.1:80", "http://127.0.0.1:80", NULL, true},
        {"Proxy:80", "https://proxy:80", "cross-site", true}, /* Origin counts */
        {"127.0.0.1:80", "http://127.0.0.1:81", NULL, false},
        {"127.0.0.1:80", "http://evil.example", NULL, false},
        {"127.0.0.1:80", "null", NULL, false},
        {"127.0.0.1:80", "", NULL, false},
        {"127.0.0.1:80", "http://127.0.0.1:80.evil.example", NULL, false},
        {NULL, "http://127.0.0.1:80", NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct visitor v = {.host = rows[i].host, .origin = rows[i].origin, .fetch_site = rows[i].site};
        if (guard_origin(&v) != rows[i].good) {
            fail_msg("origin %s", rows[i].origin);
        }
    }
}

static void test_token(void **state) {
    assert_true(guard_token("Bearer s3cret", "s3cret"));
    assert_true(guard_token("bearer s3cret", "s3cret"));
    static const char *const wrong[] = {NULL, "", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret ", "Bearer s3crets3cret",
                                        "Bearer S3cret", "Basic s3cret", "s3cret", "Bearer  s3cret"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_false(guard_token(wrong[i], "s3cret"));
    }
    assert_false(guard_token("Bearer x", ""));
}

static void test_judge(void **state) {
    const struct guard plain = {.local = true}, remote = {.local = false}, path = {.local = true, .unix_path = true},
                       token = {.token = "t", .local = false};
    const struct visitor good = {.host = "127.0.0.1"}, evil = {.host = "evil.example"},
                         page = {.host = "127.0.0.1", .origin = "http://evil.example"},
                         owner = {.host = "any.example", .authorization = "Bearer t"};
    static const enum access all[] = {ACCESS_OPEN, ACCESS_PAGE, ACCESS_READ, ACCESS_WRITE};
    const struct {
        const struct guard *guard;
        const struct visitor *visitor;
        enum guard_says said[ARRAY_LEN(all)];
    } rows[] = {
        {&plain, &good, {GUARD_PASS, GUARD_PASS, GUARD_PASS, GUARD_PASS}},
        {&plain, &evil, {GUARD_PASS, GUARD_HOST, GUARD_HOST, GUARD_HOST}},
        {&plain, &page, {GUARD_PASS, GUARD_PASS, GUARD_PASS, GUARD_ORIGIN}},
        {&path, &evil, {GUARD_PASS, GUARD_PASS, GUARD_PASS, GUARD_PASS}},
        {&remote, &good, {GUARD_PASS, GUARD_PASS, GUARD_PASS, GUARD_REMOTE}},
        {&token, &good, {GUARD_PASS, GUARD_PASS, GUARD_TOKEN, GUARD_TOKEN}},
        {&token, &owner, {GUARD_PASS, GUARD_PASS, GUARD_PASS, GUARD_PASS}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t a = 0; a < ARRAY_LEN(all); a++) {
            assert_int_equal(guard_judge(rows[i].guard, all[a], rows[i].visitor), rows[i].said[a]);
            assert_int_equal(guard_words(rows[i].said[a])[0] == '\0', rows[i].said[a] == GUARD_PASS);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_judge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
