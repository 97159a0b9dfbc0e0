/* inherit.c, the new program's side: the test is the one before. Whatever breaks off or makes no sense is an error with a reason, and
 * no descriptor is left behind. */
#include "main/inherit.h"

#include "base/mem.h"
#include "core/handover.h"
#include "main/link.h"
#include "main/signals.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- fakes ---- */

static uint32_t handed, refuse_from = UINT32_MAX, posted;
static bool handed_ours;
static struct mailbox box;

/* Takes descriptors until it is told to find one that does not listen. */
bool listeners_hand(struct listeners *l, int fd, bool ours) {
    if (handed >= refuse_from) {
        return false;
    }
    handed++;
    handed_ours = ours;
    close(fd);
    return true;
}

struct mailbox *threads_mailbox(struct threads *t, uint32_t n) {
    posted = n + 1;
    return &box;
}

struct control *threads_control(struct threads *t) {
    return NULL;
}

void control_wake(struct control *c) {
}

void signals_block(void) {
}

void signals_unblock(void) {
}

/* ---- the one before ---- */

static int link_end, fds_before;
static char why[256];

static int count_fds(void) {
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    while (d != NULL && readdir(d) != NULL) {
        n++;
    }
    closedir(d);
    return n;
}

static int setup(void **state) {
    int ends[2];
    char number[16];
    fds_before = count_fds();
    if (!link_pair(ends, 1000)) {
        return -1;
    }
    link_end = ends[0];
    snprintf(number, sizeof number, "%d", ends[1]);
    setenv(LINK_ENV, number, 1);
    inherit_begin();
    handed = 0;
    refuse_from = UINT32_MAX;
    return 0;
}

static void part(void) {
    if (link_end >= 0) {
        close(link_end);
        link_end = -1;
    }
}

static int teardown(void **state) {
    inherit_end();
    part();
    return count_fds() == fds_before ? 0 : -1;
}

static void send_hello(uint32_t version, uint64_t first_id) {
    const struct link_hello hello = {{LINK_HELLO, version}, first_id};
    assert_true(link_send(link_end, &hello, sizeof hello, "more", version > LINK_VERSION ? 4 : 0, NULL, 0));
}

static void send_kind(uint32_t kind, uint32_t n, unsigned nfds) {
    const struct link_head head = {kind, n};
    const int fds[3] = {0, 1, 2};
    assert_true(link_send(link_end, &head, sizeof head, NULL, 0, fds, nfds));
}

static void check_fails(const char *reason) {
    struct listeners l = {0};
    why[0] = '\0';
    assert_false(inherit_take(&l, why, sizeof why));
    assert_non_null(strstr(why, reason));
}

static void test_whole(void **state) {
    struct listeners l = {0};
    assert_true(inherit_pending());
    assert_null(getenv(LINK_ENV)); /* none of our children is a successor */
    send_hello(LINK_VERSION, 4711);
    send_kind(LINK_LISTENERS, 0, 3);
    send_kind(LINK_LISTENERS, 1, 1);
    send_kind(LINK_PIDFILE, 0, 1);
    send_kind(LINK_BEGIN, 0, 0);
    assert_true(inherit_take(&l, why, sizeof why));
    assert_int_equal(handed, 4);
    assert_true(handed_ours);
    assert_int_equal(inherit_first_id(), 4711);
    int pid_fd = inherit_pid_fd();
    assert_true(pid_fd > 2);
    close(pid_fd);
    assert_int_equal(inherit_pid_fd(), -1); /* it was taken */
}

/* A later version says more in HELLO, and says things that this one does not know: what comes with them is closed. */
static void test_later_version(void **state) {
    struct listeners l = {0};
    send_hello(LINK_VERSION + 1, 99);
    send_kind(1000, 0, 3);
    send_kind(LINK_LISTENERS, 0, 1);
    send_kind(LINK_PIDFILE, 0, 1);
    send_kind(LINK_PIDFILE, 0, 1); /* one is enough */
    send_kind(LINK_BEGIN, 0, 0);
    assert_true(inherit_take(&l, why, sizeof why));
    assert_int_equal(inherit_first_id(), 99);
    assert_int_equal(handed, 1);
}

