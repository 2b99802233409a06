/* JSON: items of an array, members of an object, strings decoded and quoted, whole numbers. */
#include "base/json.h"
#include "lib/cmocka.h"
#include "lib/vector.h"

#include <stdio.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void assert_text(struct str got, const char *wanted)
{
	if (!str_equal(got, str_c(wanted)))
		fail_msg("%s instead of \"%s\"", vector_quote(got.s, got.bytes), wanted);
}

static struct json_value scanned(const char *text)
{
	struct json_value value;

	assert_true(json_scan(str_c(text), &value));
	return value;
}

static void test_slices(void **state)
{
	(void)state;
	static const char text[] = " [ \"send\" , {\"a\":[1,2]},-1.5e3 ,[ ], null,true\t] \n";
	static const char *const wanted[] = { "\"send\"", "{\"a\":[1,2]}", "-1.5e3", "[ ]", "null", "true" };
	static const enum json_type types[] = { JSON_STRING, JSON_OBJECT, JSON_NUMBER, JSON_ARRAY, JSON_NULL,
		JSON_TRUE };
	struct json_value items[8];
	size_t count;

	for (size_t room = 0; room <= COUNT(items); room++) {
		memset(items, 0, sizeof(items));
		assert_true(json_scan_array(str_c(text), items, room, &count));
		assert_int_equal(count, COUNT(wanted));
		for (size_t i = 0; i < COUNT(items); i++) {
			if (i >= room || i >= count) {
				assert_null(items[i].text.s);
				continue;
			}
			assert_text(items[i].text, wanted[i]);
			assert_int_equal(items[i].type, types[i]);
		}
	}
	assert_true(json_scan_array(STR("[]"), NULL, 0, &count));
	assert_int_equal(count, 0);
	assert_false(json_scan_array(STR("[1,2"), items, 8, &count));
	assert_false(json_scan_array(STR("[1,2]]"), items, 8, &count));
	assert_false(json_scan_array(STR("\"[1]\""), items, 8, &count));

	assert_text(scanned(" \n{ } ").text, "{ }");
	assert_text(scanned("\t12 ").text, "12");
}

static void test_walk(void **state)
{
	(void)state;
	struct json_walk w = json_walk_begin(scanned("{ \"a\" : 1 ,\"b\\u0063\":[2, 3], \"\":{} }"));
	struct json_value item;
	struct str key;

	assert_true(json_walk_next(&w, &key, &item));
	assert_text(key, "a");
	assert_text(item.text, "1");
	assert_true(json_walk_next(&w, &key, &item));
	assert_text(key, "b\\u0063");
	assert_text(item.text, "[2, 3]");
	assert_true(json_walk_next(&w, NULL, &item));
	assert_text(item.text, "{}");
	assert_false(json_walk_next(&w, &key, &item));
	assert_false(json_walk_next(&w, &key, &item));

	w = json_walk_begin(scanned("[ 1, \"x\" ]"));
	assert_true(json_walk_next(&w, &key, &item));
	assert_int_equal(key.bytes, 0);
	assert_true(json_walk_next(&w, NULL, &item));
	assert_text(item.text, "\"x\"");
	assert_false(json_walk_next(&w, NULL, &item));

	static const char *const empty[] = { "[]", "{}", "[ ]", "{\n}", "1", "\"ab\"", "null" };

	for (size_t i = 0; i < COUNT(empty); i++) {
		w = json_walk_begin(scanned(empty[i]));
		assert_false(json_walk_next(&w, &key, &item));
	}
}

static void test_member(void **state)
{
	(void)state;
	struct json_value object = scanned(
		"{\"a\":1,\"b\":{\"c\":2},\"a\":3,\"\\u0064\\n\":4,\"\":5,\"ab\":6,\"\\ud83d\\ude00\":7}");
	static const struct {
		const char *name, *wanted;
	} members[] = { { "a", "3" }, { "b", "{\"c\":2}" }, { "d\n", "4" }, { "", "5" }, { "ab", "6" },
		{ "\xf0\x9f\x98\x80", "7" }, { "c", NULL }, { "\\u0064\\n", NULL }, { "d", NULL },
		{ "abc", NULL } };
	struct json_value item;

	for (size_t i = 0; i < COUNT(members); i++) {
		bool found = json_member(object, str_c(members[i].name), &item);

		assert_int_equal(found, members[i].wanted != NULL);
		if (found)
			assert_text(item.text, members[i].wanted);
	}
	assert_true(json_member(object, (struct str){ 0 }, &item));
	assert_false(json_member(scanned("[\"a\",1]"), STR("a"), &item));
	assert_false(json_member(scanned("[1]"), STR(""), &item));
	assert_false(json_member(scanned("\"a\""), STR("a"), &item));
	assert_false(json_member(scanned("{}"), STR("a"), &item));
}

