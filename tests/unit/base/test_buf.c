/* Slices, chunks, ropes and stages. bufpool_fini asserts that every chunk came back. */
#include "base/buf.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void fill(struct buf *b, size_t n) {
    assert_true(b->cap - b->len >= n);
    for (size_t i = 0; i < n; i++, b->len++) {
        b->data[b->len] = (uint8_t)(b->len * 7);
    }
}

static void test_slice(void **state) {
    struct slice a = slice_str("Get");
    assert_true(slice_eq(a, slice("Getx", 3)));
    assert_true(slice_eq(slice(NULL, 0), slice_str("")));
    assert_false(slice_is(a, "get"));
    assert_true(slice_ieq(a, slice_str("gET")));
    assert_false(slice_ieq(a, slice_str("gets")));
    assert_false(slice_ieq(slice_str("@"), slice_str("`"))); /* they differ in the case bit and are no letters */
    assert_true(slice_starts(a, ""));
    assert_true(slice_starts(a, "Ge"));
    assert_false(slice_starts(a, "Gets"));
    assert_false(slice_is(slice("a\0b", 3), "a"));
}

static void test_pool(void **state) {
    static const size_t sizes[] = {0, 1, 1984, 1985, 4032, 4033, 16320, 16321, 131008, 131009, 1 << 20, (1 << 20) + 1};
    struct bufpool p;
    size_t used = 0;
    struct buf *bufs[ARRAY_LEN(sizes)];
    bufpool_init(&p);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        bufs[i] = buf_new(&p, sizes[i]);
        assert_non_null(bufs[i]);
        assert_true(bufs[i]->cap >= sizes[i]);
        assert_int_equal(bufs[i]->len, 0);
        memset(bufs[i]->data, 1, bufs[i]->cap);
        used += bufs[i]->cap;
        assert_int_equal(p.used, used);
    }
    assert_int_equal(p.peak, used);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        buf_unref(&bufs[i]);
        assert_null(bufs[i]);
    }
    assert_int_equal(p.used, 0);
    assert_int_equal(p.peak, used);
    buf_unref(&bufs[0]); /* NULL is fine */
    bufpool_fini(&p);
}

static void test_consume(void **state) {
    struct bufpool p;
    bufpool_init(&p);
    for (size_t step = 1; step <= 40; step++) { /* spans of 10, 20, 30, 40 bytes of bufs of their own */
        struct rope r = {0};
        for (size_t i = 1; i <= 4; i++) {
            struct buf *b = buf_new(&p, 100);
            fill(b, 50);
            rope_add_ref(&r, b, 50 - i * 10, i * 10);
            buf_unref(&b);
        }
        for (size_t left = 100; left > 0;) {
            size_t n = min_size(step, left);
            rope_consume(&r, n);
            left -= n;
            assert_int_equal(rope_len(&r), left);
            for (uint32_t i = 0; i < r.n; i++) { /* each span still ends where its buf does */
                struct span *s = rope_span(&r, i);
                assert_int_equal(s->off + s->len, 50);
                assert_int_equal(s->len, i == r.n - 1 ? min_size(40, left) : s->len);
            }
            assert_int_equal(p.used, r.n * (size_t)1984);
        }
        assert_int_equal(r.n, 0);
        struct buf *b = buf_new(&p, 100); /* it may be used again */
        fill(b, 50);
        rope_add_ref(&r, b, 0, 10);
        rope_add_ref(&r, b, 20, 10);
        buf_unref(&b);
        rope_consume(&r, 0);
        assert_int_equal(rope_len(&r), 20);
        rope_fini(&r);
    }
    bufpool_fini(&p);
}

static void test_trim(void **state) {
    struct bufpool p;
    struct buf *bufs[20];
    bufpool_init(&p);
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++) {
        bufs[i] = buf_new(&p, 100);
    }
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++) {
        buf_unref(&bufs[i]);
    }
    assert_int_equal(p.nfree[0], MEM_POOLING ? 20 : 0);
    bufpool_trim(&p); /* they were all in use since the last trim: kept */
    assert_int_equal(p.nfree[0], MEM_POOLING ? 20 : 0);
    bufpool_trim(&p); /* nothing was used meanwhile */
    assert_in_range(p.nfree[0], 0, 1);
    bufpool_fini(&p);
}

static void test_grow(void **state) {
    struct bufpool p;
    bufpool_init(&p);
    struct buf *b = buf_new(&p, 4032), *same = b;
    fill(b, 4000);
    struct buf *kept = buf_grow(&b, 4032);
    assert_ptr_equal(kept, same);
    for (size_t cap = 5000; cap < 3000000; cap *= 3) {
        struct buf *grown = buf_grow(&b, cap);
        assert_non_null(grown);
        assert_ptr_equal(grown, b);
        assert_true(b->cap >= cap);
        assert_int_equal(b->len, 4000);
        for (size_t i = 0; i < b->len; i++) {
            assert_int_equal(b->data[i], (uint8_t)(i * 7));
        }
    }
    assert_int_equal(p.used, b->cap);
    buf_unref(&b);
    bufpool_fini(&p);
}

