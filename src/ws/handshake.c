/* ws/handshake.c -- see ws/handshake.h. */
#include "ws/handshake.h"

#include "base/assert.h"
#include "base/base64.h"
#include "base/sha1.h"

static const char accept_guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455, 1.3 */

enum { GUID_BYTES = sizeof(accept_guid) - 1 };

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* `list` is elements between commas and white space; one of them is `token`, but for the case of letters. */
static bool list_has(struct str list, struct str token)
{
	size_t at = 0;

	while (at < list.bytes) {
		size_t start = at, end;

		while (at < list.bytes && list.s[at] != ',')
			at++;
		end = at++;
		while (start < end && is_blank(list.s[start]))
			start++;
		while (end > start && is_blank(list.s[end - 1]))
			end--;
		if (str_equal_nocase(str_of(list.s + start, end - start), token))
			return true;
	}
	return false;
}

static bool is_base64(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
	       c == '/';
}

/*
 * By its letters, not by decoding: the last one holds four unused bits, and keys written by hand set them.
 * RFC 6455 has the server use the key as text alone.
 */
static bool is_key(struct str key)
{
	if (key.bytes != WS_KEY_BYTES)
		return false;
	for (size_t i = 0; i < WS_KEY_BYTES - 2; i++) {
		if (!is_base64(key.s[i]))
			return false;
	}
	return key.s[WS_KEY_BYTES - 2] == '=' && key.s[WS_KEY_BYTES - 1] == '=';
}

enum ws_verdict ws_handshake_check(const struct ws_handshake *h)
{
	/* HTTP/1.0 knows no Upgrade; a server must ignore it there (RFC 9110, 7.8). */
	if (h->http_minor < 1 || !list_has(h->upgrade, STR("websocket")) ||
		!list_has(h->connection, STR("upgrade")))
		return WS_VERDICT_NOT_UPGRADE;
	if (!str_equal(h->method, STR("GET")))
		return WS_VERDICT_BAD_METHOD;
	if (!str_equal(h->version, STR("13")))
		return WS_VERDICT_BAD_VERSION;
	return is_key(h->key) ? WS_VERDICT_OK : WS_VERDICT_BAD_KEY;
}

void ws_handshake_accept(char *out, struct str key)
{
	char text[WS_KEY_BYTES + GUID_BYTES];
	uint8_t digest[SHA1_BYTES];
	size_t bytes;

	assert(is_key(key));
	memcpy(text, key.s, WS_KEY_BYTES);
	memcpy(text + WS_KEY_BYTES, accept_guid, GUID_BYTES);
	sha1(digest, text, sizeof(text));
	bytes = base64_encode(out, digest, sizeof(digest));
	assert(bytes == WS_ACCEPT_BYTES);
}
