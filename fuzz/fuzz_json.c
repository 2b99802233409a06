/*
 * fuzz/fuzz_json.c -- any bytes as JSON, and as a string to be written in JSON.
 *
 * The scanners say what the grammar says (tests/lib/json_reference.h); slices are values themselves; walking, slicing and
 * looking up agree; what is decoded can be written and decoded again; anything written is valid.
 */
#include "base/json.h"
#include "base/utf8.h"
#include "fuzz.h"
#include "lib/json_reference.h"

enum {
	ITEMS_MAX = 3,
	WALK_DEPTH = 6,
};

/* The character at the front of valid UTF-8, taken off. */
static uint32_t take_char(struct str *text)
{
	const uint8_t *p = (const uint8_t *)text->s;
	size_t more = p[0] < 0x80 ? 0 : p[0] < 0xe0 ? 1 : p[0] < 0xf0 ? 2 : 3;
	uint32_t c = more == 0 ? p[0] : p[0] & (0x3fu >> more);

	for (size_t i = 1; i <= more; i++)
		c = c * 64 + (p[i] & 0x3fu);
	*text = str_of(text->s + more + 1, text->bytes - more - 1);
	return c;
}

/* The same text with every character as \uXXXX, those beyond U+FFFF as pairs (RFC 8259, 7). */
static void check_escaped(struct str text)
{
	static const char hex[] = "0123456789abcdefABCDEF";
	char *out = fuzz_room(6 * text.bytes + 2), *plain = fuzz_room(6 * text.bytes + 2);
	size_t n = 0;

	out[n++] = '"';
	for (struct str rest = text; rest.bytes > 0;) {
		uint32_t c = take_char(&rest);
		uint32_t units[2] = { c, 0 };

		if (c >= 0x10000) {
			units[0] = 0xd800 + (c - 0x10000) / 1024;
			units[1] = 0xdc00 + c % 1024;
		}
		for (size_t i = 0; i < (c >= 0x10000 ? 2 : 1); i++) {
			out[n++] = '\\';
			out[n++] = 'u';
			for (unsigned shift = 16; shift > 0; shift -= 4) {
				unsigned digit = units[i] >> (shift - 4) & 15;
				out[n++] = hex[digit >= 10 && c % 2 == 0 ? digit + 6 : digit];
			}
		}
	}
	out[n++] = '"';
	struct json_value value = { .type = JSON_STRING, .text = str_of(out, n) };
	assert(json_scan(value.text, &value) && json_raw_equal(str_of(out + 1, n - 2), text));
	assert(str_equal(str_of(plain, json_decode_string(plain, value)), text));
	free(plain);
	free(out);
}

/* Writes and reads text. */
static void check_quoted(struct str text)
{
	size_t bytes = json_quoted_bytes(text);
	char *quoted = fuzz_room(bytes), *plain = fuzz_room(bytes);
	struct json_value value;

	assert(json_quote(quoted, text) == bytes);
	assert(json_scan(str_of(quoted, bytes), &value) && value.type == JSON_STRING);
	assert(value.text.s == quoted && value.text.bytes == bytes);
	assert(str_equal(str_of(plain, json_decode_string(plain, value)), text));
	assert(json_raw_equal(str_of(quoted + 1, bytes - 2), text));
	free(plain);
	free(quoted);
	check_escaped(text);
}

static void check_string(struct json_value value)
{
	struct str raw = str_of(value.text.s + 1, value.text.bytes - 2);
	char *room = fuzz_room(value.text.bytes + 1), *copy = fuzz_copy(value.text.s, value.text.bytes);
	struct json_value in_place = { .type = JSON_STRING, .text = str_of(copy, value.text.bytes) };
	size_t n = json_decode_string(room, value);
	struct str text = str_of(room, n);

	assert(n <= raw.bytes && utf8_valid((uint8_t *)room, n));
	assert(json_decode_string(copy, in_place) == n && (n == 0 || memcmp(copy, room, n) == 0));
	assert(json_raw_equal(raw, text));
	room[n] = '.';
	assert(!json_raw_equal(raw, str_of(room, n + 1)));
	assert(n == 0 || !json_raw_equal(raw, str_of(room, n - 1)));
	check_quoted(text);
	free(copy);
	free(room);
}

