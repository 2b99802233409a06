/*
 * http/head.h -- the head of an HTTP/1.x request: bytes in, a sliced head out.
 *
 * Pure: no I/O, no malloc, no logging. Uses: base. Used by: http/conn.c and all that answers a request.
 *
 *      CRLF?  method SP target SP version CRLF  ( name ":" value CRLF )*  CRLF
 *      |<------------------ scanned as it arrives ------------------------->|  then sliced, once
 *
 * Strict (RFC 9110, 9112): whatever two implementations could read differently is refused. CRLF alone ends a line;
 * no folding, no space before a colon, no bare CR or LF, no control characters, one way to say how long a body is.
 * What is wrong is told at the first byte that shows it, so junk is not waited upon.
 *
 * Threads: values; a scan and its head belong to one thread.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/str.h"

enum {
	HTTP_HEADERS_MAX = 100, /* more: 431 */
	HTTP_HEAD_BYTES_MAX = 16384, /* the whole head, an empty line before it included; more: 431 */
	HTTP_TARGET_BYTES_MAX = 8192, /* more: 414 */
	HTTP_METHOD_BYTES_MAX = 32, /* more: 501 */
};

/* The longest body that can be announced; more: 400. What is accepted is far less, and the caller's business. */
#define HTTP_CONTENT_LENGTH_MAX ((uint64_t)INT64_MAX)

enum http_parse {
	HTTP_PARSE_MORE, /* valid so far; call again when more has arrived */
	HTTP_PARSE_DONE,
	HTTP_PARSE_FAIL, /* answer fail_status and close: what follows cannot be trusted */
};

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_PATCH,
	HTTP_OPTIONS,
	HTTP_OTHER, /* a valid token that is none of these (TRACE and CONNECT fail with 405) */
};

enum http_body {
	HTTP_BODY_NONE, /* none announced, or Content-Length: 0 */
	HTTP_BODY_LENGTH, /* content_length bytes follow, > 0 */
	HTTP_BODY_CHUNKED, /* http/chunked.h */
};

/* Both are lent slices of the input. */
struct http_header {
	struct str name; /* as sent; compare without case */
	struct str value; /* without the white space around it; may be empty */
};

/*
 * A parsed head. All slices lie in the input of the call that said DONE and live as long as it does; only the path of
 * `http://host` and `http://host?query`, which name none, is a constant "/".
 *
 * On HTTP_PARSE_FAIL fail_status and fail_reason are set and the rest is undefined; on HTTP_PARSE_MORE nothing is set.
 */
struct http_head {
	enum http_method method;
	struct str method_text;
	struct str target; /* as sent: origin-form, absolute-form or `*` */
	struct str path; /* raw, before '?': starts with '/', or is `*` with OPTIONS. Decode: http/url.h */
	struct str query; /* raw, after the first '?'; may be empty */
	uint8_t minor; /* of HTTP/1.x: 0 or 1 */
	bool keep_alive; /* what the version and Connection say */
	bool expect_continue; /* HTTP/1.1, a body, and it waits for `100 Continue` */
	bool upgrade; /* HTTP/1.1, `Connection: upgrade` and an Upgrade header, whose value is not looked at */
	enum http_body body;
	uint64_t content_length; /* 0 unless HTTP_BODY_LENGTH */
	uint16_t header_count;
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t head_bytes; /* the body, or the next request, starts here */

	uint16_t fail_status; /* 400, 405, 414, 417, 431, 501 or 505; else 0 */
	const char *fail_reason; /* for people: what was wrong; a constant */
};

/* How far a request's head has been looked at. Zeroed is ready for the next request. Fields are private. */
struct http_head_scan {
	const char *fail_reason; /* NULL unless it failed */
	uint16_t fail_status;
	uint16_t at_bytes; /* of the input, looked at so far */
	uint16_t target_at, target_bytes;
	uint16_t header_count;
	uint8_t state;
	uint8_t method_at; /* 0, or 2 behind an empty line */
	uint8_t method_bytes;
	uint8_t match; /* bytes of the version seen */
	uint8_t minor;
};

/*
 * Parse the head of one request.
 *
 * in    is everything of this request received so far, from its first byte, and may lie elsewhere at each call; it may
 *       be empty, and more than the head may follow in it.
 * scan  is zeroed before a request's first call, and left alone between its calls.
 *
 * Cost: each byte is inspected once over all calls, and the head is sliced once at its end, so a head that arrives
 * byte by byte costs O(its bytes) in all. After FAIL every call fails again in the same way.
 */
__attribute__((warn_unused_result)) enum http_parse http_head_parse(
	struct http_head_scan *scan, const uint8_t *in, size_t in_bytes, struct http_head *ret_head);

/* The value of the first header of that name (any case), or .s == NULL. O(headers). */
struct str http_head_get(const struct http_head *head, struct str name);
/* The number of headers of that name (any case). O(headers). */
size_t http_head_count(const struct http_head *head, struct str name);
/* It is a token (RFC 9110, 5.6.2). */
bool http_is_token(struct str text);
/* True if the comma-separated lists of all headers of that name have this token (any case). */
bool http_head_has_token(const struct http_head *head, struct str name, struct str token);

/*
 * Walk a comma-separated list (RFC 9110, 5.6.1): the next item, without the white space around it, is taken off the
 * front of *rest. Empty items are skipped. Commas within quotes are not special. False at the end.
 */
__attribute__((warn_unused_result)) bool http_list_next(struct str *rest, struct str *ret_item);

/* Without spaces and tabs at both ends. */
struct str http_trim(struct str text);

#endif
