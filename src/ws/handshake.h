/*
 * ws/handshake.h -- the opening handshake of RFC 6455, section 4.2, on slices of an HTTP request.
 *
 * Pure: no I/O, no malloc, and no knowledge of the HTTP layer's types. Used by ws/conn.c and engineio/.
 * Origin, subprotocols and extensions are not judged here: the first two are for the layer above (engineio/plain.c), the last are
 * declined by not being answered.
 */
#ifndef WS_HANDSHAKE_H
#define WS_HANDSHAKE_H

#include "base/str.h"

enum {
	WS_KEY_BYTES = 24, /* base64 of 16 */
	WS_ACCEPT_BYTES = 28, /* base64 of a SHA-1 */
};

/* Values without white space around them; an absent header is empty, several of a name are joined by commas. */
struct ws_handshake {
	struct str method;
	unsigned http_minor; /* of HTTP/1.x */
	struct str upgrade; /* Upgrade */
	struct str connection; /* Connection */
	struct str key; /* Sec-WebSocket-Key */
	struct str version; /* Sec-WebSocket-Version */
};

/* In the order in which they are looked for: a request with two faults gets the first. */
enum ws_verdict {
	WS_VERDICT_OK, /* answer 101 with ws_handshake_accept() */
	WS_VERDICT_NOT_UPGRADE, /* an ordinary request: lacks `Upgrade` or `Connection: upgrade`, or is HTTP/1.0 */
	WS_VERDICT_BAD_METHOD, /* 405: not GET */
	WS_VERDICT_BAD_VERSION, /* 426 with `Sec-WebSocket-Version: 13` */
	WS_VERDICT_BAD_KEY, /* 400: none, or not 22 characters of base64 and "==" */
};

/* O(bytes of the headers). */
__attribute__((warn_unused_result)) enum ws_verdict ws_handshake_check(const struct ws_handshake *h);

/* Sec-WebSocket-Accept for a key that was found OK: WS_ACCEPT_BYTES characters, no NUL. */
void ws_handshake_accept(char *out, struct str key);

#endif
