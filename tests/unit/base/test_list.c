/* Lists, queues and the free list. */
#include "base/list.h"

#include "base/freelist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct item {
    int id;
    struct list in;
    struct queue_link link;
};

#define ITEMS 4

static void make(struct item *items) {
    for (int i = 0; i < ITEMS; i++) {
        items[i] = (struct item){.id = i};
    }
}

/* The ids, in order, as one number: 1, 2, 3 is 123. */
static int order(const struct list *l) {
    int n = 0;
    LIST_EACH(l, m) {
        n = n * 10 + CONTAINER_OF(m, struct item, in)->id;
    }
    return n;
}

static void test_list(void **state) {
    struct item items[ITEMS];
    struct list l;
    make(items);
    list_init(&l);
    assert_true(list_empty(&l));
    assert_null(list_first(&l));
    assert_null(list_pop(&l));
    list_push(&l, &items[1].in);
    list_push(&l, &items[2].in);
    list_push(&l, &items[3].in);
    assert_int_equal(order(&l), 123);
    assert_true(list_linked(&items[2].in));
    list_remove(&items[2].in);
    assert_false(list_linked(&items[2].in));
    list_remove(&items[2].in); /* in no list: nothing happens */
    assert_int_equal(order(&l), 13);
    list_push_front(&l, &items[2].in);
    assert_int_equal(order(&l), 213);
    assert_ptr_equal(list_pop(&l), &items[2].in);
    assert_false(list_linked(&items[2].in));
    assert_int_equal(order(&l), 13);
}

static void test_list_each_safe(void **state) {
    struct item items[ITEMS];
    struct list l;
    make(items);
    list_init(&l);
    for (int i = 0; i < ITEMS; i++) {
        list_push(&l, &items[i].in);
    }
    LIST_EACH_SAFE(&l, m) {
        if (CONTAINER_OF(m, struct item, in)->id % 2 == 0) {
            list_remove(m);
        }
    }
    assert_int_equal(order(&l), 13);
}

static void test_list_splice(void **state) {
    struct item items[ITEMS];
    struct list a, b;
    make(items);
    list_init(&a);
    list_init(&b);
    list_splice(&a, &b);
    assert_true(list_empty(&a) && list_empty(&b));
    list_push(&a, &items[1].in);
    list_push(&b, &items[2].in);
    list_push(&b, &items[3].in);
    list_splice(&a, &b);
    assert_int_equal(order(&a), 123);
    assert_true(list_empty(&b));
    list_splice(&b, &a);
    assert_int_equal(order(&b), 123);
    assert_true(list_empty(&a));
    assert_ptr_equal(b.prev, &items[3].in);
}

static void test_queue(void **state) {
    struct item items[ITEMS];
    struct queue q;
    make(items);
    queue_init(&q);
    for (int round = 0; round < 3; round++) { /* an emptied queue is as good as new */
        assert_null(queue_pop(&q));
        queue_push(&q, &items[1].link);
        queue_push(&q, &items[2].link);
        queue_push_front(&q, &items[0].link);
        queue_push(&q, &items[3].link);
        for (int i = 0; i < ITEMS; i++) {
            assert_ptr_equal(queue_pop(&q), &items[i].link);
            assert_null(items[i].link.next);
        }
    }
    queue_push_front(&q, &items[1].link); /* on an empty queue it is the tail, too */
    queue_push(&q, &items[2].link);
    assert_ptr_equal(queue_pop(&q), &items[1].link);
    assert_ptr_equal(queue_pop(&q), &items[2].link);
    assert_null(queue_pop(&q));
}

static void test_freelist(void **state) {
    struct freelist f;
    void *p[5];
    freelist_init(&f, 48, 3);
    for (int i = 0; i < 5; i++) {
        p[i] = freelist_get(&f);
        memset(p[i], i, 48);
    }
    for (int i = 0; i < 5; i++) {
        freelist_put(&f, p[i]);
    }
    assert_int_equal(f.n, MEM_POOLING ? 3 : 0);
    if (MEM_POOLING) {
        assert_ptr_equal(freelist_get(&f), p[2]); /* the last one that was kept: its memory is warm */
        freelist_put(&f, p[2]);
    }
    freelist_trim(&f, 1);
    assert_int_equal(f.n, MEM_POOLING ? 1 : 0);
    freelist_trim(&f, 0);
    assert_null(f.head);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),  cmocka_unit_test(test_list_each_safe), cmocka_unit_test(test_list_splice),
        cmocka_unit_test(test_queue), cmocka_unit_test(test_freelist),
    };
    return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
