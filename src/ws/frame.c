/* ws/frame.c -- see ws/frame.h. */
#include "ws/frame.h"

#include "base/assert.h"

#include <string.h>

enum state {
	AT_HEADER,
	AT_PAYLOAD,
	FAILED,
};

static const struct {
	uint16_t close_code;
	const char *text;
} errors[WS_ERRORS] = {
	[WS_ERROR_RESERVED_BIT] = { WS_CLOSE_PROTOCOL, "reserved bit set" },
	[WS_ERROR_OPCODE] = { WS_CLOSE_PROTOCOL, "unknown opcode" },
	[WS_ERROR_UNMASKED] = { WS_CLOSE_PROTOCOL, "frame not masked" },
	[WS_ERROR_CONTROL_FRAGMENT] = { WS_CLOSE_PROTOCOL, "fragmented control frame" },
	[WS_ERROR_CONTROL_BYTES] = { WS_CLOSE_PROTOCOL, "control frame over 125 bytes" },
	[WS_ERROR_LENGTH_FORM] = { WS_CLOSE_PROTOCOL, "length not in its shortest form" },
	[WS_ERROR_CONTINUATION] = { WS_CLOSE_PROTOCOL, "continuation of no message" },
	[WS_ERROR_INTERLEAVED] = { WS_CLOSE_PROTOCOL, "message inside a message" },
	[WS_ERROR_MESSAGE_BYTES] = { WS_CLOSE_TOO_BIG, "message too big" },
	[WS_ERROR_FRAGMENTS] = { WS_CLOSE_POLICY, "too many fragments" },
	[WS_ERROR_UTF8] = { WS_CLOSE_BAD_DATA, "not UTF-8" },
	[WS_ERROR_CLOSE_BYTES] = { WS_CLOSE_PROTOCOL, "close of one byte" },
	[WS_ERROR_CLOSE_CODE] = { WS_CLOSE_PROTOCOL, "close code not allowed" },
	[WS_ERROR_NO_MEMORY] = { WS_CLOSE_INTERNAL, "out of memory" },
	[WS_ERROR_PINGS] = { WS_CLOSE_POLICY, "too many pings" },
};

uint16_t ws_error_close_code(enum ws_error error)
{
	assert(error > WS_ERROR_NONE && error < WS_ERRORS);
	return errors[error].close_code;
}

const char *ws_error_text(enum ws_error error)
{
	assert(error > WS_ERROR_NONE && error < WS_ERRORS);
	return errors[error].text;
}

static bool is_control(unsigned op)
{
	return (op & 0x8) != 0;
}

static bool is_known(unsigned op)
{
	return op <= WS_OP_BINARY || (op >= WS_OP_CLOSE && op <= WS_OP_PONG);
}

void ws_decoder_init(struct ws_decoder *d, uint32_t message_bytes_max)
{
	assert(message_bytes_max > 0);
	*d = (struct ws_decoder){ .message_bytes_max = message_bytes_max, .state = AT_HEADER };
}

/* What the first byte alone shows. */
static enum ws_error check_first(const struct ws_decoder *d, uint8_t first)
{
	unsigned op = first & 0x0fu;

	if ((first & 0x70) != 0)
		return WS_ERROR_RESERVED_BIT;
	if (!is_known(op))
		return WS_ERROR_OPCODE;
	if (is_control(op))
		return (first & 0x80) != 0 ? WS_ERROR_NONE : WS_ERROR_CONTROL_FRAGMENT;
	if (op == WS_OP_CONT)
		return d->in_message ? WS_ERROR_NONE : WS_ERROR_CONTINUATION;
	return d->in_message ? WS_ERROR_INTERLEAVED : WS_ERROR_NONE;
}

static enum ws_error check_second(uint8_t first, uint8_t second)
{
	if ((second & 0x80) == 0)
		return WS_ERROR_UNMASKED;
	if (is_control(first & 0x0fu) && (second & 0x7f) > WS_CONTROL_BYTES_MAX)
		return WS_ERROR_CONTROL_BYTES;
	return WS_ERROR_NONE;
}

/* The size of a masked frame's header by its second byte. */
static size_t header_bytes(uint8_t second)
{
	unsigned length = second & 0x7fu;

	return length < 126 ? 6 : length == 126 ? 8 : 14;
}

/* `h` is a whole header whose first two bytes were found good: judge its length, enter the payload. */
static enum ws_error enter_payload(struct ws_decoder *d, const uint8_t *h)
{
	size_t width = header_bytes(h[1]) - 6;
	uint64_t n = h[1] & 0x7fu;

	if (width > 0) {
		n = 0;
		for (size_t i = 0; i < width; i++)
			n = n << 8 | h[2 + i];
		if (n < (width == 2 ? 126u : 65536u) || n >> 63 != 0)
			return WS_ERROR_LENGTH_FORM;
	}
	d->op = h[0] & 0x0fu;
	d->fin = (h[0] & 0x80) != 0;
	if (!is_control(d->op)) {
		if (d->op != WS_OP_CONT)
			d->message_bytes = 0;
		if (n > d->message_bytes_max - d->message_bytes)
			return WS_ERROR_MESSAGE_BYTES;
		d->message_bytes += (uint32_t)n;
		d->in_message = !d->fin;
	}
	memcpy(d->mask, h + 2 + width, sizeof(d->mask));
	d->payload_left_bytes = (uint32_t)n;
	d->piece_given = false;
	d->header_have = 0;
	d->state = AT_PAYLOAD;
	return WS_ERROR_NONE;
}

