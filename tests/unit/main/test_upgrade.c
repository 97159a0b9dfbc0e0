/* upgrade.c, the old program's side. The successor is this program again: its argument says how it behaves. */
#include "main/upgrade.h"

#include "base/log.h"
#include "base/mem.h"
#include "core/handover.h"
#include "main/link.h"
#include "main/pidfile.h"
#include "main/signals.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- fakes ---- */

static struct conf conf;
static int pid_fd = -1;
static atomic_int wakes;

const struct conf *control_conf(const struct control *c) {
    return &conf;
}

void control_wake(struct control *c) {
    atomic_fetch_add(&wakes, 1);
}

int pidfile_fd(void) {
    return pid_fd;
}

void signals_block(void) {
}

void signals_unblock(void) {
}

/* ---- the successor ---- */

static const int up_end = STDERR_FILENO + 1;

static void say(uint32_t kind, uint32_t n, const char *words, size_t len) {
    const struct link_head head = {kind, n};
    link_send(up_end, &head, sizeof head, words, len, NULL, 0);
}

/* Everything up to BEGIN; says in FAILED what it was. */
static void count_records(void) {
    char record[512], words[128];
    int fds[LINK_FDS_MAX], listeners = 0, unix_paths = 0, pid_files = 0;
    unsigned nfds;
    unsigned long long first_id = 0;
    const struct link_head *head = (const void *)record;
    while (link_recv(up_end, record, sizeof record, fds, &nfds, 5000) > 0 && head->kind != LINK_BEGIN) {
        first_id = head->kind == LINK_HELLO ? ((const struct link_hello *)(const void *)record)->first_id : first_id;
        listeners += head->kind == LINK_LISTENERS ? (int)nfds : 0;
        unix_paths += head->kind == LINK_LISTENERS && head->n ? (int)nfds : 0;
        pid_files += head->kind == LINK_PIDFILE ? (int)nfds : 0;
    }
    int n = snprintf(words, sizeof words, "listeners=%d unix=%d pid_files=%d first=%llu", listeners, unix_paths, pid_files, first_id);
    say(LINK_FAILED, 0, words, (size_t)n);
}

/* Answers each client that comes over, until the old one ends. */
static void serve_clients(void) {
    static char record[LINK_RECORD_MAX];
    int fds[LINK_FDS_MAX];
    unsigned nfds;
    while (link_recv(up_end, record, sizeof record, fds, &nfds, 5000) > 0) {
        const struct passport *p = (const void *)(record + sizeof(struct link_head));
        if (((const struct link_head *)(const void *)record)->kind == LINK_CLIENT && nfds == 1) {
            dprintf(fds[0], "id=%llu", (unsigned long long)p->id);
            close(fds[0]);
        }
    }
}

static int successor(const char *how) {
    static const char long_words[4096];
    if (strcmp(how, "counts") == 0) {
        count_records();
    } else if (strcmp(how, "short") == 0) {
        send(up_end, "xyz", 3, 0);
    } else if (strcmp(how, "long") == 0) {
        say(LINK_FAILED, 0, long_words, sizeof long_words);
    } else if (strcmp(how, "foreign") == 0) {
        say(4711, 0, "hello", 5);
    } else if (strcmp(how, "chatty") == 0) {
        for (int i = 0; i < 200; i++) {
            say(4711, 0, "hello", 5);
        }
        pause();
    } else if (strcmp(how, "fails") == 0) {
        say(LINK_FAILED, 0, "line 1\nand \"2\"", 14);
    } else if (strcmp(how, "silent") == 0) {
        pause();
    } else if (strcmp(how, "other") == 0) {
        say(LINK_SERVING, PASSPORT_VERSION + 1, NULL, 0);
        serve_clients();
    } else if (strcmp(how, "serves") == 0) {
        say(4711, 0, "a later version says more", 25);
        say(LINK_SERVING, PASSPORT_VERSION, NULL, 0);
        serve_clients();
    } else if (strcmp(how, "dies") == 0) {
        say(LINK_SERVING, PASSPORT_VERSION, NULL, 0);
    } /* else: without a word */
    return 0;
}

/* ---- the old one ---- */

static char program[PATH_MAX], *arguments[3];
static char why[512];
static char last_line[512];

static void keep_line(void *ctx, enum log_level level, struct slice line) {
    snprintf(last_line, sizeof last_line, "%.*s", (int)line.n, line.p);
}

static bool start(const char *how) {
    struct listeners l = {0};
    arguments[0] = program;
    arguments[1] = (char *)(uintptr_t)how;
    upgrade_init(arguments);
    why[0] = '\0';
    return upgrade_start(NULL, &l, 7, why, sizeof why);
}

