/*
 * tests/sim/wire.h -- what a client of the simulation says and hears on one connection: HTTP/1.1 answers and WebSocket frames. Written
 * apart from libsio's own codecs, which it is to check.
 */
#ifndef TESTS_SIM_WIRE_H
#define TESTS_SIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that grow. Zero is empty. */
struct bytes {
	uint8_t *data;
	size_t count, cap;
};
void bytes_add(struct bytes *, const void *data, size_t count);
void bytes_add_text(struct bytes *, const char *text);
/* The first so many go. */
void bytes_drop(struct bytes *, size_t count);

struct wire_answer {
	int status;
	bool closes; /* no other request may follow */
	const uint8_t *body; /* lent */
	size_t body_bytes;
	size_t taken; /* of the input */
};
/* A whole answer at the beginning of `in`. False: it is not all there yet. Fails the run if it is none. */
bool wire_answer_read(const struct bytes *in, struct wire_answer *ret);

enum { WIRE_TEXT = 1, WIRE_BINARY = 2, WIRE_CLOSE = 8, WIRE_PING = 9, WIRE_PONG = 10 };
struct wire_frame {
	unsigned opcode;
	const uint8_t *data; /* lent */
	size_t bytes, taken;
};
/* Likewise a frame of a server. */
bool wire_frame_read(const struct bytes *in, struct wire_frame *ret);
/* A client's message, masked, sometimes in fragments. */
void wire_frame_add(struct bytes *out, unsigned opcode, const void *data, size_t bytes);

/* Standard base64. */
void wire_base64_add(struct bytes *out, const uint8_t *data, size_t bytes);
void wire_base64_decode(struct bytes *out, const uint8_t *text, size_t bytes);

#endif
