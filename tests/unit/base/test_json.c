/* JSON: which texts are valid, how values are sliced, and that no byte behind the end is read. */
#include "base/json.h"
#include "lib/cmocka.h"
#include "lib/json_reference.h"
#include "lib/vector.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* The verdict, with the text at a guard page and held against the reference. */
static bool scan(struct str text, enum json_type *ret_type)
{
	uint8_t *copy = guard_alloc(text.bytes);
	struct json_value value;

	if (text.bytes > 0)
		memcpy(copy, text.s, text.bytes);
	bool ok = json_scan(str_of((char *)copy, text.bytes), &value);

	if (ok && ret_type)
		*ret_type = value.type;
	if (ok != json_reference(text, JSON_DEPTH_MAX))
		fail_msg("verdict %d on %s", ok, vector_quote(text.s, text.bytes));
	guard_free(copy, text.bytes);
	return ok;
}

/* clang-format off */
#define S(literal) STR_INIT(literal)

static const struct {
	enum json_type type;
	struct str text;
} valid[] = {
	{ JSON_NULL, S("null") },
	{ JSON_TRUE, S("true") },
	{ JSON_FALSE, S("false") },
	{ JSON_TRUE, S(" \t\r\n true \n") },
	/* numbers */
	{ JSON_NUMBER, S("0") },
	{ JSON_NUMBER, S("-0") },
	{ JSON_NUMBER, S("7") },
	{ JSON_NUMBER, S("1234567890") },
	{ JSON_NUMBER, S("-1") },
	{ JSON_NUMBER, S("0.5") },
	{ JSON_NUMBER, S("-0.0") },
	{ JSON_NUMBER, S("10.25") },
	{ JSON_NUMBER, S("1e1") },
	{ JSON_NUMBER, S("0e1") },
	{ JSON_NUMBER, S("0E+1") },
	{ JSON_NUMBER, S("1E-2") },
	{ JSON_NUMBER, S("1.5e+300") },
	{ JSON_NUMBER, S("1e00") },
	{ JSON_NUMBER, S("1e999999999999") },
	{ JSON_NUMBER, S("-237462374673276894279832749832423479823246327846") },
	{ JSON_NUMBER, S("0.000000000000000000000000000000000000000000000000000001") },
	/* strings */
	{ JSON_STRING, S("\"\"") },
	{ JSON_STRING, S("\"a\"") },
	{ JSON_STRING, S("\"fifteen bytes..\"") },
	{ JSON_STRING, S("\"sixteen bytes...\"") },
	{ JSON_STRING, S("\"a string of more than two times sixteen bytes\"") },
	{ JSON_STRING, S("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"") },
	{ JSON_STRING, S("\"\\u0000\\u001f\\u12aB\\uFFFF\"") },
	{ JSON_STRING, S("\"\\ud83d\\ude00\"") },
	{ JSON_STRING, S("\"\\ud800\"") }, /* lone surrogates are text */
	{ JSON_STRING, S("\"\\udc00\\ud800x\"") },
	{ JSON_STRING, S("\"\x7f\"") },
	{ JSON_STRING, S("\"/* no comment */ // none\"") },
	{ JSON_STRING, S("\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"") },
	{ JSON_STRING, S("\"\xe2\x80\xa8\xe2\x80\xa9\"") }, /* U+2028, U+2029 */
	{ JSON_STRING, S("\"\xef\xbb\xbf\"") },
	{ JSON_STRING, S("\"[{]},:\"") },
	/* arrays */
	{ JSON_ARRAY, S("[]") },
	{ JSON_ARRAY, S("[ ]") },
	{ JSON_ARRAY, S("[1]") },
	{ JSON_ARRAY, S(" [ 1 , 2\t,\n3 ] ") },
	{ JSON_ARRAY, S("[null,true,false,0,\"\",[],{}]") },
	{ JSON_ARRAY, S("[[[[]]],[[]],[]]") },
	{ JSON_ARRAY, S("[[] ,[ ] , [\n]]") },
	{ JSON_ARRAY, S("[1,null,null,null,2]") },
	{ JSON_ARRAY, S("[-0,-1,1.0,1e3]") },
	/* objects */
	{ JSON_OBJECT, S("{}") },
	{ JSON_OBJECT, S("{ }") },
	{ JSON_OBJECT, S("{\"a\":1}") },
	{ JSON_OBJECT, S(" { \"a\" : 1 , \"b\"\n:\t[ ] } ") },
	{ JSON_OBJECT, S("{\"\":0}") },
	{ JSON_OBJECT, S("{\"a\":1,\"a\":2}") },
	{ JSON_OBJECT, S("{\"\\u0061\\\"\":{}}") },
	{ JSON_OBJECT, S("{\"a\":{\"b\":{\"c\":[{\"d\":[]},{}]}}}") },
	{ JSON_OBJECT, S("{\"a\":[],\"b\":{},\"c\":[{}],\"d\":{\"e\":[]}}") },
	{ JSON_ARRAY,
		S("[\"send\",{\"room\":\"general\",\"cid\":\"x-1\",\"text\":\"hi \\ud83d\\udc4b\"}]") },
};

static const struct str invalid[] = {
	/* no value, or more than one */
	S(""), S(" "), S("\n\n"), S("1 2"), S("[][]"), S("{}{}"), S("\"a\" \"b\""), S("[1]x"), S("{}}"),
	S("[]]"), S("true false"), S("1,2"), S("[],"), S(","), S(":"), S("\"a\":1"), S("2@"), S("{}#"),
	/* words */
	S("nul"), S("nulll"), S("Null"), S("NULL"), S("tru"), S("True"), S("fals"), S("falsy"),
	S("truefalse"), S("undefined"), S("NaN"), S("-NaN"), S("Infinity"), S("-Infinity"), S("nan"),
	S("n"), S("t"), S("f"), S("[nul]"), S("[tru,1]"), S("a"), S("'a'"), S("`a`"), S("\xff"),
	S("\xe2\x82\xac"),
	/* numbers */
	S("-"), S("+1"), S("+"), S("--1"), S("- 1"), S("01"), S("-01"), S("00"), S("-00"), S("012"),
	S("1."), S("-1."), S(".5"), S("-.5"), S("."), S("1.e1"), S("0.e1"), S("1e"), S("1e+"), S("1e-"),
	S("1E"), S("1e1.5"), S("1e+-1"), S("1ee1"), S("e1"), S("1.2.3"), S("1..2"), S("0x10"), S("0b1"),
	S("1_000"), S("1,000"), S("1 000"), S("1a"), S("[1a]"), S("[-]"), S("[1.]"), S("[01]"), S("[0e]"),
	S("\xef\xbc\x91"), S("1\xef\xbc\x91"), S("[1-2]"), S("[1+2]"), S("-e1"), S("-a"),
	/* strings */
	S("\""), S("\"a"), S("a\""), S("\"\\\""), S("\"\\"), S("\"\\x41\""), S("\"\\a\""), S("\"\\'\""),
	S("\"\\0\""), S("\"\\v\""), S("\"\\U0041\""), S("\"\\u\""), S("\"\\u1\""), S("\"\\u12\""),
	S("\"\\u123\""), S("\"\\u123g\""), S("\"\\u 123\""), S("\"\\u-123\""), S("\"\\u123"),
	S("\"\\u1234"), S("\"\\ud800\\u\""), S("\"\\ud800\\\""), S("\"\\\xc3\xa9\""), S("\"\t\""),
	S("\"\n\""), S("\"a\rb\""), S("\"\x1f\""), S("\"\0\""), S("\"fifteen bytes..\n\""),
	S("\"\n16 bytes before the end\""), S("\"a\"b\""), S("\"a\"\""), S("\\\"a\""), S("\\u0022a\""),
	/* arrays */
	S("["), S("]"), S("[1"), S("[1,"), S("[,"), S("[,]"), S("[1,]"), S("[,1]"), S("[1,,2]"), S("[1 2]"),
	S("[1 true]"), S("[1:2]"), S("[\"a\":1]"), S("[1;2]"), S("[1}"), S("[}"), S("[[]"), S("[[],"),
	S("[[1]]]"), S("[{]}"), S("[\"a\""), S("[\"a"), S("[ ,1]"), S("[1, ]"), S("[...]"), S("[[,]]"),
	S("[(1)]"), S("<[]>"), S("[][0]"), S("[1]\x0c"), S("[\x0b]"), S("[\x0c]"), S("[\xc2\xa0]"),
	S("[\0]"),
	/* objects */
	S("{"), S("}"), S("{]"), S("{1}"), S("{\"a\"}"), S("{\"a\":}"), S("{\"a\":1"), S("{\"a\":1,"),
	S("{\"a\":1,}"), S("{,}"), S("{,\"a\":1}"), S("{\"a\":1,,\"b\":2}"), S("{\"a\":1 \"b\":2}"),
	S("{\"a\" 1}"), S("{\"a\"::1}"), S("{\"a\":1:2}"), S("{\"a\",1}"), S("{a:1}"), S("{'a':1}"),
	S("{1:1}"), S("{null:1}"), S("{[]:1}"), S("{{}:1}"), S("{\"a\":1]"), S("{\"a\":[1}"),
	S("{\"a\":{}"), S("{\"a"), S("{\"a\""), S("{\"a\":"), S("{\"a\" :"), S("{\"a\":1}}"),
	S("{\"a\n\":1}"), S("{\"\\x\":1}"), S("{:1}"), S("{\"a\":1;}"), S("{\"a\":1,\"b\"}"),
	S("{\"a\":1,1}"), S("{\"a\":1,b:2}"), S("{\"a\":(1)}"), S("{\"a\"=1}"), S("{\"a\"=>1}"),
	/* what other languages allow */
	S("//\n1"), S("/**/1"), S("[1]//"), S("[1/*,2*/]"), S("#\n1"), S("{\"a\":1/**/}"),
	S("\xef\xbb\xbf[]"), S("\xe2\x81\xa0[]"), S("\xc2\xa0" "1"), S("\xff\xfe[\0]\0"), S("\0"), S("1\0"),
	S("[]\0"), S("\0[]"), S("function(){}"), S("new Date()"), S("/a/"), S("1n"), S("0o7"), S("[1..2]"),
	S("{...a}"), S("*a"),
};
/* clang-format on */

static void test_valid(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid); i++) {
		enum json_type type = JSON_NULL;

		if (!scan(valid[i].text, &type))
			fail_msg("refused: %s", vector_quote(valid[i].text.s, valid[i].text.bytes));
		assert_int_equal(type, valid[i].type);
	}
}

static void test_invalid(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(invalid); i++)
		if (scan(invalid[i], NULL))
			fail_msg("accepted: %s", vector_quote(invalid[i].s, invalid[i].bytes));
}

/* Valid and invalid ones alike, where a value may stand in an array or an object. */
static void test_within(void **state)
{
	(void)state;
	static const char *const around[][2] = { { "[", "]" }, { "[1,", ",2]" }, { "{\"a\":", "}" },
		{ "[[", "]]" }, { "{\"a\":[0,", "],\"b\":{}}" } };

	for (size_t i = 0; i < COUNT(valid); i++) {
		for (size_t k = 0; k < COUNT(around); k++) {
			char text[256];
			int bytes = snprintf(text, sizeof(text), "%s%.*s%s", around[k][0],
				(int)valid[i].text.bytes, valid[i].text.s, around[k][1]);

			assert_in_range(bytes, 1, sizeof(text) - 1);
			assert_true(scan(str_of(text, (size_t)bytes), NULL));
		}
	}
	for (size_t i = 0; i < COUNT(invalid); i++) {
		char text[256];
		size_t bytes = invalid[i].bytes;

		/* scan() holds each against the reference: "1,2" is no value, but [1,2] is one. */
		text[0] = '[';
		memcpy(text + 1, invalid[i].s, bytes);
		text[bytes + 1] = ']';
		(void)scan(str_of(text, bytes + 2), NULL);
		memcpy(text, "{\"a\":", 5);
		memcpy(text + 5, invalid[i].s, bytes);
		text[bytes + 5] = '}';
		(void)scan(str_of(text, bytes + 6), NULL);
	}
}

static void test_prefixes(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(valid); i++) {
		struct str text = valid[i].text;

		while (text.bytes > 0 && strchr(" \t\r\n", text.s[text.bytes - 1]))
			text.bytes--;
		for (size_t bytes = 0; bytes < text.bytes; bytes++) {
			bool ok = scan(str_of(text.s, bytes), NULL);

			/* 12 is a prefix of 123: numbers alone may go on. */
			if (valid[i].type != JSON_NUMBER)
				assert_false(ok);
		}
	}
}

