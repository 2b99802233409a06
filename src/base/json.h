/*
 * base/json.h -- strict JSON (RFC 8259): validate and slice in one pass, without allocation.
 *
 * What json_* accepts, JSON.parse accepts too: no trailing commas, no comments, no NaN, no bare control
 * characters, escapes complete. The input must be valid UTF-8 already (the transports see to that).
 * A lone surrogate escape (\ud800) is valid JSON text and passes; numbers may be of any size.
 * Containers deeper than JSON_DEPTH_MAX are refused. Not recursive. Pure; any thread.
 *
 * A *value* is a slice of the input that holds exactly one JSON value without white space around it.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/str.h"

enum {
	JSON_DEPTH_MAX = 512,
	JSON_NUMBER_BYTES_MAX = 1024, /* Python refuses to read integers of more than 4,300 digits */
};

enum json_type {
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

struct json_value {
	enum json_type type;
	struct str text; /* lent: lies in the input */
};

/*
 * Scan one value at the front of text; white space may stand before and after it, and nothing else may
 * follow. *ret_value is set on success only. Cost: O(text), one pass.
 */
__attribute__((warn_unused_result)) bool json_scan(struct str text, struct json_value *ret_value);

/*
 * Scan a whole array and slice its items on the way. At most `items_max` items are stored; *ret_count is the
 * number in the array, which may be more. False if text is not valid JSON or not an array; *ret_count is then
 * unchanged, and what lies in `items` means nothing. One pass.
 */
__attribute__((warn_unused_result)) bool json_scan_array(
	struct str text, struct json_value *items, size_t items_max, size_t *ret_count);

/*
 * Walk an object or array that json_scan() has found valid. Each next() gives the next member and true, or
 * false at the end. Zero cost to give up early. Any other value is walked as if it were empty.
 *
 *	struct json_walk w = json_walk_begin(value);
 *	while (json_walk_next(&w, &key, &item)) ...
 */
struct json_walk {
	struct str rest;
	bool object;
};
struct json_walk json_walk_begin(struct json_value container);
/* `ret_key` is the raw text between the quotes (escapes not decoded), empty for an array; may be NULL. */
__attribute__((warn_unused_result)) bool json_walk_next(
	struct json_walk *w, struct str *ret_key, struct json_value *ret_item);

/*
 * The member of that name in an object found valid: the last one wins, and a name written with escapes is the
 * same name, as in JavaScript. False if there is none, or if it is no object.
 */
__attribute__((warn_unused_result)) bool json_member(
	struct json_value object, struct str name, struct json_value *ret_item);

/* Whether the raw text of a valid string (what stands between its quotes), once decoded, equals `plain`. */
bool json_raw_equal(struct str raw, struct str plain);

/*
 * Decode a JSON_STRING value to UTF-8. `out` has at least string.text.bytes bytes and may be the same memory as
 * the text. A lone surrogate becomes U+FFFD. Returns the bytes written; no NUL.
 */
size_t json_decode_string(char *out, struct json_value string);

/* A number that is an integer in [0, max], written without sign, fraction and exponent. */
__attribute__((warn_unused_result)) bool json_u64(
	struct json_value number, uint64_t max, uint64_t *ret_value);

/*
 * Bytes needed for text as a JSON string with its quotes. Escapes `"`, `\` and control characters, in the form
 * of JSON.stringify. Text is valid UTF-8.
 */
size_t json_quoted_bytes(struct str text);
/* Write it; `out` has json_quoted_bytes(text). Returns the bytes written. */
size_t json_quote(char *out, struct str text);

#endif
