/*
 * tests/lib/vector.h -- codec tests written as readable pages: bytes in, events out.
 *
 * A page (tests/vectors/<layer>/<codec>.md) holds prose and cases. A case is a heading and its fenced blocks:
 *
 *	## a masked text of five bytes
 *	```options          (optional) one `name=value` a line
 *	message_max=125
 *	```
 *	```in
 *	81 85 37 fa 21 3d  7f 9f 4d 51 58     # hex pairs; everything behind '#' is a comment
 *	"GET / HTTP/1.1\r\n"                  # C escapes: \r \n \t \0 \\ \" \xNN
 *	("ab" 00)*300                          # a group, repeated
 *	```
 *	```out
 *	text fin "Hello"
 *	```
 *
 * Each case is fed whole, split in two at every position, and one byte at a time (past VECTOR_SPLITS_BYTES_MAX of
 * input: whole, byte by byte and at 64 spread positions). Each piece is copied to memory that ends at a guard page, so a
 * read past the input's end faults, and is overwritten once it has been fed: it was only lent. The text that the codec
 * writes must equal the `out` block line by line, however the input was cut; an empty block is no line.
 *
 * A heading without blocks is prose, as are blocks of other kinds. An option that nobody asks for fails its case. Pages
 * are found in tests/vectors/, or in the folder that the environment's VECTORS_DIR names. tests/vectors/lib/echo.md
 * shows all of the language.
 */
#ifndef TESTS_LIB_VECTOR_H
#define TESTS_LIB_VECTOR_H

#include "base/str.h"

enum { VECTOR_SPLITS_BYTES_MAX = 4096 };

struct vector_out; /* where events are written */
struct vector_case;

/* One line's worth of text by printf; the newline is added. */
__attribute__((format(printf, 2, 3))) void vector_line(struct vector_out *out, const char *format, ...);
/*
 * Bytes as a C string literal: \r \n \t \\ \" and \xNN for all else that is no printable ASCII. Call vector_line() with
 * it. Static buffers, 4 in turn.
 */
const char *vector_quote(const void *data, size_t bytes);

struct vector_codec {
	/* A fresh codec for one pass over a case; `option(ctx, name)` style look-ups by vector_option(). */
	void *(*begin)(const struct vector_case *, struct vector_out *);
	/* The next piece, never empty; data is writable and ends at a guard page. */
	void (*feed)(void *codec, uint8_t *data, size_t bytes);
	/* The input has ended; free everything. */
	void (*end)(void *codec);
};

/* The value of an option of the case, or `otherwise`. */
const char *vector_option(const struct vector_case *, const char *name, const char *otherwise);
uint64_t vector_option_u64(const struct vector_case *, const char *name, uint64_t otherwise);

/*
 * Run all cases of a page, relative to tests/vectors/. Prints each difference; returns the number of failed cases, and
 * asserts that there was at least one case.
 */
__attribute__((warn_unused_result)) int vector_run(const char *page, const struct vector_codec *);

/* `bytes` writable bytes that end at a guard page. Free with guard_free(). */
uint8_t *guard_alloc(size_t bytes);
void guard_free(uint8_t *data, size_t bytes);

#endif
