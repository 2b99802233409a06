/*
 * http/url.h -- a request's path and query, decoded.
 *
 * Pure: no malloc. Uses: base. Used by: http/server.c, engineio/ (the handshake's query), app/.
 *
 * What is decoded here is valid UTF-8 without NUL: safe to compare, to print and to hand to a C string.
 */
#ifndef HTTP_URL_H
#define HTTP_URL_H

#include "base/str.h"

enum http_path {
	HTTP_PATH_OK,
	HTTP_PATH_BAD_START, /* does not start with '/' */
	HTTP_PATH_BAD_ESCAPE, /* '%' without two hexadecimal digits */
	HTTP_PATH_BAD_BYTE, /* a NUL or another control character */
	HTTP_PATH_BAD_SLASH, /* a backslash, raw or encoded, or an encoded slash */
	HTTP_PATH_BAD_DOTS, /* a segment `.` or `..`, raw or encoded */
	HTTP_PATH_BAD_UTF8, /* overlong forms included */
	HTTP_PATH_TOO_LONG, /* out_bytes do not suffice */
};

/*
 * Decode a raw path once into `out`; out_bytes == raw.bytes always suffices. Nothing is normalised: a path that would
 * need it is refused, so what a router compares is what the client sent. A '+' stays a '+', and empty segments stay.
 * *ret_path lies in `out`, and is set on HTTP_PATH_OK only. Anything but OK is answered 400 (or 404). O(raw).
 */
__attribute__((warn_unused_result)) enum http_path http_path_decode(
	struct str raw, char *out, size_t out_bytes, struct str *ret_path);

/* For people: what was wrong. A constant. */
const char *http_path_reason(enum http_path verdict);

/*
 * Walk the parameters of a raw query (`a=1&b=2`), as they were sent:
 *
 *	struct str rest = head->query, name, value;
 *	while (http_query_next(&rest, &name, &value)) ...
 *
 * Both are raw slices of the query; a parameter without '=' has an empty value, empty parameters are skipped. False at
 * the end.
 */
__attribute__((warn_unused_result)) bool http_query_next(
	struct str *rest, struct str *ret_name, struct str *ret_value);

/*
 * Decode %XX and '+' (a space) of a raw name or value into `out`; out_bytes == raw.bytes always suffices, and out may
 * be where raw is. False on a malformed escape, a NUL, invalid UTF-8, or too little room. *ret_text lies in `out`, and
 * is set on success only.
 */
__attribute__((warn_unused_result)) bool http_query_decode(
	struct str raw, char *out, size_t out_bytes, struct str *ret_text);

enum http_query {
	HTTP_QUERY_NONE,
	HTTP_QUERY_ONE,
	HTTP_QUERY_BAD, /* it is there twice, which two programs may read differently, or does not decode into out_bytes */
};

/* The decoded value of the parameter of that (decoded) name; *ret_value is set with HTTP_QUERY_ONE only. O(query). */
__attribute__((warn_unused_result)) enum http_query http_query_get(
	struct str query, struct str name, char *out, size_t out_bytes, struct str *ret_value);

#endif
