/* base/sha1.c -- see base/sha1.h. */
#include "base/sha1.h"

#include "base/assert.h"

#include <string.h>

enum {
	BLOCK_BYTES = 64,
	LENGTH_BYTES = 8, /* the message's length in bits closes the last block */
};

static inline uint32_t rotate_left(uint32_t x, unsigned by)
{
	return x << by | x >> (32 - by);
}

/* FIPS 180-4, 6.1.2: the message schedule of a block. */
static void expand(uint32_t w[80], const uint8_t *block)
{
	for (size_t t = 0; t < 16; t++)
		w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
		       (uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3];
	for (size_t t = 16; t < 80; t++)
		w[t] = rotate_left(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
}

static void absorb(uint32_t h[5], const uint8_t *block)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	expand(w, block);
	for (size_t t = 0; t < 80; t++) {
		uint32_t f, k;

		if (t < 20) {
			f = d ^ (b & (c ^ d));
			k = 0x5a827999;
		} else if (t < 40) {
			f = b ^ c ^ d;
			k = 0x6ed9eba1;
		} else if (t < 60) {
			f = (b & c) | (d & (b | c));
			k = 0x8f1bbcdc;
		} else {
			f = b ^ c ^ d;
			k = 0xca62c1d6;
		}
		uint32_t next = rotate_left(a, 5) + f + e + k + w[t];

		e = d;
		d = c;
		c = rotate_left(b, 30);
		b = a;
		a = next;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

void sha1(uint8_t out[SHA1_BYTES], const void *data, size_t bytes)
{
	uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	const uint8_t *p = data;
	uint64_t bits = (uint64_t)bytes * 8;
	uint8_t tail[2 * BLOCK_BYTES] = { 0 };

	for (; bytes >= BLOCK_BYTES; p += BLOCK_BYTES, bytes -= BLOCK_BYTES)
		absorb(h, p);

	size_t tail_bytes = bytes + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
	assert(bytes < BLOCK_BYTES);
	if (bytes > 0)
		memcpy(tail, p, bytes);
	tail[bytes] = 0x80;
	for (size_t i = 0; i < LENGTH_BYTES; i++)
		tail[tail_bytes - 1 - i] = (uint8_t)(bits >> (8 * i));
	absorb(h, tail);
	if (tail_bytes > BLOCK_BYTES)
		absorb(h, tail + BLOCK_BYTES);

	for (size_t i = 0; i < SHA1_BYTES; i++)
		out[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}
