/* UTF-8 against a decoder by numbers: all characters, all short sequences that matter, at every split. */
#include "base/utf8.h"
#include "lib/cmocka.h"
#include "lib/vector.h"

#include <stdlib.h>
#include <string.h>

enum {
	SEQUENCE_BYTES_MAX = 4,
	GOOD = -1,
};

/* One buffer that ends at a guard page; sequences are put at its end. */
enum { MEMORY_BYTES = 128 };
static uint8_t *memory;

static int set_up(void **state)
{
	(void)state;
	memory = guard_alloc(MEMORY_BYTES);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	guard_free(memory, MEMORY_BYTES);
	return 0;
}

/*
 * Whether `have` bytes can be the beginning of a character of `length` bytes. The bits that are there, followed by
 * all zeros and by all ones, bound the code points that it can become; some of those must be allowed.
 */
static bool may_become(const uint8_t *p, size_t have, size_t length)
{
	static const uint8_t marks[] = { 0, 0x00, 0xc0, 0xe0, 0xf0 }, masks[] = { 0, 0x80, 0xe0, 0xf0, 0xf8 };
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t low = p[0] & (uint8_t)~masks[length], high;

	if ((p[0] & masks[length]) != marks[length])
		return false;
	for (size_t i = 1; i < have; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return false;
		low = low << 6 | (p[i] & 0x3f);
	}
	high = low;
	for (size_t i = have; i < length; i++) {
		low = low << 6;
		high = high << 6 | 0x3f;
	}
	if (low < least[length])
		low = least[length];
	if (high > 0x10ffff)
		high = 0x10ffff;
	if (low >= 0xd800 && low <= 0xdfff)
		low = 0xe000;
	if (high >= 0xd800 && high <= 0xdfff)
		high = 0xd7ff;
	return low <= high;
}

/* The offset of the first bad byte, or GOOD; *ret_complete as utf8_complete(). */
static int reference(const uint8_t *p, size_t bytes, bool *ret_complete)
{
	size_t begin = 0;

	for (size_t at = 0; at < bytes; at++) {
		size_t have = at - begin + 1, length = 1;

		while (length <= 4 && !(length >= have && may_become(p + begin, have, length)))
			length++;
		if (length > 4)
			return (int)at;
		if (have == length)
			begin = at + 1;
	}
	*ret_complete = begin == bytes;
	return GOOD;
}

/* The verdict on bytes that end at the guard page, split at each set bit of `splits`. */
static int feed(const uint8_t *p, size_t bytes, unsigned splits, bool *ret_complete)
{
	struct utf8 u = { 0 };
	size_t begin = 0, bad;

	for (size_t at = 1; at <= bytes; at++) {
		if (at < bytes && (splits == 0 || !(splits >> (at - 1) & 1)))
			continue;
		if (!utf8_feed(&u, p + begin, at - begin, &bad))
			return (int)(begin + bad);
		begin = at;
	}
	*ret_complete = utf8_complete(&u);
	return GOOD;
}

static void check(const uint8_t *sequence, size_t bytes)
{
	uint8_t *p = memory + MEMORY_BYTES - bytes;
	bool complete = false, wanted_complete = false;

	memcpy(p, sequence, bytes);
	int wanted = reference(p, bytes, &wanted_complete);

	for (unsigned splits = 0; splits < 1u << (bytes - 1); splits++) {
		int got = feed(p, bytes, splits, &complete);

		if (got != wanted || complete != wanted_complete)
			fail_msg("%s, splits %x: bad at %d instead of %d, complete %d instead of %d",
				vector_quote(p, bytes), splits, got, wanted, complete, wanted_complete);
	}
	if (utf8_valid(p, bytes) != (wanted == GOOD && wanted_complete))
		fail_msg("%s: valid", vector_quote(p, bytes));
}

static void test_one_and_two(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 256; a++) {
		check((uint8_t[]){ (uint8_t)a }, 1);
		for (unsigned b = 0; b < 256; b++)
			check((uint8_t[]){ (uint8_t)a, (uint8_t)b }, 2);
	}
}

/* Both sides of every boundary that any rule of the RFC draws. */
static const uint8_t edges[] = { 0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf,
	0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfe, 0xff };

