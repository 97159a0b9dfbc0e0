#include "io_test.h"

#include <sys/resource.h>
#include <sys/stat.h>

#define CLIENTS 100

/* A server that echoes, or that does not take its clients. */
struct echo {
    struct listener listener;
    struct stream streams[CLIENTS];
    unsigned n, accepts, paused;
    bool refuse;
    enum reason why;
};

static size_t echo_on_recv(struct stream *s, struct buf *b, struct slice in) {
    struct iovec iov = {(void *)(uintptr_t)in.p, in.n};
    return stream_send(s, &iov, 1);
}

static void echo_on_eof(struct stream *s) {
    stream_close(s);
}

static void echo_nothing(struct stream *s) {
}

static void echo_on_error(struct stream *s, enum reason why) {
    stream_close(s);
}

static const struct stream_ops echo_ops = {echo_on_recv, echo_on_eof, echo_nothing, echo_nothing, echo_on_error, NULL, NULL};

static void echo_on_accept(struct listener *l, int fd) {
    struct echo *e = CONTAINER_OF(l, struct echo, listener);
    e->accepts++;
    if (!e->refuse && e->n < CLIENTS) {
        stream_accept(l, fd, &e->streams[e->n++], &echo_ops, &(struct accept_opts){.keepalive = true});
    }
}

static void echo_on_paused(struct listener *l, enum reason why) {
    struct echo *e = CONTAINER_OF(l, struct echo, listener);
    e->paused++;
    e->why = why;
    errno = EINTR; /* a callback may leave anything there */
}

static const struct listener_ops listener_ops = {echo_on_accept, echo_on_paused};

static void echo_fini(struct echo *e) {
    listener_close(&e->listener);
    for (unsigned i = 0; i < e->n; i++) {
        stream_close(&e->streams[i]);
    }
}

static void test_echo(void **state) {
    struct net t;
    net_init(&t, *(bool *)*state);
    static struct echo e;
    e = (struct echo){0};
    listener_start(t.loop, &e.listener, &listener_ops, t.fd);
    t.fd = -1; /* the listener's now */
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = net_raw(&t);
        assert_int_equal(write(fds[i], "hello", 5), 5);
        if (i % 40 == 39) { /* the backlog is finite */
            UNTIL(t.loop, e.accepts == (unsigned)i + 1);
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        char text[5];
        UNTIL(t.loop, read(fds[i], text, 5) == 5);
        assert_memory_equal(text, "hello", 5);
        close(fds[i]);
    }
    assert_int_equal(e.accepts, CLIENTS);
    e.refuse = true; /* who is not taken is closed */
    int fd = net_raw(&t);
    char byte;
    UNTIL(t.loop, read(fd, &byte, 1) == 0);
    close(fd);
    echo_fini(&e);
    listener_close(&e.listener); /* fine when closed already */
    net_fini(&t);
}

static int taken = -1;
static struct addr taken_of;

static void take_on_accept(struct listener *l, int fd) {
    listener_take(l, fd, &taken_of);
    taken = fd;
}

/* Who takes a descriptor has it for good, and can end its connection. */
static void test_take(void **state) {
    static const struct listener_ops ops = {take_on_accept, echo_on_paused};
    struct net t;
    char byte, text[ADDR_TEXT_MAX];
    net_init(&t, *(bool *)*state);
    static struct echo e;
    e = (struct echo){0};
    taken = -1;
    listener_start(t.loop, &e.listener, &ops, t.fd);
    t.fd = -1;
    int fd = net_raw(&t);
    UNTIL(t.loop, taken >= 0);
    listener_close(&e.listener);
    assert_int_equal(write(taken, "y", 1), 1);
    UNTIL(t.loop, read(fd, &byte, 1) == 1);
    assert_true(t.path[0] != '\0' || strncmp(addr_text(&taken_of, text, sizeof text), "127.0.0.1:", 10) == 0);
    listener_hang_up(taken);
    UNTIL(t.loop, read(fd, &byte, 1) == 0);
    close(taken);
    close(fd);
    net_fini(&t);
}

