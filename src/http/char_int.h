/*
 * http/char_int.h -- classes of bytes in HTTP text (RFC 9110, 5.5 and 5.6; RFC 3986). A constant table.
 */
#ifndef HTTP_CHAR_INT_H
#define HTTP_CHAR_INT_H

#include "base/str.h"

enum {
	HTTP_CHAR_TOKEN = 1, /* tchar: methods and names */
	HTTP_CHAR_VALUE = 2, /* tab, space, visible ASCII, obs-text: field values */
	HTTP_CHAR_TARGET = 4, /* visible ASCII but '#' and '\' */
	HTTP_CHAR_REG_NAME = 8, /* a host by name or IPv4 address */
	HTTP_CHAR_HEX = 16,
	HTTP_CHAR_DIGIT = 32,
};

extern const uint8_t http_char_class[256];

static inline bool http_char_is(uint8_t byte, unsigned classes)
{
	return (http_char_class[byte] & classes) != 0;
}

/* The bytes at the front of data that are of one of the classes. O(that). */
static inline size_t http_char_span(const uint8_t *data, size_t bytes, unsigned classes)
{
	size_t n = 0;

	while (n < bytes && http_char_is(data[n], classes))
		n++;
	return n;
}

/* All bytes of text are of one of the classes; true for an empty one. */
static inline bool http_char_all(struct str text, unsigned classes)
{
	return http_char_span((const uint8_t *)text.s, text.bytes, classes) == text.bytes;
}

/* The value of a hexadecimal digit, or -1. */
static inline int http_char_hex(uint8_t byte)
{
	if (!http_char_is(byte, HTTP_CHAR_HEX))
		return -1;
	return http_char_is(byte, HTTP_CHAR_DIGIT) ? byte - '0' : (byte | 0x20) - 'a' + 10;
}

#endif
