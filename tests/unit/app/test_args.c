/* A command's arguments: every type and its limits, fields that are not declared, missing or there twice, and what is said. */
#include "app/args.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/cmocka.h"

enum {
	A_NAME,
	A_COUNT,
	A_FLAG,
	A_MAP,
	DEPTH = 10000,
};

/* All types; one is not optional. */
static const struct arg all_types[ARGS_MAX] = {
	[A_NAME] = { "name", ARG_STRING, false, 8 },
	[A_COUNT] = { "count", ARG_INTEGER, true, 200 },
	[A_FLAG] = { "flag", ARG_BOOL, true, 0 },
	[A_MAP] = { "map", ARG_OBJECT, true, 0 },
};

struct reading {
	struct chat_fault fault;
	struct arg_value values[ARGS_MAX];
	char *text, *room;
	char why[ARGS_MESSAGE_BYTES + 1];
};

/* The text and the room are as large as they must be, to the byte, so that a sanitizer sees what is beyond. */
static void read_args(struct reading *r, const struct arg args[ARGS_MAX], struct str json)
{
	r->text = malloc(json.bytes + (json.bytes == 0));
	r->room = malloc(json.bytes + (json.bytes == 0));
	assert_true(r->text != NULL && r->room != NULL);
	if (json.bytes > 0)
		memcpy(r->text, json.s, json.bytes);
	memset(r->why, '!', sizeof(r->why));
	r->fault = args_read(args, str_of(r->text, json.bytes), r->room, r->values, r->why);
	assert_int_equal(r->why[ARGS_MESSAGE_BYTES], '!');
}

static void finish(struct reading *r)
{
	free(r->text);
	free(r->room);
}

static void expect_read(struct reading *r, const struct arg args[ARGS_MAX], struct str json)
{
	read_args(r, args, json);
	if (r->fault.error != CHAT_OK)
		print_error(
			"%.*s: %s\n", (int)(json.bytes < 200 ? json.bytes : 200), json.s, r->fault.message);
	assert_int_equal(r->fault.error, CHAT_OK);
}

/* It is refused, and what is said has `hint` in it. */
static void expect_refused(const struct arg args[ARGS_MAX], struct str json, const char *hint)
{
	struct reading r;

	read_args(&r, args, json);
	if (r.fault.error != CHAT_INVALID)
		print_error("%.*s\n", (int)(json.bytes < 200 ? json.bytes : 200), json.s);
	assert_int_equal(r.fault.error, CHAT_INVALID);
	assert_ptr_equal(r.fault.message, r.why);
	assert_in_range(strnlen(r.why, sizeof(r.why)), 4, ARGS_MESSAGE_BYTES - 1);
	for (const char *at = r.why; *at != '\0'; at++)
		assert_in_range(*at, ' ', '~');
	if (strstr(r.why, hint) == NULL)
		print_error("%.*s: \"%s\" without \"%s\"\n", (int)json.bytes, json.s, r.why, hint);
	assert_non_null(strstr(r.why, hint));
	finish(&r);
}

static void every_type_is_read(void **state)
{
	(void)state;
	struct reading r;

	expect_read(&r, all_types,
		STR(" { \"flag\" : true, \"map\":{\"a\":[1, 2]}, \"name\":\"Ann\" ,\"count\":200 } "));
	assert_true(r.values[A_NAME].given && r.values[A_COUNT].given);
	assert_true(r.values[A_FLAG].given && r.values[A_MAP].given);
	assert_true(str_equal(r.values[A_NAME].string, STR("Ann")));
	assert_int_equal(r.values[A_COUNT].number, 200);
	assert_true(r.values[A_FLAG].flag);
	assert_int_equal(r.values[A_MAP].json.type, JSON_OBJECT);
	assert_true(str_equal(r.values[A_MAP].json.text, STR("{\"a\":[1, 2]}")));
	assert_in_range((uintptr_t)r.values[A_MAP].json.text.s, (uintptr_t)r.text, (uintptr_t)r.text + 80);
	finish(&r);
}

static void what_is_optional_may_be_absent(void **state)
{
	(void)state;
	static const struct arg optional[ARGS_MAX] = { { "a", ARG_STRING, true, 0 },
		{ "b", ARG_INTEGER, true, 5 } };
	static const struct arg none[ARGS_MAX] = { { NULL, ARG_STRING, false, 0 } };
	struct reading r;

	expect_read(&r, all_types, STR("{\"name\":\"\"}"));
	assert_true(r.values[A_NAME].given);
	assert_int_equal(r.values[A_NAME].string.bytes, 0);
	assert_false(r.values[A_COUNT].given || r.values[A_FLAG].given || r.values[A_MAP].given);
	finish(&r);
	expect_read(&r, optional, STR("{}"));
	assert_false(r.values[0].given || r.values[1].given || r.values[2].given || r.values[3].given);
	finish(&r);
	expect_read(&r, none, STR("{ }"));
	finish(&r);
	expect_refused(none, STR("{\"a\":1}"), "a");
}

