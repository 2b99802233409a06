/*
 * http/response.h -- the head of a response: a small description in, bytes out.
 *
 * Pure: no I/O, no malloc. Uses: base. Used by: http/conn.c; filled by everybody who answers.
 *
 * Every response says `HTTP/1.1` and `X-Content-Type-Options: nosniff`, none says what server this is.
 */
#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include "http/head.h"

enum {
	/* Status line, nosniff, length, connection: all that is not a slice of the caller's. */
	HTTP_RESPONSE_FIXED_BYTES_MAX = 256,
	HTTP_DATE_BYTES = 29, /* `Tue, 15 Nov 1994 08:12:31 GMT` */
};

/* All slices are lent for the call. Empty ones are left out. Zeroed plus a status is an answer that closes. */
struct http_response {
	uint16_t status; /* 100 to 599 */
	uint8_t minor; /* of the request's HTTP/1.x */
	bool keep_alive; /* the connection stays open after this one */
	/* Of the body (of what GET would send, if this answers HEAD). Left out with 1xx, 204 and 304. */
	uint64_t content_length;
	struct str content_type;
	struct str cache_control;
	struct str
		date; /* HTTP_DATE_BYTES of http_date_format(), made once a second; servers with a clock send it */
	struct str upgrade; /* 101 only, and there required: the protocol that follows */
	const struct http_header *headers; /* further lines, in their order; may be NULL if there are none */
	size_t header_count;
	const struct http_header *more_headers; /* and some more, likewise */
	size_t more_count;
};

/* The reason phrase of a status (RFC 9110, 15), or "" for one without a name. A constant. */
const char *http_status_reason(uint16_t status);

/* True if this may be a header line: the name a token, the value without control characters but tab. */
__attribute__((warn_unused_result)) bool http_header_valid(struct http_header header);

/* Bytes that surely hold the encoded head. O(header_count). */
size_t http_response_bytes_max(const struct http_response *r);

/*
 * Write the head, the empty line at its end included, to `out`. Returns the bytes written, or 0 (and nothing is written)
 * if out_bytes is less than http_response_bytes_max(). No NUL.
 * Asserts that no value has a control character and every name is a token: what comes from elsewhere (an application's
 * header, a location) goes through http_header_valid() first. Slices of a parsed request head are valid as they are.
 */
__attribute__((warn_unused_result)) size_t http_response_encode(
	const struct http_response *r, char *out, size_t out_bytes);

/* Write an IMF-fixdate (RFC 9110, 5.6.7) of a time in seconds since 1970, in years 1970 to 9999. No NUL. */
void http_date_format(char out[HTTP_DATE_BYTES], int64_t unix_s);

#endif
