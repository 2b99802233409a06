/* Arguments at random: what JSON.parse would take is read as it says, and what is broken is refused with a reason. */
#include <stdio.h>
#include <stdlib.h>

#include "app/args.h"
#include "base/utf8.h"
#include "lib/cmocka.h"
#include "lib/rng.h"

enum {
	DOCUMENTS = 30000,
	TEXT_BYTES = 1024,
	DAMAGES_MAX = 4,
};

static const struct arg args[ARGS_MAX] = {
	{ "room", ARG_INTEGER, false, ARGS_INTEGER_MAX },
	{ "cid", ARG_STRING, true, 64 },
	{ "text", ARG_STRING, true, 0 },
	{ "rooms", ARG_OBJECT, true, 0 },
};

struct document {
	char text[TEXT_BYTES];
	size_t bytes;
};

static void put(struct document *d, const char *piece)
{
	size_t bytes = strlen(piece);

	if (d->bytes + bytes <= sizeof(d->text)) {
		memcpy(d->text + d->bytes, piece, bytes);
		d->bytes += bytes;
	}
}

static const char *pick(struct rng *r, const char *const *from, size_t count)
{
	return from[rng_below(r, count)];
}

#define PICK(r, table) pick((r), (table), sizeof(table) / sizeof(*(table)))

/* An object that is often right. */
static void make(struct document *d, struct rng *r)
{
	static const char *const names[] = { "room", "cid", "text", "rooms", "r\\u006fom", "c\\u0069d",
		"__proto__", "is_admin", "", "\\ud800", "\xC3\xA9" };
	static const char *const values[] = { "0", "1", "-1", "1.5", "1e3", "9007199254740991",
		"9007199254740992", "1e999", "\"\"", "\"a\"", "\"\\ud800\"", "\"\\ud83d\\ude00\"",
		"\"\\u0000\"", "\"\xF0\x9F\x98\x80\"", "\"\\\\\\\"\\/\\b\"", "{}", "{\"1\":[0,0]}",
		"{\"a\":{\"b\":[]}}", "[]", "[1,[2]]", "null", "true", "false" };
	static const char *const right[] = { "7", "\"abc-1\"", "\"hello \\u0077orld\"", "{\"1\":[3,4]}" };
	static const char *const spaces[] = { "", "", "", " ", "\n\t" };
	size_t fields = rng_below(r, 6);

	put(d, PICK(r, spaces));
	put(d, "{");
	for (size_t i = 0; i < fields; i++) {
		size_t field = rng_below(r, 4);
		bool odd = rng_below(r, 4) == 0;

		put(d, i > 0 ? "," : "");
		put(d, PICK(r, spaces));
		put(d, "\"");
		put(d, odd ? PICK(r, names) : names[field]);
		put(d, "\"");
		put(d, PICK(r, spaces));
		put(d, ":");
		put(d, odd ? PICK(r, values) : right[field]);
		put(d, PICK(r, spaces));
	}
	put(d, "}");
}

static void damage(struct document *d, struct rng *r)
{
	static const char odd[] = "{}[]:,\"\\u0d8e-.1 \n\x01\x7F\xC3\xA9";
	size_t at = d->bytes == 0 ? 0 : rng_below(r, d->bytes);

	if (d->bytes == 0)
		return;
	switch (rng_below(r, 4)) {
	case 0:
		d->text[at] = odd[rng_below(r, sizeof(odd))];
		break;
	case 1:
		memmove(d->text + at, d->text + at + 1, d->bytes - at - 1);
		d->bytes--;
		break;
	case 2:
		if (d->bytes < sizeof(d->text)) {
			memmove(d->text + at + 1, d->text + at, d->bytes - at);
			d->text[at] = odd[rng_below(r, sizeof(odd))];
			d->bytes++;
		}
		break;
	default:
		d->bytes = at;
	}
}

static bool within(struct str s, const char *room, size_t bytes)
{
	return s.bytes == 0 || (s.s >= room && s.s + s.bytes <= room + bytes);
}

/* Whether it was read. */
static bool check(const struct document *d)
{
	char *text = malloc(d->bytes + 1), *room = malloc(d->bytes + 1), why[ARGS_MESSAGE_BYTES];
	struct arg_value values[ARGS_MAX];
	struct json_value whole, item;

	assert_true(text != NULL && room != NULL);
	/* Against the end of both: whatever is read or written behind them is seen by a sanitizer. */
	memcpy(text + 1, d->text, d->bytes);
	memset(why, '!', sizeof(why));
	struct chat_fault fault = args_read(args, str_of(text + 1, d->bytes), room + 1, values, why);
	if (fault.error != CHAT_OK) {
		assert_int_equal(fault.error, CHAT_INVALID);
		assert_ptr_equal(fault.message, why);
		assert_in_range(strnlen(why, sizeof(why)), 4, sizeof(why) - 1);
	} else {
		assert_true(json_scan(str_of(d->text, d->bytes), &whole));
		assert_true(whole.type == JSON_OBJECT && values[0].given);
		for (size_t i = 0; i < ARGS_MAX; i++) {
			bool there = json_member(whole, str_c(args[i].name), &item);

			assert_int_equal(values[i].given, there);
			if (there && args[i].type == ARG_STRING) {
				struct str s = values[i].string;
				assert_true(within(s, room + 1, d->bytes));
				assert_true(utf8_valid((const uint8_t *)s.s, s.bytes));
				assert_true(args[i].max == 0 || s.bytes <= args[i].max);
			} else if (there && args[i].type == ARG_OBJECT) {
				assert_true(within(values[i].json.text, text + 1, d->bytes));
				assert_true(str_equal(values[i].json.text, item.text));
			} else if (there) {
				assert_true(values[i].number <= ARGS_INTEGER_MAX);
			}
		}
	}
	free(text);
	free(room);
	return fault.error == CHAT_OK;
}

static void arguments_at_random(void **state)
{
	(void)state;
	static struct document d;
	struct rng r;
	size_t right = 0, tried = 0;

	rng_init(&r);
	for (int i = 0; i < DOCUMENTS; i++) {
		d.bytes = 0;
		make(&d, &r);
		right += check(&d);
		tried++;
		for (size_t n = rng_below(&r, DAMAGES_MAX + 1); n > 0; n--) {
			damage(&d, &r);
			/* The transports let nothing through that is no UTF-8. */
			if (utf8_valid((const uint8_t *)d.text, d.bytes))
				(void)check(&d);
		}
	}
	/* Else the test would show nothing. */
	assert_true(right > tried / 20 && right < tried);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(arguments_at_random) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
