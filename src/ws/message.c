/* ws/message.c -- see ws/message.h. */
#include "ws/message.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

void ws_reader_init(struct ws_reader *r, uint32_t message_bytes_max, uint32_t fragments_max)
{
	*r = (struct ws_reader){ .fragments_max = fragments_max };
	ws_decoder_init(&r->decoder, message_bytes_max);
	buf_init(&r->message, message_bytes_max);
}

static void release_control(struct ws_reader *r)
{
	free(r->control);
	r->control = NULL;
	r->control_bytes = 0;
	r->control_lent = false;
}

static void release_message(struct ws_reader *r)
{
	buf_finish(&r->message);
	r->message_lent = false;
}

void ws_reader_finish(struct ws_reader *r)
{
	release_control(r);
	release_message(r);
	r->done = true;
}

static enum ws_read fail(struct ws_reader *r, enum ws_error error, struct ws_event *ret_event)
{
	ws_reader_finish(r);
	*ret_event = (struct ws_event){ .code = ws_error_close_code(error), .error = error };
	return WS_READ_FAIL;
}

/* A piece of a text or binary message, or of its continuation. */
static enum ws_read take_message(struct ws_reader *r, const struct ws_piece *p, struct ws_event *ret_event)
{
	if (p->first && p->op != WS_OP_CONT) {
		assert(r->message.bytes == 0 && utf8_complete(&r->utf8));
		r->text = p->op == WS_OP_TEXT;
		r->fragments = 0;
	}
	/* Counting stops where there is no limit: endless empty fragments must not wrap it. */
	if (p->first && r->fragments_max > 0 && r->fragments++ == r->fragments_max)
		return fail(r, WS_ERROR_FRAGMENTS, ret_event);
	if (r->text && !utf8_feed(&r->utf8, p->data, p->data_bytes, NULL))
		return fail(r, WS_ERROR_UTF8, ret_event);
	if (r->text && p->fin && p->last && !utf8_complete(&r->utf8))
		return fail(r, WS_ERROR_UTF8, ret_event);

	*ret_event = (struct ws_event){ .data = p->data, .data_bytes = p->data_bytes };
	if (!p->fin || !p->last || r->message.bytes > 0) {
		if (!buf_append(&r->message, p->data, p->data_bytes))
			return fail(r, WS_ERROR_NO_MEMORY, ret_event);
		if (!p->fin || !p->last)
			return WS_READ_MORE;
		r->message_lent = true;
		ret_event->data = r->message.data;
		ret_event->data_bytes = r->message.bytes;
	}
	return r->text ? WS_READ_TEXT : WS_READ_BINARY;
}

/* A close frame's whole payload: two bytes of code and a reason, or nothing (RFC 6455, 5.5.1). */
static enum ws_read take_close(struct ws_reader *r, uint8_t *data, size_t bytes, struct ws_event *ret_event)
{
	uint16_t code;

	if (bytes == 0) {
		ret_event->code = WS_CLOSE_NONE;
		r->done = true;
		return WS_READ_CLOSE;
	}
	if (bytes == 1)
		return fail(r, WS_ERROR_CLOSE_BYTES, ret_event);
	code = (uint16_t)(data[0] << 8 | data[1]);
	if (!ws_close_code_valid(code))
		return fail(r, WS_ERROR_CLOSE_CODE, ret_event);
	if (!utf8_valid(data + 2, bytes - 2))
		return fail(r, WS_ERROR_UTF8, ret_event);
	*ret_event = (struct ws_event){ .data = data + 2, .data_bytes = bytes - 2, .code = code };
	r->done = true;
	return WS_READ_CLOSE;
}

static enum ws_read take_control(struct ws_reader *r, const struct ws_piece *p, struct ws_event *ret_event)
{
	uint8_t *data = p->data;
	size_t bytes = p->data_bytes;

	if (!p->first || !p->last) {
		assert(r->control_bytes + bytes <= WS_CONTROL_BYTES_MAX);
		if (!r->control)
			r->control = malloc(WS_CONTROL_BYTES_MAX);
		if (!r->control)
			return fail(r, WS_ERROR_NO_MEMORY, ret_event);
		memcpy(r->control + r->control_bytes, data, bytes);
		r->control_bytes = (uint8_t)(r->control_bytes + bytes);
		if (!p->last)
			return WS_READ_MORE;
		r->control_lent = true;
		data = r->control;
		bytes = r->control_bytes;
	}
	*ret_event = (struct ws_event){ .data = data, .data_bytes = bytes };
	if (p->op == WS_OP_CLOSE)
		return take_close(r, data, bytes, ret_event);
	return p->op == WS_OP_PING ? WS_READ_PING : WS_READ_PONG;
}

enum ws_read ws_read(
	struct ws_reader *r, uint8_t *in, size_t in_bytes, size_t *ret_used, struct ws_event *ret_event)
{
	enum ws_read read = WS_READ_MORE;

	*ret_used = in_bytes;
	if (r->done) {
		ws_reader_finish(r);
		return WS_READ_MORE;
	}
	if (r->control_lent)
		release_control(r);
	if (r->message_lent)
		release_message(r);

	for (size_t at = 0; at < in_bytes && read == WS_READ_MORE;) {
		struct ws_piece piece;
		struct ws_event event;
		size_t used;
		enum ws_decode decode = ws_decode(&r->decoder, in + at, in_bytes - at, &used, &piece);

		at += used;
		if (decode == WS_DECODE_MORE)
			break;
		if (decode == WS_DECODE_FAIL)
			read = fail(r, (enum ws_error)r->decoder.error, &event);
		else if (piece.op >= WS_OP_CLOSE)
			read = take_control(r, &piece, &event);
		else
			read = take_message(r, &piece, &event);
		if (read != WS_READ_MORE) {
			*ret_used = at;
			*ret_event = event;
		}
	}
	return read;
}

bool ws_close_code_valid(uint16_t code)
{
	if (code >= 3000)
		return code <= 4999;
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

size_t ws_close_encode(uint8_t *out, uint16_t code, struct str reason)
{
	size_t bytes = reason.bytes;

	assert(code == WS_CLOSE_NONE || ws_close_code_valid(code));
	if (code == WS_CLOSE_NONE)
		return 0;
	if (bytes > WS_CONTROL_BYTES_MAX - 2) {
		bytes = WS_CONTROL_BYTES_MAX - 2;
		/* 10xxxxxx continues a character: do not cut before it. */
		while (bytes > 0 && ((uint8_t)reason.s[bytes] & 0xc0) == 0x80)
			bytes--;
	}
	out[0] = (uint8_t)(code >> 8);
	out[1] = (uint8_t)code;
	if (bytes > 0)
		memcpy(out + 2, reason.s, bytes);
	return 2 + bytes;
}
