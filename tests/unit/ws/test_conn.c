/* WebSockets over a real loop: the handshake, messages, control frames, and a client that closes or breaks rules. */
#include "ws/conn.h"

#include "talk.h"

static void the_handshake(void **state)
{
	static const struct {
		const char *request;
		enum ws_verdict verdict;
	} refused[] = {
		{ "GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", WS_VERDICT_NOT_UPGRADE },
		{ "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		  "Sec-WebSocket-Key: " KEY "\r\n\r\n",
			WS_VERDICT_NOT_UPGRADE },
		{ REQUEST("POST", "13", "Sec-WebSocket-Key: " KEY "\r\n"), WS_VERDICT_BAD_METHOD },
		{ REQUEST("GET", "8", "Sec-WebSocket-Key: " KEY "\r\n"), WS_VERDICT_BAD_VERSION },
		{ REQUEST("GET", "13", ""), WS_VERDICT_BAD_KEY },
		{ REQUEST("GET", "13", "Sec-WebSocket-Key: short\r\n"), WS_VERDICT_BAD_KEY },
		{ REQUEST("GET", "13", "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Key: " KEY "\r\n"),
			WS_VERDICT_BAD_KEY },
	};

	(void)state;
	start(&echo_ops);
	int fd = client_connect(&w.h);

	/* What is refused leaves the connection as it was. */
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
		char verdict[2] = { (char)('0' + (int)refused[i].verdict), '\0' };

		client_send_text(fd, refused[i].request);
		web_expect(fd, 400, verdict);
	}
	client_send_text(fd, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
	client_send_text(fd, handshake);
	web_expect(fd, 200, "GET  ");
	expect_welcome(fd);
	send_frame(fd, 0x81, "hello", 5);
	expect_frame(fd, 0x81, "hello", 5);
	close(fd);
	finish();
}

/* Frames that come in one piece with the request, and byte by byte. */
static void frames_behind_the_handshake(void **state)
{
	(void)state;
	struct buf all;

	start(&echo_ops);
	buf_init(&all, 1 << 16);
	append(&all, handshake, sizeof(handshake) - 1);
	append_frame(&all, 0x81, 0, "first", 5);
	append_frame(&all, 0x02, 0x12345678, "sec", 3);
	append_frame(&all, 0x80, 0xffffffff, "ond", 3);
	for (size_t piece = all.bytes; piece > 0; piece = piece == 1 ? 0 : piece / 7 + 1) {
		int fd = client_connect(&w.h);

		for (size_t at = 0, n; at < all.bytes; at += n) {
			n = piece < all.bytes - at ? piece : all.bytes - at;
			client_send(fd, all.data + at, n);
		}
		expect_welcome(fd);
		expect_frame(fd, 0x81, "first", 5);
		expect_frame(fd, 0x82, "second", 6);
		close(fd);
	}
	buf_finish(&all);
	finish();
}

static void messages_of_all_sizes(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 125, 126, 127, 65535, 65536, 65537, MESSAGE_BYTES_MAX };
	static char data[MESSAGE_BYTES_MAX];

	(void)state;
	start(&echo_ops);
	int fd = ws_connect();

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (size_t n = 0; n < sizes[i]; n++)
			data[n] = (char)('a' + (n + i) % 26);
		send_frame(fd, 0x81, data, sizes[i]);
		expect_frame(fd, 0x81, data, sizes[i]);
		for (size_t n = 0; n < sizes[i]; n++)
			data[n] = (char)side_byte(n + i);
		send_frame(fd, 0x82, data, sizes[i]);
		expect_frame(fd, 0x82, data, sizes[i]);
		/* In three fragments. */
		send_frame(fd, 0x02, data, sizes[i] / 3);
		send_frame(fd, 0x00, data + sizes[i] / 3, sizes[i] / 3);
		send_frame(fd, 0x80, data + 2 * (sizes[i] / 3), sizes[i] - 2 * (sizes[i] / 3));
		expect_frame(fd, 0x82, data, sizes[i]);
	}
	assert_int_equal(atomic_load(&owner_wait(0)->messages), 3 * sizeof(sizes) / sizeof(*sizes));
	close(fd);
	finish();
}