static void what_is_wanted_must_be_there(void **state)
{
	(void)state;
	static const struct arg two[ARGS_MAX] = { { "first", ARG_BOOL, false, 0 },
		{ "second", ARG_BOOL, false, 0 } };

	expect_refused(all_types, STR("{}"), "name");
	expect_refused(all_types, STR("{\"count\":1}"), "name");
	expect_refused(two, STR("{\"second\":true}"), "first");
	expect_refused(two, STR("{\"first\":true}"), "second");
}

static void other_types_are_refused(void **state)
{
	(void)state;
	static const char *const values[] = { "null", "true", "1", "\"a\"", "[]", "{}" };
	static const char *const fine[ARGS_MAX] = { "\"a\"", "1", "true", "{}" };

	for (size_t a = 0; a < ARGS_MAX; a++) {
		for (size_t v = 0; v < sizeof(values) / sizeof(*values); v++) {
			char json[64];

			if (strcmp(values[v], fine[a]) == 0)
				continue;
			snprintf(json, sizeof(json), "{\"%s\":%s}", all_types[a].name, values[v]);
			expect_refused(all_types, str_c(json), all_types[a].name);
		}
	}
}

static void integers_are_within_their_limits(void **state)
{
	(void)state;
	static const struct arg one[ARGS_MAX] = { { "n", ARG_INTEGER, false, ARGS_INTEGER_MAX } };
	static const struct arg zero[ARGS_MAX] = { { "n", ARG_INTEGER, false, 0 } };
	static const struct {
		const char *json;
		uint64_t value;
	} fine[] = { { "{\"n\":0}", 0 }, { "{\"n\":7}", 7 },
		{ "{\"n\":9007199254740991}", ARGS_INTEGER_MAX } };
	static const char *const bad[] = { "-1", "-0", "1.0", "0.5", "1e3", "1E0", "9007199254740992",
		"18446744073709551615", "18446744073709551616", "18446744073709551617",
		"99999999999999999999999999999999999999", "1e999", "-1e999", "true", "\"1\"", "null" };
	struct reading r;

	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++) {
		expect_read(&r, one, str_c(fine[i].json));
		assert_true(r.values[0].number == fine[i].value);
		finish(&r);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char json[80];

		snprintf(json, sizeof(json), "{\"n\":%s}", bad[i]);
		expect_refused(one, str_c(json), "n");
	}
	expect_refused(all_types, STR("{\"name\":\"\",\"count\":201}"), "count");
	expect_read(&r, zero, STR("{\"n\":0}"));
	finish(&r);
	expect_refused(zero, STR("{\"n\":1}"), "n");
	/* What is no number in JSON is no JSON. */
	static const char *const none[] = { "+1", "01", ".5", "1.", "0x10", "NaN", "Infinity", "-", "" };
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		char json[80];

		snprintf(json, sizeof(json), "{\"n\":%s}", none[i]);
		expect_refused(one, str_c(json), "JSON");
	}
}

static void strings_are_decoded_and_limited(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		struct str value;
	} fine[] = {
		{ "{\"name\":\"12345678\"}", STR_INIT("12345678") },
		{ "{\"name\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", STR_INIT("\"\\/\b\f\n\r\t") },
		{ "{\"name\":\"\\u0041\\u00e9\\u20AC\"}", STR_INIT("A\xC3\xA9\xE2\x82\xAC") },
		{ "{\"name\":\"\\ud83d\\ude00\\uD83D\\uDE00\"}",
			STR_INIT("\xF0\x9F\x98\x80\xF0\x9F\x98\x80") },
		{ "{\"name\":\"\\u0000\"}", STR_INIT("\0") },
		{ "{\"name\":\"\\\\ud800\"}", STR_INIT("\\ud800") },
		/* The limit is of what it says, not of how it is written. */
		{ "{\"name\":\"\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\\u0061\"}",
			STR_INIT("aaaaaaaa") },
	};
	struct reading r;

	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++) {
		expect_read(&r, all_types, str_c(fine[i].json));
		assert_true(str_equal(r.values[A_NAME].string, fine[i].value));
		finish(&r);
	}
	expect_refused(all_types, STR("{\"name\":\"123456789\"}"), "name");
	expect_refused(all_types, STR("{\"name\":\"1234567\xC3\xA9\"}"), "name");
	expect_refused(all_types, STR("{\"name\":\"1234567\\u00e9\"}"), "name");
}

