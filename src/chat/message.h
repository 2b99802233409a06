/*
 * chat/message.h -- what may be said, and under which name of the client's own.
 *
 * Used by: app/. Pure.
 */
#ifndef CHAT_MESSAGE_H
#define CHAT_MESSAGE_H

#include "chat/error.h"

enum {
	CHAT_TEXT_BYTES_MAX = 64 << 10,
	CHAT_TEXT_EXTRA_BYTES = 64, /* as JSON a text has at most so many bytes more than twice its own */
};

/*
 * Whether the text may be a message: 1 to CHAT_TEXT_BYTES_MAX bytes, without NUL, not mostly of control characters, and with
 * something to be seen in it. It is valid UTF-8 already. CHAT_INVALID or CHAT_TOO_LARGE. O(text).
 */
struct chat_fault chat_text_check(struct str text);
/* Whether it is 1 to STORE_CID_BYTES_MAX of A-Z a-z 0-9 _ -. */
struct chat_fault chat_cid_check(struct str cid);

#endif
