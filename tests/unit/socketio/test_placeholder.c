/* Placeholders: which name an attachment, wherever they are in a text; random documents against a tree of them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "lib/cmocka.h"
#include "lib/rng.h"
#include "lib/vector.h"
#include "slow.h"
#include "socketio/packet.h"

enum {
	DOCUMENTS = 40000,
	TEXT_BYTES_MAX = 1 << 14,
	DEPTH_MAX = 8,
};

/* On a copy that ends at a guard page. */
static bool valid(struct str json, uint32_t attachments)
{
	uint8_t *copy = guard_alloc(json.bytes);

	memcpy(copy, json.s, json.bytes);
	bool ok = sio_placeholders_valid(str_of((const char *)copy, json.bytes), attachments);

	guard_free(copy, json.bytes);
	return ok;
}

static void expect(bool want, const char *json, uint32_t attachments)
{
	if (valid(str_c(json), attachments) != want)
		fail_msg("%s with %u attachments", json, attachments);
}

static void texts_without_placeholders(void **state)
{
	static const char *const texts[] = { "[]", "{}", "[1,\"x\",null,true,false,-1.5e+3]",
		"\"_placeholder\"", "[\"_placeholder\",true,\"num\",99]", "{\"num\":99}",
		"{\"placeholder\":true}", "{\"_placeholder \":true,\"num\":99}",
		"[\"{\\\"_placeholder\\\":true}\"]", " [ ] " };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		expect(true, texts[i], 1);
}

static void a_number_names_an_attachment(void **state)
{
	(void)state;
	for (uint32_t attachments = 1; attachments <= 10; attachments++) {
		for (uint32_t num = 0; num < 20; num++) {
			char json[64];

			snprintf(json, sizeof(json), "[{\"_placeholder\":true,\"num\":%u}]", num);
			expect(num < attachments, json, attachments);
		}
	}
}

static void what_names_nothing(void **state)
{
	static const char *const nums[] = { "-1", "0.5", "1e1", "10", "99", "4294967296",
		"18446744073709551616", "\"0\"", "\"splice\"", "true", "null", "[]", "[0]", "{}",
		"{\"num\":0}" };

	(void)state;
	for (size_t i = 0; i < sizeof(nums) / sizeof(*nums); i++) {
		char json[80];

		snprintf(json, sizeof(json), "[{\"_placeholder\":true,\"num\":%s}]", nums[i]);
		expect(false, json, 10);
		snprintf(json, sizeof(json), "[ { \"num\" : %s , \"_placeholder\" : true } ]", nums[i]);
		expect(false, json, 10);
		/* None is said to be a placeholder: it is no matter. */
		snprintf(json, sizeof(json), "[{\"_placeholder\":1,\"num\":%s}]", nums[i]);
		expect(true, json, 10);
	}
	expect(false, "[{\"_placeholder\":true}]", 10);
	expect(false, "{\"_placeholder\":true}", 1);
}

static void only_true_makes_one(void **state)
{
	static const char *const values[] = { "false", "null", "1", "\"true\"", "[true]", "{}",
		"{\"a\":true}" };

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
		char json[80];

		snprintf(json, sizeof(json), "[{\"_placeholder\":%s,\"num\":99}]", values[i]);
		expect(true, json, 1);
	}
}

static void the_last_of_a_name_counts(void **state)
{
	(void)state;
	expect(true, "{\"_placeholder\":true,\"num\":99,\"num\":0}", 1);
	expect(false, "{\"_placeholder\":true,\"num\":0,\"num\":99}", 1);
	expect(false, "{\"_placeholder\":true,\"num\":0,\"num\":[]}", 1);
	expect(true, "{\"_placeholder\":true,\"num\":99,\"_placeholder\":false}", 1);
	expect(false, "{\"_placeholder\":false,\"num\":99,\"_placeholder\":true}", 1);
	expect(true, "{\"_placeholder\":true,\"_placeholder\":{\"a\":1},\"num\":99}", 1);
}

static void names_with_escapes_are_the_same(void **state)
{
	(void)state;
	expect(false, "{\"\\u005fplaceholder\":true,\"num\":1}", 1);
	expect(false, "{\"_plac\\u0065holder\":true,\"n\\u0075m\":1}", 1);
	expect(true, "{\"\\u005Fplaceholder\":true,\"\\u006eu\\u006d\":0}", 1);
	expect(true, "{\"\\\\u005fplaceholder\":true,\"num\":1}", 1);
}

