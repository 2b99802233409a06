/*
 * fuzz/fuzz_eio_payload.c -- any bytes as a polling body, as a text in base64, and as bytes to be written in it.
 *
 * Packets lie one behind the other within the body, each is what its text alone decodes to, and written down again they are
 * the same packets. What base64 decodes to encodes to what it was decoded from, but for padding.
 */
#include "base/base64.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "engineio/payload.h"
#include "fuzz.h"

static uint64_t sum_packet(uint64_t sum, const struct eio_packet *p)
{
	const uint8_t what[] = { (uint8_t)p->type, p->binary };

	return fuzz_sum(fuzz_sum(sum, what, sizeof(what)), p->data, p->bytes);
}

/* The text that a client would send. */
static void put_packet(struct buf *b, const struct eio_packet *p)
{
	char type = p->binary ? EIO_BINARY : (char)p->type;
	char *text = fuzz_room(base64_encoded_bytes(p->bytes));

	assert(b->bytes == 0 || buf_append(b, "\x1e", 1));
	assert(buf_append(b, &type, 1));
	if (p->binary)
		assert(buf_append(b, text, base64_encode(text, p->data, p->bytes)));
	else
		assert(buf_append(b, p->data, p->bytes));
	free(text);
}

/* The packet that stood at `at` in the body as it came. */
static void check_packet(const struct eio_packet *p, const uint8_t *data, size_t bytes, size_t at)
{
	const uint8_t *separator = memchr(data + at, EIO_SEPARATOR, bytes - at);
	size_t n = separator == NULL ? bytes - at : (size_t)(separator - data) - at;
	uint8_t *text = fuzz_copy(data + at, n);
	struct eio_packet alone;

	assert(utf8_valid(text, n) && eio_packet_decode(text, n, &alone));
	assert(sum_packet(0, &alone) == sum_packet(0, p));
	assert(p->binary ? p->type == EIO_MESSAGE && p->bytes <= (n - 1) / 4 * 3 + 2 : p->bytes == n - 1);
	assert(p->binary ||
		(memchr(p->data, EIO_SEPARATOR, p->bytes) == NULL && utf8_valid(p->data, p->bytes)));
	free(text);
}

/* Walks a body; `rewritten` is NULL or gets its packets. Returns a sum over them. */
static uint64_t walk(const uint8_t *data, size_t bytes, struct buf *rewritten, enum eio_payload_next *ret_end)
{
	uint8_t *body = fuzz_copy(data, bytes);
	struct eio_payload payload = { .data = body, .bytes = bytes };
	struct eio_packet p;
	uint64_t sum = 0;
	size_t packets = 0, at = 0;

	while ((*ret_end = eio_payload_next(&payload, &p)) == EIO_PAYLOAD_PACKET) {
		assert(fuzz_within(str_of((const char *)p.data, p.bytes), body + at, bytes - at));
		check_packet(&p, data, bytes, at);
		sum = sum_packet(sum, &p);
		if (rewritten != NULL)
			put_packet(rewritten, &p);
		assert(payload.at > at && payload.at <= bytes);
		at = payload.at;
		assert(++packets <= EIO_PAYLOAD_PACKETS_MAX);
	}
	if (*ret_end == EIO_PAYLOAD_END) {
		assert(at == bytes && packets > 0);
		assert(eio_payload_next(&payload, &p) == EIO_PAYLOAD_END);
	}
	free(body);
	return sum;
}

/* What decodes encodes to the same letters. Standard text may have its padding, or lack it. */
static void check_base64(const uint8_t *data, size_t bytes, bool url)
{
	uint8_t *out = fuzz_room(bytes / 4 * 3 + 3), *copy = fuzz_copy(data, bytes);
	bool (*decode)(uint8_t *, const char *, size_t, size_t *) = url ? base64url_decode : base64_decode;
	size_t n = 77, in_place = 77;
	bool good = decode(out, (const char *)data, bytes, &n);

	/* In place needs the room of its own that the contract names. */
	copy = realloc(copy, bytes + 3);
	assert(copy != NULL);
	assert(decode(copy, (const char *)copy, bytes, &in_place) == good && in_place == n);
	if (good) {
		char *text = fuzz_room(base64_encoded_bytes(n));
		size_t length = url ? base64url_encode(text, out, n) : base64_encode(text, out, n);

		assert(n == 0 || memcmp(copy, out, n) == 0);
		assert(length == bytes || (!url && bytes == (n * 8 + 5) / 6));
		assert(bytes == 0 || memcmp(text, data, bytes) == 0);
		free(text);
	} else {
		assert(n == 77);
	}
	free(copy);
	free(out);
}

/* Any bytes come back. */
static void check_encoded(const uint8_t *data, size_t bytes)
{
	char *text = fuzz_room(base64_encoded_bytes(bytes));
	uint8_t *out = fuzz_room(base64_encoded_bytes(bytes) / 4 * 3 + 3);
	size_t n;

	assert(base64_decode(out, text, base64_encode(text, data, bytes), &n) && n == bytes);
	assert(bytes == 0 || memcmp(out, data, bytes) == 0);
	assert(base64url_decode(out, text, base64url_encode(text, data, bytes), &n) && n == bytes);
	assert(bytes == 0 || memcmp(out, data, bytes) == 0);
	free(out);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	enum eio_payload_next end, again;
	struct buf rewritten;

	buf_init(&rewritten, 2 * bytes + 16);
	uint64_t sum = walk(data, bytes, &rewritten, &end);
	if (rewritten.bytes > 0)
		assert(walk(rewritten.data, rewritten.bytes, NULL, &again) == sum &&
			again == EIO_PAYLOAD_END);
	buf_finish(&rewritten);
	check_base64(data, bytes, false);
	check_base64(data, bytes, true);
	check_encoded(data, bytes);
	return 0;
}
