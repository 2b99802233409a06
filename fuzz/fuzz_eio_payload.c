/* fuzz/fuzz_eio_payload.c -- any bytes as a polling body: ends, and packets lie within it. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "engineio/payload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	uint8_t *body = malloc(bytes == 0 ? 1 : bytes);
	assert(body != NULL);
	if (bytes > 0)
		memcpy(body, data, bytes);
	struct eio_payload payload = { .data = body, .bytes = bytes };
	struct eio_packet packet;
	size_t packets = 0;

	while (eio_payload_next(&payload, &packet) == EIO_PAYLOAD_PACKET) {
		assert(packet.data >= body && packet.data + packet.bytes <= body + bytes);
		packets++;
	}
	assert(packets <= bytes + 1);
	free(body);
	return 0;
}