static void check_number(struct json_value value)
{
	struct json_value longer;
	uint64_t number = 7, again;
	bool digits = true;

	assert(value.text.bytes <= JSON_NUMBER_BYTES_MAX);
	for (size_t i = 0; i < value.text.bytes; i++)
		digits &= value.text.s[i] >= '0' && value.text.s[i] <= '9';
	bool fits = json_u64(value, UINT64_MAX, &number);
	assert(fits ? digits : number == 7);
	assert(fits || !digits || value.text.bytes >= 20);
	if (fits) {
		assert(json_u64(value, number, &again) && again == number);
		assert(number == 0 || !json_u64(value, number - 1, &again));
	}
	if (value.text.bytes > 1 && value.text.s[0] == '0')
		assert(!json_scan(str_of("00", 2), &longer) && !digits);
}

static bool same(struct json_value a, struct json_value b)
{
	return a.type == b.type && a.text.s == b.text.s && a.text.bytes == b.text.bytes;
}

/* A value found is a text by itself: all of it, and not one byte less. */
static void check_alone(struct json_value value)
{
	struct json_value again, cut;

	assert(json_scan(value.text, &again) && same(again, value));
	if (value.type != JSON_NUMBER)
		assert(!json_scan(str_of(value.text.s, value.text.bytes - 1), &cut));
	if (value.type == JSON_STRING)
		check_string(value);
	else if (value.type == JSON_NUMBER)
		check_number(value);
}

/* The last member of that name is the one that is found. */
static void check_members(struct json_value object, struct str raw_key)
{
	struct json_walk w = json_walk_begin(object);
	struct json_value item, last = { 0 }, found;
	struct json_value string = { .type = JSON_STRING, .text = str_of(raw_key.s - 1, raw_key.bytes + 2) };
	char *name = fuzz_room(string.text.bytes);
	struct str key, plain = str_of(name, json_decode_string(name, string));

	while (json_walk_next(&w, &key, &item)) {
		if (json_raw_equal(key, plain))
			last = item;
	}
	assert(json_member(object, plain, &found) && same(found, last));
	free(name);
}

/* Returns how many members there are; stores the first of them. */
static size_t walk(struct json_value value, struct json_value items[ITEMS_MAX], int depth)
{
	struct json_walk w = json_walk_begin(value);
	struct json_value item, inner[ITEMS_MAX];
	const char *behind = value.text.s;
	struct str key;
	size_t count = 0;

	while (json_walk_next(&w, &key, &item)) {
		assert(fuzz_within(item.text, value.text.s, value.text.bytes) && item.text.s > behind);
		behind = item.text.s + item.text.bytes;
		assert((key.s != NULL) == (value.type == JSON_OBJECT));
		if (value.type == JSON_OBJECT && count < ITEMS_MAX) {
			check_string((struct json_value){ JSON_STRING, str_of(key.s - 1, key.bytes + 2) });
			check_members(value, key);
		}
		if (depth < WALK_DEPTH) {
			check_alone(item);
			(void)walk(item, inner, depth + 1);
		}
		if (count < ITEMS_MAX)
			items[count] = item;
		count++;
	}
	return count;
}

static void check_value(struct json_value value)
{
	struct json_value items[ITEMS_MAX], sliced[ITEMS_MAX], none;
	size_t walked = walk(value, items, 0), count = 0;

	check_alone(value);
	assert(json_scan_array(value.text, sliced, ITEMS_MAX, &count) == (value.type == JSON_ARRAY));
	if (value.type == JSON_ARRAY) {
		assert(count == walked);
		for (size_t i = 0; i < count && i < ITEMS_MAX; i++)
			assert(same(items[i], sliced[i]));
	} else if (value.type != JSON_OBJECT) {
		assert(walked == 0 && count == 0);
	}
	if (value.type != JSON_OBJECT)
		assert(!json_member(value, STR(""), &none));
	if (value.type != JSON_NUMBER) {
		uint64_t number;
		assert(!json_u64(value, UINT64_MAX, &number));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct str text = str_of((const char *)data, bytes);
	struct json_value value, items[ITEMS_MAX];
	size_t count = 77;

	if (!utf8_valid(data, bytes))
		return 0;
	bool valid = json_scan(text, &value);
	assert(valid == json_reference(text, JSON_DEPTH_MAX));
	assert(json_scan_array(text, items, ITEMS_MAX, &count) == (valid && value.type == JSON_ARRAY));
	assert(count == 77 || (valid && value.type == JSON_ARRAY));
	if (valid) {
		assert(fuzz_within(value.text, data, bytes));
		check_value(value);
	}
	check_quoted(text);
	return 0;
}
