/* The reader: the page of vectors, what it holds in memory, and random streams against what was put into them. */
#include "ws/message.h"

#include "client.h"
#include "lib/cmocka.h"
#include "lib/failing_alloc.h"
#include "lib/rng.h"

#include <stdlib.h>

enum {
	MESSAGE_BYTES_MAX = 1000000, /* no power of two: doubling must stop at it */
	RANDOM_STREAMS = 300,
	DAMAGED_STREAMS = 1000,
};

/* What was read, as bytes to compare: kind, code, length, data of each event. */
static void note(struct buf *log, enum ws_read kind, uint16_t code, const void *data, size_t bytes)
{
	uint64_t head[3] = { (uint64_t)kind, code, bytes };

	append(log, head, sizeof(head));
	append(log, data, bytes);
}

static bool owns_nothing(const struct ws_reader *r)
{
	return !r->message.data && !r->control;
}

/* Feed all of data in one go; note every event. The data read is overwritten, as it is ours to write on. */
static void read_all(struct ws_reader *r, uint8_t *data, size_t bytes, struct buf *log)
{
	for (size_t at = 0, used;; at += used) {
		struct ws_event event;
		enum ws_read read = ws_read(r, data + at, bytes - at, &used, &event);

		assert(used <= bytes - at);
		if (read == WS_READ_MORE) {
			assert(used == bytes - at);
			return;
		}
		note(log, read, event.code, event.data, event.data_bytes);
		if (event.data_bytes > 0)
			memset(event.data, 0xee, event.data_bytes);
	}
}

/* The vector runner's view. */
struct codec {
	struct ws_reader reader;
	struct vector_out *out;
};

static void *begin(const struct vector_case *c, struct vector_out *out)
{
	struct codec *k = calloc(1, sizeof(*k));

	assert(k);
	ws_reader_init(&k->reader, (uint32_t)vector_option_u64(c, "message_bytes_max", MESSAGE_BYTES_MAX),
		(uint32_t)vector_option_u64(c, "fragments_max", 0));
	k->out = out;
	return k;
}

static void tell(struct vector_out *out, enum ws_read read, const struct ws_event *event)
{
	const char *data = payload_text(event->data, event->data_bytes);

	switch (read) {
	case WS_READ_MORE:
		return;
	case WS_READ_TEXT:
		vector_line(out, "text %s", data);
		return;
	case WS_READ_BINARY:
		vector_line(out, "binary %s", data);
		return;
	case WS_READ_PING:
		vector_line(out, "ping %s", data);
		return;
	case WS_READ_PONG:
		vector_line(out, "pong %s", data);
		return;
	case WS_READ_CLOSE:
		vector_line(out, "close %u %s", event->code, data);
		return;
	case WS_READ_FAIL:
		assert(event->code == ws_error_close_code(event->error));
		vector_line(out, "fail %u %s", event->code, ws_error_text(event->error));
		return;
	}
}

static void feed(void *codec, uint8_t *data, size_t bytes)
{
	struct codec *k = codec;

	for (size_t at = 0, used;; at += used) {
		struct ws_event event;
		enum ws_read read = ws_read(&k->reader, data + at, bytes - at, &used, &event);

		assert(used <= bytes - at);
		if (read == WS_READ_MORE) {
			assert(used == bytes - at);
			assert(!k->reader.done || owns_nothing(&k->reader));
			return;
		}
		tell(k->out, read, &event);
		if (event.data_bytes > 0)
			memset(event.data, 0xee, event.data_bytes);
	}
}

static void end(void *codec)
{
	struct codec *k = codec;

	ws_reader_finish(&k->reader);
	free(k);
}

static void test_vectors(void **state)
{
	(void)state;
	assert_int_equal(vector_run("ws/message.md", &(struct vector_codec){ begin, feed, end }), 0);
}

static void test_reader_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct ws_reader) <= 96);
}

static void test_no_input(void **state)
{
	struct ws_reader r;
	struct ws_event event;
	size_t used = 1;

	(void)state;
	ws_reader_init(&r, MESSAGE_BYTES_MAX, 0);
	assert_int_equal(ws_read(&r, NULL, 0, &used, &event), WS_READ_MORE);
	assert_int_equal(used, 0);
	ws_reader_finish(&r);
	ws_reader_finish(&r);
}

