/* engineio/payload.c -- see engineio/payload.h. */
#include "engineio/payload.h"

#include <string.h>

#include "base/base64.h"
#include "base/utf8.h"

bool eio_packet_decode(uint8_t *data, size_t bytes, struct eio_packet *ret)
{
	if (bytes == 0)
		return false;
	if (data[0] == EIO_BINARY) {
		size_t decoded;
		/* Decoding in place: the text shrinks, and is read ahead of what is written. */
		if (!base64_decode(data + 1, (const char *)data + 1, bytes - 1, &decoded))
			return false;
		*ret = (struct eio_packet){
			.type = EIO_MESSAGE, .binary = true, .data = data + 1, .bytes = decoded
		};
		return true;
	}
	if (data[0] < EIO_OPEN || data[0] > EIO_NOOP)
		return false;
	*ret = (struct eio_packet){ .type = (enum eio_type)data[0], .data = data + 1, .bytes = bytes - 1 };
	return true;
}

enum eio_payload_next eio_payload_next(struct eio_payload *p, struct eio_packet *ret)
{
	if (p->over)
		return EIO_PAYLOAD_END;
	if (++p->packets > EIO_PAYLOAD_PACKETS_MAX)
		return EIO_PAYLOAD_BAD;
	size_t left = p->bytes - p->at;
	if (left == 0) { /* an empty packet is none; of an empty body there may be no data at all */
		p->over = true;
		return EIO_PAYLOAD_BAD;
	}
	uint8_t *from = p->data + p->at, *separator = memchr(from, EIO_SEPARATOR, left);
	size_t bytes = separator == NULL ? left : (size_t)(separator - from);

	p->at += bytes + (separator != NULL);
	p->over = separator == NULL;
	if (!utf8_valid(from, bytes) || !eio_packet_decode(from, bytes, ret))
		return EIO_PAYLOAD_BAD;
	return EIO_PAYLOAD_PACKET;
}
