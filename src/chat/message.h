/*
 * chat/message.h -- what may be said, and under which name of the client's own.
 *
 * Used by: app/. Pure.
 */
#ifndef CHAT_MESSAGE_H
#define CHAT_MESSAGE_H

#include "chat/error.h"

enum { CHAT_TEXT_BYTES_MAX = 64 << 10 };

/*
 * Whether the text may be a message: 1 to CHAT_TEXT_BYTES_MAX bytes, without control characters but line ends and tabs, and with something to be seen in it.
 * It is valid UTF-8 already. CHAT_INVALID or CHAT_TOO_LARGE. O(text) at worst.
 */
struct chat_fault chat_text_check(struct str text);
/* Whether it is 1 to STORE_CID_BYTES_MAX of A-Z a-z 0-9 _ -. */
struct chat_fault chat_cid_check(struct str cid);

#endif
