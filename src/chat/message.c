/* chat/message.c -- see chat/message.h. */
#include "chat/message.h"

#include <utf8proc.h>

#include "base/json.h"
#include "chat/unseen.h"

static bool is_seen(int32_t c)
{
	utf8proc_category_t category = utf8proc_category(c);

	return category != UTF8PROC_CATEGORY_ZS && category != UTF8PROC_CATEGORY_MN &&
	       category != UTF8PROC_CATEGORY_ME && !chat_unseen(c);
}

/* A control character is six bytes as JSON. Some are harmless; a text of them costs all who hear it six times what it cost. */
static bool mostly_controls(struct str text)
{
	return json_quoted_bytes(text) > 2 * text.bytes + CHAT_TEXT_EXTRA_BYTES;
}

static bool something_seen(struct str text)
{
	const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text.s, *end = at + text.bytes;

	while (at < end) {
		int32_t c;
		utf8proc_ssize_t step = utf8proc_iterate(at, end - at, &c);

		if (step <= 0)
			return false;
		if (is_seen(c))
			return true;
		at += step;
	}
	return false;
}

struct chat_fault chat_text_check(struct str text)
{
	if (text.bytes > CHAT_TEXT_BYTES_MAX)
		return (struct chat_fault){ CHAT_TOO_LARGE, NULL };
	if (text.bytes > 0 && memchr(text.s, '\0', text.bytes) != NULL)
		return (struct chat_fault){ CHAT_INVALID, "the text has a NUL" };
	if (mostly_controls(text))
		return (struct chat_fault){ CHAT_INVALID, "the text is mostly control characters" };
	if (!something_seen(text))
		return (struct chat_fault){ CHAT_INVALID, "the text is empty" };
	return CHAT_FINE;
}

struct chat_fault chat_cid_check(struct str cid)
{
	bool fine = cid.bytes >= 1 && cid.bytes <= STORE_CID_BYTES_MAX;

	for (size_t i = 0; fine && i < cid.bytes; i++) {
		char c = cid.s[i];
		fine = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		       c == '_' || c == '-';
	}
	if (!fine)
		return (struct chat_fault){ CHAT_INVALID,
			"a cid is 1 to 64 of the letters A-Z a-z, digits, _ and -" };
	return CHAT_FINE;
}
