/* tests/sim/wire.c -- see tests/sim/wire.h. */
#include "sim/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sim/kernel.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void bytes_add(struct bytes *b, const void *data, size_t count)
{
	if (b->count + count > b->cap) {
		b->cap = 2 * (b->count + count) + 256;
		b->data = kernel_grow(b->data, b->cap);
	}
	if (count > 0)
		memcpy(b->data + b->count, data, count);
	b->count += count;
}

void bytes_add_text(struct bytes *b, const char *text)
{
	bytes_add(b, text, strlen(text));
}

void bytes_drop(struct bytes *b, size_t count)
{
	if (count > 0)
		memmove(b->data, b->data + count, b->count - count);
	b->count -= count;
}

/* The value of a header, or NULL. */
static const char *header(const char *head, const char *name)
{
	size_t bytes = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line != NULL; line = strstr(line, "\r\n")) {
		line += 2;
		if (strncasecmp(line, name, bytes) == 0 && line[bytes] == ':')
			return line + bytes + 1 + strspn(line + bytes + 1, " ");
	}
	return NULL;
}

bool wire_answer_read(const struct bytes *in, struct wire_answer *ret)
{
	char head[2048];
	const uint8_t *end = in->count == 0 ? NULL : memmem(in->data, in->count, "\r\n\r\n", 4);

	if (in->count >= 5 && memcmp(in->data, "HTTP/", 5) != 0)
		kernel_fail("an answer begins with %.*s", in->count > 40 ? 40 : (int)in->count, in->data);
	if (end == NULL)
		return false;
	size_t head_bytes = (size_t)(end - in->data) + 2;
	if (head_bytes >= sizeof(head))
		kernel_fail("an answer's head has %zu bytes", head_bytes);
	memcpy(head, in->data, head_bytes);
	head[head_bytes] = '\0';
	const char *length = header(head, "content-length"), *connection = header(head, "connection");
	size_t body = length == NULL ? 0 : strtoul(length, NULL, 10);
	if (in->count < head_bytes + 2 + body)
		return false;
	*ret = (struct wire_answer){
		.status = (int)strtol(head + 9, NULL, 10),
		.closes = connection != NULL && strncasecmp(connection, "close", 5) == 0,
		.body = in->data + head_bytes + 2,
		.body_bytes = body,
		.taken = head_bytes + 2 + body,
	};
	return true;
}

bool wire_frame_read(const struct bytes *in, struct wire_frame *ret)
{
	const uint8_t *d = in->data;
	size_t head = 2, bytes;

	if (in->count < 2)
		return false;
	if ((d[0] & 0x70) != 0 || (d[0] & 0x80) == 0 || (d[1] & 0x80) != 0)
		kernel_fail("a frame begins with %02x %02x", d[0], d[1]);
	bytes = d[1];
	if (bytes == 126 || bytes == 127) {
		size_t more = bytes == 126 ? 2 : 8;

		if (in->count < 2 + more)
			return false;
		bytes = 0;
		for (size_t i = 0; i < more; i++)
			bytes = bytes << 8 | d[2 + i];
		head += more;
	}
	unsigned opcode = d[0] & 15;
	if ((opcode < WIRE_TEXT || opcode > WIRE_BINARY) && (opcode < WIRE_CLOSE || opcode > WIRE_PONG))
		kernel_fail("a frame of opcode %u", opcode);
	if (bytes > 1 << 24)
		kernel_fail("a frame of %zu bytes", bytes);
	if (in->count < head + bytes)
		return false;
	*ret = (struct wire_frame){ opcode, d + head, bytes, head + bytes };
	return true;
}

static void add_fragment(struct bytes *out, unsigned first, const uint8_t *data, size_t bytes)
{
	uint8_t head[8] = { (uint8_t)first };
	size_t n = 2;

	if (bytes < 126) {
		head[1] = (uint8_t)(0x80 | bytes);
	} else {
		head[1] = 0x80 | 126;
		head[2] = (uint8_t)(bytes >> 8);
		head[3] = (uint8_t)bytes;
		n = 4;
	}
	uint64_t mask = kernel_random();
	memcpy(head + n, &mask, 4);
	bytes_add(out, head, n + 4);
	for (size_t i = 0; i < bytes; i++) {
		uint8_t masked = data[i] ^ head[n + i % 4];

		bytes_add(out, &masked, 1);
	}
}

void wire_frame_add(struct bytes *out, unsigned opcode, const void *data, size_t bytes)
{
	const uint8_t *at = data;

	if (bytes > 1 && opcode < WIRE_CLOSE && kernel_chance(100)) {
		size_t first = 1 + kernel_below(bytes - 1);

		add_fragment(out, opcode, at, first);
		if (kernel_chance(300))
			add_fragment(out, 0x80 | WIRE_PING, (const uint8_t *)"?", 1);
		add_fragment(out, 0x80, at + first, bytes - first);
	} else {
		add_fragment(out, 0x80 | opcode, at, bytes);
	}
}

void wire_base64_add(struct bytes *out, const uint8_t *data, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 3) {
		size_t left = bytes - i;
		uint32_t bits = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
				(left > 2 ? data[i + 2] : 0);
		char text[4] = { digits[bits >> 18], digits[bits >> 12 & 63],
			left > 1 ? digits[bits >> 6 & 63] : '=', left > 2 ? digits[bits & 63] : '=' };

		bytes_add(out, text, 4);
	}
}

void wire_base64_decode(struct bytes *out, const uint8_t *text, size_t bytes)
{
	uint32_t bits = 0, have = 0;

	for (size_t i = 0; i < bytes && text[i] != '='; i++) {
		const char *digit = strchr(digits, text[i]);

		if (digit == NULL || *digit == '\0')
			kernel_fail("base64 has the byte %02x", text[i]);
		bits = bits << 6 | (uint32_t)(digit - digits);
		have += 6;
		if (have >= 8) {
			have -= 8;
			uint8_t byte = (uint8_t)(bits >> have);
			bytes_add(out, &byte, 1);
		}
	}
}