/* Each byte value in each place where it matters, held against the reference by scan(). */
static void test_every_byte(void **state)
{
	(void)state;
	static const char *const frames[] = { "\"?\"", "\"0123456789abcdef?\"",
		"\"0123456789abcde?0123456789abcdef\"", "\"\\?\"", "\"\\?1234\"", "\"\\u?123\"",
		"\"\\u0?23\"", "\"\\u01?3\"", "\"\\u012?\"", "[?]", "[1?]", "[1?2]", "?[]", "[]?", "{?}",
		"{\"a\"?1}", "{\"a\":?}", "{\"a\":1?}", "-?", "0?", "0.?", "1e?", "1e-?", "?" };

	for (size_t i = 0; i < COUNT(frames); i++) {
		char text[64];
		size_t bytes = strlen(frames[i]), at = strcspn(frames[i], "?");

		memcpy(text, frames[i], bytes);
		for (int value = 0; value < 256; value++) {
			text[at] = (char)value;
			(void)scan(str_of(text, bytes), NULL);
		}
	}
}

static void test_depth(void **state)
{
	(void)state;
	char text[6 * (JSON_DEPTH_MAX + 1) + 8];

	for (size_t depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
		struct json_value items[1];
		size_t bytes = 0, count;
		bool fits = depth <= JSON_DEPTH_MAX;

		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(scan(str_of(text, 2 * depth), NULL), fits);
		assert_int_equal(json_scan_array(str_of(text, 2 * depth), items, 1, &count), fits);

		/* Both kinds by turns: [{"":[{"": ... */
		for (size_t i = 0; i < depth; i++) {
			const char *open = i % 2 == 0 ? "[" : "{\"\":";

			memcpy(text + bytes, open, strlen(open));
			bytes += strlen(open);
		}
		text[bytes++] = '1';
		for (size_t i = depth; i-- > 0;)
			text[bytes++] = i % 2 == 0 ? ']' : '}';
		assert_int_equal(scan(str_of(text, bytes), NULL), fits);
		text[bytes - 2] = text[bytes - 2] == ']' ? '}' : ']';
		assert_false(scan(str_of(text, bytes), NULL));
	}
	/* Wide is not deep. */
	char wide[4 * JSON_DEPTH_MAX];

	for (size_t i = 0; i < sizeof(wide); i += 4)
		memcpy(wide + i, "[],\n", 4);
	wide[0] = '[';
	wide[1] = '0';
	memcpy(wide + sizeof(wide) - 4, "[ ]]", 4);
	assert_true(scan(str_of(wide, sizeof(wide)), NULL));
}