/* control is woken when there is news; it is told once. */
static enum upgrade_state news(void) {
    for (int i = 0; atomic_load(&wakes) == 0 && i < 10000; i++) {
        poll(NULL, 0, 1);
    }
    atomic_store(&wakes, 0);
    enum upgrade_state state = upgrade_news(why, sizeof why);
    assert_int_equal(upgrade_news(NULL, 0), UPGRADE_NONE);
    return state;
}

static int setup(void **state) {
    conf.upgrade_timeout = 10000;
    return 0;
}

/* It is no child of ours any more, and the next upgrade can begin. */
static void check_failed(const char *how, const char *reason) {
    assert_true(start(how));
    assert_true(upgrade_under_way());
    assert_int_equal(news(), UPGRADE_FAILED);
    assert_string_equal(why, reason);
    assert_false(upgrade_under_way());
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_failures(void **state) {
    check_failed("nothing", "the new program ended without a word");
    check_failed("foreign", "the new program ended without a word");
    check_failed("short", "the new program says something else than kvmux would");
    check_failed("long", "the new program says something else than kvmux would");
    check_failed("chatty", "the new program says something else than kvmux would");
    check_failed("fails", "line 1\\x0aand \\\"2\\\"");
    conf.upgrade_timeout = 50;
    check_failed("silent", "the new program says nothing (upgrade_timeout)");
}

static void test_no_program(void **state) {
    char *const argv[] = {(char *)"/nonexistent/kvmux", NULL};
    struct listeners l = {0};
    upgrade_init((char **)(uintptr_t)argv);
    assert_false(upgrade_start(NULL, &l, 1, why, sizeof why));
    assert_string_equal(why, "/nonexistent/kvmux: No such file or directory");
    assert_false(upgrade_under_way());
}

static void test_second(void **state) {
    conf.upgrade_timeout = 200;
    assert_true(start("silent"));
    assert_false(start("serves"));
    assert_string_equal(why, "another upgrade is under way");
    assert_int_equal(news(), UPGRADE_FAILED); /* of the first, which is not touched by that */
    assert_string_equal(why, "the new program says nothing (upgrade_timeout)");
}

/* What it is handed: every descriptor of every address, in records of what fits. */
static void test_handed(void **state) {
    int fds[LINK_FDS_MAX + 6];
    struct listening v[] = {{.fds = fds, .nfds = LINK_FDS_MAX + 6}, {.fds = fds, .nfds = 2, .path = (char *)"/run/s"}, {.nfds = 0}};
    struct listeners l = {.v = v, .n = 3};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = 0;
    }
    for (int i = 0; i < 2; i++) {
        arguments[0] = program;
        arguments[1] = (char *)"counts";
        upgrade_init(arguments);
        pid_fd = i == 0 ? -1 : 0;
        assert_true(upgrade_start(NULL, &l, 4711, why, sizeof why));
        assert_int_equal(news(), UPGRADE_FAILED);
        assert_string_equal(why, i == 0 ? "listeners=72 unix=2 pid_files=0 first=4711" : "listeners=72 unix=2 pid_files=1 first=4711");
    }
    pid_fd = -1;
}

static struct mail_client *client(uint64_t id, int ends[2]) {
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    struct mail_client *m = mem_zalloc(sizeof *m);
    m->mail.kind = MAIL_CLIENT;
    m->fd = ends[1];
    m->passport.id = id;
    return m;
}

/* Runs last of all, each in a process of its own: an upgrade that worked is the last. */
static int with_clients(const char *how, bool takes, const char *answer, const char *line) {
    int ends[2];
    char got[32] = "";
    if (!start(how) || news() != UPGRADE_SERVING || (upgrade_heir() != NULL) != takes) {
        return 1;
    }
    if (takes) {
        waitpid(-1, NULL, strcmp(how, "dies") == 0 ? 0 : WNOHANG);
        mailbox_post(upgrade_heir(), &client(12, ends)->mail);
    }
    upgrade_end();
    if (takes && (read(ends[0], got, sizeof got - 1) < 0 || strcmp(got, answer) != 0)) {
        return 2;
    }
    return strcmp(last_line, line) == 0 ? 0 : 3;
}

static void check_clients(const char *how, bool takes, const char *answer, const char *line) {
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        log_set_sink(keep_line, NULL);
        _exit(with_clients(how, takes, answer, line));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_clients(void **state) {
    check_clients("serves", true, "id=12", "");
    check_clients("other", false, "", ""); /* their passports are of another version */
    check_clients("dies", true, "", "upgrade_lost clients=1 note=\"the new process did not take them\"");
}

int main(int argc, char **argv) {
    if (getenv(LINK_ENV) != NULL) {
        return successor(argc > 1 ? argv[1] : "");
    }
    if (realpath("/proc/self/exe", program) == NULL) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_failures, setup),   cmocka_unit_test_setup(test_no_program, setup),
        cmocka_unit_test_setup(test_second, setup),     cmocka_unit_test_setup(test_handed, setup),
        cmocka_unit_test_setup(test_clients, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
