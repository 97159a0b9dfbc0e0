/* common.h: what the tests of conf share: parsing a text and printing its problems. */
#ifndef KVMUX_TESTS_UNIT_CONF_COMMON_H
#define KVMUX_TESTS_UNIT_CONF_COMMON_H

#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define PROBLEM_TEXT_MAX 8192

/* Knows "localhost" (127.0.0.1) and "all.example" (0.0.0.0). */
static inline bool table_resolve(const char *host, uint16_t port, struct addr *addr, const char **why) {
    *why = "no such host";
    if (strcmp(host, "localhost") == 0) {
        return addr_ip(addr, slice_str("127.0.0.1"), port);
    }
    return strcmp(host, "all.example") == 0 && addr_ip(addr, slice_str("0.0.0.0"), port);
}

/* One line per problem: "line:column: text", warnings with "warning: " before the text. */
static inline struct conf *parse(const char *text, size_t n, char *problems) {
    struct conf_problems ps = {0};
    struct conf *c = conf_parse("test.yml", slice(text, n), table_resolve, &ps);
    size_t at = 0;
    problems[0] = '\0';
    for (uint32_t i = 0; i < ps.n && at < PROBLEM_TEXT_MAX; i++) {
        at += (size_t)snprintf(problems + at, PROBLEM_TEXT_MAX - at, "%u:%u: %s%s\n", ps.v[i].line, ps.v[i].column,
                               ps.v[i].warning ? "warning: " : "", ps.v[i].text);
    }
    assert_true((c == NULL) == (conf_errors(&ps) > 0));
    conf_problems_fini(&ps);
    return c;
}

static inline struct conf *parse_good(const char *text) {
    char problems[PROBLEM_TEXT_MAX];
    struct conf *c = parse(text, strlen(text), problems);
    if (c == NULL) {
        fail_msg("refused:\n%s\n%s", text, problems);
    }
    return c;
}

#endif