static void test_long_numbers(void **state)
{
	(void)state;
	static const char *const ends[] = { "0", ".5", "e-9", "0 ", "0," };
	char text[JSON_NUMBER_BYTES_MAX + 8];

	for (size_t bytes = JSON_NUMBER_BYTES_MAX - 1; bytes <= JSON_NUMBER_BYTES_MAX + 1; bytes++) {
		for (size_t i = 0; i < COUNT(ends); i++) {
			memset(text, '7', bytes);
			memcpy(text + bytes - strlen(ends[i]), ends[i], strlen(ends[i]));
			(void)scan(str_of(text, bytes), NULL); /* as the reference has it */
		}
		memset(text, '7', bytes);
		assert_int_equal(scan(str_of(text, bytes), NULL), bytes <= JSON_NUMBER_BYTES_MAX);
	}
}

/* A long string whose only special byte stands at each place in turn, at each alignment. */
static void test_long_strings(void **state)
{
	(void)state;
	enum { BYTES_MAX = 80 };
	char text[BYTES_MAX];

	for (size_t bytes = 2; bytes <= BYTES_MAX; bytes++) {
		memset(text, 'x', bytes);
		text[0] = text[bytes - 1] = '"';
		assert_true(scan(str_of(text, bytes), NULL));
		assert_false(scan(str_of(text, bytes - 1), NULL));
		for (size_t at = 1; at < bytes - 1; at++) {
			static const char specials[] = "\"\\\n\x1f\x01 \x7f\x80\xff!#[]";

			for (size_t i = 0; i < sizeof(specials); i++) {
				text[at] = specials[i];
				(void)scan(str_of(text, bytes), NULL);
			}
			text[at] = 'x';
		}
	}
}

static void test_failure_changes_nothing(void **state)
{
	(void)state;
	struct json_value value = { .type = JSON_TRUE, .text = STR("kept") };
	size_t count = 77;
	uint64_t number = 77;

	assert_false(json_scan(STR("[1,]"), &value));
	assert_false(json_member((struct json_value){ JSON_OBJECT, STR("{\"a\":1}") }, STR("b"), &value));
	assert_string_equal(value.text.s, "kept");
	assert_int_equal(value.type, JSON_TRUE);
	assert_false(json_scan_array(STR("[1,]"), NULL, 0, &count));
	assert_false(json_scan_array(STR("{}"), NULL, 0, &count));
	assert_false(json_scan_array((struct str){ 0 }, NULL, 0, &count));
	assert_int_equal(count, 77);
	assert_false(json_scan((struct str){ 0 }, &value));
	assert_false(json_u64((struct json_value){ JSON_NUMBER, STR("1.5") }, UINT64_MAX, &number));
	assert_int_equal(number, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_long_numbers),
		cmocka_unit_test(test_long_strings),
		cmocka_unit_test(test_failure_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
