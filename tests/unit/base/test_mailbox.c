#include "base/mailbox.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define POSTERS 4
#define MAILS   5000

struct number {
    struct mail mail;
    int poster, value;
};

static void count(void *ctx) {
    __atomic_fetch_add((unsigned *)ctx, 1, __ATOMIC_RELAXED);
}

static void post(struct mailbox *m, int poster, int value) {
    struct number *n = mem_zalloc(sizeof *n);
    n->mail.kind = 7;
    n->poster = poster;
    n->value = value;
    mailbox_post(m, &n->mail);
}

static struct number *take(struct mailbox *m) {
    struct mail *mail = mailbox_take(m);
    return mail == NULL ? NULL : CONTAINER_OF(mail, struct number, mail);
}

static void test_order(void **state) {
    struct mailbox m;
    unsigned woken = 0;
    mailbox_init(&m, count, &woken);
    assert_null(mailbox_take(&m));
    for (int i = 0; i < 3; i++) {
        post(&m, 0, i);
    }
    assert_int_equal(woken, 1); /* only the first of a batch wakes the taker, who takes until there is none */
    for (int i = 0; i < 3; i++) {
        struct number *n = take(&m);
        assert_non_null(n);
        assert_int_equal(n->mail.kind, 7);
        assert_int_equal(n->value, i);
        mem_free(n);
    }
    assert_null(mailbox_take(&m));
    post(&m, 0, 3);
    assert_int_equal(woken, 2);
    mailbox_fini(&m); /* what nobody took is freed: the leak checker watches */
}

static void test_no_notify(void **state) {
    struct mailbox m;
    mailbox_init(&m, NULL, NULL);
    post(&m, 0, 1);
    mailbox_fini(&m);
}

struct poster {
    pthread_t thread;
    struct mailbox *to;
    int id;
};

static void *poster_main(void *arg) {
    struct poster *p = arg;
    for (int i = 0; i < MAILS; i++) {
        post(p->to, p->id, i);
    }
    return NULL;
}

/* Nothing is lost or doubled, and each poster's mails arrive in its order. */
static void test_threads(void **state) {
    struct mailbox m;
    struct poster posters[POSTERS];
    int next[POSTERS] = {0};
    unsigned woken = 0;
    mailbox_init(&m, count, &woken);
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.to = &m, .id = i};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, poster_main, &posters[i]), 0);
    }
    for (int got = 0; got < POSTERS * MAILS;) {
        struct number *n = take(&m);
        if (n != NULL) {
            assert_int_equal(n->value, next[n->poster]++);
            mem_free(n);
            got++;
        }
    }
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(posters[i].thread, NULL);
        assert_int_equal(next[i], MAILS);
    }
    assert_null(mailbox_take(&m));
    assert_in_range(woken, 1, POSTERS * MAILS);
    mailbox_fini(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_no_notify),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests_name("mailbox", tests, NULL, NULL);
}
