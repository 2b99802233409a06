/*
 * load/frame.h -- the client's side of RFC 6455 frames: masked out, unmasked in. Pure, no I/O.
 *
 * Independent of the library's own codec on purpose: a benchmark that shares code with what it checks
 * agrees with its mistakes. Used by: client.c.
 */
#ifndef LOAD_FRAME_H
#define LOAD_FRAME_H

#include <stddef.h>
#include <stdint.h>

enum load_opcode {
	LOAD_OP_TEXT = 0x1,
	LOAD_OP_CLOSE = 0x8,
	LOAD_OP_PING = 0x9,
	LOAD_OP_PONG = 0xa,
};

enum {
	LOAD_FRAME_HEADER_BYTES_MAX = 14, /* 2 fixed + 8 length + 4 mask key */
	LOAD_FRAME_PAYLOAD_BYTES_MAX = 128 * 1024, /* from a server; a longer one is bad */
};

struct load_frame {
	unsigned opcode;
	const uint8_t *payload; /* lent: points into the input */
	size_t payload_bytes;
	size_t frame_bytes; /* header included */
};

enum load_decode {
	LOAD_DECODE_MORE, /* incomplete: keep it and read on */
	LOAD_DECODE_FRAME, /* *ret_frame is set */
	LOAD_DECODE_BAD, /* masked, fragmented, reserved bits or too long: nothing a server here sends */
};

__attribute__((warn_unused_result)) enum load_decode load_frame_decode(
	const uint8_t *in, size_t in_bytes, struct load_frame *ret_frame);

/* Writes header and masked payload to `out`, which has room for both; returns the bytes written. */
size_t load_frame_encode(
	uint8_t *out, enum load_opcode opcode, uint32_t mask, const void *payload, size_t payload_bytes);

#endif