static void pings_are_answered_at_once(void **state)
{
	(void)state;
	char long_ping[125];

	memset(long_ping, 'p', sizeof(long_ping));
	start(&echo_ops);
	int fd = ws_connect();

	send_frame(fd, 0x89, "", 0);
	expect_frame(fd, 0x8a, "", 0);
	send_frame(fd, 0x89, long_ping, sizeof(long_ping));
	expect_frame(fd, 0x8a, long_ping, sizeof(long_ping));
	/* Between two fragments, before the message is whole. */
	send_frame(fd, 0x01, "frag", 4);
	send_frame(fd, 0x89, "between", 7);
	expect_frame(fd, 0x8a, "between", 7);
	send_frame(fd, 0x8a, "a pong that nobody asked for", 28);
	send_frame(fd, 0x00, "ment", 4);
	send_frame(fd, 0x80, "ed", 2);
	expect_frame(fd, 0x81, "fragmented", 10);
	/* Of several at once the last is answered, if not all. */
	struct buf all, got;

	buf_init(&all, 1 << 16);
	for (char i = 'a'; i <= 'j'; i++)
		append_frame(&all, 0x89, 0x01020304, &i, 1);
	client_send(fd, all.data, all.bytes);
	for (char last = 0; last != 'j';) {
		read_frame(fd, 0x8a, &got);
		assert_int_equal(got.bytes, 1);
		assert_true((char)got.data[0] > last);
		last = (char)got.data[0];
		buf_finish(&got);
	}
	buf_finish(&all);
	close(fd);
	finish();
}

static void the_client_closes(void **state)
{
	static const struct {
		const char *payload;
		size_t bytes;
		unsigned code;
	} closes[] = { { "", 0, 1005 }, { "\x03\xe8", 2, 1000 },
		{ "\x03\xe8"
		  "bye",
			5, 1000 },
		{ "\x03\xe9", 2, 1001 }, { "\x0b\xb8", 2, 3000 }, { "\x13\x87", 2, 4999 } };

	(void)state;
	start(&echo_ops);
	for (unsigned i = 0; i < sizeof(closes) / sizeof(*closes); i++) {
		int fd = ws_connect();

		send_frame(fd, 0x81, "last", 4);
		send_frame(fd, 0x88, closes[i].payload, closes[i].bytes);
		/* What comes behind it is not looked at, bad as it may be. */
		client_send_text(fd, "\xff\xff\xff");
		send_frame(fd, 0x81, "late", 4);
		expect_told(owner_wait(i), closes[i].code, false);
		assert_int_equal(atomic_load(&owners[i].messages), 1);
		/* The answer may go before it or not, as the owner is asked no more. */
		if (client_peek(fd) == 0x81)
			expect_frame(fd, 0x81, "last", 4);
		expect_close(fd, closes[i].code == 1005 ? 0 : closes[i].code);
		close(fd);
	}
	finish();
}

static void the_client_breaks_rules(void **state)
{
	static const struct {
		const char *bytes;
		size_t count;
		unsigned code;
		const char *reason;
	} faults[] = {
#define FAULT(text, code, reason) { text, sizeof(text) - 1, code, reason }
		FAULT("\x81\x05hello", 1002, "frame not masked"),
		FAULT("\xc1\x80\x00\x00\x00\x00", 1002, "reserved bit set"),
		FAULT("\x83\x80\x00\x00\x00\x00", 1002, "unknown opcode"),
		FAULT("\x8b\x80\x00\x00\x00\x00", 1002, "unknown opcode"),
		FAULT("\x09\x80\x00\x00\x00\x00", 1002, "fragmented control frame"),
		FAULT("\x89\xfe\x00\x7e\x00\x00\x00\x00", 1002, "control frame over 125 bytes"),
		FAULT("\x81\xfe\x00\x05\x00\x00\x00\x00hello", 1002, "length not in its shortest form"),
		FAULT("\x80\x80\x00\x00\x00\x00", 1002, "continuation of no message"),
		FAULT("\x01\x80\x00\x00\x00\x00\x81\x80\x00\x00\x00\x00", 1002, "message inside a message"),
		FAULT("\x88\x81\x00\x00\x00\x00x", 1002, "close of one byte"),
		FAULT("\x88\x82\x00\x00\x00\x00\x03\xed", 1002, "close code not allowed"), /* 1005 */
		FAULT("\x88\x82\x00\x00\x00\x00\x03\xe7", 1002, "close code not allowed"), /* 999 */
		FAULT("\x81\x81\x00\x00\x00\x00\xff", 1007, "not UTF-8"),
		FAULT("\x81\x82\x00\x00\x00\x00\xc3(", 1007, "not UTF-8"),
		FAULT("\x01\x81\x00\x00\x00\x00\xc0", 1007, "not UTF-8"), /* before it is whole */
		FAULT("\x81\x81\x00\x00\x00\x00\xe2", 1007,
			"not UTF-8"), /* ends in the middle of a character */
		FAULT("\x88\x83\x00\x00\x00\x00\x03\xe8\xff", 1007,
			"not UTF-8"), /* in the reason of a close */
		FAULT("\x82\xff\x00\x00\x00\x00\x00\x01\x86\xa1\x00\x00\x00\x00", 1009,
			"message too big"), /* one byte too many, announced */
		FAULT("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009,
			"message too big"), /* 2^63 - 1 */
#undef FAULT
	};

	(void)state;
	start(&echo_ops);
	for (unsigned i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		int fd = ws_connect();

		send_frame(fd, 0x81, "good", 4);
		expect_frame(fd, 0x81, "good", 4);
		client_send(fd, faults[i].bytes, faults[i].count);
		expect_close_saying(fd, faults[i].code, faults[i].reason);
		expect_told(&owners[i], faults[i].code, true);
		assert_int_equal(atomic_load(&owners[i].messages), 1);
		close(fd);
	}
	finish();
}