/* Out of descriptors: a pause that is reported, no spinning, and it goes on by itself. */
static void test_no_descriptors(void **state) {
    struct net t;
    net_init(&t, *(bool *)*state);
    static struct echo e;
    e = (struct echo){0};
    listener_start(t.loop, &e.listener, &listener_ops, t.fd);
    t.fd = -1;
    int fd = net_raw(&t);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    UNTIL(t.loop, e.paused == 1);
    assert_int_equal(e.why, REASON_NO_FDS);
    int turns = 0;
    for (int64_t start = loop_now(t.loop); loop_now(t.loop) - start < 50000; turns++) {
        loop_turn(t.loop, 50000);
    }
    assert_in_range(turns, 1, 5);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    UNTIL(t.loop, e.accepts == 1);
    close(fd);
    echo_fini(&e);
    net_fini(&t);
}

/* Clients leave the spare descriptors to others; accepting goes on when one of the rest is free again. */
static void test_spare(void **state) {
    struct net t;
    net_init(&t, *(bool *)*state);
    static struct echo e;
    e = (struct echo){0};
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = net_raw(&t);
    }
    struct rlimit before, few;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)fds[2] + 1 + 6;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    listener_start(t.loop, &e.listener, &listener_ops, t.fd);
    e.listener.spare = 5;
    t.fd = -1;
    UNTIL(t.loop, e.paused == 1 && e.accepts == 2); /* six are free; the second is one of the five */
    assert_int_equal(e.why, REASON_NO_FDS);
    for (int64_t start = loop_now(t.loop); loop_now(t.loop) - start < 250000;) {
        loop_turn(t.loop, 50000);
    }
    assert_int_equal(e.accepts, 2);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    close(fds[0]);
    close(fds[1]);
    UNTIL(t.loop, e.accepts == 3);
    close(fds[2]);
    echo_fini(&e);
    net_fini(&t);
}

/* Several loops on one address: every client gets to one of them, also when one has left. */
static void test_shared(void **state) {
    bool is_unix = *(bool *)*state;
    struct net a, b;
    struct bind_opts opts = {.backlog = 64, .share = true};
    int fds[2];
    net_init(&a, is_unix);
    net_init(&b, is_unix);
    close(a.fd);
    a.fd = -1; /* leaves a path, or a free port */
    assert_int_equal(listen_open(&a.at, &opts, fds, 2), REASON_NONE);
    assert_true((fcntl(fds[1], F_GETFD) & FD_CLOEXEC) != 0);
    static struct echo e[2];
    memset(e, 0, sizeof e);
    listener_start(a.loop, &e[0].listener, &listener_ops, fds[0]);
    listener_start(b.loop, &e[1].listener, &listener_ops, fds[1]);
    int clients[20];
    for (int i = 0; i < 20; i++) {
        clients[i] = net_raw(&a);
        int64_t end = loop_now(a.loop) + DEADLINE_USEC;
        while (e[0].accepts + e[1].accepts < (unsigned)i + 1) {
            loop_turn(a.loop, 1000);
            loop_turn(b.loop, 1000);
            assert_true(loop_now(a.loop) < end);
        }
    }
    listener_close(&e[0].listener);
    unsigned before = e[1].accepts;
    int one = net_raw(&a);
    UNTIL(b.loop, e[1].accepts == before + 1);
    close(one);
    for (int i = 0; i < 20; i++) {
        close(clients[i]);
    }
    echo_fini(&e[0]);
    echo_fini(&e[1]);
    net_fini(&a);
    net_fini(&b);
}

/* ---- binding ---- */

/* Whether the owner shares its port or not, and whether we would or not: it is noticed. */
static void test_owner(void **state) {
    for (int owner = 0; owner < 2; owner++) {
        for (int share = 0; share < 2; share++) {
            struct net t;
            net_init(&t, false);
            close(t.fd);
            t.fd = -1;
            struct bind_opts first = {.backlog = 8, .share = owner != 0}, second = {.backlog = 8, .share = share != 0};
            int a[2], b[2] = {-2, -2};
            assert_int_equal(listen_open(&t.at, &first, a, owner != 0 ? 2 : 1), REASON_NONE);
            assert_int_equal(listen_open(&t.at, &second, b, share != 0 ? 2 : 1), REASON_IN_USE);
            close(a[0]);
            if (owner != 0) {
                close(a[1]);
            }
            assert_int_equal(listen_open(&t.at, &second, b, 1), REASON_NONE); /* the refusal left nothing bound */
            close(b[0]);
            net_fini(&t);
        }
    }
}

