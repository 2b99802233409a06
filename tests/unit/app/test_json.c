/* Writing JSON: what comes out can be read again, and a failure stays. */
#include "app/json.h"

#include <stdlib.h>

#include "base/json.h"
#include "lib/cmocka.h"
#include "lib/failing_alloc.h"

static void expect(const struct json *j, struct str text)
{
	assert_false(json_failed(j));
	if (!str_equal(json_str(j), text))
		print_error("%.*s\n", (int)json_str(j).bytes, json_str(j).s);
	assert_true(str_equal(json_str(j), text));
}

static void pieces_follow_each_other(void **state)
{
	(void)state;
	struct json j;

	json_init(&j);
	assert_false(json_failed(&j));
	assert_int_equal(json_str(&j).bytes, 0);
	json_lit(&j, "{\"a\":");
	json_number(&j, 1);
	json_raw(&j, STR(",\"b\":"));
	json_string(&j, STR("x"));
	json_raw(&j, (struct str){ NULL, 0 });
	json_lit(&j, ",\"c\":[");
	json_bool(&j, true);
	json_lit(&j, ",");
	json_bool(&j, false);
	json_lit(&j, "]}");
	expect(&j, STR("{\"a\":1,\"b\":\"x\",\"c\":[true,false]}"));
	json_finish(&j);
}

static void numbers_are_exact(void **state)
{
	(void)state;
	struct json j;

	json_init(&j);
	json_number(&j, 0);
	json_lit(&j, " ");
	json_number(&j, UINT64_MAX);
	json_lit(&j, " ");
	json_signed(&j, 0);
	json_lit(&j, " ");
	json_signed(&j, -1);
	json_lit(&j, " ");
	json_signed(&j, INT64_MAX);
	json_lit(&j, " ");
	json_signed(&j, INT64_MIN);
	expect(&j, STR("0 18446744073709551615 0 -1 9223372036854775807 -9223372036854775808"));
	json_finish(&j);
}

static void strings_are_escaped(void **state)
{
	(void)state;
	struct json j;

	json_init(&j);
	json_string(&j, (struct str){ NULL, 0 });
	json_string(&j, STR("\"\\/\b\f\n\r\t\x1b\x7f"));
	json_string(&j, STR("</script>\xC3\xA9\xF0\x9F\x98\x80"));
	json_string(&j, str_of("\0", 1));
	expect(&j, STR("\"\""
		       "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u001b\x7f\""
		       "\"</script>\xC3\xA9\xF0\x9F\x98\x80\""
		       "\"\\u0000\""));
	json_finish(&j);
}

/* Each byte of ASCII, and what is around it, comes back as it was. */
static void strings_come_back(void **state)
{
	(void)state;
	for (int c = 0; c < 128; c++) {
		char text[] = { 'a', (char)c, '"', (char)c, 'z' }, out[64];
		struct json_value value;
		struct json j;

		json_init(&j);
		json_string(&j, str_of(text, sizeof(text)));
		assert_true(json_scan(json_str(&j), &value));
		assert_int_equal(value.type, JSON_STRING);
		assert_true(value.text.bytes <= sizeof(out));
		assert_true(
			str_equal(str_of(out, json_decode_string(out, value)), str_of(text, sizeof(text))));
		json_finish(&j);
	}
}

typedef void write_fn(struct json *);

static void write_raw(struct json *j)
{
	json_lit(j, "[]");
}

static void write_number(struct json *j)
{
	json_number(j, 12);
}

static void write_signed(struct json *j)
{
	json_signed(j, -12);
}

static void write_string(struct json *j)
{
	json_string(j, STR("text"));
}

static void write_bool(struct json *j)
{
	json_bool(j, true);
}

static write_fn *const writes[] = { write_raw, write_number, write_signed, write_string, write_bool };
enum { WRITES = sizeof(writes) / sizeof(*writes) };

/* Whichever piece finds no memory: all is void, and nothing that comes later makes it well again. */
static void a_failure_stays(void **state)
{
	(void)state;
	for (size_t first = 0; first < WRITES; first++) {
		struct json j;

		json_init(&j);
		failing_alloc_arm(1);
		writes[first](&j);
		assert_true(failing_alloc_disarm());
		assert_true(json_failed(&j));
		for (size_t next = 0; next < WRITES; next++) {
			writes[next](&j);
			assert_true(json_failed(&j));
		}
		json_finish(&j);
	}
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	unsigned n = 0;
	bool failed;

	do {
		struct json j;

		json_init(&j);
		failing_alloc_arm(++n);
		for (int i = 0; i < 1000; i++)
			writes[i % WRITES](&j);
		failed = failing_alloc_disarm();
		assert_int_equal(json_failed(&j), failed);
		json_finish(&j);
	} while (failed);
	assert_true(n > 3);
}

/* Up to the limit, not beyond, and each kind of piece minds it. */
static void there_is_a_longest_text(void **state)
{
	(void)state;
	char *text = malloc(JSON_OUT_BYTES_MAX);
	struct json j;

	assert_non_null(text);
	memset(text, 'x', JSON_OUT_BYTES_MAX);
	json_init(&j);
	json_raw(&j, str_of(text, JSON_OUT_BYTES_MAX));
	assert_false(json_failed(&j));
	assert_int_equal(json_str(&j).bytes, JSON_OUT_BYTES_MAX);
	json_lit(&j, "x");
	assert_true(json_failed(&j));
	json_finish(&j);
	for (size_t i = 0; i < WRITES; i++) {
		json_init(&j);
		json_raw(&j, str_of(text, JSON_OUT_BYTES_MAX - 1));
		writes[i](&j);
		assert_true(json_failed(&j));
		json_finish(&j);
	}
	json_init(&j);
	json_string(&j, str_of(text, JSON_OUT_BYTES_MAX - 2));
	assert_false(json_failed(&j));
	json_finish(&j);
	json_init(&j);
	json_string(&j, str_of(text, JSON_OUT_BYTES_MAX - 1));
	assert_true(json_failed(&j));
	json_finish(&j);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_follow_each_other),
		cmocka_unit_test(numbers_are_exact),
		cmocka_unit_test(strings_are_escaped),
		cmocka_unit_test(strings_come_back),
		cmocka_unit_test(a_failure_stays),
		cmocka_unit_test(every_allocation_may_fail),
		cmocka_unit_test(there_is_a_longest_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
