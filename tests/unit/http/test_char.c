/* The table of http/char.c against the words of RFC 9110 (5.5, 5.6.2) and RFC 3986 (2, 3.2.2). */
#include "http/char_int.h"
#include "lib/cmocka.h"

static bool is_one_of(int byte, const char *set)
{
	return byte != 0 && strchr(set, byte) != NULL;
}

static void every_byte_has_its_classes(void **state)
{
	(void)state;
	for (int b = 0; b < 256; b++) {
		bool digit = b >= '0' && b <= '9';
		bool hex = digit || (b >= 'a' && b <= 'f') || (b >= 'A' && b <= 'F');
		bool alnum = digit || (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z');
		bool visible = b >= 0x21 && b <= 0x7e;
		uint8_t byte = (uint8_t)b;

		assert_int_equal(http_char_is(byte, HTTP_CHAR_DIGIT), digit);
		assert_int_equal(http_char_is(byte, HTTP_CHAR_HEX), hex);
		assert_int_equal(
			http_char_is(byte, HTTP_CHAR_TOKEN), alnum || is_one_of(b, "!#$%&'*+-.^_`|~"));
		assert_int_equal(
			http_char_is(byte, HTTP_CHAR_VALUE), visible || b == ' ' || b == '\t' || b >= 0x80);
		assert_int_equal(http_char_is(byte, HTTP_CHAR_TARGET), visible && b != '#' && b != '\\');
		assert_int_equal(http_char_is(byte, HTTP_CHAR_REG_NAME), alnum || is_one_of(b, "-._~"));
	}
}

static void hexadecimal_digits_have_their_values(void **state)
{
	static const char digits[] = "0123456789abcdef";

	(void)state;
	for (int b = 0; b < 256; b++) {
		int lower = b >= 'A' && b <= 'F' ? b - 'A' + 'a' : b;
		const char *at = lower == 0 ? NULL : strchr(digits, lower);

		assert_int_equal(http_char_hex((uint8_t)b), at == NULL ? -1 : at - digits);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_has_its_classes),
		cmocka_unit_test(hexadecimal_digits_have_their_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