static void strings_do_not_overwrite_each_other(void **state)
{
	(void)state;
	static const struct arg four[ARGS_MAX] = { { "a", ARG_STRING, false, 0 },
		{ "b", ARG_STRING, false, 0 }, { "c", ARG_STRING, false, 0 }, { "d", ARG_STRING, true, 0 } };
	struct reading r;

	expect_read(&r, four, STR("{\"c\":\"\\n\",\"a\":\"one\",\"d\":\"\",\"b\":\"t\\u0077o\"}"));
	assert_true(str_equal(r.values[0].string, STR("one")));
	assert_true(str_equal(r.values[1].string, STR("two")));
	assert_true(str_equal(r.values[2].string, STR("\n")));
	assert_true(r.values[3].given && r.values[3].string.bytes == 0);
	finish(&r);
}

/* A string of any length: the room is as large as the text, no more. */
static void strings_may_fill_the_room(void **state)
{
	(void)state;
	static const struct arg one[ARGS_MAX] = { { "s", ARG_STRING, false, 0 } };
	struct reading r;

	for (size_t bytes = 0; bytes < 3000; bytes = bytes * 5 / 4 + 1) {
		char *json = malloc(bytes + 8);

		assert_non_null(json);
		memcpy(json, "{\"s\":\"", 6);
		memset(json + 6, 'x', bytes);
		memcpy(json + 6 + bytes, "\"}", 2);
		expect_read(&r, one, str_of(json, bytes + 8));
		assert_int_equal(r.values[0].string.bytes, bytes);
		assert_memory_equal(r.values[0].string.s, json + 6, bytes);
		finish(&r);
		free(json);
	}
}

static void lone_surrogates_are_refused_wherever_they_are(void **state)
{
	(void)state;
	static const char *const bad[] = { "\\ud800", "\\uDFFF", "\\udbff", "\\uDC00", "a\\ud800", "\\ud800a",
		"\\ud800\\n", "\\ud800\\\\", "\\ud800\\u0041", "\\ud800\\ud800", "\\udc00\\ud800",
		"\\udc00\\udc00", "\\ud83d\\ude00\\ud800", "\\ud83d\\ude00\\ude00", "\\ud800\\ud83d\\ude00",
		"\\ud83d\xC3\xA9\\ude00", "\\n\\udc00", "\\\\\\ud800", "\\u0041\\udc00", "\\ud800\\u0000" };
	static const struct arg one[ARGS_MAX] = { { "s", ARG_STRING, false, 0 } };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char json[80];

		snprintf(json, sizeof(json), "{\"s\":\"%s\"}", bad[i]);
		expect_refused(one, str_c(json), "s");
	}
}

static void a_string_alone_is_decoded(void **state)
{
	(void)state;
	static const char text[] = "\"\\ud83d\\ude00 \\u00e9\"", bad[] = "\"x\\ud83d\"";
	struct str out = STR("old");
	struct json_value value;
	char room[sizeof(text)];

	assert_true(json_scan(str_c(text), &value));
	assert_true(args_string(value, room, &out));
	assert_true(str_equal(out, STR("\xF0\x9F\x98\x80 \xC3\xA9")));
	out = STR("old");
	assert_true(json_scan(str_c(bad), &value));
	assert_false(args_string(value, room, &out));
	assert_true(str_equal(out, STR("old")));
}

static void fields_that_are_not_declared_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *json, *hint;
	} bad[] = {
		{ "{\"name\":\"\",\"is_admin\":true}", "is_admin" },
		{ "{\"__proto__\":{\"name\":\"\"}}", "__proto__" },
		{ "{\"name\":\"\",\"__proto__\":{}}", "__proto__" },
		{ "{\"constructor\":1}", "constructor" },
		{ "{\"name\":\"\",\"\":1}", "" },
		{ "{\"Name\":\"\"}", "Name" },
		{ "{\"nam\":\"\"}", "nam" },
		{ "{\"names\":\"\"}", "names" },
		{ "{\"name \":\"\"}", "name " },
		{ "{\"name\\u0000\":\"\"}", "name" },
		{ "{\"name\":\"\",\"\\ud800\":1}", "" },
		{ "{\"name\":\"\",\"\xC3\xA9\x7F%s%n\":1}", "" },
		{ "{\"name\":\"\",\"a\\n\\u001b[31m\":1}", "" },
	};
	char json[4096] = "{\"", *at = json + 2;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		expect_refused(all_types, str_c(bad[i].json), bad[i].hint);
	/* However long a name is, what is said has room. */
	while (at < json + sizeof(json) - 8)
		*at++ = 'x';
	memcpy(at, "\":1}", 5);
	expect_refused(all_types, str_c(json), "xxx");
}