static void too_much_of_a_message(void **state)
{
	static char data[MESSAGE_BYTES_MAX];

	(void)state;
	start(&count_ops);
	/* Its fragments announce more than a message may have. */
	int fd = ws_connect();

	send_frame(fd, 0x02, data, MESSAGE_BYTES_MAX / 2);
	send_frame(fd, 0x00, data, MESSAGE_BYTES_MAX / 2);
	send_frame(fd, 0x80, data, 1);
	expect_close_saying(fd, 1009, "message too big");
	expect_told(owner_wait(0), 1009, true);
	close(fd);
	/* There are too many of them, empty as they are. */
	fd = ws_connect();
	send_frame(fd, 0x02, "", 0);
	for (int i = 1; i < FRAGMENTS_MAX; i++)
		send_frame(fd, 0x00, "x", i % 2 == 0);
	assert_false(client_readable(fd));
	send_frame(fd, 0x00, "", 0);
	expect_close_saying(fd, 1008, "too many fragments");
	expect_told(owner_wait(1), 1008, true);
	close(fd);
	/* As many as may be. */
	fd = ws_connect();
	send_frame(fd, 0x02, "", 0);
	for (int i = 1; i < FRAGMENTS_MAX - 1; i++)
		send_frame(fd, 0x00, "x", 1);
	send_frame(fd, 0x80, "x", 1);
	WAIT_FOR(atomic_load(&owner_wait(2)->messages) == 1);
	close(fd);
	finish();
}

static void a_flood_of_pings(void **state)
{
	(void)state;
	struct buf all, got;
	unsigned last = 0;

	start(&echo_ops);
	int fd = ws_connect();

	/* More than two seconds may have. */
	buf_init(&all, 1 << 20);
	for (uint32_t i = 1; i <= 3 * WS_PINGS_PER_S_MAX; i++)
		append_frame(&all, 0x89, 0x55aa00ff, &i, sizeof(i));
	client_send(fd, all.data, all.bytes);
	for (;;) {
		uint8_t first = client_peek(fd);

		if (first == 0x88)
			break;
		read_frame(fd, 0x8a, &got);
		uint32_t n;

		assert_int_equal(got.bytes, sizeof(n));
		memcpy(&n, got.data, sizeof(n));
		assert_true(n > last);
		last = n;
		buf_finish(&got);
	}
	/* Each second's last was answered. */
	assert_true(last >= WS_PINGS_PER_S_MAX && last <= 2 * WS_PINGS_PER_S_MAX);
	expect_close_saying(fd, 1008, "too many pings");
	expect_told(&owners[0], 1008, true);
	buf_finish(&all);
	close(fd);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_handshake),
		cmocka_unit_test(frames_behind_the_handshake),
		cmocka_unit_test(messages_of_all_sizes),
		cmocka_unit_test(pings_are_answered_at_once),
		cmocka_unit_test(the_client_closes),
		cmocka_unit_test(the_client_breaks_rules),
		cmocka_unit_test(too_much_of_a_message),
		cmocka_unit_test(a_flood_of_pings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
