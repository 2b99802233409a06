/* fuzz/fuzz_http_head.c -- any bytes as a request's head: whole and byte by byte give the same verdict. */
#include <string.h>

#include "base/assert.h"
#include "http/head.h"
#include "http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static struct http_head whole, slow;
	struct http_head_scan scan = { 0 };
	enum http_parse once = http_head_parse(&scan, data, bytes, &whole), step = HTTP_PARSE_MORE;

	memset(&scan, 0, sizeof(scan));
	for (size_t n = 0; n <= bytes && step == HTTP_PARSE_MORE; n++)
		step = http_head_parse(&scan, data, n, &slow);
	assert(step == once);
	if (once == HTTP_PARSE_FAIL)
		assert(whole.fail_status == slow.fail_status);
	if (once == HTTP_PARSE_DONE) {
		char room[HTTP_TARGET_BYTES_MAX];
		struct str path, value;

		assert(whole.head_bytes == slow.head_bytes && whole.header_count == slow.header_count);
		if (http_path_decode(whole.path, room, sizeof(room), &path) == HTTP_PATH_OK)
			assert(path.bytes > 0);
		if (http_query_get(whole.query, STR("sid"), room, sizeof(room), &value) == HTTP_QUERY_ONE)
			assert(value.bytes <= whole.query.bytes);
	}
	return 0;
}
