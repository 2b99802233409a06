/* SipHash-1-3: published vectors, the paper's algorithm written out plainly, and guard pages. */
#include "base/siphash.h"
#include "lib/cmocka.h"
#include "lib/rng.h"
#include "lib/vector.h"

#include <string.h>

enum { BYTES_MAX = 64 };

static uint64_t rotl(uint64_t x, int by)
{
	return (x << by) | (x >> (64 - by));
}

/* The paper's figure, with the message padded to whole words first: c = 1, d = 3. */
static uint64_t reference(struct siphash_key key, const uint8_t *data, size_t bytes)
{
	uint8_t padded[BYTES_MAX + 8] = { 0 };
	size_t words = bytes / 8 + 1;
	uint64_t a = key.k0 ^ 0x736f6d6570736575u, b = key.k1 ^ 0x646f72616e646f6du;
	uint64_t c = key.k0 ^ 0x6c7967656e657261u, d = key.k1 ^ 0x7465646279746573u;

	assert_in_range(bytes, 0, BYTES_MAX);
	memcpy(padded, data, bytes);
	padded[words * 8 - 1] = (uint8_t)bytes;
	for (size_t round = 0; round < words + 3; round++) {
		uint64_t m = 0;

		for (size_t i = 0; round < words && i < 8; i++)
			m |= (uint64_t)padded[round * 8 + i] << (8 * i);
		if (round == words)
			c ^= 0xff;
		d ^= m;
		a += b;
		c += d;
		b = rotl(b, 13) ^ a;
		d = rotl(d, 16) ^ c;
		a = rotl(a, 32);
		c += b;
		a += d;
		b = rotl(b, 17) ^ c;
		d = rotl(d, 21) ^ a;
		c = rotl(c, 32);
		a ^= m;
	}
	return a ^ b ^ c ^ d;
}

static void test_known(void **state)
{
	(void)state;
	/* The key is 00 01 ... 0f, the message 00 01 ... of 0, 1, 2, ... bytes. */
	static const uint64_t known[] = { 0xabac0158050fc4dc, 0xc9f49bf37d57ca93, 0x82cb9b024dc7d44d,
		0x8bf80ab8e7ddf7fb, 0xcf75576088d38328, 0xdef9d52f49533b67, 0xc50d2b50c59f22a7,
		0xd3927d989bb11140, 0x369095118d299a8e, 0x25a48eb36c063de4 };
	/* An all-zero key; as CPython hashes bytes with PYTHONHASHSEED=0. */
	static const uint64_t zero_key[][2] = { { 1, 0x68a914128e01e473 }, { 7, 0x2f098ab0c751325a },
		{ 8, 0xead411e67ebe2eea }, { 15, 0xf30eb725bb91c9ea }, { 16, 0x8972188433a5c5b7 },
		{ 63, 0x385d3e39e5f37359 } };
	const struct siphash_key key = { 0x0706050403020100, 0x0f0e0d0c0b0a0908 };
	uint8_t message[BYTES_MAX];

	for (size_t i = 0; i < BYTES_MAX; i++)
		message[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		assert_true(siphash(key, message, i) == known[i]);
	for (size_t i = 0; i < sizeof(zero_key) / sizeof(*zero_key); i++)
		assert_true(siphash((struct siphash_key){ 0 }, message, zero_key[i][0]) == zero_key[i][1]);
	assert_true(siphash(key, NULL, 0) == known[0]);
}

static void test_reference(void **state)
{
	(void)state;
	struct rng r;

	rng_init(&r);
	for (size_t bytes = 0; bytes <= BYTES_MAX; bytes++) {
		uint8_t *data = guard_alloc(bytes);

		for (int i = 0; i < 100; i++) {
			struct siphash_key key = { rng_u64(&r), rng_u64(&r) };

			for (size_t k = 0; k < bytes; k++)
				data[k] = (uint8_t)rng_u64(&r);
			assert_true(siphash(key, data, bytes) == reference(key, data, bytes));
		}
		guard_free(data, bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_reference),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
