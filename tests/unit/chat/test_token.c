/* Tokens: their form, that no two are equal, and their hash. */
#include "chat/token.h"

#include "lib/cmocka.h"

enum { TOKENS = 2000 };

static void what_is_made_has_the_form(void **state)
{
	(void)state;
	char out[CHAT_TOKEN_CHARS + 2];

	for (int i = 0; i < TOKENS; i++) {
		memset(out, '!', sizeof(out));
		chat_token_make(out + 1);
		assert_int_equal(out[0], '!');
		assert_int_equal(out[CHAT_TOKEN_CHARS + 1], '!');
		assert_true(chat_token_valid(str_of(out + 1, CHAT_TOKEN_CHARS)));
	}
}

/* 128 bits: every bit of each byte changes, and no token comes twice. The last letter has 2 bits only. */
static void what_is_made_is_random(void **state)
{
	(void)state;
	static char tokens[TOKENS][CHAT_TOKEN_CHARS];
	bool seen[CHAT_TOKEN_CHARS][256] = { { false } };

	for (size_t i = 0; i < TOKENS; i++) {
		chat_token_make(tokens[i]);
		for (size_t k = 0; k < CHAT_TOKEN_CHARS; k++)
			seen[k][(uint8_t)tokens[i][k]] = true;
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(tokens[i], tokens[k], CHAT_TOKEN_CHARS);
	}
	for (size_t k = 0; k < CHAT_TOKEN_CHARS; k++) {
		size_t count = 0;

		for (size_t c = 0; c < 256; c++)
			count += seen[k][c];
		/* 2000 draws miss one of 64 letters once in 10^12. */
		assert_int_equal(count, k + 1 < CHAT_TOKEN_CHARS ? 64 : 4);
	}
}

static void other_forms_are_none(void **state)
{
	(void)state;
	char token[CHAT_TOKEN_CHARS + 1];

	memset(token, 'A', sizeof(token));
	assert_true(chat_token_valid(str_of(token, CHAT_TOKEN_CHARS)));
	assert_false(chat_token_valid(str_of(token, CHAT_TOKEN_CHARS + 1)));
	for (size_t bytes = 0; bytes < CHAT_TOKEN_CHARS; bytes++)
		assert_false(chat_token_valid(str_of(token, bytes)));
	assert_false(chat_token_valid((struct str){ NULL, 0 }));
	for (size_t at = 0; at < CHAT_TOKEN_CHARS; at++) {
		for (int c = 0; c < 256; c++) {
			bool fine = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
				    (c >= '0' && c <= '9') || c == '-' || c == '_';

			token[at] = (char)c;
			assert_int_equal(chat_token_valid(str_of(token, CHAT_TOKEN_CHARS)), fine);
		}
		token[at] = 'A';
	}
}

/* FIPS 180-2's own examples: what is stored must still be found by a program of ten years from now. */
static void the_hash_is_sha_256(void **state)
{
	(void)state;
	static const uint8_t abc[STORE_TOKEN_HASH_BYTES] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
		0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a,
		0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad };
	uint8_t out[STORE_TOKEN_HASH_BYTES + 1] = { 0 }, other[STORE_TOKEN_HASH_BYTES];

	out[STORE_TOKEN_HASH_BYTES] = 0x55;
	chat_token_hash(STR("abc"), out);
	assert_memory_equal(out, abc, sizeof(abc));
	assert_int_equal(out[STORE_TOKEN_HASH_BYTES], 0x55);
	chat_token_hash(STR("abd"), other);
	assert_memory_not_equal(other, abc, sizeof(abc));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_made_has_the_form),
		cmocka_unit_test(what_is_made_is_random),
		cmocka_unit_test(other_forms_are_none),
		cmocka_unit_test(the_hash_is_sha_256),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