static int unix_socket(const struct addr *a, int type) {
    int fd = socket(AF_UNIX, type, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)(const void *)&a->sa, a->len), 0);
    return fd;
}

static void test_unix_path(void **state) {
    struct bind_opts opts = {.backlog = 8};
    struct addr a;
    char path[64];
    struct stat st;
    int fd, fds[2];
    net_unix_path(path, sizeof path);
    assert_true(addr_unix(&a, slice_str(path)));

    close(unix_socket(&a, SOCK_STREAM)); /* left over from a crash */
    assert_int_equal(listen_open(&a, &opts, fds, 2), REASON_NONE);
    assert_int_equal(listen_open(&a, &opts, &fd, 1), REASON_IN_USE); /* alive */
    close(fds[0]);
    assert_int_equal(listen_open(&a, &opts, &fd, 1), REASON_IN_USE); /* still, in another loop */
    close(fds[1]);
    unlink(path);

    fd = unix_socket(&a, SOCK_DGRAM); /* somebody's, of another type */
    assert_int_equal(listen_open(&a, &opts, fds, 1), REASON_IN_USE);
    assert_int_equal(lstat(path, &st), 0);
    close(fd);
    unlink(path);

    fd = open(path, O_CREAT | O_WRONLY, 0600);
    close(fd);
    assert_int_equal(listen_open(&a, &opts, fds, 1), REASON_IN_USE);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    unlink(path);

    assert_int_equal(symlink("/nonexistent", path), 0);
    assert_int_equal(listen_open(&a, &opts, fds, 1), REASON_IN_USE);
    assert_int_equal(lstat(path, &st), 0);
    unlink(path);

    assert_true(addr_unix(&a, slice_str("/nonexistent-kvmux/x.sock")));
    assert_int_equal(listen_open(&a, &opts, fds, 1), REASON_NO_ENTRY);
}

static void test_unix_mode(void **state) {
    static const unsigned modes[] = {0600, 0660, 0777};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct bind_opts opts = {.backlog = 8, .unix_mode = modes[i]};
        struct addr a;
        char path[64];
        struct stat st;
        int fd;
        net_unix_path(path, sizeof path);
        assert_true(addr_unix(&a, slice_str(path)));
        assert_int_equal(listen_open(&a, &opts, &fd, 1), REASON_NONE);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, modes[i]);
        close(fd);
        unlink(path);
    }
}

/* A descriptor too few for the second loop: nothing stays, neither descriptors nor the path. */
static void test_nothing_left(void **state) {
    for (int is_unix = 0; is_unix < 2; is_unix++) {
        struct net t;
        net_init(&t, is_unix != 0);
        close(t.fd);
        t.fd = -1;
        if (is_unix) {
            unlink(t.path);
        }
        struct bind_opts opts = {.backlog = 8, .share = true};
        struct rlimit before, few;
        int fds[4];
        int next = dup(0);
        close(next);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        few = before;
        few.rlim_cur = (rlim_t)next + 2;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        assert_int_equal(listen_open(&t.at, &opts, fds, 4), REASON_NO_FDS);
        int again = dup(0);
        assert_int_equal(again, next);
        close(again);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(is_unix ? access(t.path, F_OK) : -1, -1);
        assert_int_equal(listen_open(&t.at, &opts, fds, 1), REASON_NONE);
        close(fds[0]);
        net_fini(&t);
    }
}

static bool tcp = false, local = true;

#define BOTH(f) cmocka_unit_test_prestate(f, &tcp), cmocka_unit_test_prestate(f, &local)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(test_echo),
        BOTH(test_take),
        BOTH(test_no_descriptors),
        BOTH(test_spare),
        BOTH(test_shared),
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_unix_path),
        cmocka_unit_test(test_unix_mode),
        cmocka_unit_test(test_nothing_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
