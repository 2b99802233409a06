/* fuzz/fuzz_http_chunked.c -- any bytes as a chunked body: whole and byte by byte give the same body and verdict. */
#include <stdlib.h>

#include "base/assert.h"
#include "http/chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* In pieces of at most `step`; returns the verdict, and a sum over the body. */
static enum http_chunk run(const uint8_t *data, size_t bytes, size_t step, uint64_t *ret_sum)
{
	struct http_chunked c = { 0 };
	enum http_chunk got = HTTP_CHUNK_MORE;
	uint64_t sum = 0;

	for (size_t at = 0; at < bytes && got != HTTP_CHUNK_END && got != HTTP_CHUNK_FAIL;) {
		size_t n = bytes - at < step ? bytes - at : step, used;
		struct str piece;

		got = http_chunked_decode(&c, data + at, n, &used, &piece);
		assert(used <= n);
		for (size_t i = 0; got == HTTP_CHUNK_DATA && i < piece.bytes; i++)
			sum = sum * 31 + (uint8_t)piece.s[i] + 1;
		at += used;
	}
	*ret_sum = sum;
	return got == HTTP_CHUNK_DATA ? HTTP_CHUNK_MORE : got;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint64_t whole, slow;

	assert(run(data, bytes, SIZE_MAX, &whole) == run(data, bytes, 1, &slow));
	assert(whole == slow);
	return 0;
}
