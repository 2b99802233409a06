/* JSON for applications: members, items, strings, numbers, and texts as JSON. */
#include "sio/json.h"

#include "lib/cmocka.h"

static void assert_text(struct sio_str got, const char *want)
{
	assert_int_equal(got.bytes, strlen(want));
	assert_memory_equal(got.s, want, got.bytes);
}

static void members_and_items(void **state)
{
	struct sio_str object = sio_text(
			       " { \"a\" : [1, {\"b\":2}] ,\"\\u0063\":\"x\", \"a\" : [ true ,null] } "),
		       value, item;

	(void)state;
	assert_true(sio_json_member(object, "a", &value)); /* the last of the name */
	assert_text(value, "[ true ,null]");
	assert_true(sio_json_item(value, 1, &item));
	assert_text(item, "null");
	assert_false(sio_json_item(value, 2, &item));
	assert_true(sio_json_member(object, "c", &value));
	assert_text(value, "\"x\"");
	assert_false(sio_json_member(object, "d", &value));
	assert_false(sio_json_member(SIO_STR("[1]"), "a", &value));
	assert_false(sio_json_member(SIO_STR("{\"a\":}"), "a", &value));
	assert_false(sio_json_member(SIO_STR(""), "a", &value));
	assert_false(sio_json_item(SIO_STR("{\"a\":1}"), 0, &value));
	assert_false(sio_json_item(SIO_STR("[]"), 0, &value));
}

static void strings(void **state)
{
	char out[6] = "kept";

	(void)state;
	assert_true(sio_json_string(SIO_STR("\"\\u0041\\n\\u20ac\""), out, sizeof(out)));
	assert_string_equal(out, "A\n\xe2\x82\xac");
	assert_false(sio_json_string(SIO_STR("\"abcdef\""), out, sizeof(out)));
	assert_false(sio_json_string(SIO_STR("\"a\\u0000\""), out, sizeof(out)));
	assert_false(sio_json_string(SIO_STR("5"), out, sizeof(out)));
	assert_false(sio_json_string(SIO_STR("\"\xff\""), out, sizeof(out)));
	assert_true(sio_json_string(SIO_STR("\"\""), out, 1));
	assert_string_equal(out, "");
}

static void numbers(void **state)
{
	uint64_t n = 7;

	(void)state;
	assert_true(sio_json_number(SIO_STR("42"), 42, &n));
	assert_int_equal(n, 42);
	assert_false(sio_json_number(SIO_STR("43"), 42, &n));
	assert_false(sio_json_number(SIO_STR("-1"), 42, &n));
	assert_false(sio_json_number(SIO_STR("1.0"), 42, &n));
	assert_false(sio_json_number(SIO_STR("\"1\""), 42, &n));
	assert_int_equal(n, 42);
}

static void quoted(void **state)
{
	char out[12] = "kept";

	(void)state;
	assert_int_equal(sio_json_quote(out, sizeof(out), SIO_STR("\x01\n")), 10);
	assert_string_equal(out, "\"\\u0001\\n\"");
	assert_int_equal(sio_json_quote(out, sizeof(out), SIO_STR("a\"b")), 6);
	assert_string_equal(out, "\"a\\\"b\"");
	assert_int_equal(sio_json_quote(out, 6, SIO_STR("a\"b")), 0);
	assert_string_equal(out, "");
	assert_int_equal(sio_json_quote(out, 7, SIO_STR("a\"b")), 6);
	assert_int_equal(sio_json_quote(out, sizeof(out), SIO_STR("\xc0\xaf")), 0);
	assert_int_equal(sio_json_quote(NULL, 0, SIO_STR("a")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_and_items),
		cmocka_unit_test(strings),
		cmocka_unit_test(numbers),
		cmocka_unit_test(quoted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
