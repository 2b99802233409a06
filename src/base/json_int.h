/*
 * base/json_int.h -- what json.c and json_text.c share: runs of plain bytes in a string.
 */
#ifndef BASE_JSON_INT_H
#define BASE_JSON_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Not plain: what a JSON string holds only escaped, and its closing quote. */
static inline bool json_is_special(uint8_t byte)
{
	return byte < 0x20 || byte == '"' || byte == '\\';
}

/* The word with `byte` in each of its eight places. */
#define JSON_SPREAD(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether any of the eight bytes is special, by the carries of a subtraction; which one, it does not say. */
static inline bool json_any_special(uint64_t word)
{
	uint64_t quote = word ^ JSON_SPREAD('"'), backslash = word ^ JSON_SPREAD('\\');
	uint64_t below_space = (word - JSON_SPREAD(0x20)) & ~word;
	uint64_t is_quote = (quote - JSON_SPREAD(1)) & ~quote;
	uint64_t is_backslash = (backslash - JSON_SPREAD(1)) & ~backslash;

	return ((below_space | is_quote | is_backslash) & JSON_SPREAD(0x80)) != 0;
}

/* The first special byte of [p, end), or end. Reads nothing beyond. */
static inline const uint8_t *json_skip_plain(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__
	const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
	const __m128i last_control = _mm_set1_epi8(0x1f);

	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, last_control), v);
		__m128i other = _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, backslash));
		unsigned special = (unsigned)_mm_movemask_epi8(_mm_or_si128(control, other));

		if (special != 0)
			return p + __builtin_ctz(special);
	}
#endif
	for (; end - p >= 8; p += 8) {
		uint64_t word;

		memcpy(&word, p, sizeof(word));
		if (json_any_special(word))
			break;
	}
	while (p < end && !json_is_special(*p))
		p++;
	return p;
}

#endif
