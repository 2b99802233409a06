/* Names: what is cleaned, what is refused, and that what is clean stays as it is. */
#include "chat/name.h"

#include <stdio.h>
#include <stdlib.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "lib/cmocka.h"
#include "lib/rng.h"

enum {
	NAMES = 50000,
	NAME_CHARS_MAX = 48,
	INPUT_BYTES = 4096,
};

static void show(const char *what, struct str text)
{
	print_error("%s:", what);
	for (size_t i = 0; i < text.bytes; i++)
		print_error(" %02X", (uint8_t)text.s[i]);
	print_error("\n");
}

static void expect_clean(struct str text, struct str clean)
{
	struct chat_name name;
	struct chat_fault fault = chat_name_clean(text, &name);

	if (fault.error != CHAT_OK || !str_equal(chat_name_str(&name), clean)) {
		show("in", text);
		if (fault.error == CHAT_OK)
			show("out", chat_name_str(&name));
	}
	assert_int_equal(fault.error, CHAT_OK);
	assert_true(str_equal(chat_name_str(&name), clean));
}

static void expect_refused(struct str text)
{
	struct chat_name name = { .bytes = 3, .s = "old" };
	struct chat_fault fault = chat_name_clean(text, &name);

	if (fault.error != CHAT_INVALID)
		show("in", text);
	assert_int_equal(fault.error, CHAT_INVALID);
	assert_non_null(fault.message);
	assert_true(strlen(fault.message) > 8);
	assert_true(str_equal(chat_name_str(&name), STR("old")));
}

struct cleaned {
	struct str in, out;
};

static void expect_all_clean(const struct cleaned *all, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		expect_clean(all[i].in, all[i].out);
		expect_clean(all[i].out, all[i].out);
	}
}

#define expect_each(table) expect_all_clean((table), sizeof(table) / sizeof(*(table)))

