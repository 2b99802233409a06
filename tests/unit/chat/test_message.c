/* Texts and cids: what may be said, and what not. */
#include "chat/message.h"

#include <stdlib.h>

#include "base/utf8.h"
#include "lib/cmocka.h"
#include "lib/rng.h"

enum {
	TEXTS = 20000,
	TEXT_CHARS_MAX = 40,
};

static void expect_text(struct str text, enum chat_error error)
{
	struct chat_fault fault = chat_text_check(text);

	if (fault.error != error)
		print_error("\"%.*s\" (%zu bytes)\n", (int)text.bytes, text.s, text.bytes);
	assert_int_equal(fault.error, error);
	if (error == CHAT_INVALID)
		assert_non_null(fault.message);
}

static void texts_that_are_seen_are_fine(void **state)
{
	(void)state;
	static const struct str texts[] = {
		STR_INIT("."), STR_INIT("hello"), STR_INIT("  \n\tx\n"), STR_INIT("line\r\nline\n"),
		STR_INIT("<script>alert(1)</script>"), STR_INIT("' OR 1=1; --"),
		STR_INIT("\xE2\x80\x8B"
			 "a"),
		STR_INIT("\xF0\x9F\x98\x80"), /* an emoji */
		STR_INIT("\xE2\x9D\xA4\xEF\xB8\x8F"), /* a heart and how it is drawn */
		STR_INIT("\xD8\xB3\xD9\x84\xD8\xA7\xD9\x85"), /* right to left */
		STR_INIT("\xE2\x80\xAE" /* turned round: a text may be, it is shown apart from others */
			 "abc"),
		STR_INIT("e\xCC\x81"), STR_INIT("\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9"), /* joined */
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		expect_text(texts[i], CHAT_OK);
}

static void texts_without_anything_to_be_seen_are_refused(void **state)
{
	(void)state;
	static const struct str texts[] = {
		STR_INIT(""), STR_INIT(" "), STR_INIT("\t\r\n\v\f"),
		STR_INIT("\xC2\xA0"), /* no-break space */
		STR_INIT("\xC2\xAD"), /* soft hyphen */
		STR_INIT("\xE2\x80\x8B"), /* zero width space */
		STR_INIT("\xE2\x80\x8D\xE2\x80\x8C"), /* joiner, non-joiner */
		STR_INIT("\xE2\x81\xA0"), /* word joiner */
		STR_INIT("\xE2\x80\xAE\xE2\x80\xAC"), /* turned round, and back */
		STR_INIT("\xEF\xBB\xBF"), /* a byte order mark */
		STR_INIT("\xE3\x80\x80"), /* ideographic space */
		STR_INIT("\xE2\x80\xA8\xE2\x80\xA9"), /* line and paragraph separators */
		STR_INIT("\xE3\x85\xA4"), /* Hangul filler */
		STR_INIT("\xE1\x85\x9F\xE1\x85\xA0"), /* Jamo fillers */
		STR_INIT("\xEF\xBE\xA0"), /* half width filler */
		STR_INIT("\xE2\xA0\x80"), /* blank Braille */
		STR_INIT("\xEF\xB8\x8F"), /* a variation selector of nothing */
		STR_INIT("\xF3\xA0\x84\x80"), /* one of the supplementary ones */
		STR_INIT("\xF3\xA0\x81\x81\xF3\xA0\x81\xBF"), /* tags */
		STR_INIT("\xCD\x8F"), /* combining grapheme joiner */
		STR_INIT("\xE2\x81\xA5"), /* not assigned, and ignorable: U+2065 */
		STR_INIT("\xEF\xBF\xB0"), /* likewise: U+FFF0 */
		STR_INIT("\xF3\xA0\x82\x80"), /* likewise: U+E0080 */
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		expect_text(texts[i], CHAT_INVALID);
	expect_text((struct str){ NULL, 0 }, CHAT_INVALID);
}

static void a_nul_is_refused_wherever_it_is(void **state)
{
	(void)state;
	expect_text(str_of("\0", 1), CHAT_INVALID);
	expect_text(str_of("a\0", 2), CHAT_INVALID);
	expect_text(str_of("\0a", 2), CHAT_INVALID);
	expect_text(str_of("a\0b", 3), CHAT_INVALID);
	expect_text(STR("\x1b[31mred"), CHAT_OK);
	expect_text(STR("a\x1e"
			"b"),
		CHAT_OK);
	/* They cost six bytes each: a few do not matter. */
	char controls[100] = "a";
	memset(controls + 1, 1, sizeof(controls) - 1);
	expect_text(str_of(controls, 10), CHAT_OK);
	expect_text(str_of(controls, sizeof(controls)), CHAT_INVALID);
	memset(controls + 1, '"', sizeof(controls) - 1);
	expect_text(str_of(controls, sizeof(controls)), CHAT_OK);
}

static void texts_have_a_longest_length(void **state)
{
	(void)state;
	char *text = malloc(CHAT_TEXT_BYTES_MAX + 1);

	assert_int_equal(CHAT_TEXT_BYTES_MAX, 65536);
	assert_non_null(text);
	memset(text, 'a', CHAT_TEXT_BYTES_MAX + 1);
	expect_text(str_of(text, CHAT_TEXT_BYTES_MAX), CHAT_OK);
	expect_text(str_of(text, CHAT_TEXT_BYTES_MAX + 1), CHAT_TOO_LARGE);
	/* Something to be seen may stand at the very end. */
	memset(text, ' ', CHAT_TEXT_BYTES_MAX - 1);
	expect_text(str_of(text, CHAT_TEXT_BYTES_MAX), CHAT_OK);
	expect_text(str_of(text, CHAT_TEXT_BYTES_MAX - 1), CHAT_INVALID);
	free(text);
}

/* Any character at all: the check ends, reads nothing beside the text, and one letter makes it fine. */
static void texts_at_random(void **state)
{
	(void)state;
	struct rng r;

	rng_init(&r);
	for (int i = 0; i < TEXTS; i++) {
		size_t chars = rng_below(&r, TEXT_CHARS_MAX), bytes = 0;
		uint8_t *text = malloc(chars * 4 + 1), out[4 * TEXT_CHARS_MAX + 1];

		assert_non_null(text);
		while (chars-- > 0) {
			uint32_t c = (uint32_t)rng_below(&r, rng_below(&r, 3) == 0 ? 0x110000 : 0x3100) + 1;

			bool control =
				(c < ' ' && c != '\n' && c != '\t' && c != '\r') || (c >= 0x7F && c <= 0x9F);
			if ((c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF || control)
				continue;
			if (c < 0x80) {
				text[bytes++] = (uint8_t)c;
				continue;
			}
			if (c < 0x800) {
				text[bytes++] = (uint8_t)(0xC0 | c >> 6);
			} else {
				if (c < 0x10000) {
					text[bytes++] = (uint8_t)(0xE0 | c >> 12);
				} else {
					text[bytes++] = (uint8_t)(0xF0 | c >> 18);
					text[bytes++] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
				}
				text[bytes++] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
			}
			text[bytes++] = (uint8_t)(0x80 | (c & 0x3F));
		}
		assert_true(utf8_valid(text, bytes));
		memcpy(out, text, bytes);
		out[bytes] = 'x';
		text = realloc(text, bytes + (bytes == 0));
		assert_non_null(text);
		struct chat_fault fault = chat_text_check(str_of((char *)text, bytes));
		assert_true(fault.error == CHAT_OK || (fault.error == CHAT_INVALID && fault.message != NULL));
		expect_text(str_of((char *)out, bytes + 1), CHAT_OK);
		free(text);
	}
}

static void cids_are_of_their_letters(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char cid[3] = { 'a', (char)c, 'Z' };
		bool fine =
			c != 0 && c < 128 &&
			strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-", c) != NULL;

		for (size_t at = 0; at < 2; at++) {
			struct chat_fault fault = chat_cid_check(str_of(cid + at, 2));
			assert_int_equal(fault.error, fine ? CHAT_OK : CHAT_INVALID);
			assert_true(fine || fault.message != NULL);
		}
		assert_int_equal(chat_cid_check(str_of(cid + 1, 1)).error, fine ? CHAT_OK : CHAT_INVALID);
	}
}

static void cids_have_1_to_64_letters(void **state)
{
	(void)state;
	char cid[STORE_CID_BYTES_MAX + 1];

	memset(cid, 'c', sizeof(cid));
	assert_int_equal(STORE_CID_BYTES_MAX, 64);
	assert_int_equal(chat_cid_check((struct str){ NULL, 0 }).error, CHAT_INVALID);
	for (size_t bytes = 1; bytes <= STORE_CID_BYTES_MAX; bytes++)
		assert_int_equal(chat_cid_check(str_of(cid, bytes)).error, CHAT_OK);
	assert_int_equal(chat_cid_check(str_of(cid, sizeof(cid))).error, CHAT_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_that_are_seen_are_fine),
		cmocka_unit_test(texts_without_anything_to_be_seen_are_refused),
		cmocka_unit_test(a_nul_is_refused_wherever_it_is),
		cmocka_unit_test(texts_have_a_longest_length),
		cmocka_unit_test(texts_at_random),
		cmocka_unit_test(cids_are_of_their_letters),
		cmocka_unit_test(cids_have_1_to_64_letters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
