/* link.c over a socket pair: records arrive whole and with their descriptors, or not at all. */
#include "main/link.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MSEC 20

static int ends[2];
static char room[LINK_RECORD_MAX];
static int got_fds[LINK_FDS_MAX];
static unsigned got_n;

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
    return link_pair(ends, 200) ? 0 : -1;
}

static int teardown(void **state) {
    close(ends[0]);
    close(ends[1]);
    return 0;
}

static ssize_t take(size_t n) {
    return link_recv(ends[1], room, n, got_fds, &got_n, WAIT_MSEC);
}

static void drop(void) {
    while (got_n > 0) {
        close(got_fds[--got_n]);
    }
}

static bool closed_on_exec(int fd) {
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static void test_records(void **state) {
    static char bytes[LINK_RECORD_MAX - sizeof(struct link_head)];
    const struct link_head head = {LINK_CLIENT, 7};
    assert_true(closed_on_exec(ends[0]) && closed_on_exec(ends[1]));
    memset(bytes, 'x', sizeof bytes);
    static const size_t sizes[] = {0, 1, 1000, sizeof bytes};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_true(link_send(ends[0], &head, sizeof head, bytes, sizes[i], NULL, 0));
        assert_int_equal(take(sizeof room), sizeof head + sizes[i]);
        assert_memory_equal(room, &head, sizeof head);
        assert_memory_equal(room + sizeof head, bytes, sizes[i]);
        assert_int_equal(got_n, 0);
    }
}

/* As many as a record takes; each is the same file, and no child of ours gets it. */
static void test_descriptors(void **state) {
    const struct link_head head = {LINK_LISTENERS, 0};
    int fds[LINK_FDS_MAX], before = count_fds();
    for (unsigned i = 0; i < LINK_FDS_MAX; i++) {
        fds[i] = ends[0];
    }
    for (unsigned n = 1; n <= LINK_FDS_MAX; n *= 4) {
        assert_true(link_send(ends[0], &head, sizeof head, NULL, 0, fds, n));
        assert_int_equal(take(sizeof room), sizeof head);
        assert_int_equal(got_n, n);
        for (unsigned i = 0; i < n; i++) {
            assert_true(closed_on_exec(got_fds[i]));
        }
        drop();
    }
    assert_int_equal(count_fds(), before);
}

/* What is too short to be one, or longer than there is room for, is none, and leaves no descriptor behind. */
static void test_garbage(void **state) {
    const int before = count_fds();
    const char words[64] = "not a record";
    for (size_t n = 0; n < sizeof(struct link_head); n++) {
        assert_true(link_send(ends[0], words, n, NULL, 0, ends, 2));
        assert_int_equal(take(sizeof room), -1);
        assert_int_equal(errno, EBADMSG);
        assert_int_equal(got_n, 0);
    }
    assert_true(link_send(ends[0], words, sizeof words, NULL, 0, ends, 2));
    assert_int_equal(take(sizeof words - 1), -1);
    assert_int_equal(errno, EBADMSG);
    assert_int_equal(count_fds(), before);
    assert_true(link_send(ends[0], words, sizeof words, NULL, 0, NULL, 0)); /* the next one is not touched by that */
    assert_int_equal(take(sizeof words), sizeof words);
}

/* No room for the descriptors of a record: it is not taken without them. */
static void test_descriptor_lost(void **state) {
    const struct link_head head = {LINK_LISTENERS, 0};
    int before = count_fds(), fds[3] = {ends[0], ends[0], ends[0]};
    struct rlimit limit, few;
    assert_true(link_send(ends[0], &head, sizeof head, NULL, 0, fds, 3));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(ends[0]); /* the lowest that is free */
    close(next);
    few = (struct rlimit){(rlim_t)next + 1, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    ssize_t n = take(sizeof room);
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(n, -1);
    assert_int_equal(error, EBADMSG);
    assert_int_equal(got_n, 0);
    assert_int_equal(count_fds(), before);
}

static void test_time(void **state) {
    const struct link_head head = {LINK_BEGIN, 0};
    assert_int_equal(take(sizeof room), -1);
    assert_int_equal(errno, ETIMEDOUT);
    while (link_send(ends[0], &head, sizeof head, room, 100000, NULL, 0)) { /* nobody reads: the sender waits for so long */
    }
    assert_true(errno == EAGAIN || errno == EWOULDBLOCK);
}

/* What was said before an end is heard, and the end as one; whoever still talks is told. */
static void test_end(void **state) {
    const struct link_head head = {LINK_HELLO, 1};
    int unread[2];
    assert_true(link_send(ends[0], &head, sizeof head, NULL, 0, NULL, 0));
    close(ends[0]);
    ends[0] = -1;
    assert_int_equal(take(sizeof room), sizeof head);
    assert_int_equal(take(sizeof room), 0);
    assert_int_equal(take(sizeof room), 0);
    assert_false(link_send(ends[1], &head, sizeof head, NULL, 0, NULL, 0));
    assert_int_equal(errno, EPIPE);

    assert_true(link_pair(unread, 200)); /* it goes without reading what we said: its last word is heard all the same */
    assert_true(link_send(unread[1], &head, sizeof head, NULL, 0, NULL, 0));
    assert_true(link_send(unread[0], &head, sizeof head, NULL, 0, NULL, 0));
    close(unread[0]);
    assert_int_equal(link_recv(unread[1], room, sizeof room, got_fds, &got_n, WAIT_MSEC), sizeof head);
    assert_int_equal(link_recv(unread[1], room, sizeof room, got_fds, &got_n, WAIT_MSEC), 0);
    close(unread[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_records, setup, teardown),
        cmocka_unit_test_setup_teardown(test_descriptors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_descriptor_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
