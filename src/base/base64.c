/* base/base64.c -- see base/base64.h. */
#include "base/base64.h"

#include "base/assert.h"

static const char standard_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* A letter's six bits, and above them the alphabets it belongs to: 0 is in neither. */
enum {
	BITS = 0x3f,
	STANDARD = 0x40,
	URL_SAFE = 0x80,
	BOTH = STANDARD | URL_SAFE,
};

/* clang-format off */
static const uint8_t letters[256] = {
	['A'] = BOTH | 0, ['B'] = BOTH | 1, ['C'] = BOTH | 2, ['D'] = BOTH | 3, ['E'] = BOTH | 4,
	['F'] = BOTH | 5, ['G'] = BOTH | 6, ['H'] = BOTH | 7, ['I'] = BOTH | 8, ['J'] = BOTH | 9,
	['K'] = BOTH | 10, ['L'] = BOTH | 11, ['M'] = BOTH | 12, ['N'] = BOTH | 13, ['O'] = BOTH | 14,
	['P'] = BOTH | 15, ['Q'] = BOTH | 16, ['R'] = BOTH | 17, ['S'] = BOTH | 18, ['T'] = BOTH | 19,
	['U'] = BOTH | 20, ['V'] = BOTH | 21, ['W'] = BOTH | 22, ['X'] = BOTH | 23, ['Y'] = BOTH | 24,
	['Z'] = BOTH | 25, ['a'] = BOTH | 26, ['b'] = BOTH | 27, ['c'] = BOTH | 28, ['d'] = BOTH | 29,
	['e'] = BOTH | 30, ['f'] = BOTH | 31, ['g'] = BOTH | 32, ['h'] = BOTH | 33, ['i'] = BOTH | 34,
	['j'] = BOTH | 35, ['k'] = BOTH | 36, ['l'] = BOTH | 37, ['m'] = BOTH | 38, ['n'] = BOTH | 39,
	['o'] = BOTH | 40, ['p'] = BOTH | 41, ['q'] = BOTH | 42, ['r'] = BOTH | 43, ['s'] = BOTH | 44,
	['t'] = BOTH | 45, ['u'] = BOTH | 46, ['v'] = BOTH | 47, ['w'] = BOTH | 48, ['x'] = BOTH | 49,
	['y'] = BOTH | 50, ['z'] = BOTH | 51, ['0'] = BOTH | 52, ['1'] = BOTH | 53, ['2'] = BOTH | 54,
	['3'] = BOTH | 55, ['4'] = BOTH | 56, ['5'] = BOTH | 57, ['6'] = BOTH | 58, ['7'] = BOTH | 59,
	['8'] = BOTH | 60, ['9'] = BOTH | 61,
	['+'] = STANDARD | 62, ['/'] = STANDARD | 63,
	['-'] = URL_SAFE | 62, ['_'] = URL_SAFE | 63,
};
/* clang-format on */

/* All but the padding. Returns the characters written. */
static size_t encode(char *out, const uint8_t *data, size_t bytes, const char *alphabet)
{
	const char *begin = out;

	for (; bytes >= 3; data += 3, bytes -= 3) {
		uint32_t group = (uint32_t)data[0] << 16 | (uint32_t)data[1] << 8 | data[2];

		*out++ = alphabet[group >> 18];
		*out++ = alphabet[group >> 12 & BITS];
		*out++ = alphabet[group >> 6 & BITS];
		*out++ = alphabet[group & BITS];
	}
	if (bytes > 0) {
		uint32_t group = (uint32_t)data[0] << 16 | (bytes == 2 ? (uint32_t)data[1] << 8 : 0);

		*out++ = alphabet[group >> 18];
		*out++ = alphabet[group >> 12 & BITS];
		if (bytes == 2)
			*out++ = alphabet[group >> 6 & BITS];
	}
	return (size_t)(out - begin);
}

size_t base64_encode(char *out, const uint8_t *data, size_t bytes)
{
	size_t written = encode(out, data, bytes, standard_letters);

	while (written % 4 != 0)
		out[written++] = '=';
	assert(written == base64_encoded_bytes(bytes));
	return written;
}

size_t base64url_encode(char *out, const uint8_t *data, size_t bytes)
{
	return encode(out, data, bytes, url_safe_letters);
}

static uint32_t letter(char c)
{
	return letters[(unsigned char)c];
}

/* The last 2 or 3 letters, whose unused bits must be zero. Returns the bytes written, 0 if they are bad. */
static size_t decode_rest(uint8_t *out, const char *text, size_t text_bytes, uint32_t alphabet)
{
	uint32_t a = letter(text[0]), b = letter(text[1]);
	uint32_t c = text_bytes == 3 ? letter(text[2]) : alphabet;
	uint32_t group = (a & BITS) << 18 | (b & BITS) << 12 | (c & BITS) << 6;

	assert(text_bytes == 2 || text_bytes == 3);
	if (!(a & b & c & alphabet) || (group & (text_bytes == 3 ? 0xffu : 0xffffu)) != 0)
		return 0;
	out[0] = (uint8_t)(group >> 16);
	if (text_bytes == 3)
		out[1] = (uint8_t)(group >> 8);
	return text_bytes - 1;
}

/* Text without padding. Every group is read before it is written: in place is fine. */
static bool decode(uint8_t *out, const char *text, size_t text_bytes, uint32_t alphabet, size_t *ret_bytes)
{
	uint32_t in_all = alphabet;
	size_t written = 0;

	if (text_bytes % 4 == 1)
		return false;
	for (; text_bytes >= 4; text += 4, text_bytes -= 4) {
		uint32_t a = letter(text[0]), b = letter(text[1]), c = letter(text[2]), d = letter(text[3]);
		uint32_t group = (a & BITS) << 18 | (b & BITS) << 12 | (c & BITS) << 6 | (d & BITS);

		in_all &= a & b & c & d;
		out[written++] = (uint8_t)(group >> 16);
		out[written++] = (uint8_t)(group >> 8);
		out[written++] = (uint8_t)group;
	}
	if (in_all == 0)
		return false;
	if (text_bytes > 0) {
		size_t rest = decode_rest(out + written, text, text_bytes, alphabet);

		if (rest == 0)
			return false;
		written += rest;
	}
	*ret_bytes = written;
	return true;
}

bool base64_decode(uint8_t *out, const char *text, size_t text_bytes, size_t *ret_bytes)
{
	/* A '=' that is no padding is no letter either, and fails as such. */
	if (text_bytes > 0 && text_bytes % 4 == 0)
		for (int i = 0; i < 2 && text[text_bytes - 1] == '='; i++)
			text_bytes--;
	return decode(out, text, text_bytes, STANDARD, ret_bytes);
}

bool base64url_decode(uint8_t *out, const char *text, size_t text_bytes, size_t *ret_bytes)
{
	return decode(out, text, text_bytes, URL_SAFE, ret_bytes);
}
