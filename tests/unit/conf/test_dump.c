#include "common.h"

#include "base/mem.h"
#include "base/str.h"

static char *dump(const char *text) {
    struct conf *c = parse_good(text);
    struct str to = {0};
    conf_dump(c, &to);
    str_put_slice(&to, slice("", 1));
    conf_unref(&c);
    return to.p;
}

static const char *const files[] = {
    "p:\n  listen: 127.0.0.1:1\n  servers: [127.0.0.1:2:1]\n",
    /* every kind of value, names that need quotes, secrets, rules */
    "kvmux: {threads: 3, admin_token: s3cret, drain_timeout: 77}\n"
    "\"<b>: {\\\"x\\\" #\":\n"
    "  listen: [127.0.0.1:1, \"/tmp/a b 0660\"]\n"
    "  redis: true\n  hash: murmur\n  hash_tag: '{}'\n  distribution: modula\n  cross_shard: first\n  timeout: 400\n"
    "  redis_auth: s3cret\n  server_user: app\n  server_password: s3cret2\n  auto_eject_hosts: true\n  allow: [10.0.0.0/8, \"2001:db8::/32\", \"::ffff:10.0.0.1\"]\n  proxy_from: unix\n"
    "  users: [{name: u, password: s3cret}, {name: v, password: s3cret, server_user: w, server_password: s3cret}]\n"
    "  commands: [{name: my.set, first_key: 1, write: true}]\n  deny_commands: [keys, \"config|get\"]\n"
    "  servers:\n    - 10.0.0.1:6379:3 one\n    - /tmp/r.sock:1\n    - {host: h, port: 1, weight: 2, name: \"a \\\"b\"}\n",
    /* a pool where the section would stand */
    "kvmux:\n  listen: 127.0.0.1:1\n  servers: [127.0.0.1:11211:1]\n",
};

/* What is dumped is the same configuration, and shows no secret. */
static void test_round_trip(void **state) {
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        char *once = dump(files[i]), *twice = dump(once);
        assert_string_equal(once, twice);
        assert_null(strstr(once, "s3cret"));
        mem_free(once);
        mem_free(twice);
    }
}

static void test_lines(void **state) {
    char *text = dump(files[1]);
    static const char *const lines[] = {
        "kvmux:\n  threads: 3\n", "  drain_timeout: 77\n", "  admin_token: \"(hidden)\"\n", "\"<b>: {\\\"x\\\" #\":\n",
        "    - \"/tmp/a b 0660\"\n", "  hash: murmur\n", "  hash_tag: \"{}\"\n", "  cross_shard: first\n", "  timeout: 400\n",
        "  redis_auth: \"(hidden)\"\n", "  server_user: \"app\"\n", "  auto_eject_hosts: true\n", "  preconnect: false\n",
        "  allow: [\"10.0.0.0/8\", \"2001:db8::/32\", \"10.0.0.1\"]\n", "  proxy_from: [\"unix\"]\n",
        "  deny_commands: [\"keys\", \"config|get\"]\n",
        "  commands: [{\"name\": \"my.set\", \"first_key\": \"1\", \"write\": \"true\"}]\n",
        "    - {name: \"v\", password: \"(hidden)\", server_user: \"w\", server_password: \"(hidden)\"}\n",
        "    - {host: \"10.0.0.1\", port: 6379, weight: 3, name: \"one\"}\n",
        "    - {path: \"/tmp/r.sock\", weight: 1, name: \"/tmp/r.sock:\"}\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (strstr(text, lines[i]) == NULL) {
            fail_msg("no %s in\n%s", lines[i], text);
        }
    }
    mem_free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
