/* engineio/unit.c -- see engineio/unit.h. */
#include "engineio/unit.h"

#include "base/assert.h"
#include "base/base64.h"
#include "engineio/payload.h"
#include "ws/frame.h"

static size_t header_bytes(size_t payload_bytes)
{
	return payload_bytes < 126 ? 2 : payload_bytes < 65536 ? 4 : 10;
}

static uint8_t *put_header(uint8_t *at, enum ws_opcode op, size_t payload_bytes)
{
	return at + ws_frame_header_encode(at, op, true, payload_bytes);
}

struct blob_share *eio_unit_create(size_t text_bytes, const size_t *binary_bytes, uint32_t binary_count,
	uint8_t **ret_text, uint8_t *ret_binary[EIO_UNIT_BINARIES_MAX])
{
	size_t bytes = 0;
	uint8_t *at;

	assert(binary_count <= EIO_UNIT_BINARIES_MAX);
	if (text_bytes >= BLOB_BYTES_MAX)
		return NULL;
	bytes = header_bytes(1 + text_bytes) + 1 + text_bytes;
	for (uint32_t i = 0; i < binary_count; i++) {
		if (binary_bytes[i] > BLOB_BYTES_MAX - bytes)
			return NULL;
		bytes += header_bytes(binary_bytes[i]) + binary_bytes[i];
	}
	if (bytes > BLOB_BYTES_MAX)
		return NULL;
	struct blob_share *unit = blob_create(bytes, &at);
	if (unit == NULL)
		return NULL;
	at = put_header(at, WS_OP_TEXT, 1 + text_bytes);
	*at++ = EIO_MESSAGE;
	*ret_text = at;
	at += text_bytes;
	for (uint32_t i = 0; i < binary_count; i++) {
		at = put_header(at, WS_OP_BINARY, binary_bytes[i]);
		ret_binary[i] = at;
		at += binary_bytes[i];
	}
	assert(at == unit->data + unit->bytes);
	return unit;
}

struct blob_share *eio_unit_create_frame(bool binary, size_t bytes, uint8_t **ret_payload)
{
	uint8_t *at;

	if (bytes > BLOB_BYTES_MAX - WS_HEADER_BYTES_MAX)
		return NULL;
	struct blob_share *unit = blob_create(header_bytes(bytes) + bytes, &at);
	if (unit != NULL)
		*ret_payload = put_header(at, binary ? WS_OP_BINARY : WS_OP_TEXT, bytes);
	return unit;
}

/* The frame at the front of our own encoding. */
static const uint8_t *next_frame(const uint8_t *at, bool *ret_binary, size_t *ret_bytes)
{
	size_t len7 = at[1] & 0x7fu, width = len7 < 126 ? 0 : len7 == 126 ? 2 : 8, n = 0;

	for (size_t i = 0; i < width; i++)
		n = n << 8 | at[2 + i];
	*ret_binary = (at[0] & 0x0f) == WS_OP_BINARY;
	*ret_bytes = width == 0 ? len7 : n;
	return at + 2 + width;
}

const uint8_t *eio_unit_next(const struct blob_share *unit, size_t *at, bool *ret_binary, size_t *ret_bytes)
{
	if (*at == unit->bytes)
		return NULL;
	const uint8_t *payload = next_frame(unit->data + *at, ret_binary, ret_bytes);
	*at = (size_t)(payload - unit->data) + *ret_bytes;
	return payload;
}

uint32_t eio_unit_packets(const struct blob_share *unit)
{
	uint32_t packets = 0;

	for (const uint8_t *at = unit->data, *end = at + unit->bytes; at < end; packets++) {
		bool binary;
		size_t bytes;

		at = next_frame(at, &binary, &bytes) + bytes;
	}
	return packets;
}

bool eio_unit_append_polling(const struct blob_share *unit, struct buf *body)
{
	const uint8_t *at = unit->data, *end = unit->data + unit->bytes;

	while (at < end) {
		bool binary;
		size_t bytes;
		const uint8_t *payload = next_frame(at, &binary, &bytes);

		if (body->bytes > 0 && !buf_append(body, &(uint8_t){ EIO_SEPARATOR }, 1))
			return false;
		if (!binary) {
			if (!buf_append(body, payload, bytes))
				return false;
		} else {
			size_t coded = base64_encoded_bytes(bytes);
			if (!buf_reserve(body, 1 + coded))
				return false;
			body->data[body->bytes] = EIO_BINARY;
			body->bytes +=
				1 + base64_encode((char *)body->data + body->bytes + 1, payload, bytes);
		}
		at = payload + bytes;
	}
	assert(at == end);
	return true;
}