static void test_gone_at_each_step(void **state) {
    for (int steps = 0; steps < 4; steps++) {
        if (steps > 0) {
            assert_int_equal(setup(state), 0);
        }
        for (int i = 0; i < steps; i++) {
            if (i == 0) {
                send_hello(LINK_VERSION, 1);
            } else {
                send_kind(i == 1 ? LINK_LISTENERS : LINK_PIDFILE, 0, 1);
            }
        }
        part();
        check_fails("the running kvmux hands nothing over: it is gone");
        assert_false(inherit_serving());
        assert_int_equal(teardown(state), 0);
    }
    assert_int_equal(setup(state), 0);
}

static void test_garbage(void **state) {
    assert_true(link_send(link_end, "xyz", 3, NULL, 0, NULL, 0));
    check_fails("hands nothing over: ");
}

static void test_too_long(void **state) {
    static char bytes[4096];
    send_hello(LINK_VERSION, 1);
    const struct link_head head = {LINK_LISTENERS, 0};
    assert_true(link_send(link_end, &head, sizeof head, bytes, sizeof bytes, (int[]){0}, 1));
    check_fails("hands nothing over: ");
}

static void test_listeners_without_descriptors(void **state) {
    send_hello(LINK_VERSION, 1);
    send_kind(LINK_LISTENERS, 0, 0);
    check_fails("something that is not a listening socket");
}

static void test_no_listener(void **state) {
    refuse_from = 1; /* the second of three */
    send_hello(LINK_VERSION, 1);
    send_kind(LINK_LISTENERS, 0, 3);
    check_fails("something that is not a listening socket");
    assert_int_equal(handed, 1);
}

/* It hears why, and no more than there is room for. */
static void test_failed(void **state) {
    char reason[2 * LINK_WHY_MAX], record[1024];
    int fds[LINK_FDS_MAX];
    unsigned nfds;
    memset(reason, 'r', sizeof reason);
    reason[sizeof reason - 1] = '\0';
    inherit_failed(reason);
    assert_int_equal(link_recv(link_end, record, sizeof record, fds, &nfds, 1000), sizeof(struct link_head) + LINK_WHY_MAX);
    assert_int_equal(((const struct link_head *)(const void *)record)->kind, LINK_FAILED);
    assert_memory_equal(record + sizeof(struct link_head), reason, LINK_WHY_MAX);
}

/* ---- clients ---- */

static void send_client(const char *pool, uint32_t claimed, unsigned nfds) {
    struct {
        struct link_head head;
        struct passport p;
        char bytes[16];
    } record = {.head = {LINK_CLIENT, 0}, .p.len[PASSPORT_POOL] = claimed};
    memcpy(record.bytes, pool, strlen(pool));
    const int fds[2] = {0, 1};
    assert_true(link_send(link_end, &record, offsetof(__typeof__(record), bytes), record.bytes, strlen(pool), fds, nfds));
}

/* What is a client gets to a worker; what is none is closed, and those behind it still arrive. */
static void test_clients(void **state) {
    uint32_t n = 0;
    mailbox_init(&box, NULL, NULL);
    assert_true(inherit_serving());
    assert_true(inherit_clients(NULL));
    assert_false(inherit_over(&n));
    send_client("alpha", 5, 1);
    send_client("alpha", 6, 1);          /* lengths that do not add up */
    send_client("", UINT32_MAX, 1);
    send_client("alpha", 5, 0);          /* its connection was lost */
    send_kind(LINK_CLIENT, 0, 1);        /* no passport */
    send_kind(LINK_LISTENERS, 0, 2);     /* too late */
    assert_true(link_send(link_end, "x", 1, NULL, 0, NULL, 0)); /* as one whose descriptor we have no room for */
    send_client("beta", 4, 2);           /* the second one is nobody's */
    part();
    while (!inherit_over(&n)) {
        usleep(1000); /* a thread ends: there is nothing to wait for but itself */
    }
    assert_int_equal(n, posted);
    static const char *const pools[] = {"alpha", "beta"};
    for (uint32_t i = 0; i < n; i++) {
        struct mail_client *m = (struct mail_client *)(void *)mailbox_take(&box);
        assert_non_null(m);
        assert_int_equal(m->mail.kind, MAIL_CLIENT);
        assert_memory_equal(m->bytes, pools[i], strlen(pools[i]));
        close(m->fd);
        mem_free(m);
    }
    assert_int_equal(n, 2);
    assert_null(mailbox_take(&box));
    mailbox_fini(&box);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_at_each_step, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listeners_without_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_listener, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clients, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
