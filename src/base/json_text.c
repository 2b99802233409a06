/* base/json_text.c -- see base/json.h: strings into and out of JSON. */
#include "base/json.h"

#include "base/assert.h"
#include "base/json_int.h"

enum {
	CHAR_BYTES_MAX = 4, /* of UTF-8 */
	REPLACEMENT = 0xfffd,
};

/* The character that follows a '\' in the short escape of a byte, or 0 where there is none. */
static char short_escape(uint8_t byte)
{
	switch (byte) {
	case '"':
	case '\\':
		return (char)byte;
	case '\b':
		return 'b';
	case '\t':
		return 't';
	case '\n':
		return 'n';
	case '\f':
		return 'f';
	case '\r':
		return 'r';
	default:
		return 0;
	}
}

static char short_unescape(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 't':
		return '\t';
	case 'n':
		return '\n';
	case 'f':
		return '\f';
	case 'r':
		return '\r';
	default:
		return c; /* '"', '\' and '/' stand for themselves */
	}
}

static uint32_t hex_digit(char c)
{
	return c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a' + 10);
}

/* The four digits at s, which are known to be there. */
static uint32_t hex4(const char *s)
{
	return hex_digit(s[0]) << 12 | hex_digit(s[1]) << 8 | hex_digit(s[2]) << 4 | hex_digit(s[3]);
}

static size_t put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/*
 * Decode the escape at the front of *raw and step over it. Returns the bytes written to out. An escape is
 * read before anything is written, and is longer than what it stands for.
 */
static size_t take_escape(char out[CHAR_BYTES_MAX], struct str *raw)
{
	const char *s = raw->s;
	size_t used = 2;
	uint32_t c;

	assert(raw->bytes >= 2 && s[0] == '\\');
	if (s[1] != 'u') {
		c = (uint8_t)short_unescape(s[1]);
	} else {
		assert(raw->bytes >= 6);
		c = hex4(s + 2);
		used = 6;
		if (c >= 0xd800 && c < 0xe000) {
			uint32_t low = c < 0xdc00 && raw->bytes >= 12 && s[6] == '\\' && s[7] == 'u'
					       ? hex4(s + 8)
					       : 0;
			bool pair = low >= 0xdc00 && low < 0xe000;

			c = pair ? 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00) : REPLACEMENT;
			used = pair ? 12 : 6;
		}
	}
	*raw = str_of(s + used, raw->bytes - used);
	return put_utf8(out, c);
}

/* What is left of s behind its first `bytes`. An empty slice may have no address to add to. */
static struct str behind(struct str s, size_t bytes)
{
	return bytes > 0 ? str_of(s.s + bytes, s.bytes - bytes) : s;
}

/* The bytes before the first escape. */
static size_t unescaped_bytes(struct str raw)
{
	const char *escape = raw.bytes > 0 ? memchr(raw.s, '\\', raw.bytes) : NULL;

	return escape ? (size_t)(escape - raw.s) : raw.bytes;
}

bool json_raw_equal(struct str raw, struct str plain)
{
	char decoded[CHAR_BYTES_MAX];

	for (;;) {
		size_t run = unescaped_bytes(raw);

		if (!str_starts(plain, str_of(raw.s, run)))
			return false;
		raw = behind(raw, run);
		plain = behind(plain, run);
		if (raw.bytes == 0)
			return plain.bytes == 0;

		size_t bytes = take_escape(decoded, &raw);
		if (!str_starts(plain, str_of(decoded, bytes)))
			return false;
		plain = behind(plain, bytes);
	}
}

size_t json_decode_string(char *out, struct json_value string)
{
	assert(string.type == JSON_STRING && string.text.bytes >= 2);
	struct str raw = str_of(string.text.s + 1, string.text.bytes - 2);
	size_t written = 0;

	for (;;) {
		size_t run = unescaped_bytes(raw);

		memmove(out + written, raw.s, run);
		written += run;
		raw = behind(raw, run);
		if (raw.bytes == 0)
			return written;
		written += take_escape(out + written, &raw);
	}
}

size_t json_quoted_bytes(struct str text)
{
	const uint8_t *p = (const uint8_t *)text.s, *end = text.bytes > 0 ? p + text.bytes : p;
	size_t bytes = text.bytes + 2;

	for (p = json_skip_plain(p, end); p < end; p = json_skip_plain(p + 1, end))
		bytes += short_escape(*p) ? 1 : 5;
	return bytes;
}

size_t json_quote(char *out, struct str text)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *p = (const uint8_t *)text.s, *end = text.bytes > 0 ? p + text.bytes : p;
	char *begin = out;

	*out++ = '"';
	while (p < end) {
		const uint8_t *special = json_skip_plain(p, end);

		memcpy(out, p, (size_t)(special - p));
		out += special - p;
		p = special;
		if (p == end)
			break;
		char letter = short_escape(*p);

		*out++ = '\\';
		if (letter) {
			*out++ = letter;
		} else {
			memcpy(out, "u00", 3);
			out[3] = hex[*p >> 4];
			out[4] = hex[*p & 0xf];
			out += 5;
		}
		p++;
	}
	*out++ = '"';
	return (size_t)(out - begin);
}
