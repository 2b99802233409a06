/*
 * load/protocol.h -- what is said inside WebSocket messages: Socket.IO, nothing but the texts, or the chat's commands.
 * Pure, no I/O.
 *
 *	              socketio                           raw
 *	join          <- 0{..}  -> 40  <- 40{..}         (nothing)
 *	broadcast     -> 42["message",TEXT] <- the same  -> bTEXT  <- the same
 *	echo          -> 42ID["echo",TEXT]  <- 43ID[TEXT]  -> eID TEXT  <- the same
 *	heartbeat     <- 2  -> 3                         (WebSocket pings)
 *
 *	              rooms                              raw-rooms
 *	join          -> 42ID["join",FIRST,COUNT] <- 43ID[]  -> jID FIRST COUNT  <- jID
 *	say           -> 42["say",ROOM,TEXT]             -> gROOM bTEXT; either comes to all in that room as a broadcast
 *
 * and chat, Socket.IO too, which only posts: see chat.h.
 *
 * Used by: client.c (steps), slice_*.c (messages).
 */
#ifndef LOAD_PROTOCOL_H
#define LOAD_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

enum {
	LOAD_TEXT_BYTES_MIN = 16, /* sequence number and slot, see slice.h */
	LOAD_TEXT_BYTES_MAX = 16 * 1024,
	LOAD_MESSAGE_BYTES_MAX = LOAD_TEXT_BYTES_MAX + 128, /* a text with its protocol around it */
};

enum load_join {
	LOAD_JOIN_OPENING, /* the WebSocket stands; waits for the server's open packet */
	LOAD_JOIN_JOINING, /* has asked for the namespace */
	LOAD_JOIN_GREETING, /* chat: has said hello */
	LOAD_JOIN_DONE,
};

enum load_step {
	LOAD_STEP_REPLY, /* send *ret_reply */
	LOAD_STEP_JOIN, /* send *ret_reply; LOAD_JOIN_JOINING from here on */
	LOAD_STEP_GREET, /* send *ret_reply; LOAD_JOIN_GREETING from here on */
	LOAD_STEP_JOINED, /* LOAD_JOIN_DONE: this connection is ready */
	LOAD_STEP_MESSAGE, /* an answer or a broadcast: the slice's */
	LOAD_STEP_BAD, /* nothing that may come here */
};

struct load_protocol {
	const char *name;
	const char *path; /* of the WebSocket handshake, query included */
	enum load_join join_begins; /* the state right after the handshake */

	/* A text message arrived in state `join`. *ret_reply (static) is set only with REPLY, JOIN and GREET. */
	enum load_step (*step)(
		enum load_join join, const uint8_t *message, size_t message_bytes, const char **ret_reply);

	/* Each writes at most LOAD_MESSAGE_BYTES_MAX to `out` and returns the bytes written. NULL: not said here. */
	size_t (*broadcast)(char *out, const char *text, size_t text_bytes);
	size_t (*echo_request)(char *out, uint32_t id, const char *text, size_t text_bytes);
	size_t (*echo_reply)(char *out, uint32_t id, const char *text, size_t text_bytes);
	size_t (*join)(char *out, uint32_t id, uint32_t first, uint32_t count);
	size_t (*joined)(char *out, uint32_t id);
	size_t (*say)(char *out, uint32_t room, const char *text, size_t text_bytes);
	size_t (*post)(char *out, uint32_t id, const char *cid, const char *text, size_t text_bytes);

	size_t broadcast_text_at; /* where the text begins in a broadcast */
};

/* NULL if there is none of that name. */
const struct load_protocol *load_protocol_find(const char *name);

#endif