static const struct {
	const char *raw;
	struct str decoded;
} strings[] = {
	{ "", STR_INIT("") },
	{ "plain", STR_INIT("plain") },
	{ "a text of more than sixteen bytes, plain", STR_INIT("a text of more than sixteen bytes, plain") },
	{ "\\\"\\\\\\/\\b\\f\\n\\r\\t", STR_INIT("\"\\/\b\f\n\r\t") },
	{ "a\\nb\\nc", STR_INIT("a\nb\nc") },
	{ "\\\\u0041", STR_INIT("\\u0041") },
	{ "\\u0000", STR_INIT("\0") },
	{ "\\u0041\\u007F\\u007f", STR_INIT("A\x7f\x7f") },
	{ "\\u0080\\u07ff", STR_INIT("\xc2\x80\xdf\xbf") },
	{ "\\u0800\\uFfFf", STR_INIT("\xe0\xa0\x80\xef\xbf\xbf") },
	{ "\\ud7ff\\ue000", STR_INIT("\xed\x9f\xbf\xee\x80\x80") },
	{ "\\ud800\\udc00", STR_INIT("\xf0\x90\x80\x80") },
	{ "\\uDBFF\\uDFFF", STR_INIT("\xf4\x8f\xbf\xbf") },
	{ "x\\ud83d\\ude00y", STR_INIT("x\xf0\x9f\x98\x80y") },
	{ "\xc3\xa9\\u00e9", STR_INIT("\xc3\xa9\xc3\xa9") },
	/* lone surrogates */
	{ "\\ud800", STR_INIT("\xef\xbf\xbd") },
	{ "\\udc00", STR_INIT("\xef\xbf\xbd") },
	{ "\\ud800x", STR_INIT("\xef\xbf\xbdx") },
	{ "\\ud800\\n", STR_INIT("\xef\xbf\xbd\n") },
	{ "\\ud800\\u0041", STR_INIT("\xef\xbf\xbd"
				     "A") },
	{ "\\ud800\\ud800\\udc00", STR_INIT("\xef\xbf\xbd\xf0\x90\x80\x80") },
	{ "\\udc00\\ud800", STR_INIT("\xef\xbf\xbd\xef\xbf\xbd") },
	{ "\\ud800\\ue000", STR_INIT("\xef\xbf\xbd\xee\x80\x80") },
	{ "\\ud800\\ud7ff", STR_INIT("\xef\xbf\xbd\xed\x9f\xbf") },
	{ "\\udc00\\udc00", STR_INIT("\xef\xbf\xbd\xef\xbf\xbd") },
	{ "\\ud800\\\\udc00", STR_INIT("\xef\xbf\xbd\\udc00") },
};

static void test_decode(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(strings); i++) {
		struct str decoded = strings[i].decoded;
		size_t bytes = strlen(strings[i].raw) + 2;
		/* Exactly the room that is promised to suffice, for both the text and what it becomes. */
		uint8_t *text = guard_alloc(bytes), *out = guard_alloc(bytes);
		struct json_value value;

		text[0] = text[bytes - 1] = '"';
		memcpy(text + 1, strings[i].raw, bytes - 2);
		assert_true(json_scan(str_of((char *)text, bytes), &value));
		assert_int_equal(json_decode_string((char *)out, value), decoded.bytes);
		assert_true(str_equal(str_of((char *)out, decoded.bytes), decoded));
		assert_int_equal(json_decode_string((char *)text, value), decoded.bytes);
		assert_true(str_equal(str_of((char *)text, decoded.bytes), decoded));
		guard_free(text, bytes);
		guard_free(out, bytes);
	}
}

