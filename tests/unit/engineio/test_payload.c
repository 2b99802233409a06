/* Polling bodies: the page of vectors, the most packets that one may have, and random messages that come back. */
#include "engineio/payload.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "lib/cmocka.h"
#include "lib/rng.h"
#include "lib/vector.h"

enum {
	QUOTED_BYTES_MAX = 64,
	RANDOM_BODIES = 2000,
};

/* A body is decoded when it is there as a whole, at a guard page: the pieces of the runner are put together. */
struct collected {
	struct vector_out *out;
	struct buf body;
};

static void *begin(const struct vector_case *c, struct vector_out *out)
{
	struct collected *k = calloc(1, sizeof(*k));

	(void)c;
	assert_non_null(k);
	k->out = out;
	buf_init(&k->body, 1 << 20);
	return k;
}

static void feed(void *codec, uint8_t *data, size_t bytes)
{
	struct collected *k = codec;

	assert_true(buf_append(&k->body, data, bytes));
}

static const char *kind(const struct eio_packet *packet)
{
	switch (packet->type) {
	case EIO_OPEN:
		return "open";
	case EIO_CLOSE:
		return "close";
	case EIO_PING:
		return "ping";
	case EIO_PONG:
		return "pong";
	case EIO_MESSAGE:
		return packet->binary ? "binary" : "message";
	case EIO_UPGRADE:
		return "upgrade";
	case EIO_NOOP:
		return "noop";
	case EIO_BINARY:
		break;
	}
	return "?";
}

static void end(void *codec)
{
	struct collected *k = codec;
	size_t bytes = k->body.bytes;
	struct eio_payload walk = { .data = guard_alloc(bytes), .bytes = bytes };
	struct eio_packet packet;
	enum eio_payload_next next;

	if (bytes > 0)
		memcpy(walk.data, k->body.data, bytes);
	while ((next = eio_payload_next(&walk, &packet)) == EIO_PAYLOAD_PACKET) {
		assert_true(packet.data >= walk.data && packet.data + packet.bytes <= walk.data + bytes);
		assert_true(packet.type == EIO_MESSAGE || !packet.binary);
		if (packet.bytes > QUOTED_BYTES_MAX)
			vector_line(k->out, "%s %zu bytes", kind(&packet), packet.bytes);
		else
			vector_line(k->out, "%s %s", kind(&packet), vector_quote(packet.data, packet.bytes));
		/* It is ours to write on. */
		memset(packet.data, 0xee, packet.bytes);
	}
	vector_line(k->out, next == EIO_PAYLOAD_END ? "end" : "bad");
	if (next == EIO_PAYLOAD_END)
		assert_int_equal(eio_payload_next(&walk, &packet), EIO_PAYLOAD_END);
	guard_free(walk.data, bytes);
	buf_finish(&k->body);
	free(k);
}

static void the_vectors_hold(void **state)
{
	(void)state;
	assert_int_equal(vector_run("engineio/payload.md", &(struct vector_codec){ begin, feed, end }), 0);
}

/* Packets of a body of `count` noops that are given before its end, or before it is found bad. */
static size_t walked(size_t count, enum eio_payload_next *ret_last)
{
	size_t bytes = 2 * count - 1, given = 0;
	struct eio_payload walk = { .data = guard_alloc(bytes), .bytes = bytes };
	struct eio_packet packet;

	for (size_t i = 0; i < bytes; i++)
		walk.data[i] = i % 2 == 0 ? EIO_NOOP : EIO_SEPARATOR;
	while ((*ret_last = eio_payload_next(&walk, &packet)) == EIO_PAYLOAD_PACKET)
		given++;
	guard_free(walk.data, bytes);
	return given;
}

static void a_body_has_a_most_of_packets(void **state)
{
	enum eio_payload_next last;

	(void)state;
	assert_int_equal(walked(1, &last), 1);
	assert_int_equal(last, EIO_PAYLOAD_END);
	assert_int_equal(walked(EIO_PAYLOAD_PACKETS_MAX, &last), EIO_PAYLOAD_PACKETS_MAX);
	assert_int_equal(last, EIO_PAYLOAD_END);
	assert_int_equal(walked(EIO_PAYLOAD_PACKETS_MAX + 1, &last), EIO_PAYLOAD_PACKETS_MAX);
	assert_int_equal(last, EIO_PAYLOAD_BAD);
	assert_int_equal(walked(1000000, &last), EIO_PAYLOAD_PACKETS_MAX);
	assert_int_equal(last, EIO_PAYLOAD_BAD);
}