static void objects_do_not_mix(void **state)
{
	(void)state;
	expect(false, "[{\"a\":{\"_placeholder\":true},\"num\":0}]", 1);
	expect(false, "[{\"_placeholder\":true,\"a\":{\"num\":0}}]", 1);
	expect(true, "[{\"_placeholder\":true,\"a\":{\"num\":99},\"num\":0}]", 1);
	expect(true, "[{\"a\":{\"_placeholder\":true,\"num\":0}},{\"num\":99}]", 1);
	expect(true, "[{\"_placeholder\":true,\"a\":[{\"num\":99},true,\"num\",99],\"num\":0}]", 1);
	expect(false, "[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]", 1);
	expect(true, "[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]", 2);
}

/* A placeholder within as many arrays or objects as JSON may have here. */
static void in_the_greatest_depth(void **state)
{
	(void)state;
	for (int object = 0; object < 2; object++) {
		for (int num = 0; num < 2; num++) {
			struct buf b;
			const char *open = object ? "{\"num\":" : "[", *close = object ? "}" : "]";
			char inner[64];

			buf_init(&b, TEXT_BYTES_MAX);
			for (int i = 0; i < JSON_DEPTH_MAX - 1; i++)
				assert_true(buf_append_str(&b, str_c(open)));
			snprintf(inner, sizeof(inner), "{\"_placeholder\":true,\"num\":%d}", num);
			assert_true(buf_append_str(&b, str_c(inner)));
			for (int i = 0; i < JSON_DEPTH_MAX - 1; i++)
				assert_true(buf_append_str(&b, str_c(close)));
			assert_true(json_reference(buf_str(&b), JSON_DEPTH_MAX));
			assert_int_equal(valid(buf_str(&b), 1), num == 0);
			buf_finish(&b);
		}
	}
}

static void add(struct buf *out, const char *text)
{
	assert_true(buf_append_str(out, str_c(text)));
}

static void add_document(struct rng *rng, struct buf *out, int depth)
{
	static const char *const leaves[] = { "true", "true", "true", "false", "null", "0", "0", "1", "1",
		"2", "9", "-1", "1.0", "\"num\"", "\"_placeholder\"", "\"}\\\"{\"", "\"\\\\\"", "\"\"" };
	static const char *const keys[] = { "\"_placeholder\"", "\"_placeholder\"", "\"_placeholder\"",
		"\"num\"", "\"num\"", "\"num\" ", "\"\\u005fplaceholder\"", "\"nu\\u006d\"", "\"a\"",
		"\"\\\"num\"", "\"\"" };
	size_t kind = rng_below(rng, depth == DEPTH_MAX ? 1 : 5), count = rng_below(rng, 4);

	add(out, rng_below(rng, 8) == 0 ? " " : "");
	if (kind <= 1) {
		add(out, leaves[rng_below(rng, sizeof(leaves) / sizeof(*leaves))]);
		return;
	}
	add(out, kind == 2 ? "[" : "{");
	for (size_t i = 0; i < count; i++) {
		add(out, i > 0 ? "," : "");
		if (kind > 2) {
			add(out, keys[rng_below(rng, sizeof(keys) / sizeof(*keys))]);
			add(out, rng_below(rng, 8) == 0 ? " :\n" : ":");
		}
		add_document(rng, out, depth + 1);
	}
	add(out, kind == 2 ? "]" : "}");
	add(out, rng_below(rng, 8) == 0 ? "\t" : "");
}

static void random_documents_against_a_tree(void **state)
{
	static struct slow_arena arena;
	struct rng rng;
	struct buf text;
	int bad = 0;

	(void)state;
	rng_init(&rng);
	buf_init(&text, 1 << 20);
	for (int i = 0; i < DOCUMENTS; i++) {
		uint32_t attachments = (uint32_t)(1 + rng_below(&rng, 10));

		text.bytes = 0;
		add_document(&rng, &text, 0);
		const struct slow *tree = slow_read(&arena, buf_str(&text));

		assert_non_null(tree);
		bool want = slow_placeholders_valid(tree, attachments);

		bad += !want;
		if (valid(buf_str(&text), attachments) != want)
			fail_msg("%s with %u attachments", vector_quote(text.data, text.bytes), attachments);
	}
	assert_in_range(bad, DOCUMENTS / 100, DOCUMENTS * 9 / 10);
	buf_finish(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_without_placeholders),
		cmocka_unit_test(a_number_names_an_attachment),
		cmocka_unit_test(what_names_nothing),
		cmocka_unit_test(only_true_makes_one),
		cmocka_unit_test(the_last_of_a_name_counts),
		cmocka_unit_test(names_with_escapes_are_the_same),
		cmocka_unit_test(objects_do_not_mix),
		cmocka_unit_test(in_the_greatest_depth),
		cmocka_unit_test(random_documents_against_a_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
