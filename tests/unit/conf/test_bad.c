/* Files that are refused, or taken with a warning: place and text of every problem, in the order of the file. Then every
 * cut of a file, and many changes of it: nothing crashes, and a refusal always has a reason. */
#include "common.h"

#include "base/rng.h"
#include "conf/keys.h"

struct row {
    const char *text, *problems;
};

#define HEAD "a:\n  listen: 127.0.0.1:1\n"
#define TAIL "  servers:\n  - h:1:1\n"
#define REDIS HEAD TAIL "  redis: true\n"
#define FORMS                                                                                                                   \
    "{name: N, first_key: 1, last_key: -1, key_step: 1, write: true, blocking: true}, {name: N, numkeys: 2} or {name: N, keys: " \
    "none, route: any}"

#define NETWORKS "a list of addresses, networks (10.0.0.0/8, \"2001:db8::/32\") and the word unix"

static const struct row rows[] = {
    /* the file */
    {"", "1:1: there are no pools in the file\n"},
    {"# nothing\n", "1:1: there are no pools in the file\n"},
    {"kvmux:\n  threads: 2\n", "1:1: there are no pools in the file\n"},
    {"- a\n", "1:1: the file must consist of pools: a name and a colon, and its keys below it, indented\n"},
    {HEAD TAIL "---\nb:\n", "5:1: a second document begins here; the file must hold exactly one\n"},
    {"a:\n\tlisten: x\n", "2:1: not YAML: while scanning for the next token: found character that cannot start any token; "
                          "indent with blanks, not tabs, and put values with special characters in quotes\n"},
    {"a:\n  listen: [::1]:22121\n" TAIL,
     "2:12: not YAML: while parsing a flow node: did not find expected node content; an address in brackets must stand in quotes: "
     "\"[::1]:22121\"\n"},
    {"a\xff: b\n", "1:2: not YAML: invalid leading UTF-8 octet (byte 1 of the file)\n"},
    {HEAD "  hash: md4\n" TAIL "b: [\n",
     "3:9: hash: \"md4\" is not known; allowed: one_at_a_time, md5, crc16, crc32, crc32a, fnv1_64, fnv1a_64, fnv1_32, "
     "fnv1a_32, hsieh, murmur, jenkins; did you mean \"md5\"?\n"
     "7:1: not YAML: while parsing a flow node: did not find expected node content\n"},
    {HEAD TAIL "  timeout: &t 1\n  backlog: *t\n",
     "6:12: aliases are not supported: write out what *t stands for\n"
     "6:12: backlog: has no value; allowed: 0 to 2147483647\n"},
    {HEAD TAIL "  timeout: !ms 1\n", "5:12: tags are not supported: \"!ms\"\n"},
    {HEAD TAIL "  ? [x]\n  : 1\n", "5:5: a key must be a single word\n"},
    {HEAD TAIL "  redis_auth: \"a\\0b\"\n  redis: true\n", "5:15: a value must not hold a NUL byte\n"},
    {"a: [[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]\n", "1:19: nested too deeply: at most 16 levels\n"},
    /* pools and keys */
    {"a: x\n", "1:1: pool \"a\": its keys are missing; at least listen: and servers: stand below it, indented\n"},
    {"a:\n", "1:1: pool \"a\": its keys are missing; at least listen: and servers: stand below it, indented\n"},
    {"a:\n  redis: true\n", "1:1: pool \"a\": the key listen: is missing\n1:1: pool \"a\": the key servers: is missing\n"},
    {HEAD TAIL "a:\n  listen: 127.0.0.1:2\n" TAIL, "5:1: there are two pools with the name \"a\"; the first is in line 1\n"},
    {HEAD TAIL "'':\n  listen: 127.0.0.1:2\n" TAIL, "5:1: a pool must have a name\n"},
    {HEAD TAIL "  timout: 400\n", "5:3: unknown key \"timout\"; did you mean \"timeout\"?\n"},
    {HEAD TAIL "  server_retry_timoeut: 400\n", "5:3: unknown key \"server_retry_timoeut\"; did you mean \"server_retry_timeout\"?\n"},
    {HEAD TAIL "  server: x\n", "5:3: unknown key \"server\"; did you mean \"servers\"?\n"},
    {HEAD TAIL "  threads: 2\n", "5:3: \"threads\" is no key of a pool; it belongs into the section kvmux:\n"},
    {HEAD TAIL "  sentinels:\n  - h:1:1\n", "5:3: sentinels: is known, but not built yet; list the servers instead\n"},
    {HEAD TAIL "  timeout: 1\n  timeout: 2\n", "6:3: timeout: is given twice; the first is in line 5\n"},
    {HEAD TAIL "  listen: 127.0.0.1:2\n", "5:3: listen: is given twice; the first is in line 2\n"},
    {HEAD TAIL "kvmux:\n  thread: 2\n  redis: true\n  drain_timeout: 1s\n",
     "6:3: unknown key \"thread\"; did you mean \"threads\"?\n"
     "7:3: \"redis\" is a key of a pool; it does not belong into the section kvmux:\n"
     "8:18: drain_timeout: \"1s\" is not a number; allowed: 0 to 3600000 (milliseconds)\n"},
    {HEAD TAIL "kvmux:\n  zzzzzzzz: 2\n",
     "6:3: unknown key \"zzzzzzzz\"; known keys: threads, buffer_limit, drain_timeout, upgrade_timeout, reload_on_change, tls_handshakes, tls_expiry_warning, user, group, admin_token, access_log, access_log_sample\n"},
    {HEAD TAIL "kvmux: 3\n", "5:8: section kvmux: must hold \"key: value\" lines\n"},
    /* values */
    {HEAD TAIL "  timeout: abc\n", "5:12: timeout: \"abc\" is not a number; allowed: 0 to 2147483647 (milliseconds)\n"},
    {HEAD TAIL "  timeout: -1\n", "5:12: timeout: \"-1\" is not a number; allowed: 0 to 2147483647 (milliseconds)\n"},
    {HEAD TAIL "  timeout:\n", "5:11: timeout: has no value; allowed: 0 to 2147483647 (milliseconds)\n"},
    {HEAD TAIL "  slowlog_slower_than: -2\n", "5:24: slowlog_slower_than: -2 is out of range; allowed: -1 to 2147483647\n"},
    {HEAD TAIL "  slowlog_slower_than: -x\n", "5:24: slowlog_slower_than: \"-x\" is not a number; allowed: -1 to 2147483647\n"},
    {HEAD TAIL "  backlog: 2147483648\n", "5:12: backlog: 2147483648 is out of range; allowed: 0 to 2147483647\n"},
    {HEAD TAIL "  backlog: 99999999999999999999999\n",
     "5:12: backlog: 99999999999999999999999 is out of range; allowed: 0 to 2147483647\n"},
    {HEAD TAIL "  server_connections: 0\n", "5:23: server_connections: 0 is out of range; allowed: 1 to 65535\n"},
    {HEAD TAIL "  redis: yes\n", "5:10: redis: \"yes\" is neither true nor false; allowed: true or false\n"},
    {HEAD TAIL "  redis: True\n", "5:10: redis: \"True\" is neither true nor false; allowed: true or false\n"},
    {HEAD TAIL "  preconnect: [true]\n",
     "5:15: preconnect: a single value is wanted, not a list; allowed: true or false\n"},
    {HEAD TAIL "  distribution: Ketama\n",
     "5:17: distribution: \"Ketama\" is not known; allowed: ketama, modula, random; did you mean \"ketama\"?\n"},
    {HEAD TAIL "  multiget_failure: x\n", "5:21: multiget_failure: \"x\" is not known; allowed: error, miss\n"},
    {HEAD TAIL "  hash_tag: \"{\"\n",
     "5:13: hash_tag: \"{\" is not a pair of characters; allowed: exactly two bytes, for example \"{}\" in quotes\n"},
    {HEAD TAIL "  hash_tag: {}\n",
     "5:13: hash_tag: a single value is wanted, not a mapping; allowed: exactly two bytes, for example \"{}\" in quotes\n"},
    {HEAD TAIL "  redis: true\n  redis_auth: {envv: X}\n", "6:16: redis_auth: allowed: a text, {file: PATH} or {env: NAME}\n"},
    {HEAD TAIL "  redis: true\n  redis_auth: {env: KVMUX_NO_SUCH_NAME}\n",
     "6:16: redis_auth: environment variable \"KVMUX_NO_SUCH_NAME\" is not set; allowed: 1 to 65535 bytes\n"},
    {HEAD TAIL "  redis: true\n  redis_auth: {file: /nonexistent/x}\n",
     "6:16: redis_auth: file \"/nonexistent/x\": No such file or directory\n"},
    {HEAD TAIL "  redis: true\n  redis_auth: {file: /dev/zero}\n", "6:16: redis_auth: \"/dev/zero\" is not a regular file\n"},
    {HEAD TAIL "  allow: 10.1.2.3/8\n", "5:10: allow: \"10.1.2.3/8\" has bits set behind its prefix; did you mean \"10.0.0.0/8\"?\n"},
    {HEAD TAIL "  allow: [10.0.0.0/8, example.org, '::/129', [1]]\n",
     "5:23: allow: \"example.org\" is no numeric address or network; allowed: " NETWORKS "\n"
     "5:36: allow: \"::/129\" has a wrong prefix length: 0 to 128; allowed: " NETWORKS "\n"
     "5:46: allow: an entry is a list or a mapping; allowed: " NETWORKS "\n"},
    {HEAD TAIL "  proxy_from: []\n", "5:15: proxy_from: the list is empty; allowed: " NETWORKS "\n"},
    {HEAD TAIL "  allow:\n", "5:9: allow: has no value; allowed: " NETWORKS "\n"},
    {HEAD TAIL "  allow: {file: x}\n", "5:10: allow: a list is wanted, not a mapping; allowed: " NETWORKS "\n"},
    /* listen */
    {"a:\n  listen: 127.0.0.1\n" TAIL,
     "2:11: listen: \"127.0.0.1\" has no port; allowed: \"host:port [tls]\", \"[ipv6]:port [tls]\" or \"/path [permissions]\"\n"},
    {"a:\n  listen: ':1'\n" TAIL,
     "2:11: listen: \":1\" has no host; allowed: \"host:port [tls]\", \"[ipv6]:port [tls]\" or \"/path [permissions]\"\n"},
    {"a:\n  listen: h:0\n" TAIL, "2:11: listen: \"h:0\" has an invalid port; allowed: 1 to 65535\n"},
    {"a:\n  listen: h:65536\n" TAIL, "2:11: listen: \"h:65536\" has an invalid port; allowed: 1 to 65535\n"},
    {"a:\n  listen: nowhere:1\n" TAIL, "2:11: listen: host \"nowhere\" cannot be resolved: no such host\n"},
    {"a:\n  listen: /tmp/a 1000\n" TAIL, "2:11: listen: permissions \"1000\" are out of range; allowed: octal, up to 0777\n"},
    {"a:\n  listen: /tmp/a rw\n" TAIL,
     "2:11: warning: listen: permissions \"rw\" are not octal digits, 0 is used (0: the system's default)\n"},
    {"a:\n  listen: h:1 tsl\n" TAIL, "2:11: listen: \"h:1 tsl\" has an invalid port; allowed: 1 to 65535\n"},
    {"a:\n  listen: /tmp/a tls\n" TAIL, "2:11: listen: \"/tmp/a tls\": unix sockets do not speak TLS\n"},
    {"a:\n  listen: 127.0.0.1:01 tls\n" TAIL,
     "2:11: listen: \"127.0.0.1:01 tls\": needs a certificate; set tls_certificate and tls_key\n"},
    {"a:\n  listen: '*:1'\n" TAIL, "2:11: warning: listen: \"*\" means loopback (::1) only, as in nutcracker; for all addresses "
                                   "write 0.0.0.0:1 or \"[::]:1\"\n"},
    {"a:\n  listen: []\n" TAIL, "2:11: listen: the list is empty\n"},
    {"a:\n  listen: [127.0.0.1:1, '127.0.0.1:1']\n" TAIL,
     "2:25: listen: \"127.0.0.1:1\" is the same address as in line 2 (pool \"a\")\n"},
    {"b:\n  listen: localhost:1\n" TAIL HEAD TAIL,
     "6:11: listen: \"127.0.0.1:1\" is the same address as in line 2 (pool \"b\")\n"},
    {"b:\n  listen: all.example:1\n" TAIL HEAD TAIL,
     "6:11: listen: \"127.0.0.1:1\" is the same address as in line 2 (pool \"b\")\n"},
    {"b:\n  listen: /tmp/x\n" TAIL "a:\n  listen: /tmp/x 0600\n" TAIL,
     "6:11: listen: \"/tmp/x 0600\" is the same address as in line 2 (pool \"b\")\n"},
    /* servers */
    {HEAD "  servers: h:1:1\n", "3:12: servers: a list is wanted; allowed: one or more \"- host:port:weight [name]\"\n"},
    {HEAD "  servers:\n", "3:11: servers: a list is wanted; allowed: one or more \"- host:port:weight [name]\"\n"},
    {HEAD "  servers: []\n", "3:12: servers: the list is empty; allowed: one or more \"- host:port:weight [name]\"\n"},
    {HEAD "  servers:\n  - h:1\n",
     "4:5: servers: \"h:1\" has no port and weight; allowed: \"host:port:weight [name]\" or \"/path:weight [name]\"\n"},
    {HEAD "  servers:\n  - /tmp/x\n",
     "4:5: servers: \"/tmp/x\" has no weight; allowed: \"host:port:weight [name]\" or \"/path:weight [name]\"\n"},
    {HEAD "  servers:\n  -\n",
     "4:4: servers: an empty entry; allowed: \"host:port:weight [name]\" or \"/path:weight [name]\"\n"},
    {HEAD "  servers:\n  - h:1:0\n  - h:0:1\n",
     "4:5: servers: zero weight \"0\"; allowed: 1 to 2147483647, in \"host:port:weight [name]\" or \"/path:weight [name]\" "
     "(one blank before the name, none inside it)\n"
     "5:5: servers: invalid port \"0\"; allowed: 1 to 65535\n"},
    {HEAD "  servers:\n  - h:1:1  name\n",
     "4:5: servers: invalid weight \"1 \"; allowed: 1 to 2147483647, in \"host:port:weight [name]\" or \"/path:weight [name]\" "
     "(one blank before the name, none inside it)\n"},
    {HEAD "  servers:\n  - /a:b:1\n",
     "4:5: servers: \"/a:b:1\": a path with a colon must be written as {path: ..., weight: ...}\n"},
    {HEAD "  servers:\n  - h:1:1\n  - h:1:2\n",
     "5:5: servers: the name \"h:1\" is used twice; the first is in line 4; give one of them another name\n"},
    {HEAD "  servers:\n  - {host: h, prot: 1}\n",
     "4:15: servers: unknown field \"prot\"; allowed: host, path, port, weight, name; did you mean \"port\"?\n"},
    {HEAD "  servers:\n  - {host: h}\n",
     "4:5: servers: an entry needs host and port, or path; allowed: {host, port, weight, name} or {path, weight, name}\n"},
    {HEAD "  servers:\n  - {host: h, port: 1, weight: 0}\n",
     "4:32: servers: zero weight \"0\"; allowed: 1 to 2147483647, in \"host:port:weight [name]\" or \"/path:weight [name]\" "
     "(one blank before the name, none inside it)\n"},
    {HEAD "  servers:\n  - \"h:1:1 \"\n",
     "4:5: warning: servers: an entry ends in a blank, so its name is the empty text, as in nutcracker\n"},
    /* what does not go together */
    {HEAD TAIL "  tls_certificate: /nonexistent/x\n",
     "5:3: warning: tls_certificate: nobody listens with TLS in this pool; write listen: \"host:port tls\"\n"
     "5:3: tls_certificate: file \"/nonexistent/x\": No such file or directory\n"},
    {HEAD TAIL "  tls_certificate: /dev/zero\n  server_tls: true\n  server_tls_ca: /proc/self/mem\n",
     "5:3: warning: tls_certificate: nobody listens with TLS in this pool; write listen: \"host:port tls\"\n"
     "5:3: tls_certificate: \"/dev/zero\" is not a PEM file\n"
     "7:3: server_tls_ca: \"/proc/self/mem\": no start line; certificates in PEM are wanted\n"},
    {HEAD TAIL "  tls_key: /etc/hostname\n", "5:3: tls_key: needs the certificate that belongs to it; set tls_certificate\n"},
    {HEAD TAIL "  tls_client_certificates: yes\n",
     "5:28: tls_client_certificates: \"yes\" is not known; allowed: none, optional, required\n"},
    {HEAD TAIL "  tls_client_certificates: required\n",
     "5:3: tls_client_certificates: set tls_client_ca: who signs them?\n"},
    {HEAD TAIL "  tls_ciphers: no-such\n", "5:3: tls_ciphers: \"no-such\": no cipher match; a list as for openssl ciphers is wanted\n"},
    {HEAD TAIL "  tls_ciphersuites: no-such\n",
     "5:3: tls_ciphersuites: \"no-such\": no cipher match; names of TLS 1.3 suites, with colons between them, are wanted\n"},
    {HEAD TAIL "  tls_min_version: TLSv1.1\n",
     "5:20: tls_min_version: \"TLSv1.1\" is not known; allowed: TLSv1.2, TLSv1.3; did you mean \"TLSv1.2\"?\n"},
    {HEAD TAIL "  server_tls_name: x\n", "5:3: warning: server_tls_name: has no effect without server_tls: true\n"},
    {HEAD TAIL "  server_tls: true\n  server_tls_verify: none\n",
     "6:3: warning: server_tls_verify: with none, whoever answers is taken for the server\n"},
    {HEAD "  server_tls: true\n  servers: [ /tmp/s:1 ]\n",
     "4:14: servers: the certificate of a server on a unix socket can have no name of its own; set server_tls_name, or "
     "server_tls_verify: ca\n"},
    {HEAD TAIL "  redis_auth: x\n", "5:3: redis_auth: is only valid for a redis pool; allowed: with redis: true\n"},
    /* users */
    {HEAD TAIL "  server_user: x\n  server_password: y\n  users:\n  - {name: a, password: b}\n",
     "5:3: server_user: is only valid for a redis pool; allowed: with redis: true\n"
     "6:3: server_password: is only valid for a redis pool; allowed: with redis: true\n"
     "7:3: users: is only valid for a redis pool; allowed: with redis: true\n"},
    {HEAD TAIL "  redis: true\n  server_user: x\n", "6:3: server_user: needs a password to log in with; set server_password\n"},
    {HEAD TAIL "  redis: true\n  server_user: x\n  redis_auth: y\n", ""},
    {HEAD TAIL "  redis: true\n  user:\n  - {name: a, password: b}\n", "6:3: \"user\" is no key of a pool; it belongs into the section kvmux:; or did you mean \"users\"?\n"},
    {HEAD TAIL "  redis: true\n  users: a\n", "6:10: users: a list is wanted; allowed: 1 to 4096 \"- {name: N, password: P}\"\n"},
    {HEAD TAIL "  redis: true\n  users: []\n", "6:10: users: the list is empty; allowed: 1 to 4096 \"- {name: N, password: P}\"\n"},
    {HEAD TAIL "  redis: true\n  users:\n  - a\n  - [a]\n",
     "7:5: users: an entry must be a mapping; allowed: {name: N, password: P}\n"
     "8:5: users: an entry must be a mapping; allowed: {name: N, password: P}\n"},
    {HEAD TAIL "  redis: true\n  users:\n  - {name: a, pasword: b}\n",
     "7:15: users: unknown field \"pasword\"; allowed: name, password, server_user, server_password; did you mean \"password\"?\n"},
    {HEAD TAIL "  redis: true\n  users:\n  - {name: a, zzz: b}\n",
     "7:15: users: unknown field \"zzz\"; allowed: name, password, server_user, server_password\n"},
    {HEAD TAIL "  redis: true\n  users:\n  - {name: a}\n  - {password: b}\n",
     "7:5: users: an entry has no password\n8:5: users: an entry has no name\n"},
    {HEAD TAIL "  redis: true\n  users:\n  - {name: a, name: b, password: c}\n", "7:15: users: name is given twice in one entry\n"},
    {HEAD TAIL "  redis: true\n  users:\n  - {name: 'a b', password: c}\n", "7:12: users: name: must not hold blanks\n"},
    {HEAD TAIL "  redis: true\n  users:\n  - {name: {env: HOME}, password: [x]}\n",
     "7:12: users: name: allowed: a text of 1 to 65535 bytes\n"
     "7:35: users: password: allowed: a text of 1 to 65535 bytes, {file: PATH} or {env: NAME}\n"},
    {HEAD TAIL "  redis: true\n  users:\n  - {name: a, password: {env: KVMUX_NO_SUCH_NAME}}\n",
     "7:26: password: environment variable \"KVMUX_NO_SUCH_NAME\" is not set; allowed: 1 to 65535 bytes\n"},
    {HEAD TAIL "  redis: true\n  users:\n  - {name: a, password: b}\n  - {name: c, password: b}\n  - {name: a, password: d}\n",
     "9:5: users: the name \"a\" is used twice; the first is in line 7\n"},
    {HEAD TAIL "  redis: true\n  redis_auth: x\n  users:\n  - {name: default, password: b}\n",
     "8:5: users: \"default\" has its password in redis_auth; give it in one place only\n"},
    {HEAD TAIL "  redis: true\n  users:\n  - {name: default, password: b}\n", ""},
    {HEAD TAIL "  redis: true\n  server_profiles: 1\n  users: [{name: a, password: b}, {name: c, password: d}]\n",
     "7:3: warning: users: there are 2, but clients of no more than 1 of them can be busy at a server at a time; set server_profiles to "
     "at least twice their number (RESP2 and RESP3)\n"},
    {HEAD TAIL "  redis_db: 1\n", "5:3: warning: redis_db: has no effect in a memcached pool\n"},
    {HEAD TAIL "  redis: true\n  redis_db: 1\n  redis_auth: x\n",
     "6:3: warning: redis_db: together with redis_auth, nutcracker left all data in database 0, because its SELECT was refused; "
     "kvmux uses database 1; if this pool's data comes from nutcracker, set nutcracker_db0: true\n"},
    {HEAD "  servers:\n  - /tmp/x:1\n  redis: true\n  redis_db: 1\n",
     "6:3: warning: redis_db: for servers on unix sockets nutcracker left all data in database 0; kvmux uses database 1; if this "
     "pool's data comes from nutcracker, set nutcracker_db0: true\n"},
    {HEAD "  servers:\n  - /tmp/x:1\n  redis: true\n  redis_db: 1\n  nutcracker_db0: true\n", ""},
    {HEAD "  hash: crc32\n  servers:\n  - h:1:1\n  - h:2:1\n",
     "3:3: warning: hash: crc32 has only 15 bits; with ketama nearly every key meets one server, as in nutcracker; for a new pool "
     "take crc32a or fnv1a_64\n"},
    /* commands and deny_commands */
    {HEAD TAIL "  commands:\n    - {name: x, first_key: 1}\n", "5:3: commands: is only valid for a redis pool; allowed: with redis: true\n"},
    {REDIS "  commands: x\n", "6:13: commands: a list is wanted; allowed: - " FORMS "\n"},
    {REDIS "  commands:\n  - x\n", "7:5: commands: an entry is a mapping; allowed: " FORMS "\n"},
    {REDIS "  commands:\n  - {first_key: 1}\n", "7:5: commands: an entry needs a name; allowed: " FORMS "\n"},
    {REDIS "  commands:\n  - {name: x}\n",
     "7:5: commands: an entry says where the keys are with one of keys: none, first_key and numkeys; allowed: " FORMS "\n"},
    {REDIS "  commands:\n  - {name: x, keys: none, numkeys: 1}\n",
     "7:5: commands: an entry says where the keys are with one of keys: none, first_key and numkeys; allowed: " FORMS "\n"},
    {REDIS "  commands:\n  - {name: x, fist_key: 1}\n",
     "7:15: commands: unknown field \"fist_key\"; allowed: name, keys, first_key, last_key, key_step, numkeys, route, merge, write, blocking; "
     "did you mean \"first_key\"?\n"},
    {REDIS "  commands:\n  - {name: x, name: y, first_key: 1}\n", "7:15: commands: name is given twice in one entry\n"},
    {REDIS "  commands:\n  - {name: x, first_key: }\n", "7:26: commands: first_key has no value\n"},
    {REDIS "  commands:\n  - {name: x, first_key: 0}\n", "7:26: commands: first_key: 0 is out of range; allowed: 1 to 1000\n"},
    {REDIS "  commands:\n  - {name: x, first_key: 1, last_key: x}\n",
     "7:39: commands: last_key: \"x\" is not a number; allowed: 1 to 1000, or -1 and below: from the end\n"},
    {REDIS "  commands:\n  - {name: x, first_key: 3, last_key: 2}\n", "7:39: commands: last_key is in front of first_key\n"},
    {REDIS "  commands:\n  - {name: x, keys: nones}\n", "7:21: commands: keys: \"nones\" is not known; allowed: none; did you mean \"none\"?\n"},
    {REDIS "  commands:\n  - {name: x, keys: none, route: every}\n", "7:34: commands: route: \"every\" is not known; allowed: any, all\n"},
    {REDIS "  commands:\n  - {name: x, first_key: 1, route: all}\n",
     "7:36: commands: route is for commands without keys: keys say where a command goes\n"},
    {REDIS "  commands:\n  - {name: x, keys: none, merge: sum}\n", "7:34: commands: merge is for route: all\n"},
    {REDIS "  commands:\n  - {name: x, keys: none, blocking: true}\n",
     "7:5: commands: blocking: true needs keys: without one nobody knows at which server to wait\n"},
    {REDIS "  commands:\n  - {name: x, first_key: 1, write: yes}\n", "7:36: commands: write: \"yes\" is not known; allowed: false, true\n"},
    {REDIS "  commands:\n  - {name: a b, first_key: 1}\n",
     "7:12: commands: \"a b\" is no name of a command; allowed: up to 63 printable characters without blanks, a subcommand as \"config|get\"\n"},
    {REDIS "  commands:\n  - {name: Subscribe, first_key: 1}\n",
     "7:12: commands: \"Subscribe\" cannot be changed: it changes the state of the connection that it travels on, which others share\n"},
    {REDIS "  commands:\n  - {name: ping, keys: none}\n", "7:12: commands: \"ping\" cannot be changed: it is answered by kvmux itself\n"},
    {REDIS "  commands:\n  - {name: multi, keys: none}\n",
     "7:12: commands: \"multi\" cannot be changed: it belongs to transactions, which kvmux keeps itself\n"},
    {REDIS "  commands:\n  - {name: config, keys: none}\n",
     "7:12: commands: \"config\" cannot be changed: it has subcommands: name one of them, as in \"config|get\"\n"},
    {REDIS "  commands:\n  - {name: blpop, first_key: 1, last_key: -2}\n",
     "7:12: commands: \"blpop\" cannot be changed: it may wait at the server and must not keep others waiting: add blocking: true\n"},
    {REDIS "  commands:\n  - {name: x, first_key: 1}\n  - {name: X, keys: none}\n", "8:5: commands: \"X\" is there twice\n"},
    {REDIS "  deny_commands: keys\n", "6:18: deny_commands: a list is wanted; allowed: [keys, \"config|get\"]\n"},
    {REDIS "  deny_commands: [KEYS, \"config|get\", flusall, my.own, [x]]\n",
     "6:39: warning: deny_commands: \"flusall\" is no command that kvmux knows; did you mean \"flushall\"?\n"
     "6:48: warning: deny_commands: \"my.own\" is no command that kvmux knows, it is denied all the same\n"
     "6:56: deny_commands: \"\" is no name of a command; allowed: up to 63 printable characters without blanks, a subcommand as \"config|get\"\n"},
    {HEAD TAIL "  deny_commands: [flush_all, FLUSH_ALL]\n",
     "5:30: warning: deny_commands: \"FLUSH_ALL\" is no command that kvmux knows; did you mean \"flush_all\"?\n"},
    {REDIS "  deny_command: [keys]\n", "6:3: unknown key \"deny_command\"; did you mean \"deny_commands\"?\n"},
    {REDIS "  commands: []\n  commands: []\n", "7:3: commands: is given twice; the first is in line 6\n"},
    /* several at once, in the order of the file */
    {"b:\n  timeout: x\n  servers:\n  - h\na:\n  listen: x:y\n  hash: z\n" TAIL,
     "1:1: pool \"b\": the key listen: is missing\n"
     "2:12: timeout: \"x\" is not a number; allowed: 0 to 2147483647 (milliseconds)\n"
     "4:5: servers: \"h\" has no port and weight; allowed: \"host:port:weight [name]\" or \"/path:weight [name]\"\n"
     "6:11: listen: \"x:y\" has an invalid port; allowed: 1 to 65535\n"
     "7:9: hash: \"z\" is not known; allowed: one_at_a_time, md5, crc16, crc32, crc32a, fnv1_64, fnv1a_64, fnv1_32, fnv1a_32, "
     "hsieh, murmur, jenkins\n"},
};

