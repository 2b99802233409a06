/* base/utf8.c -- see base/utf8.h. The table is RFC 3629, section 4. */
#include "base/utf8.h"

#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* How many bytes at the front of data are ASCII. */
static size_t ascii_run(const uint8_t *data, size_t bytes)
{
	size_t at = 0;

#ifdef __SSE2__
	for (; bytes - at >= 16; at += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(data + at));
		unsigned high_bits = (unsigned)_mm_movemask_epi8(v);

		if (high_bits != 0)
			return at + (size_t)__builtin_ctz(high_bits);
	}
#endif
	for (; bytes - at >= 8; at += 8) {
		uint64_t word;

		memcpy(&word, data + at, sizeof(word));
		if ((word & UINT64_C(0x8080808080808080)) != 0)
			break;
	}
	while (at < bytes && data[at] < 0x80)
		at++;
	return at;
}

/*
 * The length of a whole character of two or three bytes at p, or 0: then it is another, a bad one, or one near
 * the end, and goes byte by byte. The lead bytes e0 and ed, whose second byte has bounds of its own, do too.
 */
static size_t common_char(const uint8_t *p, size_t bytes)
{
	if (bytes < 3 || (p[1] & 0xc0) != 0x80)
		return 0;
	if (p[0] >= 0xc2 && p[0] < 0xe0)
		return 2;
	return p[0] > 0xe0 && p[0] < 0xf0 && p[0] != 0xed && (p[2] & 0xc0) == 0x80 ? 3 : 0;
}

/* Start a character of more than one byte. False: no character starts with that byte. */
static bool lead(struct utf8 *u, uint8_t byte)
{
	u->low = 0x80;
	u->high = 0xbf;
	if (byte < 0xc2) /* a continuation byte; c0 and c1 would be overlong */
		return false;
	if (byte < 0xe0) {
		u->need = 1;
	} else if (byte < 0xf0) {
		u->need = 2;
		if (byte == 0xe0) /* below a0: overlong */
			u->low = 0xa0;
		else if (byte == 0xed) /* above 9f: a surrogate */
			u->high = 0x9f;
	} else if (byte < 0xf5) {
		u->need = 3;
		if (byte == 0xf0) /* below 90: overlong */
			u->low = 0x90;
		else if (byte == 0xf4) /* above 8f: past U+10FFFF */
			u->high = 0x8f;
	} else {
		return false;
	}
	return true;
}

static bool follow(struct utf8 *u, uint8_t byte)
{
	if (byte < u->low || byte > u->high)
		return false;
	u->low = 0x80;
	u->high = 0xbf;
	u->need--;
	return true;
}

bool utf8_feed(struct utf8 *u, const uint8_t *data, size_t bytes, size_t *ret_at)
{
	struct utf8 now = *u; /* in registers: data may alias u as far as the compiler knows */
	size_t at = 0;

	while (at < bytes) {
		uint8_t byte = data[at];

		if (now.need == 0) {
			size_t whole = byte < 0x80 ? ascii_run(data + at, bytes - at)
						   : common_char(data + at, bytes - at);

			at += whole;
			if (whole > 0)
				continue;
		}
		if (!(now.need == 0 ? lead(&now, byte) : follow(&now, byte))) {
			if (ret_at)
				*ret_at = at;
			return false;
		}
		at++;
	}
	*u = now;
	return true;
}

bool utf8_valid(const uint8_t *data, size_t bytes)
{
	struct utf8 u = { 0 };

	return utf8_feed(&u, data, bytes, NULL) && utf8_complete(&u);
}