/* A frame that lies whole in the input is lent where it lies, and nothing is ever allocated for it. */
static void test_whole_frames_are_lent(void **state)
{
	struct ws_reader r;
	struct ws_event event;
	struct buf in;
	size_t used;

	(void)state;
	ws_reader_init(&r, MESSAGE_BYTES_MAX, 0);
	buf_init(&in, MESSAGE_BYTES_MAX);
	append_frame(&in, 0x81, 0x12345678, "Hello", 5);
	append_frame(&in, 0x89, 0x12345678, "ping", 4);

	failing_alloc_arm(1);
	assert_int_equal(ws_read(&r, in.data, in.bytes, &used, &event), WS_READ_TEXT);
	assert_ptr_equal(event.data, in.data + 6);
	assert_int_equal(event.data_bytes, 5);
	assert_int_equal(used, 11);
	assert_true(owns_nothing(&r));
	assert_int_equal(ws_read(&r, in.data + 11, in.bytes - 11, &used, &event), WS_READ_PING);
	assert_ptr_equal(event.data, in.data + 17);
	assert_int_equal(used, 10);
	assert_false(failing_alloc_disarm());
	assert_true(owns_nothing(&r));
	buf_finish(&in);
	ws_reader_finish(&r);
}

/* Once the event of a message or a control frame that was put together is done with, its memory is given back. */
static void test_idle_reader_owns_nothing(void **state)
{
	struct ws_reader r;
	struct buf in, log;

	(void)state;
	ws_reader_init(&r, MESSAGE_BYTES_MAX, 0);
	buf_init(&in, MESSAGE_BYTES_MAX);
	buf_init(&log, MESSAGE_BYTES_MAX);
	append_frame(&in, 0x01, 0x12345678, "Hel", 3);
	append_frame(&in, 0x89, 0x12345678, "ping", 4);
	append_frame(&in, 0x80, 0x12345678, "lo", 2);

	read_all(&r, in.data, 15, &log);
	assert_non_null(r.message.data);
	assert_null(r.control);
	read_all(&r, in.data + 15, 2, &log);
	assert_non_null(r.control);
	read_all(&r, in.data + 17, 2, &log);
	assert_non_null(r.message.data);
	assert_null(r.control);
	read_all(&r, in.data + 19, in.bytes - 19, &log);
	assert_true(owns_nothing(&r));
	buf_finish(&in);
	buf_finish(&log);
	ws_reader_finish(&r);
}

/* A frame announces a megabyte; the memory held follows what has arrived. */
static void test_memory_follows_arrival(void **state)
{
	struct ws_reader r;
	struct buf in, log;

	(void)state;
	ws_reader_init(&r, MESSAGE_BYTES_MAX, 0);
	buf_init(&in, 2 * MESSAGE_BYTES_MAX);
	buf_init(&log, 2 * MESSAGE_BYTES_MAX);
	uint8_t *zeros = calloc(1, MESSAGE_BYTES_MAX);
	append_frame(&in, 0x82, 0, zeros, MESSAGE_BYTES_MAX);
	free(zeros);

	for (size_t at = 0; at < in.bytes; at++) {
		read_all(&r, in.data + at, 1, &log);
		assert_true(r.message.cap <= (at < 64 ? 64 : 2 * at));
		assert_true(r.message.cap <= MESSAGE_BYTES_MAX);
	}
	assert_int_equal(log.bytes, 24 + MESSAGE_BYTES_MAX);
	assert_true(owns_nothing(&r));
	buf_finish(&in);
	buf_finish(&log);
	ws_reader_finish(&r);
}

/* 65,536 fragments of a byte, as many as the limit allows: one message, few allocations, never more than the limit. */
static void test_65536_fragments(void **state)
{
	enum { FRAGMENTS = 65536 };
	struct ws_reader r;
	struct buf in, log;
	size_t cap = 0, growths = 0;

	(void)state;
	ws_reader_init(&r, FRAGMENTS, 0);
	buf_init(&in, 16 * FRAGMENTS);
	buf_init(&log, 2 * FRAGMENTS);
	for (unsigned i = 0; i < FRAGMENTS; i++)
		append_frame(&in, (i == 0 ? 1 : 0) | (i == FRAGMENTS - 1 ? 0x80 : 0), i, "a", 1);

	for (size_t at = 0; at < in.bytes; at += 7) {
		read_all(&r, in.data + at, 7, &log);
		growths += r.message.cap > cap;
		cap = r.message.cap;
		assert_true(cap <= FRAGMENTS);
	}
	assert_true(growths <= 16);
	assert_int_equal(log.bytes, 24 + FRAGMENTS);
	for (size_t i = 24; i < log.bytes; i++)
		assert_int_equal(log.data[i], 'a');
	buf_finish(&in);
	buf_finish(&log);
	ws_reader_finish(&r);
}

