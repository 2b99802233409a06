/*
 * base/str.h -- a slice of bytes that somebody else owns: text with its length.
 *
 * Not NUL-terminated, may be empty, never owns. Threads: a value; pure functions.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *s;
	size_t bytes;
};

/* A slice of a string literal, without its NUL. STR_INIT is for the initialisers of static objects. */
/* clang-format off */
#define STR_INIT(literal) { .s = "" literal, .bytes = sizeof(literal) - 1 }
/* clang-format on */
#define STR(literal) ((struct str)STR_INIT(literal))

static inline struct str str_of(const char *s, size_t bytes)
{
	return (struct str){ .s = s, .bytes = bytes };
}

/* Of a C string; O(its length). */
static inline struct str str_c(const char *s)
{
	return (struct str){ .s = s, .bytes = strlen(s) };
}

static inline bool str_equal(struct str a, struct str b)
{
	return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.s, b.s, a.bytes) == 0);
}

static inline bool str_starts(struct str a, struct str prefix)
{
	return a.bytes >= prefix.bytes && (prefix.bytes == 0 || memcmp(a.s, prefix.s, prefix.bytes) == 0);
}

/* Equal but for the case of ASCII letters. */
bool str_equal_nocase(struct str a, struct str b);

/*
 * Parse a whole slice as decimal digits: no sign, no space, no leading '+', at most `max`.
 * Leading zeros are allowed. False (and *ret_value unchanged) on anything else.
 */
__attribute__((warn_unused_result)) bool str_parse_u64(struct str text, uint64_t max, uint64_t *ret_value);

#endif