static void test_raw_equal(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(strings); i++) {
		for (size_t k = 0; k < COUNT(strings); k++) {
			bool wanted = str_equal(strings[i].decoded, strings[k].decoded);

			assert_int_equal(json_raw_equal(str_c(strings[i].raw), strings[k].decoded), wanted);
		}
		struct str cut = strings[i].decoded;

		if (cut.bytes == 0)
			continue;
		cut.bytes--;
		assert_false(json_raw_equal(str_c(strings[i].raw), cut));
	}
	assert_true(json_raw_equal((struct str){ 0 }, (struct str){ 0 }));
	assert_false(json_raw_equal(STR("a"), (struct str){ 0 }));
	assert_false(json_raw_equal((struct str){ 0 }, STR("a")));
}

static void test_quote(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		const char *quoted;
	} quotes[] = {
		{ STR_INIT(""), "\"\"" },
		{ STR_INIT("plain text, longer than sixteen bytes"),
			"\"plain text, longer than sixteen bytes\"" },
		{ STR_INIT("\"\\/"), "\"\\\"\\\\/\"" },
		{ STR_INIT("\b\t\n\f\r"), "\"\\b\\t\\n\\f\\r\"" },
		{ STR_INIT("\0\x01\x0b\x1f\x7f"), "\"\\u0000\\u0001\\u000b\\u001f\x7f\"" },
		{ STR_INIT("\xc3\xa9 \xe2\x80\xa8 \xf0\x9f\x98\x80"),
			"\"\xc3\xa9 \xe2\x80\xa8 \xf0\x9f\x98\x80\"" },
		{ STR_INIT("0123456789abcdef\n0123456789abcde\n"),
			"\"0123456789abcdef\\n0123456789abcde\\n\"" },
	};
	char out[64];

	for (size_t i = 0; i < COUNT(quotes); i++) {
		assert_int_equal(json_quoted_bytes(quotes[i].text), strlen(quotes[i].quoted));
		assert_text(str_of(out, json_quote(out, quotes[i].text)), quotes[i].quoted);
	}
	assert_int_equal(json_quoted_bytes((struct str){ 0 }), 2);
	assert_int_equal(json_quote(out, (struct str){ 0 }), 2);
}

/* Each byte in each place of a text: what is quoted is valid, fits exactly, and decodes to the text. */
static void test_quote_and_back(void **state)
{
	(void)state;
	enum { BYTES_MAX = 40 };
	char text[BYTES_MAX], back[6 * BYTES_MAX];

	for (size_t bytes = 1; bytes <= BYTES_MAX; bytes += 3) {
		for (size_t at = 0; at < bytes; at++) {
			for (int value = 0; value < 0x80; value++) {
				struct json_value scan;

				memset(text, 'x', bytes);
				text[at] = (char)value;
				size_t quoted_bytes = json_quoted_bytes(str_of(text, bytes));
				uint8_t *quoted = guard_alloc(quoted_bytes);

				assert_int_equal(
					json_quote((char *)quoted, str_of(text, bytes)), quoted_bytes);
				assert_true(json_scan(str_of((char *)quoted, quoted_bytes), &scan));
				assert_int_equal(scan.type, JSON_STRING);
				assert_int_equal(json_decode_string(back, scan), bytes);
				assert_memory_equal(back, text, bytes);
				guard_free(quoted, quoted_bytes);
			}
		}
	}
}

static void test_u64(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t max, wanted;
		bool ok;
	} numbers[] = {
		{ "0", 0, 0, true },
		{ "7", 7, 7, true },
		{ "8", 7, 0, false },
		{ "18446744073709551615", UINT64_MAX, UINT64_MAX, true },
		{ "18446744073709551616", UINT64_MAX, 0, false },
		{ "99999999999999999999999", UINT64_MAX, 0, false },
		{ "-1", 9, 0, false },
		{ "-0", 9, 0, false },
		{ "1.0", 9, 0, false },
		{ "1e0", 9, 0, false },
		{ "\"1\"", 9, 0, false },
		{ "true", 9, 0, false },
		{ "[1]", 9, 0, false },
	};

	for (size_t i = 0; i < COUNT(numbers); i++) {
		uint64_t value = 77;

		assert_int_equal(json_u64(scanned(numbers[i].text), numbers[i].max, &value), numbers[i].ok);
		assert_int_equal(value, numbers[i].ok ? numbers[i].wanted : 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slices),
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_member),
		cmocka_unit_test(test_decode),
		cmocka_unit_test(test_raw_equal),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_quote_and_back),
		cmocka_unit_test(test_u64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