static void test_rows(void **state) {
    char got[PROBLEM_TEXT_MAX];
    int wrong = 0;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        /* a string literal holds no NUL; "\0" above is YAML's own escape */
        struct conf *c = parse(rows[i].text, strlen(rows[i].text), got);
        conf_unref(&c);
        if (strcmp(got, rows[i].problems) != 0) {
            print_error("for:\n%s\ngot:\n%s\nwanted:\n%s\n", rows[i].text, got, rows[i].problems);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

static void test_unknown_lists_all(void **state) {
    char got[PROBLEM_TEXT_MAX];
    static const char text[] = HEAD TAIL "  completely_different: 1\n";
    assert_null(parse(text, strlen(text), got));
    assert_non_null(strstr(got, "known keys: listen, servers, users, commands, deny_commands, hash, hash_tag, distribution, timeout"));
    char last[80];
    snprintf(last, sizeof last, ", %s\n", keys_pool.rows[keys_pool.n - 1].name);
    assert_non_null(strstr(got, last));
}

static void test_too_many(void **state) {
    struct conf_problems ps = {0};
    size_t room = 64 * 1024, n = 0;
    char *text = malloc(room);
    assert_non_null(text);
    n += (size_t)snprintf(text, room, HEAD TAIL);
    for (int i = 0; i < 3000; i++) {
        n += (size_t)snprintf(text + n, room - n, "  zzzz%d: 1\n", i);
    }
    assert_null(conf_parse("f", slice(text, n), NULL, &ps));
    assert_int_equal(ps.n, 1000);
    assert_non_null(strstr(ps.v[999].text, "more than"));
    conf_problems_fini(&ps);
    free(text);
}

/* A bit of everything. */
static const char whole[] = "# comment\nalpha:\n  listen: 127.0.0.1:22121\n  hash: fnv1a_64\n  hash_tag: \"{}\"\n  redis: true\n"
                            "  redis_auth: {env: HOME}\n  timeout: 400\n  servers:\n  - 127.0.0.1:6379:1 one\n"
                            "  - {host: h, port: 1, weight: 2, name: two}\n  - /tmp/x:1\n  users:\n  - {name: a, password: {env: HOME}, server_user: u}\nkvmux: {threads: 2}\n"
                            "beta: {listen: [\"[::1]:1\", /tmp/y 0660], servers: [\"h:11211:1\"]}\n";

static void test_cuts(void **state) {
    char got[PROBLEM_TEXT_MAX];
    for (size_t n = 0; n <= strlen(whole); n++) {
        struct conf *c = parse(whole, n, got);
        assert_true(c != NULL || got[0] != '\0');
        conf_unref(&c);
    }
}

static void test_changes(void **state) {
    static const char pieces[] = ":-[]{}\"'&*!#|>%@`\n\t ,?~0a/\\\x01\xff\r";
    char got[PROBLEM_TEXT_MAX], text[sizeof whole];
    struct rng rng;
    rng_seed(&rng, 7);
    for (int i = 0; i < 20000; i++) {
        memcpy(text, whole, sizeof whole);
        size_t n = strlen(whole);
        for (uint32_t k = rng_below(&rng, 4) + 1; k > 0; k--) {
            size_t at = rng_below(&rng, (uint32_t)n);
            if (rng_below(&rng, 3) == 0) {
                memmove(text + at, text + at + 1, n - at);
                n--;
            } else {
                text[at] = pieces[rng_below(&rng, sizeof pieces - 1)];
            }
        }
        struct conf *c = parse(text, n, got);
        assert_true(c != NULL || got[0] != '\0');
        conf_unref(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows), cmocka_unit_test(test_unknown_lists_all), cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_cuts), cmocka_unit_test(test_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
