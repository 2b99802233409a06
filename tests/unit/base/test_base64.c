/* Base64: the vectors of RFC 4648, round trips, and that exactly the canonical texts are decoded. */
#include "base/base64.h"
#include "base/str.h"
#include "lib/cmocka.h"
#include "lib/rng.h"
#include "lib/vector.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

enum { BYTES_MAX = 200 };

typedef bool (*decode_fn)(uint8_t *out, const char *text, size_t text_bytes, size_t *ret_bytes);

/* Decode at guard pages, with the room that is promised to suffice, apart and in place. */
static bool decodes(decode_fn decode, struct str text, struct str *ret_data)
{
	static uint8_t data[BYTES_MAX * 2];
	size_t room = text.bytes / 4 * 3 + 3, bytes = 77, in_place_bytes = 77;
	uint8_t *in = guard_alloc(text.bytes), *out = guard_alloc(room);
	uint8_t in_place[BYTES_MAX * 2 + 3];

	assert_in_range(text.bytes, 0, BYTES_MAX * 2);
	if (text.bytes > 0) {
		memcpy(in, text.s, text.bytes);
		memcpy(in_place, text.s, text.bytes);
	}
	bool ok = decode(out, (char *)in, text.bytes, &bytes);

	assert_int_equal(decode(in_place, (char *)in_place, text.bytes, &in_place_bytes), ok);
	assert_int_equal(bytes, in_place_bytes);
	if (ok) {
		assert_in_range(bytes, 0, room);
		assert_memory_equal(in_place, out, bytes);
		memcpy(data, out, bytes);
		*ret_data = str_of((char *)data, bytes);
	} else {
		assert_int_equal(bytes, 77);
	}
	guard_free(in, text.bytes);
	guard_free(out, room);
	return ok;
}

static void test_vectors(void **state)
{
	(void)state;
	static const struct {
		struct str data, text, url;
	} vectors[] = {
		{ STR_INIT(""), STR_INIT(""), STR_INIT("") },
		{ STR_INIT("f"), STR_INIT("Zg=="), STR_INIT("Zg") },
		{ STR_INIT("fo"), STR_INIT("Zm8="), STR_INIT("Zm8") },
		{ STR_INIT("foo"), STR_INIT("Zm9v"), STR_INIT("Zm9v") },
		{ STR_INIT("foob"), STR_INIT("Zm9vYg=="), STR_INIT("Zm9vYg") },
		{ STR_INIT("fooba"), STR_INIT("Zm9vYmE="), STR_INIT("Zm9vYmE") },
		{ STR_INIT("foobar"), STR_INIT("Zm9vYmFy"), STR_INIT("Zm9vYmFy") },
		{ STR_INIT("\0"), STR_INIT("AA=="), STR_INIT("AA") },
		{ STR_INIT("\xfb\xff\xbf"), STR_INIT("+/+/"), STR_INIT("-_-_") },
		{ STR_INIT("\xff\xff"), STR_INIT("//8="), STR_INIT("__8") },
	};

	for (size_t i = 0; i < COUNT(vectors); i++) {
		const uint8_t *data = (const uint8_t *)vectors[i].data.s;
		size_t bytes = vectors[i].data.bytes;
		char out[16];
		struct str back;

		assert_int_equal(base64_encoded_bytes(bytes), vectors[i].text.bytes);
		assert_true(str_equal(str_of(out, base64_encode(out, data, bytes)), vectors[i].text));
		assert_true(str_equal(str_of(out, base64url_encode(out, data, bytes)), vectors[i].url));
		assert_true(
			decodes(base64_decode, vectors[i].text, &back) && str_equal(back, vectors[i].data));
		assert_true(
			decodes(base64url_decode, vectors[i].url, &back) && str_equal(back, vectors[i].data));
	}
}

