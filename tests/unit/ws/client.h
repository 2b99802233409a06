/*
 * tests/unit/ws/client.h -- what the tests of ws/ share: a client's side of the protocol, written from the RFC and
 * sharing nothing with src/ws/; and payloads as the vector pages show them.
 */
#ifndef TESTS_UNIT_WS_CLIENT_H
#define TESTS_UNIT_WS_CLIENT_H

#include "base/assert.h"
#include "base/buf.h"
#include "lib/vector.h"

#include <stdio.h>

static inline void append(struct buf *b, const void *data, size_t bytes)
{
	bool appended = buf_append(b, data, bytes);

	assert(appended);
}

static inline void append_byte(struct buf *b, uint64_t byte)
{
	uint8_t low = (uint8_t)byte;

	append(b, &low, 1);
}

/* Append one masked frame; `first` is its first byte, FIN and opcode. Byte by byte, as section 5.2 draws it. */
static inline void append_frame(
	struct buf *b, unsigned first, uint32_t mask, const void *payload, size_t bytes)
{
	const uint8_t *data = payload;

	append_byte(b, first);
	if (bytes <= 125) {
		append_byte(b, 0x80 + bytes);
	} else if (bytes <= 0xffff) {
		append_byte(b, 0x80 + 126);
		for (int shift = 8; shift >= 0; shift -= 8)
			append_byte(b, bytes >> shift);
	} else {
		append_byte(b, 0x80 + 127);
		for (int shift = 56; shift >= 0; shift -= 8)
			append_byte(b, bytes >> shift);
	}
	for (int shift = 24; shift >= 0; shift -= 8)
		append_byte(b, mask >> shift);
	for (size_t i = 0; i < bytes; i++)
		append_byte(b, data[i] ^ mask >> (24 - 8 * (i % 4)));
}

/* A payload for a line of a vector page: quoted, or where it is long its length and its only byte. Static buffer. */
static inline const char *payload_text(const uint8_t *data, size_t bytes)
{
	static char text[64];

	if (bytes <= 64)
		return vector_quote(data, bytes);
	for (size_t i = 1; i < bytes; i++)
		assert(data[i] == data[0]);
	snprintf(text, sizeof(text), "%zu bytes of %s", bytes, vector_quote(data, 1));
	return text;
}

#endif
