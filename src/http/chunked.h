/*
 * http/chunked.h -- decoder of a chunked request body (RFC 9112, 7.1): bytes in, pieces of the body out.
 *
 * Pure: no I/O, no malloc, no copy. Uses: base. Used by: http/conn.c.
 *
 *      SIZE --> ( EXTENSION ) --> DATA --> SIZE ...       FAILED and ENDED are sticky
 *        `-- 0 ------------------> TRAILER lines --> ENDED
 *
 * Resumable: any split of the stream gives the same body and the same verdict. CRLF alone ends a line. Extensions
 * and trailers are checked for control characters and ignored. A failure is always the status 400.
 *
 * Threads: a decoder belongs to one thread.
 */
#ifndef HTTP_CHUNKED_H
#define HTTP_CHUNKED_H

#include "base/str.h"

enum {
	HTTP_CHUNK_SIZE_DIGITS_MAX = 16, /* hexadecimal, leading zeros included */
	HTTP_CHUNK_EXTENSION_BYTES_MAX = 256, /* all extensions of one chunk */
	HTTP_CHUNK_TRAILER_BYTES_MAX = 4096, /* all trailer lines with their ends */
};

enum http_chunk {
	HTTP_CHUNK_MORE, /* the input is used up; read more and call again */
	HTTP_CHUNK_DATA, /* *ret_piece is set; call again with the rest */
	HTTP_CHUNK_END, /* the body and its trailers are over; the next request starts at *ret_used */
	HTTP_CHUNK_FAIL, /* answer 400 and close; fail_reason says why */
};

/* Zeroed is ready; nothing to free. Fields are private but for those that say otherwise. */
struct http_chunked {
	/* To be read: what is missing of the current chunk, so a chunk that is too long is refused when announced. */
	uint64_t left_bytes;
	const char *fail_reason; /* to be read after FAIL: a constant, for people; NULL before */
	uint16_t extension_bytes;
	uint16_t trailer_bytes;
	uint8_t digits;
	uint8_t state;
};

/*
 * Decode from in[0, in_bytes) up to the next piece of the body.
 *
 * ret_used   is always set; 0 <= *ret_used <= in_bytes. After END it stays 0.
 * ret_piece  is set on HTTP_CHUNK_DATA only: lent, lies in `in`, never empty.
 *
 * The sum of the pieces is bounded by the caller. A byte of body costs at most HTTP_CHUNK_EXTENSION_BYTES_MAX + 21
 * bytes of input. Cost: O(*ret_used).
 */
__attribute__((warn_unused_result)) enum http_chunk http_chunked_decode(
	struct http_chunked *c, const uint8_t *in, size_t in_bytes, size_t *ret_used, struct str *ret_piece);

#endif
