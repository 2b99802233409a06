/* http/url.c -- see http/url.h. */
#include "http/url.h"

#include "base/utf8.h"
#include "http/char_int.h"

/* The byte that an escape at the front of text stands for, or -1 if it is none. */
static int escaped_byte(struct str text)
{
	if (text.bytes < 3 || text.s[0] != '%')
		return -1;

	int high = http_char_hex((uint8_t)text.s[1]), low = http_char_hex((uint8_t)text.s[2]);

	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool is_control(int byte)
{
	return byte < 0x20 || byte == 0x7f;
}

/* Whether the decoded path has a segment `.` or `..`. */
static bool has_dot_segment(struct str path)
{
	size_t start = 0;

	for (size_t i = 0; i <= path.bytes; i++) {
		if (i < path.bytes && path.s[i] != '/')
			continue;
		struct str segment = str_of(path.s + start, i - start);

		if (str_equal(segment, STR(".")) || str_equal(segment, STR("..")))
			return true;
		start = i + 1;
	}
	return false;
}

enum http_path http_path_decode(struct str raw, char *out, size_t out_bytes, struct str *ret_path)
{
	size_t n = 0;

	if (raw.bytes == 0 || raw.s[0] != '/')
		return HTTP_PATH_BAD_START;
	for (size_t i = 0; i < raw.bytes; i++) {
		int byte = (unsigned char)raw.s[i];
		bool escaped = byte == '%';

		if (escaped) {
			byte = escaped_byte(str_of(raw.s + i, raw.bytes - i));
			if (byte < 0)
				return HTTP_PATH_BAD_ESCAPE;
			i += 2;
		}
		if (is_control(byte))
			return HTTP_PATH_BAD_BYTE;
		if (byte == '\\' || (byte == '/' && escaped))
			return HTTP_PATH_BAD_SLASH;
		if (n == out_bytes)
			return HTTP_PATH_TOO_LONG;
		out[n++] = (char)byte;
	}
	if (!utf8_valid((const uint8_t *)out, n))
		return HTTP_PATH_BAD_UTF8;
	if (has_dot_segment(str_of(out, n)))
		return HTTP_PATH_BAD_DOTS;
	*ret_path = str_of(out, n);
	return HTTP_PATH_OK;
}

const char *http_path_reason(enum http_path verdict)
{
	switch (verdict) {
	case HTTP_PATH_OK:
		return "the path is good";
	case HTTP_PATH_BAD_START:
		return "the path does not start with a slash";
	case HTTP_PATH_BAD_ESCAPE:
		return "the path has a '%' without two hexadecimal digits";
	case HTTP_PATH_BAD_BYTE:
		return "the path has a control character";
	case HTTP_PATH_BAD_SLASH:
		return "the path has a backslash or an encoded slash";
	case HTTP_PATH_BAD_DOTS:
		return "the path has a segment '.' or '..'";
	case HTTP_PATH_BAD_UTF8:
		return "the path is not valid UTF-8";
	case HTTP_PATH_TOO_LONG:
		return "the path is too long";
	}
	return "the path is bad";
}

/* Take the text before the first `mark` off the front of *rest, and the mark. */
static struct str cut(struct str *rest, char mark)
{
	const char *at = rest->bytes == 0 ? NULL : memchr(rest->s, mark, rest->bytes);
	size_t n = at == NULL ? rest->bytes : (size_t)(at - rest->s);
	size_t used = n + (at != NULL);
	struct str front = str_of(rest->s, n);

	*rest = str_of(rest->s + used, rest->bytes - used);
	return front;
}

bool http_query_next(struct str *rest, struct str *ret_name, struct str *ret_value)
{
	while (rest->bytes > 0) {
		struct str value = cut(rest, '&');

		if (value.bytes == 0)
			continue;
		*ret_name = cut(&value, '=');
		*ret_value = value;
		return true;
	}
	return false;
}

/*
 * Decode the byte at the front of a parameter's text and take it off. -1: a malformed escape.
 */
static int query_byte(struct str *rest)
{
	int byte = (unsigned char)rest->s[0];
	size_t used = 1;

	if (byte == '+') {
		byte = ' ';
	} else if (byte == '%') {
		byte = escaped_byte(*rest);
		used = 3;
		if (byte < 0)
			return -1;
	}
	*rest = str_of(rest->s + used, rest->bytes - used);
	return byte;
}

bool http_query_decode(struct str raw, char *out, size_t out_bytes, struct str *ret_text)
{
	size_t n = 0;

	while (raw.bytes > 0) {
		int byte = query_byte(&raw);

		if (byte <= 0 || n == out_bytes)
			return false;
		out[n++] = (char)byte;
	}
	if (!utf8_valid((const uint8_t *)out, n))
		return false;
	*ret_text = str_of(out, n);
	return true;
}

/* Whether a raw name decodes to `name`. */
static bool name_is(struct str raw, struct str name)
{
	size_t n = 0;

	while (raw.bytes > 0) {
		if (n == name.bytes || query_byte(&raw) != (unsigned char)name.s[n])
			return false;
		n++;
	}
	return n == name.bytes;
}

enum http_query http_query_get(
	struct str query, struct str name, char *out, size_t out_bytes, struct str *ret_value)
{
	struct str raw_name, raw_value, found = STR("");
	bool seen = false;

	while (http_query_next(&query, &raw_name, &raw_value)) {
		if (!name_is(raw_name, name))
			continue;
		if (seen)
			return HTTP_QUERY_BAD;
		seen = true;
		found = raw_value;
	}
	if (!seen)
		return HTTP_QUERY_NONE;
	return http_query_decode(found, out, out_bytes, ret_value) ? HTTP_QUERY_ONE : HTTP_QUERY_BAD;
}
