/*
 * base/utf8.h -- UTF-8 validation (RFC 3629), resumable over any split.
 *
 * Rejects overlong forms, surrogates (U+D800-DFFF), values over U+10FFFF, and does so at the
 * first byte that can no longer be part of valid text: WebSocket wants 1007 there and then.
 * Pure; caller-owned state; no malloc.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed is ready: between characters. Fields are private. */
struct utf8 {
	uint8_t need; /* continuation bytes still to come */
	uint8_t low, high; /* bounds of the next continuation byte */
};

/*
 * Check the next bytes. True: all may be part of valid text so far. False: the byte at *ret_at (an
 * offset into data; ret_at may be NULL) is the first bad one; the state is then undefined.
 * Cost: O(bytes), several bytes a step for ASCII.
 */
__attribute__((warn_unused_result)) bool utf8_feed(
	struct utf8 *u, const uint8_t *data, size_t bytes, size_t *ret_at);

/* True if no character is cut off at the end of what was fed. */
static inline bool utf8_complete(const struct utf8 *u)
{
	return u->need == 0;
}

/* The whole of data is valid UTF-8. */
__attribute__((warn_unused_result)) bool utf8_valid(const uint8_t *data, size_t bytes);

#endif
