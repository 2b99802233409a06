/*
 * load/chat.h -- what is said on the chat's namespace `/chat` (docs/chat.md), as far as posts need it. Pure, no I/O.
 *
 *	join     <- 0{..}  -> 40/chat,  <- 40/chat,{..}  -> 42/chat,0["hello",{..}]  <- 43/chat,0[{"ok":true,..}]
 *	post     -> 42/chat,ID["message.send",{"room":1,"cid":CID,"text":TEXT}]
 *	answer   <- 43/chat,ID[{"ok":true,"seq":SEQ,..}]
 *	pushed   <- 42/chat,["entry",{"room":1,"seq":SEQ,..,"text":TEXT,"cid":CID}]
 *
 * It holds the server to this order of the fields, which the protocol does not promise but which is quick to check.
 * Used by: protocol.c (the table), slice_post.c.
 */
#ifndef LOAD_CHAT_H
#define LOAD_CHAT_H

#include "protocol.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	LOAD_CHAT_CID_BYTES = 32, /* every cid has that many */
	LOAD_CHAT_ERROR_BYTES = 24, /* of an error's code that is repeated, NUL included */
};

enum load_chat_kind {
	LOAD_CHAT_ENTRY, /* seq, cid, text */
	LOAD_CHAT_ANSWER, /* id, ok; seq, or else error */
	LOAD_CHAT_BAD, /* nothing that may come while posts are under way */
};

struct load_chat_message {
	enum load_chat_kind kind;
	uint64_t seq;
	uint32_t id;
	bool ok;
	char error[LOAD_CHAT_ERROR_BYTES];
	const char *cid; /* LOAD_CHAT_CID_BYTES; lent, as is text */
	const char *text;
	size_t text_bytes;
};

/* Of struct load_protocol. */
enum load_step load_chat_step(
	enum load_join join, const uint8_t *message, size_t message_bytes, const char **ret_reply);
size_t load_chat_post(
	char *out, uint32_t id, const char cid[LOAD_CHAT_CID_BYTES], const char *text, size_t text_bytes);

/* What a message of the namespace says. */
struct load_chat_message load_chat_read(const uint8_t *message, size_t message_bytes);

#endif
