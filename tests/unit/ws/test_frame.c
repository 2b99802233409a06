/* Frames: the page of vectors, what an encoder writes, and every alignment of the unmasking. */
#include "ws/frame.h"

#include "client.h"
#include "lib/cmocka.h"

#include <stdlib.h>

/* A decoder under the vector runner: `frame` puts the pieces of one frame together. */
struct codec {
	struct ws_decoder decoder;
	struct buf frame;
	struct vector_out *out;
};

static const char *op_text(enum ws_opcode op)
{
	switch (op) {
	case WS_OP_CONT:
		return "cont";
	case WS_OP_TEXT:
		return "text";
	case WS_OP_BINARY:
		return "binary";
	case WS_OP_CLOSE:
		return "close";
	case WS_OP_PING:
		return "ping";
	case WS_OP_PONG:
		return "pong";
	}
	return "?";
}

static void *begin(const struct vector_case *c, struct vector_out *out)
{
	struct codec *k = calloc(1, sizeof(*k));

	assert(k);
	ws_decoder_init(&k->decoder, (uint32_t)vector_option_u64(c, "message_bytes_max", 1 << 20));
	buf_init(&k->frame, SIZE_MAX / 2);
	k->out = out;
	return k;
}

static void take_piece(struct codec *k, const struct ws_piece *piece)
{
	assert(piece->first == (k->frame.bytes == 0));
	append(&k->frame, piece->data, piece->data_bytes);
	/* It is ours to write on. */
	memset(piece->data, 0xee, piece->data_bytes);
	if (!piece->last)
		return;
	vector_line(k->out, "%s %s %s", op_text(piece->op), piece->fin ? "fin" : "more",
		payload_text(k->frame.data, k->frame.bytes));
	buf_finish(&k->frame);
}

static void feed(void *codec, uint8_t *data, size_t bytes)
{
	struct codec *k = codec;

	for (size_t at = 0, used;; at += used) {
		bool failed = k->decoder.error != WS_ERROR_NONE;
		struct ws_piece piece;
		enum ws_decode decode = ws_decode(&k->decoder, data + at, bytes - at, &used, &piece);

		assert(used <= bytes - at);
		if (decode == WS_DECODE_PIECE) {
			take_piece(k, &piece);
			continue;
		}
		if (decode == WS_DECODE_MORE) {
			assert(used == bytes - at && !failed);
			return;
		}
		assert(!failed || used == 0);
		if (!failed) {
			enum ws_error error = (enum ws_error)k->decoder.error;

			vector_line(k->out, "fail %u %s", ws_error_close_code(error), ws_error_text(error));
		}
		return;
	}
}

static void end(void *codec)
{
	struct codec *k = codec;

	buf_finish(&k->frame);
	free(k);
}

static void test_vectors(void **state)
{
	(void)state;
	assert_int_equal(vector_run("ws/frame.md", &(struct vector_codec){ begin, feed, end }), 0);
}

static void test_decoder_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct ws_decoder) <= 40);
}

static void test_errors_have_codes_and_texts(void **state)
{
	(void)state;
	for (int i = WS_ERROR_NONE + 1; i < WS_ERRORS; i++) {
		uint16_t code = ws_error_close_code((enum ws_error)i);

		assert_true(code == 1002 || (code >= 1007 && code <= 1011));
		assert_true(strlen(ws_error_text((enum ws_error)i)) > 0);
	}
}

static void expect_header(
	enum ws_opcode op, bool fin, uint64_t payload_bytes, const char *bytes, size_t count)
{
	uint8_t *out = guard_alloc(count);

	assert_int_equal(ws_frame_header_encode(out, op, fin, payload_bytes), count);
	assert_memory_equal(out, bytes, count);
	guard_free(out, count);
}

static void test_header_encode(void **state)
{
	(void)state;
	expect_header(WS_OP_TEXT, true, 0, "\x81\x00", 2);
	expect_header(WS_OP_TEXT, true, 5, "\x81\x05", 2); /* RFC 6455, 5.7 */
	expect_header(WS_OP_TEXT, false, 3, "\x01\x03", 2);
	expect_header(WS_OP_CONT, true, 2, "\x80\x02", 2);
	expect_header(WS_OP_CONT, false, 2, "\x00\x02", 2);
	expect_header(WS_OP_PING, true, 5, "\x89\x05", 2);
	expect_header(WS_OP_PONG, true, 125, "\x8a\x7d", 2);
	expect_header(WS_OP_CLOSE, true, 2, "\x88\x02", 2);
	expect_header(WS_OP_BINARY, true, 125, "\x82\x7d", 2);
	expect_header(WS_OP_BINARY, true, 126, "\x82\x7e\x00\x7e", 4);
	expect_header(WS_OP_BINARY, true, 256, "\x82\x7e\x01\x00", 4); /* RFC 6455, 5.7 */
	expect_header(WS_OP_BINARY, true, 65535, "\x82\x7e\xff\xff", 4);
	expect_header(WS_OP_BINARY, true, 65536, "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
	expect_header(WS_OP_TEXT, true, UINT64_MAX >> 1, "\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 10);
}

/* The payload of one frame in two pieces, lying at `offset` from an alignment: back as it was sent. */
static void expect_unmasked(const uint8_t *sent, size_t bytes, size_t cut, size_t offset)
{
	uint8_t place[128];
	struct ws_decoder d;
	struct buf frame;
	size_t got = 0;

	ws_decoder_init(&d, 64);
	buf_init(&frame, sizeof(place));
	append_frame(&frame, 0x82, 0x01a2f37f, sent, bytes);
	assert_true(offset + frame.bytes <= sizeof(place));
	memcpy(place + offset, frame.data, frame.bytes);
	for (size_t at = 0; at < frame.bytes;) {
		size_t until = at < 6 + cut ? 6 + cut : frame.bytes, used;
		struct ws_piece piece;

		if (ws_decode(&d, place + offset + at, until - at, &used, &piece) == WS_DECODE_PIECE) {
			assert_memory_equal(piece.data, sent + got, piece.data_bytes);
			got += piece.data_bytes;
		}
		at += used;
	}
	assert_int_equal(got, bytes);
	buf_finish(&frame);
}

static void test_unmasking_at_every_length_cut_and_alignment(void **state)
{
	uint8_t sent[40];

	(void)state;
	for (size_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 37 + 11);
	for (size_t bytes = 0; bytes <= sizeof(sent); bytes++) {
		for (size_t cut = 0; cut <= bytes; cut++) {
			for (size_t offset = 0; offset < 8; offset++)
				expect_unmasked(sent, bytes, cut, offset);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_decoder_is_small),
		cmocka_unit_test(test_errors_have_codes_and_texts),
		cmocka_unit_test(test_header_encode),
		cmocka_unit_test(test_unmasking_at_every_length_cut_and_alignment),
	};

	return cmocka_run_group_tests_name("ws frame", tests, NULL, NULL);
}
