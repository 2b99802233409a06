/* http/chunked.c -- see http/chunked.h. */
#include "http/chunked.h"

#include "base/assert.h"
#include "http/char_int.h"

enum chunk_state {
	AT_SIZE,
	AT_EXTENSION,
	AT_SIZE_LF,
	AT_DATA,
	AT_DATA_CR,
	AT_DATA_LF,
	AT_TRAILER, /* a trailer line's first byte, or the CR of the end */
	AT_TRAILER_NAME,
	AT_TRAILER_VALUE,
	AT_TRAILER_LF,
	AT_END_LF,
	AT_END,
};

/* Note why, for this call and those after it. Always false. */
static bool refuse(struct http_chunked *c, const char *reason)
{
	assert(c->fail_reason == NULL);
	c->fail_reason = reason;
	return false;
}

static bool take_size(struct http_chunked *c, uint8_t byte)
{
	int digit = http_char_hex(byte);

	if (digit >= 0) {
		if (c->digits == HTTP_CHUNK_SIZE_DIGITS_MAX)
			return refuse(c, "a chunk's size is too long");
		c->left_bytes = c->left_bytes << 4 | (uint64_t)digit;
		c->digits++;
		return true;
	}
	if (c->digits == 0 || (byte != '\r' && byte != ';'))
		return refuse(c, "a chunk's size is not hexadecimal, or does not end in CRLF");
	c->extension_bytes = 0;
	c->state = byte == '\r' ? AT_SIZE_LF : AT_EXTENSION;
	return true;
}

static bool take_extension(struct http_chunked *c, uint8_t byte)
{
	if (byte == '\r') {
		c->state = AT_SIZE_LF;
		return true;
	}
	if (!http_char_is(byte, HTTP_CHAR_VALUE))
		return refuse(c, "a chunk's extension has a control character");
	if (c->extension_bytes == HTTP_CHUNK_EXTENSION_BYTES_MAX)
		return refuse(c, "a chunk's extensions are too long");
	c->extension_bytes++;
	return true;
}

/* Go on behind exactly this byte. */
static bool take_exactly(struct http_chunked *c, uint8_t byte, uint8_t wanted, enum chunk_state next)
{
	if (byte != wanted)
		return refuse(c, "a line or a chunk does not end in CRLF");
	c->state = (uint8_t)next;
	return true;
}

/* Trailers have the form of headers (RFC 9112, 7.1.2). */
static bool take_trailer(struct http_chunked *c, uint8_t byte)
{
	if (c->state == AT_TRAILER && byte == '\r') { /* the last line is none of them */
		c->state = AT_END_LF;
		return true;
	}
	if (c->trailer_bytes == HTTP_CHUNK_TRAILER_BYTES_MAX)
		return refuse(c, "the trailers are too long");
	c->trailer_bytes++;
	if (c->state == AT_TRAILER_LF)
		return take_exactly(c, byte, '\n', AT_TRAILER);
	if (c->state == AT_TRAILER_VALUE) {
		if (byte == '\r')
			c->state = AT_TRAILER_LF;
		else if (!http_char_is(byte, HTTP_CHAR_VALUE))
			return refuse(c, "a trailer has a control character");
		return true;
	}
	if (c->state == AT_TRAILER_NAME && byte == ':')
		c->state = AT_TRAILER_VALUE;
	else if (http_char_is(byte, HTTP_CHAR_TOKEN))
		c->state = AT_TRAILER_NAME;
	else
		return refuse(c, "a trailer's name is not a token followed by a colon");
	return true;
}

/* Take one byte that is not of the body, or refuse it. */
static bool take_byte(struct http_chunked *c, uint8_t byte)
{
	assert(c->state != AT_DATA && c->state != AT_END);
	switch ((enum chunk_state)c->state) {
	case AT_SIZE:
		return take_size(c, byte);
	case AT_EXTENSION:
		return take_extension(c, byte);
	case AT_SIZE_LF:
		return take_exactly(c, byte, '\n', c->left_bytes == 0 ? AT_TRAILER : AT_DATA);
	case AT_DATA_CR:
		return take_exactly(c, byte, '\r', AT_DATA_LF);
	case AT_DATA_LF:
		c->digits = 0;
		return take_exactly(c, byte, '\n', AT_SIZE);
	case AT_TRAILER:
	case AT_TRAILER_NAME:
	case AT_TRAILER_VALUE:
	case AT_TRAILER_LF:
		return take_trailer(c, byte);
	case AT_END_LF:
		return take_exactly(c, byte, '\n', AT_END);
	case AT_DATA:
	case AT_END:
		break;
	}
	return false;
}

enum http_chunk http_chunked_decode(
	struct http_chunked *c, const uint8_t *in, size_t in_bytes, size_t *ret_used, struct str *ret_piece)
{
	size_t used = 0;
	bool good = c->fail_reason == NULL;

	while (good && used < in_bytes && c->state != AT_DATA && c->state != AT_END)
		good = take_byte(c, in[used++]);
	*ret_used = used;
	if (!good)
		return HTTP_CHUNK_FAIL;
	if (c->state == AT_END)
		return HTTP_CHUNK_END;
	if (used == in_bytes)
		return HTTP_CHUNK_MORE;

	size_t n = in_bytes - used;

	assert(c->state == AT_DATA && c->left_bytes > 0);
	if (n > c->left_bytes)
		n = (size_t)c->left_bytes;
	*ret_piece = str_of((const char *)in + used, n);
	c->left_bytes -= n;
	if (c->left_bytes == 0)
		c->state = AT_DATA_CR;
	*ret_used = used + n;
	return HTTP_CHUNK_DATA;
}