/* Endless empty fragments are no message and no memory; only a limit on fragments ends them. */
static void test_empty_fragments_cost_nothing(void **state)
{
	struct ws_reader r;
	struct buf in, log;

	(void)state;
	ws_reader_init(&r, MESSAGE_BYTES_MAX, 0);
	buf_init(&in, MESSAGE_BYTES_MAX);
	buf_init(&log, MESSAGE_BYTES_MAX);
	append_frame(&in, 0x01, 0, "", 0);
	for (int i = 0; i < 10000; i++)
		append_frame(&in, 0x00, 0, "", 0);
	read_all(&r, in.data, in.bytes, &log);
	assert_int_equal(log.bytes, 0);
	assert_true(owns_nothing(&r));
	ws_reader_finish(&r);
	buf_finish(&in);
	buf_finish(&log);
}

/* A failure in the midst of a message gives its memory back at once. */
static void test_failure_releases(void **state)
{
	struct ws_reader r;
	struct ws_event event;
	struct buf in, log;
	size_t used;

	(void)state;
	ws_reader_init(&r, MESSAGE_BYTES_MAX, 0);
	buf_init(&in, MESSAGE_BYTES_MAX);
	buf_init(&log, MESSAGE_BYTES_MAX);
	append_frame(&in, 0x01, 0, "abc", 3);
	append_frame(&in, 0x03, 0, "abc", 3);
	assert_int_equal(ws_read(&r, in.data, in.bytes, &used, &event), WS_READ_FAIL);
	assert_int_equal(event.error, WS_ERROR_OPCODE);
	assert_int_equal(event.code, 1002);
	assert_int_equal(used, 10); /* up to the byte that shows it */
	assert_true(owns_nothing(&r));
	read_all(&r, in.data, in.bytes, &log);
	assert_int_equal(log.bytes, 0);
	ws_reader_finish(&r);
	buf_finish(&in);
	buf_finish(&log);
}

/* Whichever allocation fails: 1011, everything given back, nothing read any more. */
static void test_failing_allocations(void **state)
{
	uint8_t payload[200] = { 0 };
	unsigned n = 0;
	bool failed;

	(void)state;
	do {
		struct ws_reader r;
		struct buf in, log;

		ws_reader_init(&r, MESSAGE_BYTES_MAX, 0);
		buf_init(&in, MESSAGE_BYTES_MAX);
		buf_init(&log, MESSAGE_BYTES_MAX);
		append_frame(&in, 0x01, 1, payload, 10);
		append_frame(&in, 0x89, 2, payload, 125);
		append_frame(&in, 0x80, 3, payload, 200);
		append_frame(&in, 0x88, 4, "\x03\xe8", 2);
		assert_true(buf_reserve(&log, 1000));
		failing_alloc_arm(++n);
		for (size_t at = 0; at < in.bytes; at++)
			read_all(&r, in.data + at, 1, &log);
		failed = failing_alloc_disarm();
		assert_true(owns_nothing(&r));
		/* The last event's head: kind, code. */
		uint64_t head[2];
		memcpy(head, log.data + log.bytes - 24, sizeof(head));
		assert_int_equal(head[1], failed ? 1011 : 1000);
		assert_int_equal(head[0], failed ? WS_READ_FAIL : WS_READ_CLOSE);
		ws_reader_finish(&r);
		buf_finish(&in);
		buf_finish(&log);
	} while (failed);
	/* The message, twice more as it grows, the ping and the close. */
	assert_true(n - 1 >= 4);
}

/* Feed a copy of stream[0, bytes) in random pieces, each in memory of exactly its size. */
static void read_split(const struct buf *stream, struct rng *rng, struct buf *log)
{
	static const uint32_t piece_max[] = { 1, 3, 20, 200, 5000, 100000 };
	size_t style = rng_below(rng, sizeof(piece_max) / sizeof(piece_max[0]));
	struct ws_reader r;

	ws_reader_init(&r, MESSAGE_BYTES_MAX, 0);
	for (size_t at = 0; at < stream->bytes;) {
		size_t bytes = 1 + rng_below(rng, piece_max[style]);

		if (bytes > stream->bytes - at)
			bytes = stream->bytes - at;
		uint8_t *piece = malloc(bytes);
		assert(piece);
		memcpy(piece, stream->data + at, bytes);
		read_all(&r, piece, bytes, log);
		free(piece);
		at += bytes;
	}
	ws_reader_finish(&r);
}