static void test_round_trips(void **state)
{
	(void)state;
	struct rng r;

	rng_init(&r);
	for (size_t bytes = 0; bytes <= BYTES_MAX; bytes++) {
		size_t text_bytes = base64_encoded_bytes(bytes), url_bytes = (bytes * 8 + 5) / 6;
		uint8_t *data = guard_alloc(bytes);
		char *text = (char *)guard_alloc(text_bytes), *url = (char *)guard_alloc(url_bytes);
		struct str back;

		for (size_t i = 0; i < bytes; i++)
			data[i] = (uint8_t)rng_u64(&r);
		assert_int_equal(base64_encode(text, data, bytes), text_bytes);
		assert_int_equal(base64url_encode(url, data, bytes), url_bytes);
		assert_true(decodes(base64_decode, str_of(text, text_bytes), &back));
		assert_true(str_equal(back, str_of((char *)data, bytes)));
		/* Padding is optional. */
		assert_true(decodes(base64_decode, str_of(text, url_bytes), &back));
		assert_true(str_equal(back, str_of((char *)data, bytes)));
		assert_true(decodes(base64url_decode, str_of(url, url_bytes), &back));
		assert_true(str_equal(back, str_of((char *)data, bytes)));
		assert_int_equal(decodes(base64url_decode, str_of(text, text_bytes), &back),
			text_bytes == url_bytes && !memchr(text, '+', text_bytes) &&
				!memchr(text, '/', text_bytes));
		guard_free(data, bytes);
		guard_free((uint8_t *)text, text_bytes);
		guard_free((uint8_t *)url, url_bytes);
	}
}

static void test_bad(void **state)
{
	(void)state;
	static const struct str bad[] = {
		STR_INIT("A"),
		STR_INIT("AAAAA"),
		STR_INIT("="),
		STR_INIT("=="),
		STR_INIT("==="),
		STR_INIT("===="),
		STR_INIT("A="),
		STR_INIT("A=="),
		STR_INIT("A==="),
		STR_INIT("AA="),
		STR_INIT("AA==="),
		STR_INIT("AAA=="),
		STR_INIT("AAAA="),
		STR_INIT("AAAA=="),
		STR_INIT("AAAA===="),
		STR_INIT("AA=A"),
		STR_INIT("A=AA"),
		STR_INIT("=AAA"),
		STR_INIT("AA==AAAA"),
		STR_INIT("AAAAAA="),
		STR_INIT(" AAA"),
		STR_INIT("AAA "),
		STR_INIT("AA A"),
		STR_INIT("AAA\n"),
		STR_INIT("AAAA\n"),
		STR_INIT("AAA\0"),
		STR_INIT("AB=="),
		STR_INIT("AAB="),
		STR_INIT("AB"),
		STR_INIT("AAB"),
		STR_INIT("+-AA"),
	};
	struct str back;

	for (size_t i = 0; i < COUNT(bad); i++) {
		assert_false(decodes(base64_decode, bad[i], &back));
		assert_false(decodes(base64url_decode, bad[i], &back));
	}
}

/* Each byte in each place of one and two groups: decoded if and only if it is a letter. */
static void test_every_byte(void **state)
{
	(void)state;
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

	for (int value = 0; value < 256; value++) {
		char c = (char)value;
		bool common = value != 0 && strchr(letters, c);

		for (size_t at = 0; at < 8; at++) {
			char text[] = "AAAAAAAA";
			struct str back;

			text[at] = c;
			bool padding = at == 7 && c == '=';

			assert_int_equal(decodes(base64_decode, str_of(text, 8), &back),
				common || padding || c == '+' || c == '/');
			assert_int_equal(decodes(base64url_decode, str_of(text, 8), &back),
				common || c == '-' || c == '_');
		}
	}
}

/* All pairs, and all triples of a few letters: what is decoded is what encodes to that very text. */
static void test_canonical(void **state)
{
	(void)state;
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	size_t decoded = 0;

	for (size_t a = 0; a < 64; a++) {
		for (size_t b = 0; b < 64; b++) {
			for (size_t c = 0; c <= 64; c += c < 8 ? 1 : 7) {
				char text[3] = { letters[a], letters[b], c < 64 ? letters[c] : 0 }, again[4];
				uint8_t data[6];
				size_t text_bytes = c < 64 ? 3 : 2, bytes;

				if (!base64url_decode(data, text, text_bytes, &bytes))
					continue;
				decoded++;
				assert_int_equal(base64url_encode(again, data, bytes), text_bytes);
				assert_memory_equal(again, text, text_bytes);
			}
		}
	}
	assert_int_equal(decoded, 64 * 4 + 64 * 64 * 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_canonical),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
