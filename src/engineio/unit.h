/*
 * engineio/unit.h -- what is sent as one: a text message and the binary messages that belong to it.
 *
 *      blob: [ws header|'4'|text][ws header|binary][ws header|binary]
 *
 * A unit is encoded once, as the WebSocket frames that carry it; polling walks the frames and makes its own form of them.
 * Pure but for the one allocation. Used by: engineio/, socketio/.
 */
#ifndef ENGINEIO_UNIT_H
#define ENGINEIO_UNIT_H

#include <stdbool.h>

#include "base/blob.h"
#include "base/buf.h"

enum { EIO_UNIT_BINARIES_MAX = 10 };

/* Of a unit's tag (blob_set_tag()), which is 0 at first. */
enum {
	EIO_UNIT_UNCOMPRESSED = 1, /* nobody gains by compressing it */
	EIO_UNIT_PAST = 2, /* the layer above may send it again */
	EIO_UNIT_ABOVE_SHIFT = 8, /* bits from here on are for the layer above */
};

/*
 * Make a unit with room for `text_bytes` of text behind the packet type, and for binaries of the given sizes. The caller
 * fills *ret_text and ret_binary[i]. NULL: no memory, or larger than BLOB_BYTES_MAX.
 */
__attribute__((warn_unused_result)) struct blob_share *eio_unit_create(size_t text_bytes,
	const size_t *binary_bytes, uint32_t binary_count, uint8_t **ret_text,
	uint8_t *ret_binary[EIO_UNIT_BINARIES_MAX]);

/* A unit of one frame as it is: a binary message of Engine.IO, or any message of a plain WebSocket. */
__attribute__((warn_unused_result)) struct blob_share *eio_unit_create_frame(
	bool binary, size_t bytes, uint8_t **ret_payload);

/* The messages of a unit: its text and its binaries. */
uint32_t eio_unit_packets(const struct blob_share *unit);
/*
 * The message that begins at *at, which begins at 0 and is moved on: its bytes, a text's with the packet type before it. NULL: there
 * are no more.
 */
__attribute__((warn_unused_result)) const uint8_t *eio_unit_next(
	const struct blob_share *unit, size_t *at, bool *ret_binary, size_t *ret_bytes);
/* Append the unit's messages to a polling body, each with a separator before it unless it is the first. */
__attribute__((warn_unused_result)) bool eio_unit_append_polling(
	const struct blob_share *unit, struct buf *body);

#endif
