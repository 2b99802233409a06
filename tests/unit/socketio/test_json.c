/* JSON for applications: members, items, strings, numbers, and texts as JSON. */
#include "sio/json.h"

#include "lib/cmocka.h"
#include "lib/failing_alloc.h"

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

static void put_together(void **state)
{
	static const struct sio_str constant = SIO_STR_INIT("a\"b");
	struct sio_json_text t = { 0 };

	(void)state;
	sio_json_open(&t, '[');
	sio_json_put_string(&t, constant);
	sio_json_open(&t, '{');
	sio_json_put_key(&t, "n");
	sio_json_put_int(&t, INT64_MIN);
	sio_json_put_key(&t, "\n");
	sio_json_open(&t, '[');
	sio_json_close(&t, ']');
	sio_json_put_key(&t, "");
	sio_json_put_bool(&t, true);
	sio_json_close(&t, '}');
	sio_json_open(&t, '[');
	sio_json_put_bool(&t, false);
	sio_json_open(&t, '{');
	sio_json_close(&t, '}');
	sio_json_put_json(&t, SIO_STR("null"));
	sio_json_put_bytes(&t, 9);
	sio_json_close(&t, ']');
	sio_json_put_string(&t, SIO_STR(""));
	sio_json_close(&t, ']');
	struct sio_args args = sio_json_args(&t);
	assert_string_equal(args.json.s, "[\"a\\\"b\",{\"n\":-9223372036854775808,\"\\n\":[],\"\":true},"
					 "[false,{},null,{\"_placeholder\":true,\"num\":9}],\"\"]");
	assert_int_equal(args.json.bytes, strlen(args.json.s));
	sio_json_free(&t);
	assert_null(sio_json_written(&t).s);
	/* It grows, and a text alone is a value, too. */
	char large[10000];
	memset(large, 'x', sizeof(large));
	sio_json_put_string(&t, (struct sio_str){ large, sizeof(large) });
	assert_int_equal(sio_json_written(&t).bytes, sizeof(large) + 2);
	sio_json_free(&t);
}

static void what_fails_stays_so(void **state)
{
	struct sio_json_text t = { 0 };

	(void)state;
	sio_json_open(&t, '[');
	sio_json_put_string(&t, SIO_STR("\xff"));
	sio_json_put_int(&t, 1);
	sio_json_close(&t, ']');
	assert_true(t.failed);
	assert_null(sio_json_args(&t).json.s);
	sio_json_free(&t);
	sio_json_open(&t, '[');
	sio_json_put_json(&t, SIO_STR(""));
	assert_true(t.failed);
	sio_json_free(&t);
	sio_json_put_key(&t, "\xff");
	assert_true(t.failed);
	assert_int_equal(sio_json_written(&t).bytes, 0);
	sio_json_free(&t);
	for (unsigned n = 1; n < 3; n++) {
		char large[1000];

		memset(large, 'x', sizeof(large));
		failing_alloc_arm(n);
		sio_json_open(&t, '[');
		sio_json_put_string(&t, (struct sio_str){ large, sizeof(large) });
		sio_json_close(&t, ']');
		assert_true(failing_alloc_disarm());
		assert_true(t.failed && t.s == NULL);
		sio_json_free(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_and_items),
		cmocka_unit_test(strings),
		cmocka_unit_test(numbers),
		cmocka_unit_test(quoted),
		cmocka_unit_test(put_together),
		cmocka_unit_test(what_fails_stays_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
