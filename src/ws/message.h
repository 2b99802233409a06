/*
 * ws/message.h -- a client's bytes in, whole WebSocket messages and control frames out.
 *
 * No I/O, no logging. Used by ws/conn.c. Sits on ws/frame.h and adds what needs memory of the past: messages
 * put together from pieces, UTF-8 checked as it arrives, close frames understood.
 *
 *      frame whole in the input:   in [ ..|header|payload|.. ]      payload is lent where it lies
 *                                                `--> event
 *      fragments, split frames:    in [ ..|payload] --append--> message --> event
 *      a split control frame:      in [ ..|payload] --append--> control --> event, message stays
 *
 * An idle reader owns no memory: both buffers exist only from a message's (a control frame's) first bytes to
 * the call after its event, and grow with what has arrived, never to what was announced.
 *
 * Threads: a reader belongs to one thread at a time.
 */
#ifndef WS_MESSAGE_H
#define WS_MESSAGE_H

#include "base/buf.h"
#include "base/str.h"
#include "base/utf8.h"
#include "ws/frame.h"

enum ws_read {
	WS_READ_MORE, /* input used up, nothing to report */
	WS_READ_TEXT, /* a whole message of valid UTF-8 */
	WS_READ_BINARY, /* a whole message */
	WS_READ_PING, /* to be answered by a pong with the same data */
	WS_READ_PONG,
	WS_READ_CLOSE, /* the peer closes: data is its reason, valid UTF-8 */
	WS_READ_FAIL, /* close with event.code */
};

struct ws_event {
	uint8_t *data; /* lent, writable, until the next call on the reader */
	size_t data_bytes; /* may be 0; data is then not to be followed */
	uint16_t code; /* CLOSE: the peer's, WS_CLOSE_NONE if it gave none. FAIL: ours to send. Otherwise 0 */
	enum ws_error error; /* FAIL: what was wrong. Otherwise WS_ERROR_NONE */
};

/* Caller-owned; owns what `message` and `control` hold. Fields are private. */
struct ws_reader {
	struct ws_decoder decoder;
	struct buf message; /* what has arrived of the open message, if it was not lent */
	uint8_t *control; /* NULL, or WS_CONTROL_BYTES_MAX bytes for a control frame that was split */
	uint32_t fragments_max;
	uint32_t fragments; /* frames of the open message so far */
	struct utf8 utf8; /* at the end of what has arrived of the open text */
	uint8_t control_bytes;
	bool text; /* the open message is one */
	bool message_lent; /* by the last event: released by the next call */
	bool control_lent;
	bool done; /* a CLOSE or FAIL was given */
};

/*
 * message_bytes_max  (> 0) of one message, and so of the memory held for it: beyond it FAIL with 1009, as soon
 *                    as a header announces it.
 * fragments_max      frames of one message: beyond it FAIL with 1008. 0 is no limit; then peers may send
 *                    fragments without payload for ever, at no cost but reading them.
 */
void ws_reader_init(struct ws_reader *r, uint32_t message_bytes_max, uint32_t fragments_max);
/* Free what an open message or the last event holds. The reader may only be initialised again. */
void ws_reader_finish(struct ws_reader *r);

/*
 * Read on from in[0, in_bytes). Call it with the rest of the input until it says WS_READ_MORE: that last call
 * also gives back the memory behind the last event.
 *
 * in         is modified (unmasked where it lies). May be NULL if in_bytes is 0.
 * ret_used   is always set, 0 <= *ret_used <= in_bytes; to in_bytes on WS_READ_MORE.
 * ret_event  is set on all but WS_READ_MORE.
 *
 * After WS_READ_CLOSE or WS_READ_FAIL everything is used up and ignored: WS_READ_MORE for ever (5.5.1).
 * No memory is a FAIL with 1011. Cost: O(bytes), whatever the fragments.
 */
__attribute__((warn_unused_result)) enum ws_read ws_read(
	struct ws_reader *r, uint8_t *in, size_t in_bytes, size_t *ret_used, struct ws_event *ret_event);

/* True if the code may stand in a close frame: 1000-1003, 1007-1014, 3000-4999 (RFC 6455, 7.4; IANA). */
bool ws_close_code_valid(uint16_t code);

/*
 * Write the payload of a close frame to `out`, which has room for WS_CONTROL_BYTES_MAX; returns its bytes.
 * WS_CLOSE_NONE makes an empty payload (and so echoes a close without a code). `reason` is valid UTF-8; what of
 * it does not fit is cut off between characters. Asserts that the code is valid or WS_CLOSE_NONE.
 */
size_t ws_close_encode(uint8_t *out, uint16_t code, struct str reason);

#endif
