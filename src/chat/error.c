/* chat/error.c -- see chat/error.h. */
#include "chat/error.h"

#include "base/assert.h"

static const struct {
	const char *code, *message;
} errors[CHAT_ERROR_COUNT] = {
	[CHAT_OK] = { "ok", "fine" },
	[CHAT_INVALID] = { "invalid", "an argument is wrong" },
	[CHAT_UNAUTHENTICATED] = { "unauthenticated", "say hello first" },
	[CHAT_GUESTS_REFUSED] = { "guests_refused", "guests are not let in from there" },
	[CHAT_FORBIDDEN] = { "forbidden", "not from that origin" },
	[CHAT_NOT_FOUND] = { "not_found", "there is no such room" },
	[CHAT_UNKNOWN_COMMAND] = { "unknown_command", "there is no such command" },
	[CHAT_CONFLICT] = { "conflict", "this cid was used with another text or name" },
	[CHAT_TOO_LARGE] = { "too_large", "the text is longer than 65,536 bytes" },
	[CHAT_UNSUPPORTED] = { "unsupported", "the body is not application/json" },
	[CHAT_RATE_LIMITED] = { "rate_limited", "too many; try again a little later" },
	[CHAT_BUSY] = { "busy", "too much is under way; nothing was tried" },
	[CHAT_UNAVAILABLE] = { "unavailable", "nothing can be stored or read now; nothing was changed" },
	[CHAT_UNKNOWN] = { "unknown", "it may have been stored or not; repeat it with the same cid" },
};

const char *chat_error_code(enum chat_error error)
{
	assert(error > CHAT_OK && error < CHAT_ERROR_COUNT);
	return errors[error].code;
}

const char *chat_error_message(enum chat_error error)
{
	assert(error >= CHAT_OK && error < CHAT_ERROR_COUNT);
	return errors[error].message;
}

enum chat_error chat_error_of(enum store_status status)
{
	switch (status) {
	case STORE_OK:
	case STORE_SAME:
		return CHAT_OK;
	case STORE_CONFLICT:
		return CHAT_CONFLICT;
	case STORE_NOT_FOUND:
		return CHAT_NOT_FOUND;
	case STORE_BUSY:
		return CHAT_BUSY;
	case STORE_UNAVAILABLE:
		return CHAT_UNAVAILABLE;
	case STORE_UNKNOWN:
		break;
	}
	return CHAT_UNKNOWN;
}