/* A random character that is no surrogate, of one to four bytes. */
static void append_character(struct buf *b, struct rng *rng)
{
	static const uint32_t below[] = { 0x80, 0x800, 0x10000, 0x110000 };
	uint32_t c = (uint32_t)rng_below(rng, below[rng_below(rng, 4)]);

	if (c >= 0xd800 && c <= 0xdfff)
		c -= 0x800;
	if (c < 0x80) {
		append_byte(b, c);
	} else if (c < 0x800) {
		append_byte(b, 0xc0 | c >> 6);
		append_byte(b, 0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		append_byte(b, 0xe0 | c >> 12);
		append_byte(b, 0x80 | (c >> 6 & 0x3f));
		append_byte(b, 0x80 | (c & 0x3f));
	} else {
		append_byte(b, 0xf0 | c >> 18);
		append_byte(b, 0x80 | (c >> 12 & 0x3f));
		append_byte(b, 0x80 | (c >> 6 & 0x3f));
		append_byte(b, 0x80 | (c & 0x3f));
	}
}

static uint32_t random_mask(struct rng *rng)
{
	return (uint32_t)rng_u64(rng);
}

static void put_control(struct buf *stream, struct buf *log, struct rng *rng)
{
	uint8_t data[125];
	size_t bytes = rng_below(rng, sizeof(data) + 1);
	bool ping = rng_below(rng, 2) == 0;

	for (size_t i = 0; i < bytes; i++)
		data[i] = (uint8_t)rng_below(rng, 256);
	append_frame(stream, ping ? 0x89 : 0x8a, random_mask(rng), data, bytes);
	note(log, ping ? WS_READ_PING : WS_READ_PONG, 0, data, bytes);
}

/* A random message in random fragments with random control frames between them; noted as it should be read. */
static void put_message(struct buf *stream, struct buf *log, struct rng *rng)
{
	static const uint32_t bytes_max[] = { 1, 20, 127, 1000, 70000 };
	bool text = rng_below(rng, 2) == 0;
	size_t bytes = rng_below(rng, bytes_max[rng_below(rng, 5)] + 1);
	unsigned opcode = text ? 1 : 2;
	struct buf data;

	buf_init(&data, MESSAGE_BYTES_MAX);
	while (data.bytes < bytes) {
		if (text)
			append_character(&data, rng);
		else
			append_byte(&data, rng_below(rng, 256));
	}
	for (size_t at = 0, left = 1 + rng_below(rng, 5); left > 0; left--) {
		size_t part = left == 1 ? data.bytes - at : rng_below(rng, data.bytes - at + 1);

		append_frame(stream, opcode | (left == 1 ? 0x80 : 0), random_mask(rng),
			at < data.bytes ? data.data + at : NULL, part);
		opcode = 0;
		at += part;
		if (left > 1 && rng_below(rng, 3) == 0)
			put_control(stream, log, rng);
	}
	note(log, text ? WS_READ_TEXT : WS_READ_BINARY, 0, data.data, data.bytes);
	buf_finish(&data);
}

static void put_close(struct buf *stream, struct buf *log, struct rng *rng)
{
	struct buf data;

	buf_init(&data, WS_CONTROL_BYTES_MAX);
	append(&data, "\x03\xf0", 2); /* 1008 */
	while (data.bytes < 100 && rng_below(rng, 20) > 0)
		append_character(&data, rng);
	append_frame(stream, 0x88, random_mask(rng), data.data, data.bytes);
	note(log, WS_READ_CLOSE, 1008, data.data + 2, data.bytes - 2);
	append_frame(stream, 0x81, 0, "ignored", 7);
	buf_finish(&data);
}

/* A stream, and in `log` what must be read from it. */
static void put_stream(struct buf *stream, struct buf *log, struct rng *rng)
{
	for (size_t left = 1 + rng_below(rng, 8); left > 0; left--) {
		if (rng_below(rng, 3) == 0)
			put_control(stream, log, rng);
		put_message(stream, log, rng);
	}
	if (rng_below(rng, 2) == 0)
		put_close(stream, log, rng);
}

static void init_logs(struct buf *a, struct buf *b, struct buf *c)
{
	buf_init(a, 64 * MESSAGE_BYTES_MAX);
	buf_init(b, 64 * MESSAGE_BYTES_MAX);
	buf_init(c, 64 * MESSAGE_BYTES_MAX);
}

static void finish_logs(struct buf *a, struct buf *b, struct buf *c)
{
	buf_finish(a);
	buf_finish(b);
	buf_finish(c);
}

static void test_random_streams(void **state)
{
	struct rng rng;

	(void)state;
	rng_init(&rng);
	for (int i = 0; i < RANDOM_STREAMS; i++) {
		struct buf stream, put, got;

		init_logs(&stream, &put, &got);
		put_stream(&stream, &put, &rng);
		read_split(&stream, &rng, &got);
		assert_int_equal(got.bytes, put.bytes);
		assert_memory_equal(got.data, put.data, put.bytes);
		finish_logs(&stream, &put, &got);
	}
}

/* Damaged streams: whatever is made of them, it is the same at every split. */
static void test_damaged_streams(void **state)
{
	struct rng rng;

	(void)state;
	rng_init(&rng);
	for (int i = 0; i < DAMAGED_STREAMS; i++) {
		struct buf stream, one, two;

		init_logs(&stream, &one, &two);
		for (size_t left = 1 + rng_below(&rng, 20); left > 0; left--)
			put_control(&stream, &one, &rng);
		put_message(&stream, &one, &rng);
		buf_finish(&one);
		for (size_t left = 1 + rng_below(&rng, 3); left > 0; left--)
			stream.data[rng_below(&rng, stream.bytes)] ^= (uint8_t)(1u << rng_below(&rng, 8));
		read_split(&stream, &rng, &one);
		read_split(&stream, &rng, &two);
		assert_int_equal(one.bytes, two.bytes);
		if (one.bytes > 0)
			assert_memory_equal(one.data, two.data, one.bytes);
		finish_logs(&stream, &one, &two);
	}
}

static void test_close_codes(void **state)
{
	(void)state;
	for (uint32_t code = 0; code <= UINT16_MAX; code++) {
		bool reserved =
			code < 1000 || (code >= 1004 && code <= 1006) || (code >= 1015 && code <= 2999);

		assert_int_equal(ws_close_code_valid((uint16_t)code), !reserved && code < 5000);
	}
}

static void expect_close(uint16_t code, struct str reason, struct str payload)
{
	uint8_t *out = guard_alloc(WS_CONTROL_BYTES_MAX);

	assert_int_equal(ws_close_encode(out, code, reason), payload.bytes);
	assert_true(str_equal(str_of((const char *)out, payload.bytes), payload));
	guard_free(out, WS_CONTROL_BYTES_MAX);
}

static void test_close_encode(void **state)
{
	char reason[131], payload[125] = "\x03\xf1";

	(void)state;
	expect_close(1000, STR(""), STR("\x03\xe8"));
	expect_close(1000, (struct str){ 0 }, STR("\x03\xe8"));
	expect_close(1001, STR("away"),
		STR("\x03\xe9"
		    "away"));
	expect_close(4999, STR("x"), STR("\x13\x87x"));
	expect_close(WS_CLOSE_NONE, STR("not told"), STR(""));

	memset(reason, 'r', sizeof(reason));
	memset(payload + 2, 'r', 123);
	expect_close(1009, str_of(reason, 123), str_of(payload, 125));
	expect_close(1009, str_of(reason, 124), str_of(payload, 125));
	/* A character of three bytes at 122, 121 and 120: only the last fits. */
	memcpy(reason + 122, "\xe2\x82\xac", 3);
	expect_close(1009, str_of(reason, 131), str_of(payload, 124));
	memcpy(reason + 121, "\xe2\x82\xacr", 4);
	expect_close(1009, str_of(reason, 131), str_of(payload, 123));
	memcpy(reason + 120, "\xe2\x82\xacr", 4);
	memcpy(payload + 122, "\xe2\x82\xac", 3);
	expect_close(1009, str_of(reason, 131), str_of(payload, 125));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_reader_is_small),
		cmocka_unit_test(test_no_input),
		cmocka_unit_test(test_whole_frames_are_lent),
		cmocka_unit_test(test_idle_reader_owns_nothing),
		cmocka_unit_test(test_memory_follows_arrival),
		cmocka_unit_test(test_65536_fragments),
		cmocka_unit_test(test_empty_fragments_cost_nothing),
		cmocka_unit_test(test_failure_releases),
		cmocka_unit_test(test_failing_allocations),
		cmocka_unit_test(test_random_streams),
		cmocka_unit_test(test_damaged_streams),
		cmocka_unit_test(test_close_codes),
		cmocka_unit_test(test_close_encode),
	};

	return cmocka_run_group_tests_name("ws message", tests, NULL, NULL);
}
