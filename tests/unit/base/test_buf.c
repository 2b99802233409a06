/* The growable buffer: its maximum, its growth, and that a failed append changes nothing. */
#include "base/buf.h"
#include "lib/cmocka.h"
#include "lib/failing_alloc.h"

#include <stdlib.h>

static void test_append(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 1000);
	assert_null(b.data);
	assert_true(buf_append(&b, NULL, 0));
	assert_null(b.data);
	assert_true(buf_append(&b, "abc", 3));
	assert_true(buf_append_str(&b, STR("\0d")));
	assert_true(buf_append_str(&b, (struct str){ 0 }));
	assert_true(str_equal(buf_str(&b), STR("abc\0d")));
	buf_finish(&b);
	assert_null(b.data);
	assert_int_equal(b.bytes, 0);
	assert_true(buf_append(&b, "again", 5));
	assert_int_equal(b.bytes_max, 1000);
	buf_finish(&b);
	buf_finish(&b);
}

static void test_u64(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 100);
	assert_true(buf_append_u64(&b, 0));
	assert_true(buf_append_u64(&b, 90));
	assert_true(buf_append_u64(&b, UINT64_MAX));
	assert_true(str_equal(buf_str(&b), STR("09018446744073709551615")));
	buf_finish(&b);
}

static void test_maximum(void **state)
{
	(void)state;
	static const size_t maxima[] = { 0, 1, 63, 64, 65, 127, 128, 129, 1000, 4097 };

	for (size_t i = 0; i < sizeof(maxima) / sizeof(*maxima); i++) {
		struct buf b;

		buf_init(&b, maxima[i]);
		for (size_t n = 0; n < maxima[i]; n++) {
			uint8_t byte = (uint8_t)n;

			assert_true(buf_append(&b, &byte, 1));
			assert_true(b.cap <= maxima[i] && b.bytes == n + 1);
		}
		assert_false(buf_append(&b, "x", 1));
		assert_false(buf_append_u64(&b, 0));
		assert_false(buf_reserve(&b, 1));
		assert_false(buf_reserve(&b, SIZE_MAX));
		assert_true(buf_reserve(&b, 0));
		assert_int_equal(b.bytes, maxima[i]);
		for (size_t n = 0; n < maxima[i]; n++)
			assert_int_equal(b.data[n], (uint8_t)n);
		buf_finish(&b);
	}
}

static void test_no_overflow(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, SIZE_MAX);
	assert_true(buf_append(&b, "abc", 3));
	assert_false(buf_reserve(&b, SIZE_MAX));
	assert_false(buf_reserve(&b, SIZE_MAX - 2));
	/* Within the maximum; that no memory has that size is pretended, as sanitizers abort on asking for it. */
	failing_alloc_arm(1);
	assert_false(buf_reserve(&b, SIZE_MAX / 2));
	assert_true(failing_alloc_disarm());
	assert_true(str_equal(buf_str(&b), STR("abc")));
	buf_finish(&b);
}

static void test_reserve(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_true(buf_reserve(&b, 5000));
	assert_true(b.cap >= 5000 && b.bytes == 0);
	uint8_t *data = b.data;

	for (int i = 0; i < 5000; i++)
		assert_true(buf_append(&b, "x", 1));
	assert_ptr_equal(b.data, data);
	buf_finish(&b);
}

/* The number of reallocations grows with the logarithm of the bytes. */
static void test_growth(void **state)
{
	(void)state;
	struct buf b;
	size_t cap = 0, grown = 0;

	buf_init(&b, 1 << 24);
	for (int i = 0; i < 1 << 20; i++) {
		assert_true(buf_append(&b, "x", 1));
		grown += b.cap != cap;
		cap = b.cap;
	}
	assert_in_range(grown, 1, 20);
	buf_finish(&b);
}

static void test_drop_front(void **state)
{
	(void)state;
	struct buf b;

	buf_init(&b, 100);
	buf_drop_front(&b, 0);
	assert_true(buf_append(&b, "abcdef", 6));
	buf_drop_front(&b, 0);
	buf_drop_front(&b, 2);
	assert_true(str_equal(buf_str(&b), STR("cdef")));
	buf_drop_front(&b, 4);
	assert_int_equal(b.bytes, 0);
	assert_true(buf_append(&b, "x", 1));
	assert_true(str_equal(buf_str(&b), STR("x")));
	buf_finish(&b);
}

static void test_no_memory(void **state)
{
	(void)state;
	unsigned n = 0, failures = 0;
	bool failed;

	do {
		struct buf b;
		size_t appended = 0;

		buf_init(&b, 4096);
		failing_alloc_arm(++n);
		while (appended < 1000) {
			size_t before = b.bytes;

			if (buf_append(&b, "0123456789", 10)) {
				appended += 10;
				assert_int_equal(b.bytes, before + 10);
			} else {
				failures++;
				assert_int_equal(b.bytes, before);
			}
		}
		failed = failing_alloc_disarm();
		for (size_t i = 0; i < 1000; i++)
			assert_int_equal(b.data[i], '0' + (char)(i % 10));
		buf_finish(&b);
	} while (failed);
	assert_true(failures > 2);
	assert_int_equal(failures, n - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_no_overflow),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_drop_front),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
