/* JSON against the reference: every short text over JSON's own characters, and random documents, whole and damaged. */
#include "base/json.h"
#include "lib/cmocka.h"
#include "lib/json_reference.h"
#include "lib/rng.h"
#include "lib/vector.h"

#include <stdlib.h>

enum {
	SHORT_BYTES_MAX = 6,
	DOCUMENTS = 60000,
	DEEP_DOCUMENTS = 500,
	DOCUMENT_BYTES_MAX = 4096,
	ITEMS_MAX = 4,
	DAMAGES_MAX = 3,
};

/* One buffer that ends at a guard page; every text is put at its end. */
static uint8_t *memory;

static int set_up(void **state)
{
	(void)state;
	memory = guard_alloc(DOCUMENT_BYTES_MAX);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	guard_free(memory, DOCUMENT_BYTES_MAX);
	return 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A value found valid is a valid text by itself, with no space around it. */
static void check_value(struct json_value value)
{
	static const char firsts[] = "nft0\"[{";
	struct json_value again;
	char first = value.text.s[0];

	assert_true(json_reference(value.text, JSON_DEPTH_MAX));
	assert_true(json_scan(value.text, &again));
	assert_int_equal(again.type, value.type);
	assert_true(again.text.s == value.text.s && again.text.bytes == value.text.bytes);
	assert_false(is_space(first) || is_space(value.text.s[value.text.bytes - 1]));
	assert_int_equal(strchr("-123456789", first) ? '0' : first, firsts[value.type]);
}

/* Walking gives the same items as slicing, in order and apart from each other. */
static size_t check_walk(struct json_value container, const struct json_value *items)
{
	struct json_walk w = json_walk_begin(container);
	const char *behind = container.text.s;
	struct json_value item;
	struct str key;
	size_t count = 0;

	while (json_walk_next(&w, &key, &item)) {
		check_value(item);
		assert_true(item.text.s > behind);
		behind = item.text.s + item.text.bytes;
		if (container.type == JSON_OBJECT)
			assert_true(key.s[-1] == '"' && key.s[key.bytes] == '"');
		if (items && count < ITEMS_MAX)
			assert_true(items[count].text.s == item.text.s &&
				    items[count].text.bytes == item.text.bytes);
		count++;
	}
	assert_true(behind < container.text.s + container.text.bytes);
	return count;
}

/* Everything that must hold for any text. */
static void check(const char *s, size_t bytes)
{
	struct json_value value, items[ITEMS_MAX];
	size_t count = 0;
	struct str text = str_of((char *)memory + DOCUMENT_BYTES_MAX - bytes, bytes);

	memcpy(memory + DOCUMENT_BYTES_MAX - bytes, s, bytes);
	bool ok = json_scan(text, &value);

	if (ok != json_reference(text, JSON_DEPTH_MAX))
		fail_msg("verdict %d on %s", ok, vector_quote(s, bytes));
	bool array = json_scan_array(text, items, ITEMS_MAX, &count);

	if (array != (ok && value.type == JSON_ARRAY))
		fail_msg("array verdict %d on %s", array, vector_quote(s, bytes));
	if (!ok)
		return;
	check_value(value);
	if (value.type == JSON_ARRAY)
		assert_int_equal(check_walk(value, items), count);
	else if (value.type == JSON_OBJECT)
		check_walk(value, NULL);
}

/* All texts up to a length over an alphabet, counted up like a number. */
static void check_all_short(const char *alphabet, size_t bytes_max)
{
	size_t letters = strlen(alphabet), total = 1;
	char text[SHORT_BYTES_MAX];

	for (size_t bytes = 1; bytes <= bytes_max; bytes++) {
		total *= letters;
		for (size_t n = 0; n < total; n++) {
			size_t rest = n;

			for (size_t i = 0; i < bytes; i++, rest /= letters)
				text[i] = alphabet[rest % letters];
			check(text, bytes);
		}
	}
}

static void test_all_short(void **state)
{
	(void)state;
	check_all_short("[]{}:,\"0 ", 6);
	check_all_short("[]{}:,\"\\ 01-.eE+ua", 4);
	check_all_short("-+.eE01,", 6);
	check_all_short("\"\\u0aG/", 6);
}

struct document {
	char text[DOCUMENT_BYTES_MAX];
	size_t bytes;
};

static void put(struct document *d, const char *s)
{
	size_t bytes = strlen(s);

	if (bytes > DOCUMENT_BYTES_MAX - d->bytes)
		return; /* the text is then most likely invalid, which is welcome too */
	memcpy(d->text + d->bytes, s, bytes);
	d->bytes += bytes;
}

static void put_space(struct document *d, struct rng *r)
{
	static const char *const spaces[] = { " ", "\t", "\n", "\r", "  \n" };

	while (rng_below(r, 6) == 0)
		put(d, spaces[rng_below(r, 5)]);
}

static void put_string(struct document *d, struct rng *r)
{
	static const char *const pieces[] = { "a", "plain text", "\\n", "\\\"", "\\u00e9", "\\ud83d\\ude00",
		"\\\\", "\xc3\xa9", "a run of more than sixteen bytes", "\x7f", "[", "}", ",", "\\/",
		"\\ud800" };

	put(d, "\"");
	while (rng_below(r, 3) != 0)
		put(d, pieces[rng_below(r, 15)]);
	put(d, "\"");
}

static void put_value(struct document *d, struct rng *r, int depth_left)
{
	static const char *const scalars[] = { "null", "true", "false", "0", "-1", "12.5", "1e9", "-0.5E-7",
		"4294967296" };
	size_t kind = rng_below(r, depth_left > 0 ? 4 : 2);

	put_space(d, r);
	if (kind == 0) {
		put(d, scalars[rng_below(r, 9)]);
	} else if (kind == 1) {
		put_string(d, r);
	} else {
		put(d, kind == 2 ? "[" : "{");
		for (size_t items = rng_below(r, 5); items > 0; items--) {
			if (kind == 3) {
				put_space(d, r);
				put_string(d, r);
				put_space(d, r);
				put(d, ":");
			}
			put_value(d, r, depth_left - 1);
			if (items > 1)
				put(d, ",");
		}
		put_space(d, r);
		put(d, kind == 2 ? "]" : "}");
	}
	put_space(d, r);
}

static void damage(struct document *d, struct rng *r)
{
	static const char bytes[] = "[]{}:,\"\\ 019-.eEuntf\n\x01\xff";
	size_t at = rng_below(r, d->bytes);
	char byte = bytes[rng_below(r, sizeof(bytes))]; /* its NUL too */

	switch (rng_below(r, 4)) {
	case 0:
		d->text[at] = byte;
		break;
	case 1:
		memmove(d->text + at, d->text + at + 1, d->bytes - at - 1);
		d->bytes -= d->bytes > 1;
		break;
	case 2:
		if (d->bytes == DOCUMENT_BYTES_MAX)
			break;
		memmove(d->text + at + 1, d->text + at, d->bytes - at);
		d->text[at] = byte;
		d->bytes++;
		break;
	default:
		d->bytes = at + 1;
		break;
	}
}

static void test_random(void **state)
{
	(void)state;
	static struct document d;
	struct rng r;

	rng_init(&r);
	for (int i = 0; i < DOCUMENTS; i++) {
		d.bytes = 0;
		put_value(&d, &r, 6);
		check(d.text, d.bytes);
		for (size_t n = rng_below(&r, DAMAGES_MAX) + 1; n > 0; n--) {
			damage(&d, &r);
			check(d.text, d.bytes);
		}
	}
}

/* Deep ones, arrays and objects in any order; whole, and with one of the closing brackets exchanged. */
static void test_deep(void **state)
{
	(void)state;
	static struct document d;
	struct rng r;

	rng_init(&r);
	for (int i = 0; i < DEEP_DOCUMENTS; i++) {
		size_t depth = rng_below(&r, 4) == 0 ? JSON_DEPTH_MAX - 2 + rng_below(&r, 5)
						     : 1 + rng_below(&r, 200);
		char closers[JSON_DEPTH_MAX + 3];

		d.bytes = 0;
		for (size_t k = 0; k < depth; k++) {
			bool object = rng_below(&r, 2) == 0;

			put(&d, object ? "{\"\":" : "[");
			closers[k] = object ? '}' : ']';
		}
		put(&d, "0");
		for (size_t k = depth; k-- > 0;)
			d.text[d.bytes++] = closers[k];
		check(d.text, d.bytes);
		d.text[d.bytes - 1 - rng_below(&r, depth)] ^= '}' ^ ']';
		check(d.text, d.bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_short),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_deep),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
