/*
 * chat/error.h -- what can be wrong with what somebody asks of the chat: codes for programs, texts for people.
 *
 * The codes are part of the protocol (docs/chat.md). Used by: chat/, app/. Pure.
 */
#ifndef CHAT_ERROR_H
#define CHAT_ERROR_H

#include "base/str.h"
#include "store/store.h"

enum chat_error {
	CHAT_OK = 0,
	CHAT_INVALID,
	CHAT_UNAUTHENTICATED,
	CHAT_GUESTS_REFUSED,
	CHAT_FORBIDDEN,
	CHAT_NOT_FOUND,
	CHAT_UNKNOWN_COMMAND,
	CHAT_CONFLICT,
	CHAT_TOO_LARGE,
	CHAT_UNSUPPORTED,
	CHAT_RATE_LIMITED,
	CHAT_BUSY,
	CHAT_UNAVAILABLE,
	CHAT_UNKNOWN,
	CHAT_ERROR_COUNT,
};

/* A value. message: for people, a constant; NULL stands for chat_error_message(). */
struct chat_fault {
	enum chat_error error;
	const char *message;
};

#define CHAT_FINE ((struct chat_fault){ CHAT_OK, NULL })

/* "rate_limited". A constant; not of CHAT_OK. */
const char *chat_error_code(enum chat_error);
/* What is said where nothing more exact is known. A constant. */
const char *chat_error_message(enum chat_error);
/* What an answer of the store's means to whoever asked. STORE_OK and STORE_SAME: CHAT_OK. */
enum chat_error chat_error_of(enum store_status);

#endif
