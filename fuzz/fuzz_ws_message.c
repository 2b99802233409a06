/* fuzz/fuzz_ws_message.c -- any bytes as a client's WebSocket stream: whole and byte by byte give the same events. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "ws/message.h"

enum { MESSAGE_BYTES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* A sum over all events and their data. */
static uint64_t run(const uint8_t *data, size_t bytes, size_t step)
{
	struct ws_reader r;
	uint8_t *copy = malloc(bytes == 0 ? 1 : bytes);
	uint64_t sum = 0;

	assert(copy != NULL);
	if (bytes > 0)
		memcpy(copy, data, bytes);
	ws_reader_init(&r, MESSAGE_BYTES_MAX, 0);
	for (size_t at = 0; at < bytes;) {
		size_t n = bytes - at < step ? bytes - at : step, used;
		struct ws_event e;
		enum ws_read what = ws_read(&r, copy + at, n, &used, &e);

		at += used;
		if (what == WS_READ_MORE)
			continue;
		sum = sum * 31 + (uint64_t)what;
		for (size_t i = 0; what != WS_READ_FAIL && i < e.data_bytes; i++)
			sum = sum * 31 + e.data[i] + 1;
		if (what == WS_READ_FAIL || what == WS_READ_CLOSE)
			sum = sum * 31 + e.code;
	}
	ws_reader_finish(&r);
	free(copy);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	assert(run(data, bytes, SIZE_MAX) == run(data, bytes, 1));
	return 0;
}
