/* A load balancer's header: every cut of every header gives the same, and not one byte behind it is asked for. */
#include "io/proxy2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IP4       "\x0a\x01\x02\x03\x7f\0\0\x01\x04\x01\x58\x49"
#define IP6       "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01" "\x04\x01\x58\x49"
#define LIT(s)    s, sizeof(s) - 1

static const struct {
    const char *bytes;
    size_t n;
    enum proxy2_rc rc;
    const char *from; /* NULL: the header does not say */
} headers[] = {
    {LIT(SIGNATURE "\x21\x11\0\x0c" IP4), PROXY2_DONE, "10.1.2.3:1025"},
    {LIT(SIGNATURE "\x21\x21\0\x24" IP6), PROXY2_DONE, "[2001:db8::1]:1025"},
    {LIT(SIGNATURE "\x21\x11\0\x13" IP4 "\xee\0\x04" "abcd"), PROXY2_DONE, "10.1.2.3:1025"},
    {LIT(SIGNATURE "\x21\x21\0\x2b" IP6 "\xee\0\x04" "abcd"), PROXY2_DONE, "[2001:db8::1]:1025"},
    {LIT(SIGNATURE "\x20\x11\0\x0c" IP4), PROXY2_DONE, NULL}, /* LOCAL */
    {LIT(SIGNATURE "\x20\0\0\0"), PROXY2_DONE, NULL},
    {LIT(SIGNATURE "\x21\0\0\0"), PROXY2_DONE, NULL},           /* unspecified */
    {LIT(SIGNATURE "\x21\x31\0\x02" "ab"), PROXY2_DONE, NULL}, /* unix */
    {LIT(SIGNATURE "\x21\x12\0\x0c" IP4), PROXY2_DONE, NULL},  /* UDP */
    {LIT(SIGNATURE "\x21\x11\0\x0b\x0a\x01\x02\x03\x7f\0\0\x01\x04\x01\x58"), PROXY2_BAD, NULL},
    {LIT(SIGNATURE "\x21\x21\0\x0c" IP4), PROXY2_BAD, NULL},
    {LIT(SIGNATURE "\x22"), PROXY2_BAD, NULL},
    {LIT(SIGNATURE "\x11"), PROXY2_BAD, NULL},
    {LIT("\r\n\r\n\0\r\nQUIX"), PROXY2_BAD, NULL},
    {LIT("PROXY TCP4 "), PROXY2_BAD, NULL},
    {LIT("*1\r\n"), PROXY2_BAD, NULL},
    {LIT(SIGNATURE "\x21\x11\0\x0c\x0a\x01\x02"), PROXY2_MORE, NULL},
    {LIT("\r"), PROXY2_MORE, NULL},
};

/* In pieces of at most `piece` bytes, the first one of at most `first`. Returns how many bytes were taken. */
static size_t feed(size_t i, size_t first, size_t piece, enum proxy2_rc *rc, struct addr *from) {
    struct proxy2 p = {0};
    size_t at = 0;
    *rc = PROXY2_MORE;
    while (*rc == PROXY2_MORE && at < headers[i].n) {
        size_t n = at == 0 ? first : piece, want = proxy2_want(&p);
        assert_true(want > 0);
        n = n < want ? n : want;
        n = n < headers[i].n - at ? n : headers[i].n - at;
        uint8_t *copy = malloc(n); /* so that a sanitizer sees who reads behind it */
        memcpy(copy, headers[i].bytes + at, n);
        *rc = proxy2_take(&p, slice(copy, n), from);
        free(copy);
        at += n;
    }
    return at;
}

static void test_cuts(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        for (size_t first = 1; first <= headers[i].n; first++) {
            for (size_t piece = 1; piece <= headers[i].n; piece += piece < 20 ? 1 : 7) {
                enum proxy2_rc rc;
                struct addr from = {0};
                char text[ADDR_TEXT_MAX];
                size_t took = feed(i, first, piece, &rc, &from);
                assert_int_equal(rc, headers[i].rc);
                assert_string_equal(addr_text(&from, text, sizeof text), headers[i].from != NULL ? headers[i].from : "none");
                assert_true(rc == PROXY2_BAD || took == headers[i].n);
            }
        }
    }
}

/* The longest header there is: what follows the addresses is skipped, however much it is. */
static void test_long(void **state) {
    static uint8_t bytes[16 + 65535];
    memcpy(bytes, SIGNATURE "\x21\x11\xff\xff" IP4, 28);
    struct proxy2 p = {0};
    struct addr from;
    enum proxy2_rc rc = PROXY2_MORE;
    size_t at = 0;
    while (rc == PROXY2_MORE) {
        size_t n = proxy2_want(&p) < 1000 ? proxy2_want(&p) : 1000;
        assert_true(n > 0 && at + n <= sizeof bytes);
        rc = proxy2_take(&p, slice(bytes + at, n), &from);
        at += n;
    }
    char text[ADDR_TEXT_MAX];
    assert_int_equal(rc, PROXY2_DONE);
    assert_int_equal(at, sizeof bytes);
    assert_string_equal(addr_text(&from, text, sizeof text), "10.1.2.3:1025");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
