/* fuzz/fuzz_sio_packet.c -- any text as a Socket.IO packet: what is accepted is valid JSON that may be sent on. */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/utf8.h"
#include "socketio/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	struct sio_packet p;
	size_t count;

	if (!utf8_valid(data, bytes))
		return 0;
	char *text = malloc(bytes == 0 ? 1 : bytes);
	assert(text != NULL);
	if (bytes > 0)
		memcpy(text, data, bytes);
	if (sio_packet_decode(text, bytes, &p) == NULL) {
		bool event = p.type == SIO_EVENT || p.type == SIO_BINARY_EVENT;
		if (event || p.type == SIO_ACK || p.type == SIO_BINARY_ACK)
			assert(json_scan_array(p.json, NULL, 0, &count));
		if (event)
			assert(utf8_valid((const uint8_t *)p.name.s, p.name.bytes) &&
				!sio_event_reserved(p.name));
		assert(p.space.bytes > 0 && p.space.s[0] == '/');
	}
	free(text);
	return 0;
}
