/* load/frame.c -- see load/frame.h. */
#include "frame.h"

#include <assert.h>

enum load_decode load_frame_decode(const uint8_t *in, size_t in_bytes, struct load_frame *ret_frame)
{
	if (in_bytes < 2)
		return LOAD_DECODE_MORE;
	/* FIN alone of the upper four bits, and no mask: servers send whole, plain messages. */
	if ((in[0] & 0xf0) != 0x80 || (in[1] & 0x80) != 0)
		return LOAD_DECODE_BAD;

	size_t header = 2, payload = in[1];

	if (payload >= 126) {
		size_t width = payload == 126 ? 2 : 8;

		header += width;
		if (in_bytes < header)
			return LOAD_DECODE_MORE;
		payload = 0;
		for (size_t i = 0; i < width; i++)
			payload = payload << 8 | in[2 + i];
		if (payload < (width == 2 ? 126u : 65536u))
			return LOAD_DECODE_BAD;
	}
	if (payload > LOAD_FRAME_PAYLOAD_BYTES_MAX)
		return LOAD_DECODE_BAD;
	if (in_bytes - header < payload)
		return LOAD_DECODE_MORE;
	*ret_frame = (struct load_frame){
		.opcode = in[0] & 0x0fu,
		.payload = in + header,
		.payload_bytes = payload,
		.frame_bytes = header + payload,
	};
	return LOAD_DECODE_FRAME;
}

size_t load_frame_encode(
	uint8_t *out, enum load_opcode opcode, uint32_t mask, const void *payload, size_t payload_bytes)
{
	const uint8_t *from = payload;
	size_t width = payload_bytes < 126 ? 0 : payload_bytes < 65536 ? 2 : 8;
	size_t at = 2;
	uint8_t key[4];

	out[0] = (uint8_t)(0x80u | (unsigned)opcode);
	out[1] = (uint8_t)(0x80u | (width == 0 ? payload_bytes : width == 2 ? 126u : 127u));
	for (size_t i = 0; i < width; i++)
		out[at++] = (uint8_t)(payload_bytes >> (8 * (width - 1 - i)));
	for (size_t i = 0; i < 4; i++) {
		key[i] = (uint8_t)(mask >> (8 * i));
		out[at++] = key[i];
	}
	assert(at <= LOAD_FRAME_HEADER_BYTES_MAX);
	for (size_t i = 0; i < payload_bytes; i++)
		out[at + i] = from[i] ^ key[i & 3];
	return at + payload_bytes;
}