static void test_rope_ref(void **state) {
    struct bufpool p;
    struct rope r = {0};
    bufpool_init(&p);
    struct buf *a = buf_new(&p, 100), *b = buf_new(&p, 100), *whole;
    fill(a, 100);
    fill(b, 100);
    rope_add_ref(&r, a, 10, 20);
    rope_add_ref(&r, a, 30, 5); /* follows: the span grows */
    assert_int_equal(r.n, 1);
    assert_int_equal(a->refs, 2);
    rope_add_ref(&r, a, 36, 5); /* a gap */
    rope_add_ref(&r, b, 41, 5);
    rope_add_ref(&r, b, 0, 0); /* nothing */
    assert_int_equal(r.n, 3);
    assert_int_equal(rope_len(&r), 35);
    buf_unref(&a);
    buf_unref(&b);
    struct slice flat = rope_flat(&r, &p, &whole);
    assert_int_equal(flat.n, 35);
    assert_int_equal(r.n, 1);
    assert_ptr_equal(flat.p, whole->data);
    for (size_t i = 0; i < flat.n; i++) {
        size_t was = i < 25 ? 10 + i : i < 30 ? 36 + i - 25 : 41 + i - 30;
        assert_int_equal(flat.p[i], (uint8_t)(was * 7));
    }
    rope_fini(&r);
    rope_fini(&r); /* an empty rope again */
    bufpool_fini(&p);
}

static void test_rope_many(void **state) {
    struct bufpool p;
    struct rope r = {0}, to = {0};
    struct buf *whole;
    bufpool_init(&p);
    assert_int_equal(rope_flat(&r, &p, &whole).n, 0);
    assert_null(whole);
    struct buf *b = buf_new(&p, 1000);
    fill(b, 1000);
    for (size_t i = 0; i < 50; i++) {
        rope_add_ref(&r, b, 2 * i, 1);
    }
    assert_int_equal(r.n, 50);
    assert_int_equal(b->refs, 51);
    struct rope all = {0};
    rope_add_all(&all, &r);
    assert_int_equal(all.n, r.n);
    assert_int_equal(rope_len(&all), 50);
    rope_fini(&all);
    rope_move(&to, &r);
    assert_int_equal(r.n, 0);
    assert_int_equal(rope_len(&r), 0);
    assert_int_equal(rope_len(&to), 50);
    for (uint32_t i = 0; i < 50; i++) {
        assert_int_equal(span_slice(rope_span(&to, i)).p[0], (uint8_t)(2 * i * 7));
    }
    rope_fini(&to);
    assert_int_equal(b->refs, 1);
    buf_unref(&b);
    bufpool_fini(&p);
}

/* Messages copied to one stage lie one after the other, each in its own rope. */
static void test_stage(void **state) {
    struct bufpool p;
    struct stage st;
    struct rope ropes[2000] = {0};
    bufpool_init(&p);
    stage_init(&st, &p);
    for (size_t i = 0; i < ARRAY_LEN(ropes); i++) {
        uint8_t byte = (uint8_t)i;
        rope_add_copy(&ropes[i], &st, slice("abc", 3));
        rope_add_copy(&ropes[i], &st, slice(NULL, 0));
        rope_add_copy(&ropes[i], &st, slice(&byte, 1));
    }
    assert_ptr_equal(ropes[0].one.buf, ropes[1].one.buf);
    assert_int_equal(ropes[1].one.off, 4);
    stage_release(&st);
    assert_ptr_equal(st.buf, p.none);
    for (size_t i = 0; i < ARRAY_LEN(ropes); i++) {
        struct buf *b;
        struct slice got = rope_flat(&ropes[i], &p, &b);
        assert_int_equal(got.n, 4);
        assert_memory_equal(got.p, "abc", 3);
        assert_int_equal(got.p[3], (uint8_t)i);
        rope_fini(&ropes[i]);
    }
    bufpool_fini(&p);
}

/* A copy larger than any chunk class still arrives whole. */
static void test_stage_large(void **state) {
    struct bufpool p;
    struct stage st;
    struct rope r = {0};
    size_t n = 300000;
    uint8_t *text = mem_alloc(n);
    memset(text, 'v', n);
    bufpool_init(&p);
    stage_init(&st, &p);
    rope_add_copy(&r, &st, slice_str("head"));
    rope_add_copy(&r, &st, slice(text, n));
    rope_add_copy(&r, &st, slice_str("tail"));
    assert_int_equal(rope_len(&r), n + 8);
    stage_release(&st);
    rope_fini(&r);
    bufpool_fini(&p);
    mem_free(text);
}

/* rope_add: small parts are copied, so that they do not hold a read buffer; large ones are referenced. */
static void test_add(void **state) {
    struct bufpool p;
    struct stage st;
    struct rope r = {0};
    bufpool_init(&p);
    stage_init(&st, &p);
    struct buf *b = buf_new(&p, 2 * ROPE_REF_MIN);
    fill(b, 2 * ROPE_REF_MIN);
    rope_add(&r, &st, b, slice(b->data + 5, ROPE_REF_MIN - 1));
    assert_int_equal(b->refs, 1);
    rope_add(&r, &st, b, slice(b->data + 5, ROPE_REF_MIN));
    assert_int_equal(b->refs, 2);
    rope_add(&r, &st, NULL, slice(b->data + 5, ROPE_REF_MIN));
    assert_int_equal(b->refs, 2);
    assert_int_equal(rope_span(&r, 1)->off, 5);
    assert_int_equal(rope_len(&r), 3 * ROPE_REF_MIN - 1);
    rope_fini(&r);
    assert_int_equal(b->refs, 1);
    buf_unref(&b);
    stage_release(&st);
    bufpool_fini(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slice),     cmocka_unit_test(test_pool),        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_consume),
        cmocka_unit_test(test_grow),      cmocka_unit_test(test_rope_ref),    cmocka_unit_test(test_rope_many),
        cmocka_unit_test(test_stage),     cmocka_unit_test(test_stage_large), cmocka_unit_test(test_add),
    };
    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