static void a_binary_message_is_decoded_where_it_stands(void **state)
{
	(void)state;
	char text[] = "bAQIDBA==";
	struct eio_packet packet = { .type = EIO_NOOP };

	assert_true(eio_packet_decode((uint8_t *)text, sizeof(text) - 1, &packet));
	assert_int_equal(packet.type, EIO_MESSAGE);
	assert_true(packet.binary);
	assert_true((char *)packet.data >= text && (char *)packet.data + packet.bytes <= text + sizeof(text));
	assert_int_equal(packet.bytes, 4);
	assert_memory_equal(packet.data, "\x01\x02\x03\x04", 4);
}

static void what_is_no_packet_changes_nothing(void **state)
{
	static const char *const bad[] = { "", "7", "9", "/", "x", "b*", "\xff" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct eio_packet packet = { .type = EIO_NOOP, .bytes = 77 };
		uint8_t *text = guard_alloc(strlen(bad[i]));

		memcpy(text, bad[i], strlen(bad[i]));
		assert_false(eio_packet_decode(text, strlen(bad[i]), &packet));
		assert_int_equal(packet.type, EIO_NOOP);
		assert_int_equal(packet.bytes, 77);
		guard_free(text, strlen(bad[i]));
	}
}

/* A random message, appended to what is expected (length and bytes) and, encoded, to the body. */
static void add_random(struct rng *rng, struct buf *body, struct buf *expected)
{
	uint8_t data[300];
	char text[sizeof(data) * 2];
	size_t bytes = rng_below(rng, sizeof(data));
	bool binary = rng_below(rng, 2) == 0;

	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)(binary ? rng_u64(rng) : 0x20 + rng_below(rng, 0x5f));
	if (body->bytes > 0)
		assert_true(buf_append(body, "\x1e", 1));
	assert_true(buf_append(body, binary ? "b" : "4", 1));
	if (binary)
		assert_true(buf_append(body, text, base64_encode(text, data, bytes)));
	else
		assert_true(buf_append(body, data, bytes));
	assert_true(buf_append(expected, &bytes, sizeof(bytes)) && buf_append(expected, data, bytes));
}

/* As of a chunked body whose only chunk is the last. */
static void a_body_without_data_is_no_packet(void **state)
{
	struct eio_payload walk = { .data = NULL };
	struct eio_packet packet;

	(void)state;
	assert_int_equal(eio_payload_next(&walk, &packet), EIO_PAYLOAD_BAD);
	assert_int_equal(eio_payload_next(&walk, &packet), EIO_PAYLOAD_END);
}

static void random_messages_come_back(void **state)
{
	struct rng rng;

	(void)state;
	rng_init(&rng);
	for (int round = 0; round < RANDOM_BODIES; round++) {
		struct buf body, expected, got;
		struct eio_packet packet;
		size_t count = 1 + rng_below(&rng, 8);

		buf_init(&body, 1 << 20);
		buf_init(&expected, 1 << 20);
		buf_init(&got, 1 << 20);
		for (size_t i = 0; i < count; i++)
			add_random(&rng, &body, &expected);
		struct eio_payload walk = { .data = guard_alloc(body.bytes), .bytes = body.bytes };

		memcpy(walk.data, body.data, body.bytes);
		for (size_t i = 0; i < count; i++) {
			assert_int_equal(eio_payload_next(&walk, &packet), EIO_PAYLOAD_PACKET);
			assert_true(buf_append(&got, &packet.bytes, sizeof(packet.bytes)) &&
				    buf_append(&got, packet.data, packet.bytes));
		}
		assert_int_equal(eio_payload_next(&walk, &packet), EIO_PAYLOAD_END);
		assert_int_equal(got.bytes, expected.bytes);
		assert_memory_equal(got.data, expected.data, expected.bytes);
		guard_free(walk.data, body.bytes);
		buf_finish(&body);
		buf_finish(&expected);
		buf_finish(&got);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vectors_hold),
		cmocka_unit_test(a_body_has_a_most_of_packets),
		cmocka_unit_test(a_binary_message_is_decoded_where_it_stands),
		cmocka_unit_test(what_is_no_packet_changes_nothing),
		cmocka_unit_test(a_body_without_data_is_no_packet),
		cmocka_unit_test(random_messages_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