static void test_three(void **state)
{
	(void)state;
	for (unsigned a = 0; a < 256; a++)
		for (unsigned b = 0; b < 256; b++)
			for (size_t c = 0; c < sizeof(edges); c++)
				check((uint8_t[]){ (uint8_t)a, (uint8_t)b, edges[c] }, 3);
}

static void test_four(void **state)
{
	(void)state;
	for (unsigned a = 0xee; a < 256; a++)
		for (unsigned b = 0; b < 256; b++)
			for (size_t c = 0; c < sizeof(edges); c++)
				for (size_t d = 0; d < sizeof(edges); d += 2)
					check((uint8_t[]){ (uint8_t)a, (uint8_t)b, edges[c], edges[d] }, 4);
	for (size_t a = 0; a < sizeof(edges); a++)
		for (size_t b = 0; b < sizeof(edges); b++)
			for (size_t c = 0; c < sizeof(edges); c++)
				for (size_t d = 0; d < sizeof(edges); d++)
					check((uint8_t[]){ edges[a], edges[b], edges[c], edges[d] }, 4);
}

/* Every code point there is: encoded, it is valid, unless it is a surrogate. */
static void test_all_characters(void **state)
{
	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		uint8_t p[SEQUENCE_BYTES_MAX];
		size_t bytes = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		static const uint8_t marks[] = { 0, 0x00, 0xc0, 0xe0, 0xf0 };

		for (size_t i = bytes; i-- > 1;)
			p[i] = (uint8_t)(0x80 | (c >> 6 * (bytes - 1 - i) & 0x3f));
		p[0] = (uint8_t)(marks[bytes] | c >> 6 * (bytes - 1));
		assert_int_equal(utf8_valid(p, bytes), c < 0xd800 || c > 0xdfff);
	}
}

/* A character, good or bad, at each place of a run of ASCII: the steps of many bytes end where they must. */
static void test_among_ascii(void **state)
{
	(void)state;
	static const char *const characters[] = { "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xff",
		"\x80", "\xed\xa0\x80", "\xe2\x82", "\xc3", "\xf4\x90" };

	for (size_t k = 0; k < sizeof(characters) / sizeof(*characters); k++) {
		size_t character_bytes = strlen(characters[k]);

		for (size_t bytes = character_bytes; bytes <= 80; bytes++) {
			uint8_t *p = memory + MEMORY_BYTES - bytes;

			for (size_t at = 0; at <= bytes - character_bytes; at++) {
				bool complete = false, wanted_complete = false;

				memset(p, 'x', bytes);
				memcpy(p + at, characters[k], character_bytes);
				assert_int_equal(
					feed(p, bytes, 0, &complete), reference(p, bytes, &wanted_complete));
				assert_int_equal(complete, wanted_complete);
			}
		}
	}
	assert_true(utf8_valid(NULL, 0));
}

struct checker {
	struct vector_out *out;
	struct utf8 utf8;
	size_t fed;
	bool bad;
};

static void *checker_begin(const struct vector_case *c, struct vector_out *out)
{
	(void)c;
	struct checker *checker = malloc(sizeof(*checker));

	assert_non_null(checker);
	*checker = (struct checker){ .out = out };
	return checker;
}

static void checker_feed(void *codec, uint8_t *data, size_t bytes)
{
	struct checker *c = codec;
	size_t at;

	if (c->bad)
		return;
	if (!utf8_feed(&c->utf8, data, bytes, &at)) {
		vector_line(c->out, "bad at %zu", c->fed + at);
		c->bad = true;
	}
	c->fed += bytes;
}

static void checker_end(void *codec)
{
	struct checker *c = codec;

	if (!c->bad)
		vector_line(c->out, "%s", utf8_complete(&c->utf8) ? "valid" : "cut off");
	free(c);
}

static void test_vectors(void **state)
{
	(void)state;
	const struct vector_codec codec = { checker_begin, checker_feed, checker_end };

	assert_int_equal(vector_run("base/utf8.md", &codec), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_and_two),
		cmocka_unit_test(test_three),
		cmocka_unit_test(test_four),
		cmocka_unit_test(test_all_characters),
		cmocka_unit_test(test_among_ascii),
		cmocka_unit_test(test_vectors),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
