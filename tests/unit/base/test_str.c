/* Slices: equality, prefixes, decimal numbers; none reads behind its end. */
#include "base/str.h"
#include "lib/cmocka.h"
#include "lib/vector.h"

#include <ctype.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct str nothing;

static void test_equal(void **state)
{
	(void)state;
	assert_true(str_equal(STR("a\0b"), STR("a\0b")));
	assert_false(str_equal(STR("a\0b"), STR("a\0c")));
	assert_false(str_equal(STR("a"), STR("ab")));
	assert_true(str_equal(nothing, STR("")));
	assert_true(str_equal(str_c("abc"), str_of("abcd", 3)));
}

static void test_starts(void **state)
{
	(void)state;
	assert_true(str_starts(STR("abc"), STR("ab")));
	assert_true(str_starts(STR("abc"), STR("abc")));
	assert_false(str_starts(STR("abc"), STR("abcd")));
	assert_false(str_starts(STR("abc"), STR("b")));
	assert_true(str_starts(STR("abc"), nothing));
	assert_true(str_starts(nothing, nothing));
	assert_false(str_starts(nothing, STR("a")));
}

static void test_equal_nocase(void **state)
{
	(void)state;
	for (int a = 0; a < 256; a++) {
		for (int b = 0; b < 256; b++) {
			char x = (char)a, y = (char)b;
			bool wanted = a < 128 && b < 128 ? tolower(a) == tolower(b) : a == b;

			assert_int_equal(str_equal_nocase(str_of(&x, 1), str_of(&y, 1)), wanted);
		}
	}
	assert_true(str_equal_nocase(STR("Upgrade"), STR("uPGRADE")));
	assert_false(str_equal_nocase(STR("Upgrade"), STR("Upgrad")));
	assert_true(str_equal_nocase(nothing, nothing));
}

static void test_parse_u64(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		uint64_t max, wanted;
		bool ok;
	} numbers[] = {
		{ STR_INIT("0"), 0, 0, true },
		{ STR_INIT("1"), 0, 0, false },
		{ STR_INIT("9"), 9, 9, true },
		{ STR_INIT("9"), 8, 0, false },
		{ STR_INIT("10"), 9, 0, false },
		{ STR_INIT("00000000000000000000000000000000010"), 10, 10, true },
		{ STR_INIT("18446744073709551615"), UINT64_MAX, UINT64_MAX, true },
		{ STR_INIT("18446744073709551615"), UINT64_MAX - 1, 0, false },
		{ STR_INIT("18446744073709551616"), UINT64_MAX, 0, false },
		{ STR_INIT("18446744073709551620"), UINT64_MAX, 0, false },
		{ STR_INIT("184467440737095516150"), UINT64_MAX, 0, false },
		{ STR_INIT(""), UINT64_MAX, 0, false },
		{ STR_INIT("+1"), UINT64_MAX, 0, false },
		{ STR_INIT("-1"), UINT64_MAX, 0, false },
		{ STR_INIT(" 1"), UINT64_MAX, 0, false },
		{ STR_INIT("1 "), UINT64_MAX, 0, false },
		{ STR_INIT("1\0"), UINT64_MAX, 0, false },
		{ STR_INIT("0x1"), UINT64_MAX, 0, false },
		{ STR_INIT("1:"), UINT64_MAX, 0, false },
		{ STR_INIT("1/"), UINT64_MAX, 0, false },
		{ STR_INIT("\xff"), UINT64_MAX, 0, false },
	};

	for (size_t i = 0; i < COUNT(numbers); i++) {
		size_t bytes = numbers[i].text.bytes;
		uint8_t *text = guard_alloc(bytes);
		uint64_t value = 77;

		memcpy(text, numbers[i].text.s, bytes);
		assert_int_equal(
			str_parse_u64(str_of((char *)text, bytes), numbers[i].max, &value), numbers[i].ok);
		assert_int_equal(value, numbers[i].ok ? numbers[i].wanted : 77);
		guard_free(text, bytes);
	}
	/* Every small number against every small maximum. */
	for (uint64_t n = 0; n < 130; n++) {
		for (uint64_t max = 0; max < 130; max++) {
			char text[] = { (char)('0' + n / 100), (char)('0' + n / 10 % 10),
				(char)('0' + n % 10) };
			uint64_t value = 777;

			assert_int_equal(str_parse_u64(str_of(text, 3), max, &value), n <= max);
			assert_int_equal(value, n <= max ? n : 777);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_starts),
		cmocka_unit_test(test_equal_nocase),
		cmocka_unit_test(test_parse_u64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