static void plain_names_stay(void **state)
{
	(void)state;
	static const struct str names[] = {
		STR_INIT("A"), STR_INIT("Ann"), STR_INIT("Ann B. O'Neil-Smith"), STR_INIT("<b>Ann</b> & co"),
		STR_INIT("0"), STR_INIT("Jos\xC3\xA9"), STR_INIT("\xE6\xB1\x9F\xE6\xB2\xA2\xE6\xB0\x91"),
		STR_INIT("\xED\x95\x9C\xEA\xB8\x80"), STR_INIT("\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D"),
		STR_INIT("\xE0\xA4\x95\xE0\xA5\x8D\xE0\xA4\xB7\xE0\xA4\xBF"), /* Devanagari, with its marks */
		STR_INIT("\xF0\x9F\x98\x80"),
		STR_INIT("\xE2\x9D\xA4\xEF\xB8\x8F"), /* a heart, drawn as an emoji */
		STR_INIT("1\xEF\xB8\x8F\xE2\x83\xA3"), /* a keycap */
		STR_INIT("\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD"), /* a thumb of some colour */
		STR_INIT("\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA"), /* a flag */
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		expect_clean(names[i], names[i]);
}

static void names_are_composed(void **state)
{
	(void)state;
	static const struct cleaned names[] = {
		{ STR_INIT("Jose\xCC\x81"), STR_INIT("Jos\xC3\xA9") },
		{ STR_INIT("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB"), STR_INIT("\xED\x95\x9C") },
		/* Marks in their canonical order. */
		{ STR_INIT("q\xCC\x81\xCC\xA3"), STR_INIT("q\xCC\xA3\xCC\x81") },
		{ STR_INIT("a\xCC\x81\xCC\xA3"), STR_INIT("\xE1\xBA\xA1\xCC\x81") },
		/* Angstrom and ohm are letters. */
		{ STR_INIT("\xE2\x84\xAB\xE2\x84\xA6"), STR_INIT("\xC3\x85\xCE\xA9") },
	};

	expect_each(names);
}

static void spaces_are_single_and_never_at_an_end(void **state)
{
	(void)state;
	static const struct cleaned names[] = {
		{ STR_INIT("  Ann"), STR_INIT("Ann") },
		{ STR_INIT("Ann  "), STR_INIT("Ann") },
		{ STR_INIT("  Ann   B \t "), STR_INIT("Ann B") },
		{ STR_INIT("Ann\tB"), STR_INIT("Ann B") },
		{ STR_INIT("Ann\xC2\xA0\xC2\xA0"
			   "B"),
			STR_INIT("Ann B") },
		{ STR_INIT("\xE3\x80\x80"
			   "Ann\xE3\x80\x80"
			   "B\xE3\x80\x80"),
			STR_INIT("Ann B") },
		{ STR_INIT("\xE2\x80\x83"
			   "A\xE2\x80\x80\xE2\x80\x89"
			   "B"),
			STR_INIT("A B") },
	};

	expect_each(names);
}

static void nothing_is_no_name(void **state)
{
	(void)state;
	expect_refused((struct str){ NULL, 0 });
	expect_refused(STR(""));
	expect_refused(STR(" "));
	expect_refused(STR(" \t\xC2\xA0\xE3\x80\x80"));
}

/* Each alone, in front of, within and behind a name. */
static void what_is_not_seen_is_refused(void **state)
{
	(void)state;
	static const struct str hidden[] = {
		STR_INIT("\0"),
		STR_INIT("\n"),
		STR_INIT("\r"),
		STR_INIT("\x1b"),
		STR_INIT("\x7f"),
		STR_INIT("\xC2\x85"), /* a control character of Latin 1 */
		STR_INIT("\xC2\xAD"), /* soft hyphen */
		STR_INIT("\xE2\x80\x8B"), /* zero width space */
		STR_INIT("\xE2\x80\x8C"), /* non-joiner */
		STR_INIT("\xE2\x80\x8D"), /* joiner */
		STR_INIT("\xE2\x80\x8E"), /* left to right */
		STR_INIT("\xE2\x80\x8F"), /* right to left */
		STR_INIT("\xE2\x80\xA8"), /* line separator */
		STR_INIT("\xE2\x80\xA9"), /* paragraph separator */
		STR_INIT("\xE2\x80\xAA"), /* embedding */
		STR_INIT("\xE2\x80\xAE"), /* U+202E: turns round what follows */
		STR_INIT("\xE2\x81\xA0"), /* word joiner */
		STR_INIT("\xE2\x81\xA6"), /* isolate */
		STR_INIT("\xE2\x81\xA9"), /* and its end */
		STR_INIT("\xEF\xBB\xBF"), /* byte order mark */
		STR_INIT("\xE2\xA0\x80"), /* blank Braille */
		STR_INIT("\xE1\x85\x9F"), /* Jamo fillers */
		STR_INIT("\xE1\x85\xA0"),
		STR_INIT("\xE3\x85\xA4"), /* Hangul filler */
		STR_INIT("\xEF\xBE\xA0"), /* half width filler */
		STR_INIT("\xE1\x9E\xB4"), /* Khmer vowels that are not drawn */
		STR_INIT("\xCD\x8F"), /* combining grapheme joiner */
		STR_INIT("\xF0\x9D\x85\x99"), /* a note head that is not drawn */
		STR_INIT("\xF0\x9D\x85\xB3"), /* the beginning of a beam */
		STR_INIT("\xF3\xA0\x80\x81"), /* language tag */
		STR_INIT("\xF3\xA0\x81\xA1"), /* tag letter */
		STR_INIT("\xEE\x80\x80"), /* private use */
		STR_INIT("\xE2\x81\xA5"), /* not assigned and ignorable */
		STR_INIT("\xEF\xBF\xB0"),
		STR_INIT("\xF3\xA0\x82\x80"),
		STR_INIT("\xEF\xBF\xBE"), /* no characters: U+FFFE, U+FDD0, U+1FFFF */
		STR_INIT("\xEF\xB7\x90"),
		STR_INIT("\xF0\x9F\xBF\xBF"),
	};
	static const struct str around[][2] = {
		{ STR_INIT(""), STR_INIT("") },
		{ STR_INIT(""), STR_INIT("Ann") },
		{ STR_INIT("An"), STR_INIT("n") },
		{ STR_INIT("Ann"), STR_INIT("") },
		{ STR_INIT("Ann "), STR_INIT(" ") },
	};

	for (size_t i = 0; i < sizeof(hidden) / sizeof(*hidden); i++) {
		for (size_t k = 0; k < sizeof(around) / sizeof(*around); k++) {
			char text[32];
			size_t bytes = 0;

			memcpy(text, around[k][0].s, around[k][0].bytes);
			bytes += around[k][0].bytes;
			memcpy(text + bytes, hidden[i].s, hidden[i].bytes);
			bytes += hidden[i].bytes;
			memcpy(text + bytes, around[k][1].s, around[k][1].bytes);
			expect_refused(str_of(text, bytes + around[k][1].bytes));
		}
	}
}

/* A variation selector says how an emoji is drawn. Behind a letter it is not seen, and makes another name of the same. */
static void a_variation_is_seen_behind_a_symbol_only(void **state)
{
	(void)state;
	static const struct cleaned names[] = {
		{ STR_INIT("Ann\xEF\xB8\x8F"), STR_INIT("Ann") },
		{ STR_INIT("A\xEF\xB8\x80nn"), STR_INIT("Ann") },
		{ STR_INIT("\xC3\xA9\xEF\xB8\x8E"), STR_INIT("\xC3\xA9") },
		{ STR_INIT("A\xF3\xA0\x84\x80nn"), STR_INIT("Ann") },
		/* One is enough, and it stands first. */
		{ STR_INIT("\xE2\x9D\xA4\xEF\xB8\x8F\xEF\xB8\x8F\xEF\xB8\x8F"),
			STR_INIT("\xE2\x9D\xA4\xEF\xB8\x8F") },
		{ STR_INIT("q\xCC\x81\xEF\xB8\x8F"), STR_INIT("q\xCC\x81") },
		/* What stands side by side without it is composed, and in order. */
		{ STR_INIT("e\xEF\xB8\x8F\xCC\x81"), STR_INIT("\xC3\xA9") },
		{ STR_INIT("\xE1\x84\x80\xEF\xB8\x8F\xE1\x85\xA1"), STR_INIT("\xEA\xB0\x80") },
		{ STR_INIT("q\xCC\x81\xEF\xB8\x8F\xCC\xA3"), STR_INIT("q\xCC\xA3\xCC\x81") },
	};

	expect_each(names);
	expect_refused(STR("\xEF\xB8\x8F"));
	expect_refused(STR("\xEF\xB8\x8F"
			   "Ann"));
	expect_refused(STR("Ann \xEF\xB8\x8F"));
}

static void an_accent_wants_a_letter(void **state)
{
	(void)state;
	expect_refused(STR("\xCC\x81"));
	expect_refused(STR("\xCC\x81"
			   "Ann"));
	expect_refused(STR("Ann \xCC\x81"));
	expect_refused(STR(" \xE2\x83\x9D"));
}

static void append(char *text, const char *piece)
{
	memcpy(text + strlen(text), piece, strlen(piece) + 1);
}

static void piles_of_marks_are_cut(void **state)
{
	(void)state;
	static const char mark[] = "\xCC\x8D";
	char text[512] = "z", clean[16] = "z";

	for (int marks = 1; marks <= 200; marks++) {
		append(text, mark);
		if (marks <= CHAT_NAME_MARKS_MAX)
			append(clean, mark);
		expect_clean(str_c(text), str_c(clean));
	}
	/* Each letter has its own. */
	expect_clean(STR("z\xCC\x8D\xCC\x8D\xCC\x8D\xCC\x8Dz\xCC\x8D\xCC\x8D\xCC\x8D\xCC\x8D"),
		STR("z\xCC\x8D\xCC\x8D\xCC\x8Dz\xCC\x8D\xCC\x8D\xCC\x8D"));
}

static void names_have_at_most_32_characters(void **state)
{
	(void)state;
	char text[256] = "";

	assert_int_equal(CHAT_NAME_CHARS_MAX, 32);
	for (int chars = 1; chars <= 32; chars++) {
		append(text, "a");
		expect_clean(str_c(text), str_c(text));
	}
	append(text, "a");
	expect_refused(str_c(text));
	/* However many bytes they have. */
	text[0] = '\0';
	for (int chars = 1; chars <= 32; chars++)
		append(text, "\xF0\x9F\x98\x80");
	expect_clean(str_c(text), str_c(text));
	append(text, "\xF0\x9F\x98\x80");
	expect_refused(str_c(text));
	/* A space between is one; those at the ends, and marks, are none. */
	expect_clean(STR("  aaaaaaaaaaaaaaa aaaaaaaaaaaaaaaa  "), STR("aaaaaaaaaaaaaaa aaaaaaaaaaaaaaaa"));
	expect_refused(STR("aaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaa"));
	text[0] = '\0';
	for (int chars = 1; chars <= 32; chars++)
		append(text, "z\xCC\x8D");
	expect_clean(str_c(text), str_c(text));
	append(text, "z");
	expect_refused(str_c(text));
}

static void a_text_of_any_length_is_answered(void **state)
{
	(void)state;
	size_t bytes = 4 << 20;
	char *text = malloc(bytes);

	assert_non_null(text);
	memset(text, 'a', bytes);
	expect_refused(str_of(text, bytes));
	memset(text, ' ', bytes);
	expect_refused(str_of(text, bytes));
	free(text);
}

static bool is_mark(int32_t c)
{
	utf8proc_category_t category = utf8proc_category(c);

	return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
	       category == UTF8PROC_CATEGORY_ME;
}

/* What the header says of every clean name, said again in other words. */
static void assert_is_clean(struct str name)
{
	const uint8_t *s = (const uint8_t *)name.s;
	size_t chars = 0, marks = 0;
	int32_t c = ' ';

	assert_in_range(name.bytes, 1, CHAT_NAME_BYTES_MAX);
	assert_true(utf8_valid(s, name.bytes));
	assert_int_not_equal(name.s[0], ' ');
	assert_int_not_equal(name.s[name.bytes - 1], ' ');
	for (size_t at = 0; at < name.bytes;) {
		int32_t last = c;

		at += (size_t)utf8proc_iterate(s + at, (utf8proc_ssize_t)(name.bytes - at), &c);
		utf8proc_category_t category = utf8proc_category(c);
		assert_true(c >= ' ' && category != UTF8PROC_CATEGORY_CC && category != UTF8PROC_CATEGORY_CF);
		assert_true(category != UTF8PROC_CATEGORY_ZL && category != UTF8PROC_CATEGORY_ZP);
		assert_true(category != UTF8PROC_CATEGORY_ZS || (c == ' ' && last != ' '));
		chars += !is_mark(c);
		marks = is_mark(c) ? marks + 1 : 0;
		assert_in_range(marks, 0, CHAT_NAME_MARKS_MAX);
		assert_false(marks == 1 && last == ' ');
	}
	assert_in_range(chars, 1, CHAT_NAME_CHARS_MAX);
	utf8proc_uint8_t *composed;
	utf8proc_ssize_t bytes =
		utf8proc_map(s, (utf8proc_ssize_t)name.bytes, &composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
	assert_true(bytes >= 0);
	if (!str_equal(str_of((char *)composed, (size_t)bytes), name))
		show("not NFC", name);
	assert_true(str_equal(str_of((char *)composed, (size_t)bytes), name));
	free(composed);
}

/* Characters that are likely to meet each other in a bad way. */
static int32_t draw(struct rng *r)
{
	static const int32_t odd[] = { ' ', ' ', '\t', 0xA0, 0x301, 0x323, 0x327, 0x345, 0x338, 0xFE0E,
		0xFE0F, 0xE0100, 0x20E3, 0x93E, 0x94D, 0x9BE, 0x9C7, 0x1100, 0x1161, 0x11A8, 0xAC00, 0x2764,
		0x1F600, 0x1F3FB, 0x212B, 0xFB1D, 0x5D0, 0x5B0, 0x3099, 0x304B, 0x1D15F, 0x1D165, 0xF71,
		0xF72, 0xF73 };

	switch (rng_below(r, 16)) {
	case 0:
		return (int32_t)rng_below(r, 0x3000);
	case 1:
		return (int32_t)rng_below(r, 0x110000);
	case 2:
	case 3:
	case 4:
	case 5:
		return 0x300 + (int32_t)rng_below(r, 0x4F);
	case 6:
	case 7:
	case 8:
		return 'a' + (int32_t)rng_below(r, 26);
	default:
		return odd[rng_below(r, sizeof(odd) / sizeof(*odd))];
	}
}

static void names_at_random(void **state)
{
	(void)state;
	struct rng r;
	size_t clean = 0;

	rng_init(&r);
	for (int i = 0; i < NAMES; i++) {
		uint8_t text[4 * NAME_CHARS_MAX];
		struct chat_name name, again;
		size_t bytes = 0;

		for (size_t chars = rng_below(&r, rng_below(&r, 4) == 0 ? NAME_CHARS_MAX : 8); chars > 0;
			chars--) {
			int32_t c = draw(&r);
			if (c < 0xD800 || c > 0xDFFF)
				bytes += (size_t)utf8proc_encode_char(c, text + bytes);
		}
		struct chat_fault fault = chat_name_clean(str_of((char *)text, bytes), &name);
		if (fault.error != CHAT_OK) {
			assert_int_equal(fault.error, CHAT_INVALID);
			assert_non_null(fault.message);
			continue;
		}
		clean++;
		assert_is_clean(chat_name_str(&name));
		fault = chat_name_clean(chat_name_str(&name), &again);
		assert_int_equal(fault.error, CHAT_OK);
		assert_true(str_equal(chat_name_str(&name), chat_name_str(&again)));
	}
	/* Else the test would show nothing. */
	assert_true(clean > NAMES / 20);
}

/* Every character there is, alone and behind a letter; of the planes that are empty, some. */
static void every_character_is_answered(void **state)
{
	(void)state;
	for (int32_t c = 0; c <= 0x10FFFF; c += c >= 0x40000 && c < 0xE0000 ? 251 : 1) {
		uint8_t text[8] = "b";
		struct chat_name name, again;

		if (c >= 0xD800 && c <= 0xDFFF)
			continue;
		size_t bytes = (size_t)utf8proc_encode_char(c, text + 1);
		for (size_t from = 0; from < 2; from++) {
			struct str in = str_of((char *)text + from, bytes + 1 - from);

			if (chat_name_clean(in, &name).error != CHAT_OK)
				continue;
			assert_is_clean(chat_name_str(&name));
			assert_int_equal(chat_name_clean(chat_name_str(&name), &again).error, CHAT_OK);
			assert_true(str_equal(chat_name_str(&name), chat_name_str(&again)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_names_stay),
		cmocka_unit_test(names_are_composed),
		cmocka_unit_test(spaces_are_single_and_never_at_an_end),
		cmocka_unit_test(nothing_is_no_name),
		cmocka_unit_test(what_is_not_seen_is_refused),
		cmocka_unit_test(a_variation_is_seen_behind_a_symbol_only),
		cmocka_unit_test(an_accent_wants_a_letter),
		cmocka_unit_test(piles_of_marks_are_cut),
		cmocka_unit_test(names_have_at_most_32_characters),
		cmocka_unit_test(a_text_of_any_length_is_answered),
		cmocka_unit_test(names_at_random),
		cmocka_unit_test(every_character_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
