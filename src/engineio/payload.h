/*
 * engineio/payload.h -- Engine.IO 4 packets, and the polling body that joins them with 0x1e.
 *
 *      body:  4hello 1e 4world 1e bAQID        `b`: base64 of a binary message, without a type
 *
 * Pure; no malloc. Used by: engineio/.
 */
#ifndef ENGINEIO_PAYLOAD_H
#define ENGINEIO_PAYLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum eio_type {
	EIO_OPEN = '0',
	EIO_CLOSE = '1',
	EIO_PING = '2',
	EIO_PONG = '3',
	EIO_MESSAGE = '4',
	EIO_UPGRADE = '5',
	EIO_NOOP = '6',
	EIO_BINARY = 'b', /* a message too */
};

enum {
	EIO_SEPARATOR = 0x1e,
	EIO_PAYLOAD_PACKETS_MAX = 131072, /* in one body */
};

struct eio_packet {
	enum eio_type type; /* EIO_MESSAGE with binary set for `b` */
	bool binary;
	uint8_t *data; /* lent: lies in the input; for `b` it was decoded where it stood */
	size_t bytes;
};

/* Decode one packet of text. False: not a packet. data is writable and may be changed. */
__attribute__((warn_unused_result)) bool eio_packet_decode(
	uint8_t *data, size_t bytes, struct eio_packet *ret);

/* Walks a polling body. Zeroed but for data and bytes is ready. */
struct eio_payload {
	uint8_t *data;
	size_t bytes; /* of the whole body */
	size_t at;
	uint32_t packets;
	bool over;
};

enum eio_payload_next {
	EIO_PAYLOAD_PACKET,
	EIO_PAYLOAD_END,
	EIO_PAYLOAD_BAD, /* a bad packet, bad UTF-8 or too many: what came before it stands */
};

/* The next packet of the body. An empty body is a bad packet. O(the packet). */
__attribute__((warn_unused_result)) enum eio_payload_next eio_payload_next(
	struct eio_payload *, struct eio_packet *ret);

#endif
