/* Every hash against nutcracker's values, and the definitions that those few keys may not reach. */
#include "golden.h"

#include "route/md5.h"
#include "route/ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define HASH_VALUES 504 /* in hash.tsv */

static void test_golden(void **state) {
    struct golden g;
    uint8_t room[2048];
    unsigned checked = 0, of_hash[HASH_COUNT] = {0};
    golden_open(&g, "hash.tsv");
    while (golden_next(&g)) {
        assert_int_equal(g.nfields, 4);
        int h = hash_by_name(slice_str(g.fields[0]));
        assert_in_range(h, 0, HASH_COUNT - 1);
        struct slice key = golden_bytes(g.fields[1], room, sizeof room);
        uint32_t want = golden_u32(g.fields[2]);
        if (hash_key((enum hash)h, key) != want) {
            fail_msg("%s of %s is not %u", g.fields[0], g.fields[1], want);
        }
        of_hash[h]++;
        checked++;
    }
    golden_close(&g);
    assert_int_equal(checked, HASH_VALUES);
    for (unsigned h = 0; h < HASH_COUNT; h++) {
        assert_int_equal(of_hash[h], HASH_VALUES / HASH_COUNT);
    }
    print_message("hash.tsv: %u values checked\n", checked);
}

static void test_names(void **state) {
    assert_int_equal(HASH_COUNT, 12);
    for (int h = 0; h < HASH_COUNT; h++) {
        assert_int_equal(hash_by_name(slice_str(hash_name((enum hash)h))), h);
    }
    assert_int_equal(hash_by_name(slice_str("fnv1a_64")), HASH_FNV1A_64);
    static const char *const wrong[] = {"", "FNV1A_64", "crc", "crc32aa", "md5 ", "ketama"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_int_equal(hash_by_name(slice_str(wrong[i])), -1);
    }
}

/* The result must not depend on where the key lies, nor touch a byte beside it (the sanitizer sees that). */
static void test_alignment(void **state) {
    uint8_t room[64 + 8];
    for (size_t n = 0; n <= 40; n++) {
        for (int h = 0; h < HASH_COUNT; h++) {
            uint32_t want = 0;
            for (size_t at = 0; at < 8; at++) {
                for (size_t i = 0; i < n; i++) {
                    room[at + i] = (uint8_t)(i * 37 + 200);
                }
                uint32_t got = hash_key((enum hash)h, slice(room + at, n));
                want = at == 0 ? got : want;
                assert_int_equal(got, want);
            }
        }
    }
}

/* One-byte keys show each entry of the tables. */
static void test_crc_tables(void **state) {
    for (unsigned c = 0; c < 256; c++) {
        uint8_t byte = (uint8_t)c;
        uint32_t r32 = UINT32_MAX ^ c, r16 = c << 8;
        for (int bit = 0; bit < 8; bit++) {
            r32 = r32 >> 1 ^ (r32 & 1 ? 0xedb88320u : 0);
            r16 = (r16 << 1 ^ (r16 & 0x8000 ? 0x1021 : 0)) & 0xffff;
        }
        assert_int_equal(hash_key(HASH_CRC32A, slice(&byte, 1)), ~r32);
        assert_int_equal(hash_key(HASH_CRC32, slice(&byte, 1)), ~r32 >> 16 & 0x7fff);
        assert_int_equal(hash_key(HASH_CRC16, slice(&byte, 1)), r16);
    }
}

/* A byte of 0x80 or more counts as a negative number, wherever the compiler's char is unsigned, too. */
static void test_signed_bytes(void **state) {
    struct slice key = slice("\xff", 1);
    assert_int_equal(hash_key(HASH_FNV1A_64, key), 0x79fe466eu);
    assert_int_equal(hash_key(HASH_FNV1_32, key), 2166136261u * 16777619u ^ 0xffffffffu);
    assert_int_equal(hash_key(HASH_FNV1A_32, key), (2166136261u ^ 0xffffffffu) * 16777619u);
    assert_int_equal(hash_key(HASH_ONE_AT_A_TIME, key), 0xae65a494u);
}

static void check_md5(struct slice text, const char *hex) {
    uint8_t got[MD5_LEN], want[MD5_LEN];
    md5(text, got);
    golden_bytes(hex, want, sizeof want);
    assert_memory_equal(got, want, MD5_LEN);
}

/* The suite of RFC 1321, and all lengths round the ends of blocks. */
static void test_md5(void **state) {
    static const char *const suite[][2] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"},
        {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"},
        {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(suite); i++) {
        check_md5(slice_str(suite[i][0]), suite[i][1]);
    }
    uint8_t text[200], digests[200][MD5_LEN];
    memset(text, 'a', sizeof text);
    for (size_t n = 0; n < 200; n++) {
        md5(slice(text, n), digests[n]);
    }
    check_md5(slice(digests, sizeof digests), "9370237cf2c013418ada10f8f1b5210b");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),     cmocka_unit_test(test_names),        cmocka_unit_test(test_alignment),
        cmocka_unit_test(test_crc_tables), cmocka_unit_test(test_signed_bytes), cmocka_unit_test(test_md5),
    };
    return cmocka_run_group_tests_name("hash", tests, NULL, NULL);
}
