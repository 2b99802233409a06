/*
 * chat/name.h -- what a person may be called.
 *
 * Names are NFC, without control characters, without characters that are not seen or turn the writing round, spaces
 * single and never at an end. A pile of combining marks is cut to CHAT_NAME_MARKS_MAX, and a variation selector is left out
 * unless it is the first behind a symbol: elsewhere it is not seen. Used by: app/. Pure; mallocs.
 */
#ifndef CHAT_NAME_H
#define CHAT_NAME_H

#include "chat/error.h"

enum {
	CHAT_NAME_CHARS_MAX = 32, /* code points, combining marks not counted */
	CHAT_NAME_MARKS_MAX = 3, /* combining marks in a row */
	CHAT_NAME_BYTES_MAX = 256, /* of a clean name: as many as those can be, and STORE_NAME_BYTES_MAX */
};

struct chat_name {
	size_t bytes;
	char s[CHAT_NAME_BYTES_MAX];
};

/* The name in its clean form. `text` is valid UTF-8 of any length. The fault is CHAT_INVALID, or CHAT_BUSY without memory. */
struct chat_fault chat_name_clean(struct str text, struct chat_name *ret_name);

static inline struct str chat_name_str(const struct chat_name *name)
{
	return str_of(name->s, name->bytes);
}

#endif