/* Escaped names are the same names, as in JavaScript; so one cannot be smuggled in beside the other. */
static void a_name_may_be_written_with_escapes(void **state)
{
	(void)state;
	struct reading r;

	expect_read(&r, all_types, STR("{\"na\\u006de\":\"Ann\",\"\\u0063ount\":3}"));
	assert_true(str_equal(r.values[A_NAME].string, STR("Ann")));
	assert_int_equal(r.values[A_COUNT].number, 3);
	finish(&r);
	expect_refused(all_types, STR("{\"name\":\"a\",\"na\\u006de\":\"b\"}"), "name");
	expect_refused(all_types, STR("{\"n\\u0061me\":\"a\",\"na\\u006de\":\"b\"}"), "name");
}

static void a_field_twice_is_refused(void **state)
{
	(void)state;
	expect_refused(all_types, STR("{\"name\":\"a\",\"name\":\"a\"}"), "name");
	expect_refused(all_types, STR("{\"name\":\"a\",\"count\":1,\"count\":2}"), "count");
	expect_refused(all_types, STR("{\"name\":\"a\",\"flag\":false,\"flag\":false}"), "flag");
	expect_refused(all_types, STR("{\"map\":{},\"name\":\"a\",\"map\":{}}"), "map");
	/* Also where the first was empty, false or 0. */
	expect_refused(all_types, STR("{\"name\":\"\",\"name\":\"a\"}"), "name");
	expect_refused(all_types, STR("{\"name\":\"a\",\"count\":0,\"count\":0}"), "count");
}

static void only_an_object_is_taken(void **state)
{
	(void)state;
	static const char *const others[] = { "null", "true", "1", "\"name\"", "[]", "[{\"name\":\"\"}]" };
	static const char *const none[] = { "", " ", "{", "}", "{]", "{\"name\"}", "{\"name\":}",
		"{name:\"\"}", "{\"name\":\"\",}", "{\"name\":\"\"}}", "{\"name\":\"\"} {}", "{'name':''}",
		"{\"name\":\"\n\"}", "{\"name\":\"\\x\"}", "{\"name\":\"\\u12\"}", "{\"name\":\"a}", "/**/{}",
		"{\"name\":\"\"}\v" };

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		expect_refused(all_types, str_c(others[i]), "object");
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
		expect_refused(all_types, str_c(none[i]), "JSON");
	expect_refused(all_types, STR("{\"name\":\"\"}\0"), "JSON");
	expect_refused(all_types, (struct str){ NULL, 0 }, "JSON");
}

static void depth_has_an_end(void **state)
{
	(void)state;
	static const char begin[] = "{\"name\":\"\",\"map\":{\"\":", end[] = "}}";
	static char json[2 * DEPTH + sizeof(begin) + sizeof(end)];
	char *at = json + sizeof(begin) - 1;

	memcpy(json, begin, sizeof(begin) - 1);
	memset(at, '[', DEPTH);
	memset(at + DEPTH, ']', DEPTH);
	memcpy(at + 2 * (size_t)DEPTH, end, sizeof(end));
	expect_refused(all_types, str_c(json), "JSON");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_read),
		cmocka_unit_test(what_is_optional_may_be_absent),
		cmocka_unit_test(what_is_wanted_must_be_there),
		cmocka_unit_test(other_types_are_refused),
		cmocka_unit_test(integers_are_within_their_limits),
		cmocka_unit_test(strings_are_decoded_and_limited),
		cmocka_unit_test(strings_do_not_overwrite_each_other),
		cmocka_unit_test(strings_may_fill_the_room),
		cmocka_unit_test(lone_surrogates_are_refused_wherever_they_are),
		cmocka_unit_test(a_string_alone_is_decoded),
		cmocka_unit_test(fields_that_are_not_declared_are_refused),
		cmocka_unit_test(a_name_may_be_written_with_escapes),
		cmocka_unit_test(a_field_twice_is_refused),
		cmocka_unit_test(only_an_object_is_taken),
		cmocka_unit_test(depth_has_an_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
