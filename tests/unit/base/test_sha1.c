/* SHA-1: the examples of FIPS 180, lengths around a block's end, and the handshake of RFC 6455. */
#include "base/sha1.h"
#include "base/str.h"
#include "lib/cmocka.h"
#include "lib/vector.h"

#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void assert_sha1(const void *data, size_t bytes, const char *wanted)
{
	uint8_t digest[SHA1_BYTES];
	char hex[2 * SHA1_BYTES + 1];

	sha1(digest, data, bytes);
	for (size_t i = 0; i < SHA1_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	assert_string_equal(hex, wanted);
}

static void test_examples(void **state)
{
	(void)state;
	static const char *const examples[][2] = {
		{ "", "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
		{ "abc", "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
			"84983e441c3bd26ebaae4aa1f95129e5e54670f1" },
		{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlm"
		  "nopqrs"
		  "mnopqrstnopqrstu",
			"a49b2446a02c645bf419f995b67091253a04a259" },
		/* RFC 6455, 1.3 */
		{ "dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
			"b37a4f2cc0624f1690f64606cf385945b2bec4ea" },
	};

	for (size_t i = 0; i < COUNT(examples); i++)
		assert_sha1(examples[i][0], strlen(examples[i][0]), examples[i][1]);
	assert_sha1(NULL, 0, examples[0][1]);
}

static void test_a_million(void **state)
{
	(void)state;
	enum { MILLION = 1000000 };
	char *text = malloc(MILLION);

	assert_non_null(text);
	memset(text, 'a', MILLION);
	assert_sha1(text, MILLION, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
	free(text);
}

static void test_lengths(void **state)
{
	(void)state;
	static const struct {
		size_t bytes;
		const char *wanted;
	} lengths[] = {
		{ 1, "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8" },
		{ 54, "b05d71c64979cb95fa74a33cdb31a40d258ae02e" },
		{ 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a" },
		{ 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699" },
		{ 57, "f08f24908d682555111be7ff6f004e78283d989a" },
		{ 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5" },
		{ 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d" },
		{ 65, "11655326c708d70319be2610e8a57d9a5b959d3b" },
		{ 119, "ee971065aaa017e0632a8ca6c77bb3bf8b1dfc56" },
		{ 120, "f34c1488385346a55709ba056ddd08280dd4c6d6" },
		{ 127, "89d95fa32ed44a7c610b7ee38517ddf57e0bb975" },
		{ 128, "ad5b3fdbcb526778c2839d2f151ea753995e26a0" },
		{ 129, "d96debf1bdcbc896e6c134ea76e8141f40d78536" },
	};

	for (size_t i = 0; i < COUNT(lengths); i++) {
		uint8_t *text = guard_alloc(lengths[i].bytes);

		memset(text, 'a', lengths[i].bytes);
		assert_sha1(text, lengths[i].bytes, lengths[i].wanted);
		guard_free(text, lengths[i].bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_a_million),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