/* The slow way, for a header cut by a split: byte by byte into d->header. Adds to *used what it took. */
static enum ws_error gather_header(struct ws_decoder *d, const uint8_t *in, size_t in_bytes, size_t *used)
{
	while (*used < in_bytes) {
		enum ws_error error = WS_ERROR_NONE;

		assert(d->header_have < WS_HEADER_BYTES_MAX);
		d->header[d->header_have++] = in[(*used)++];
		if (d->header_have == 1)
			error = check_first(d, d->header[0]);
		else if (d->header_have == 2)
			error = check_second(d->header[0], d->header[1]);
		else if (d->header_have == header_bytes(d->header[1]))
			return enter_payload(d, d->header);
		if (error != WS_ERROR_NONE)
			return error;
	}
	return WS_ERROR_NONE;
}

/* Read the header, or what there is of it. Sets *used. The state tells whether it was completed. */
static enum ws_error take_header(struct ws_decoder *d, const uint8_t *in, size_t in_bytes, size_t *used)
{
	enum ws_error error;

	*used = 0;
	if (d->header_have > 0 || in_bytes < 2)
		return gather_header(d, in, in_bytes, used);
	*used = 1;
	error = check_first(d, in[0]);
	if (error != WS_ERROR_NONE)
		return error;
	*used = 2;
	error = check_second(in[0], in[1]);
	if (error != WS_ERROR_NONE)
		return error;
	if (in_bytes < header_bytes(in[1])) {
		*used = 0;
		return gather_header(d, in, in_bytes, used);
	}
	*used = header_bytes(in[1]);
	return enter_payload(d, in);
}

/* XOR data with the mask, eight bytes a step, and turn the mask so that it fits what follows. */
static void unmask(uint8_t *data, size_t bytes, uint8_t mask[4])
{
	uint8_t turned[4];
	uint64_t mask8, word;
	size_t at = 0;

	memcpy(&mask8, mask, 4);
	memcpy((uint8_t *)&mask8 + 4, mask, 4);
	for (; bytes - at >= 8; at += 8) {
		memcpy(&word, data + at, 8);
		word ^= mask8;
		memcpy(data + at, &word, 8);
	}
	for (; at < bytes; at++)
		data[at] ^= mask[at & 3];
	for (size_t i = 0; i < 4; i++)
		turned[i] = mask[(bytes + i) & 3];
	memcpy(mask, turned, 4);
}

static enum ws_decode fail(struct ws_decoder *d, enum ws_error error)
{
	assert(error != WS_ERROR_NONE);
	d->error = (uint8_t)error;
	d->state = FAILED;
	return WS_DECODE_FAIL;
}

enum ws_decode ws_decode(
	struct ws_decoder *d, uint8_t *in, size_t in_bytes, size_t *ret_used, struct ws_piece *ret_piece)
{
	size_t used = 0, n;

	*ret_used = 0;
	if (d->state == FAILED)
		return WS_DECODE_FAIL;
	if (d->state == AT_HEADER) {
		enum ws_error error = take_header(d, in, in_bytes, &used);

		*ret_used = used;
		if (error != WS_ERROR_NONE)
			return fail(d, error);
		if (d->state == AT_HEADER)
			return WS_DECODE_MORE;
	}
	assert(d->state == AT_PAYLOAD);

	n = in_bytes - used;
	if (n > d->payload_left_bytes)
		n = d->payload_left_bytes;
	if (n == 0 && d->payload_left_bytes > 0)
		return WS_DECODE_MORE;
	unmask(in + used, n, d->mask);
	d->payload_left_bytes -= (uint32_t)n;
	*ret_piece = (struct ws_piece){
		.op = (enum ws_opcode)d->op,
		.fin = d->fin,
		.first = !d->piece_given,
		.last = d->payload_left_bytes == 0,
		.data = in + used,
		.data_bytes = n,
	};
	d->piece_given = true;
	if (ret_piece->last)
		d->state = AT_HEADER;
	*ret_used = used + n;
	assert(*ret_used <= in_bytes);
	return WS_DECODE_PIECE;
}

size_t ws_frame_header_encode(uint8_t *out, enum ws_opcode op, bool fin, uint64_t payload_bytes)
{
	size_t width = payload_bytes < 126 ? 0 : payload_bytes < 65536 ? 2 : 8;

	assert(payload_bytes >> 63 == 0);
	if (is_control(op)) {
		assert(fin);
		assert(payload_bytes <= WS_CONTROL_BYTES_MAX);
	}
	out[0] = (uint8_t)((fin ? 0x80u : 0u) | (unsigned)op);
	out[1] = (uint8_t)(width == 0 ? payload_bytes : width == 2 ? 126 : 127);
	for (size_t i = 0; i < width; i++)
		out[2 + i] = (uint8_t)(payload_bytes >> (8 * (width - 1 - i)));
	return 2 + width;
}
