/*
 * base/base64.h -- RFC 4648 base64, standard and url-safe alphabet. Pure; no malloc.
 */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the padded standard encoding of `bytes` bytes. */
static inline size_t base64_encoded_bytes(size_t bytes)
{
	return (bytes + 2) / 3 * 4;
}

/* Standard alphabet with padding. `out` has base64_encoded_bytes(bytes); returns that. No NUL. */
size_t base64_encode(char *out, const uint8_t *data, size_t bytes);

/* Url-safe alphabet without padding: (bytes * 8 + 5) / 6 characters are written and returned. No NUL. */
size_t base64url_encode(char *out, const uint8_t *data, size_t bytes);

/*
 * Decode the standard alphabet. Padding is optional, but where there is any it must be right; no white
 * space, and the unused bits of the last character must be zero. `out` has text_bytes / 4 * 3 + 3 bytes and
 * may be the same memory as `text`. False on bad input; *ret_bytes is set on success only.
 */
__attribute__((warn_unused_result)) bool base64_decode(
	uint8_t *out, const char *text, size_t text_bytes, size_t *ret_bytes);

/* The same for the url-safe alphabet, without padding. */
__attribute__((warn_unused_result)) bool base64url_decode(
	uint8_t *out, const char *text, size_t text_bytes, size_t *ret_bytes);

#endif
