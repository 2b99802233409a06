/*
 * ws/frame.h -- RFC 6455 frames: bytes in, pieces of frames out; and headers of frames to send.
 *
 * No I/O, no malloc, no logging. Used by ws/message.c (reading) and by whatever encodes frames.
 * The decoder is resumable: any split of the stream yields the same payload and the same verdict, given at the
 * earliest byte that shows it (a length is judged with its header complete).
 *
 *      HEADER ---> PAYLOAD ---> HEADER ...        FAILED is sticky
 *         `------------------> FAILED
 *
 * Threads: a decoder belongs to one thread at a time; the functions on headers and errors are pure.
 */
#ifndef WS_FRAME_H
#define WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ws_opcode {
	WS_OP_CONT = 0x0,
	WS_OP_TEXT = 0x1,
	WS_OP_BINARY = 0x2,
	WS_OP_CLOSE = 0x8,
	WS_OP_PING = 0x9,
	WS_OP_PONG = 0xa,
};

enum {
	WS_HEADER_BYTES_MAX = 14, /* received: 2 fixed + 8 length + 4 mask key */
	WS_SERVER_HEADER_BYTES_MAX = 10, /* sent: never masked */
	WS_CONTROL_BYTES_MAX = 125, /* RFC 6455, 5.5 */
};

/* Status codes of a close (RFC 6455, 7.4.1, and IANA's registry) that this server uses itself. */
enum ws_close {
	WS_CLOSE_NORMAL = 1000,
	WS_CLOSE_GOING_AWAY = 1001,
	WS_CLOSE_PROTOCOL = 1002,
	WS_CLOSE_NONE = 1005, /* 'no code was given': never on the wire */
	WS_CLOSE_LOST = 1006, /* 'the connection broke': never on the wire */
	WS_CLOSE_BAD_DATA = 1007,
	WS_CLOSE_POLICY = 1008,
	WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_INTERNAL = 1011,
	WS_CLOSE_RESTART = 1012,
	WS_CLOSE_TRY_LATER = 1013,
};

/* What is wrong with a peer's stream, or with our memory. Dense from 0, so that errors can be counted by it. */
enum ws_error {
	WS_ERROR_NONE,
	WS_ERROR_RESERVED_BIT, /* RSV1-3 without an extension that defines it */
	WS_ERROR_OPCODE, /* 3-7, B-F */
	WS_ERROR_UNMASKED,
	WS_ERROR_CONTROL_FRAGMENT, /* a control frame without FIN */
	WS_ERROR_CONTROL_BYTES, /* a control frame over WS_CONTROL_BYTES_MAX */
	WS_ERROR_LENGTH_FORM, /* not the shortest form, or the top bit of 64 set */
	WS_ERROR_CONTINUATION, /* a continuation where no message is open */
	WS_ERROR_INTERLEAVED, /* a new message inside a fragmented one */
	WS_ERROR_MESSAGE_BYTES, /* 1009: the frames of a message announce more than message_bytes_max */
	WS_ERROR_FRAGMENTS, /* 1008: more than fragments_max (ws/message.h, as all below) */
	WS_ERROR_UTF8, /* 1007: in a text or in the reason of a close */
	WS_ERROR_CLOSE_BYTES, /* a close with a payload of one byte */
	WS_ERROR_CLOSE_CODE, /* a code that must not be sent (ws_close_code_valid()) */
	WS_ERROR_NO_MEMORY, /* 1011 */
	WS_ERROR_PINGS, /* 1008: more than WS_PINGS_PER_S_MAX (ws/conn.h) */
	WS_ERRORS, /* how many there are */
};

/* The code to close with: 1002 where the list above names none. WS_ERROR_NONE is asserted against. */
uint16_t ws_error_close_code(enum ws_error error);
/* A few words of ASCII for the close frame's reason and for logs. Static. */
const char *ws_error_text(enum ws_error error);

enum ws_decode {
	WS_DECODE_MORE, /* input used up; read more and call again */
	WS_DECODE_PIECE, /* *ret_piece is set; call again with the rest */
	WS_DECODE_FAIL, /* close the connection; decoder->error says why */
};

/* A run of one frame's payload. A frame is one piece or more; an empty frame is one empty piece. */
struct ws_piece {
	enum ws_opcode op;
	bool fin; /* the frame's FIN bit */
	bool first; /* the frame's first piece */
	bool last; /* nothing of this frame remains */
	uint8_t *data; /* lent, unmasked: points into the caller's input */
	size_t data_bytes; /* may be 0 */
};

/* Caller-owned; owns nothing. Fields are private but for `error`. */
struct ws_decoder {
	uint32_t message_bytes_max;
	uint32_t message_bytes; /* announced so far by the frames of the open message */
	uint32_t payload_left_bytes;
	uint8_t mask[4]; /* mask[0] is for the next byte: turned as payload passes */
	uint8_t header[WS_HEADER_BYTES_MAX]; /* only of a header cut by a split */
	uint8_t header_have;
	uint8_t state; /* enum state of frame.c */
	uint8_t op; /* enum ws_opcode of the frame being read */
	uint8_t error; /* enum ws_error; WS_ERROR_NONE until WS_DECODE_FAIL */
	bool fin;
	bool piece_given; /* of the frame being read */
	bool in_message; /* a fragmented message is open */
};

/*
 * Start decoding a client's stream (frames must be masked). `message_bytes_max` (> 0) bounds one message
 * summed over its frames: a header that announces more fails with WS_ERROR_MESSAGE_BYTES.
 */
void ws_decoder_init(struct ws_decoder *d, uint32_t message_bytes_max);

/*
 * Decode the next piece from in[0, in_bytes).
 *
 * in        is modified: payload is unmasked where it lies. May be NULL if in_bytes is 0.
 * ret_used  is always set, 0 <= *ret_used <= in_bytes; to in_bytes on WS_DECODE_MORE.
 * ret_piece is set only on WS_DECODE_PIECE; it lives as long as `in` does.
 *
 * Cost is O(*ret_used). After WS_DECODE_FAIL every call fails again.
 */
__attribute__((warn_unused_result)) enum ws_decode ws_decode(
	struct ws_decoder *d, uint8_t *in, size_t in_bytes, size_t *ret_used, struct ws_piece *ret_piece);

/*
 * Write an unmasked (server's) header for a payload of `payload_bytes` to `out`, which has room for
 * WS_SERVER_HEADER_BYTES_MAX. Returns the bytes written: 2, 4 or 10.
 * Asserts: payload_bytes < 2^63; a control frame has fin and at most WS_CONTROL_BYTES_MAX.
 */
size_t ws_frame_header_encode(uint8_t *out, enum ws_opcode op, bool fin, uint64_t payload_bytes);

#endif
