/* WebSockets over a real loop that we end: what still goes and what does not; frames that overtake; and without memory. */
#include "lib/failing_alloc.h"
#include "net/sender.h"
#include "talk.h"
#include "ws/conn.h"

static const char payload[QUEUED_BYTES] = { 'a', 'b' };

/* The pool's sender stands in for libsio's: the kernel takes so many bytes, and then none until the test says so. */
static atomic_size_t may_go = SIZE_MAX;

static const struct net_sender_ops in_pieces;

static struct net_sender *create_sender(int *ret_errno)
{
	struct net_sender *sender = net_sender_plain.create(ret_errno);

	if (sender != NULL)
		sender->ops = &in_pieces;
	return sender;
}

static int64_t send_some(const struct net_send *n)
{
	struct iovec iov[NET_SEND_IOV_MAX];
	uint32_t count = 0;
	size_t max = atomic_load(&may_go), left = max;

	for (; count < n->iov_count && left > 0; count++) {
		iov[count] = n->iov[count];
		iov[count].iov_len = iov[count].iov_len < left ? iov[count].iov_len : left;
		left -= iov[count].iov_len;
	}
	int64_t sent = count == 0 ? -EAGAIN : net_send_one(n->fd, iov, count);

	if (sent > 0 && max < SIZE_MAX)
		atomic_fetch_sub(&may_go, (size_t)sent);
	return sent;
}

static void send_batch(struct net_sender *sender, struct net_send *sends, uint32_t count)
{
	(void)sender;
	for (uint32_t i = 0; i < count; i++)
		sends[i].result = send_some(&sends[i]);
}

static void destroy_sender(struct net_sender *sender)
{
	net_sender_plain.destroy(sender);
}

static const struct net_sender_ops in_pieces = { "in pieces", create_sender, destroy_sender, send_batch };
const struct net_sender_ops *const net_senders[] = { &in_pieces, NULL };

static void do_nothing(struct net_loop *loop, void *ctx)
{
	(void)loop;
	(void)ctx;
}

static void do_queue(struct net_loop *loop, void *ctx)
{
	struct owner *o = ctx;

	(void)loop;
	put_frame(o, WS_OP_BINARY, payload, QUEUED_BYTES);
}

static void do_queue_long(struct net_loop *loop, void *ctx)
{
	for (int i = 0; i < LONG_QUEUE; i++)
		do_queue(loop, ctx);
}

static void do_close(struct net_loop *loop, void *ctx)
{
	struct owner *o = ctx;

	(void)loop;
	ws_conn_close(o->ws, WS_CLOSE_NORMAL);
	ws_conn_close(o->ws, WS_CLOSE_GOING_AWAY); /* no effect */
	assert(atomic_load(&o->closes) == 0);
}

static void do_queue_and_close(struct net_loop *loop, void *ctx)
{
	do_queue_long(loop, ctx);
	do_close(loop, ctx);
}

static void do_urgent(struct net_loop *loop, void *ctx)
{
	static const uint8_t ping[] = { 0x89, 3, 'h', 'e', 'y' };
	struct owner *o = ctx;

	(void)loop;
	ws_conn_send_urgent(o->ws, ping, sizeof(ping));
}

static void do_cut(struct net_loop *loop, void *ctx)
{
	struct owner *o = ctx;

	(void)loop;
	ws_conn_cut(o->ws);
	o->ws = NULL;
}

static bool blocked;

static void see_blocked(struct net_loop *loop, void *ctx)
{
	const struct owner *o = ctx;

	(void)loop;
	blocked = net_conn_blocked(ws_conn_net(o->ws));
}

static void wait_blocked(struct owner *o)
{
	WAIT_FOR((harness_call(&w.h, 0, see_blocked, o), blocked));
}

static void the_queue_goes_before_the_close(void **state)
{
	(void)state;
	start(&echo_ops);
	for (unsigned i = 0; i < 3; i++) {
		int fd = ws_connect();
		struct owner *o = owner_wait(i);

		harness_call(&w.h, 0, i == 0 ? do_close : do_queue_and_close, o);
		if (i ==
			1) /* its own close comes before ours has gone: no more of the queue than has gone already */
			wait_blocked(o);
		for (int n = 0; n < (i == 0 ? 0 : LONG_QUEUE); n++)
			expect_frame(fd, 0x82, payload, QUEUED_BYTES);
		expect_frame(fd, 0x88, "\x03\xe8", 2);
		expect_told(o, 1000, false);
		/* Then its own, which nobody waits for: we have ended our side. */
		client_expect_end(fd);
		send_frame(fd, 0x88, "\x03\xe8", 2);
		close(fd);
	}
	finish();
}

/* Messages that come while we close are given still, and answers to pings go. */
static void the_client_talks_while_we_close(void **state)
{
	(void)state;
	start(&count_ops);
	int fd = ws_connect();
	struct owner *o = owner_wait(0);

	harness_call(&w.h, 0, do_queue_and_close, o);
	wait_blocked(o);
	send_frame(fd, 0x81, "still", 5);
	WAIT_FOR(atomic_load(&o->messages) == 1);
	/* It closes as well: that is the end, though not all has gone. */
	send_frame(fd, 0x88, "\x03\xe9", 2);
	expect_told(o, 1001, false);
	client_expect_gone(fd);
	close(fd);
	finish();
}

/* More may go, and the loop hears of it by the event that anything from the client brings. */
static void let_go(int fd, size_t bytes)
{
	atomic_store(&may_go, bytes);
	send_frame(fd, 0x8a, "", 0);
}

/* The client closes while the queue waits; some of our close frame goes, and only then the owner has more to say. */
static void what_is_said_behind_a_part_of_the_close(void **state)
{
	(void)state;
	for (unsigned part = 0; part <= 4; part++) {
		struct buf asked;

		start(&echo_ops);
		int fd = ws_connect();
		struct owner *o = owner_wait(0);

		atomic_store(&may_go, 0);
		buf_init(&asked, 1000);
		append_frame(&asked, 0x81, 1, "x", 1);
		append_frame(&asked, 0x88, 2, "\x03\xe9", 2);
		client_send(fd, asked.data, asked.bytes);
		buf_finish(&asked);
		WAIT_FOR(atomic_load(&o->messages) == 1);
		wait_blocked(o);
		let_go(fd, 3 + part); /* the echo, and a part of the close frame */
		WAIT_FOR(atomic_load(&may_go) == 0);
		if (part < 4)
			harness_call(&w.h, 0, do_queue, o);
		let_go(fd, SIZE_MAX);
		expect_frame(fd, 0x81, "x", 1);
		if (part == 0)
			expect_frame(fd, 0x82, payload, QUEUED_BYTES);
		expect_frame(fd, 0x88, "\x03\xe9", 2);
		client_expect_end(fd);
		expect_told(o, 1001, false);
		close(fd);
		finish();
	}
}

/* Between two frames, never within one. */
static void urgent_frames_overtake(void **state)
{
	(void)state;
	struct buf got;
	int frames = 0, pings = 0, ping_at = -1;

	start(&echo_ops);
	int fd = ws_connect();
	struct owner *o = owner_wait(0);

	harness_call(&w.h, 0, do_queue_long, o);
	wait_blocked(o);
	harness_call(&w.h, 0, do_urgent, o);
	send_frame(fd, 0x89, "you", 3);
	while (frames < LONG_QUEUE || pings < 2) {
		uint8_t first = client_peek(fd);

		read_frame(fd, first, &got);
		if (first == 0x82) {
			assert_int_equal(got.bytes, QUEUED_BYTES);
			assert_memory_equal(got.data, payload, QUEUED_BYTES);
			frames++;
		} else {
			assert_true(first == (pings == 0 ? 0x89 : 0x8a));
			assert_memory_equal(got.data, pings == 0 ? "hey" : "you", 3);
			ping_at = pings++ == 0 ? frames : ping_at;
		}
		buf_finish(&got);
	}
	/* It had not to wait for the whole queue. */
	assert_in_range(ping_at, 1, LONG_QUEUE - 1);
	close(fd);
	finish();
}

/* The reserve is small: what does not fit is dropped, and nothing else comes to harm. */
static void do_urgent_without_end(struct net_loop *loop, void *ctx)
{
	for (int i = 0; i < 1000; i++)
		do_urgent(loop, ctx);
}

static void the_reserve_has_an_end(void **state)
{
	(void)state;
	unsigned pings = 0;

	start(&echo_ops);
	int fd = ws_connect();
	struct owner *o = owner_wait(0);

	harness_call(&w.h, 0, do_urgent_without_end, o);
	send_frame(fd, 0x81, "hello", 5);
	for (uint8_t first = 0; first != 0x81;) {
		first = client_peek(fd);
		if (first == 0x89)
			expect_frame(fd, 0x89, "hey", 3);
		pings += first == 0x89;
	}
	expect_frame(fd, 0x81, "hello", 5);
	assert_in_range(pings, 10, WS_RESERVE_BYTES_MAX / 5);
	close(fd);
	finish();
}

static void cutting_tells_nobody(void **state)
{
	(void)state;
	start(&echo_ops);
	for (unsigned i = 0; i < 4; i++) {
		int fd = ws_connect();
		struct owner *o = owner_wait(i);

		if (i % 2 == 1) {
			harness_call(&w.h, 0, do_queue_long, o);
			wait_blocked(o);
		}
		if (i == 3)
			harness_call(&w.h, 0, do_close, o);
		harness_call(&w.h, 0, do_cut, o);
		client_expect_gone(fd);
		close(fd);
		harness_call(&w.h, 0, do_nothing, NULL);
		assert_int_equal(atomic_load(&o->closes), 0);
		buf_finish(&o->out);
	}
	finish();
}

/* From within `message`, with more messages behind it. */
static void command(void *ctx, bool binary, uint8_t *data, size_t bytes)
{
	struct owner *o = ctx;

	(void)binary;
	assert(atomic_load(&o->closes) == 0 && bytes == 1);
	atomic_fetch_add(&o->messages, 1);
	if (*data == 'c')
		do_close(NULL, o);
	else if (*data == 'q')
		do_queue(NULL, o);
	else if (*data == 'x')
		do_cut(NULL, o);
	else if (*data == 's')
		ws_conn_set_ops(o->ws, &count_ops, o);
}

static const struct ws_conn_ops command_ops = { command, on_pong, on_gather, on_waits, on_mid_frame, on_sent,
	on_closed };

static void ending_from_within_message(void **state)
{
	static const char commands[] = "cxs";

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct buf all;

		start(&command_ops);
		int fd = ws_connect();
		struct owner *o = owner_wait(0);

		buf_init(&all, 1000);
		append_frame(&all, 0x81, 1, "-", 1);
		append_frame(&all, 0x81, 2, &commands[i], 1);
		append_frame(&all, 0x81, 3, "-", 1);
		append_frame(&all, 0x81, 4, "-", 1);
		client_send(fd, all.data, all.bytes);
		buf_finish(&all);
		if (i == 2) { /* the others go to the new owner, who can take any */
			WAIT_FOR(atomic_load(&o->messages) == 4);
			send_frame(fd, 0x81, "long", 4);
			WAIT_FOR(atomic_load(&o->messages) == 5);
		} else {
			if (i == 1)
				client_expect_gone(fd);
			else
				expect_close(fd, 1000);
			harness_call(&w.h, 0, do_nothing, NULL);
			assert_int_equal(atomic_load(&o->messages), i == 0 ? 4 : 2);
			assert_int_equal(atomic_load(&o->closes), i == 0);
			buf_finish(&o->out);
		}
		close(fd);
		finish();
	}
}

static void a_fault_ends_the_queue(void **state)
{
	(void)state;
	struct buf all;

	/* In one read with what makes the owner speak: nothing of that has gone. */
	start(&command_ops);
	int fd = ws_connect();
	struct owner *o = owner_wait(0);

	buf_init(&all, 1000);
	append_frame(&all, 0x81, 1, "q", 1);
	append(&all, "\x81\x01x", 3);
	client_send(fd, all.data, all.bytes);
	buf_finish(&all);
	expect_close_saying(fd, 1002, "frame not masked");
	expect_told(o, 1002, true);
	close(fd);
	/* A frame has gone in part: no other can follow it, the close frame neither. */
	fd = ws_connect();
	o = owner_wait(1);
	harness_call(&w.h, 0, do_queue_long, o);
	wait_blocked(o);
	client_send(fd, "\x81\x01x", 3);
	expect_told(o, 1002, true);
	size_t went = atomic_load(&o->sent_bytes), frames = went / (QUEUED_BYTES + 4), got = 0;

	for (size_t i = 0; i < frames; i++)
		expect_frame(fd, 0x82, payload, QUEUED_BYTES);
	for (char byte; client_recv(fd, &byte, 1) == 1;)
		got++;
	assert_int_equal(got, went % (QUEUED_BYTES + 4));
	close(fd);
	finish();
}

/* What a close frame says goes whole, however the kernel takes it. */
static void a_fault_is_told_in_pieces(void **state)
{
	static const char said[] = "frame not masked";

	(void)state;
	start(&echo_ops);
	for (unsigned part = 0; part <= 4 + sizeof(said) - 1; part++) {
		int fd = ws_connect();
		struct owner *o = owner_wait(part);

		atomic_store(&may_go, part);
		client_send(fd, "\x81\x01x", 3);
		expect_told(o, 1002, true);
		WAIT_FOR(atomic_load(&may_go) == 0);
		let_go(fd, SIZE_MAX);
		expect_close_saying(fd, 1002, said);
		close(fd);
	}
	finish();
}

static void connections_that_break(void **state)
{
	(void)state;
	start(&echo_ops);
	for (unsigned i = 0; i < 6; i++) {
		int fd = ws_connect();
		struct owner *o = owner_wait(i);

		if (i >= 4) { /* while a frame is on its way to us, or from us */
			harness_call(&w.h, 0, do_queue_long, o);
			wait_blocked(o);
		}
		if (i % 2 == 1)
			send_frame(fd, 0x01, "begun", 5);
		if (i < 2)
			close(fd);
		else
			client_reset(fd);
		expect_told(o, 1006, false);
	}
	finish();
}

/* The pool stops and the client does not: it is cut in the end, and told to the owner. */
static void a_pool_that_stops(void **state)
{
	(void)state;
	start(&echo_ops);
	int fd = ws_connect();
	struct owner *o = owner_wait(0);

	web_finish(&w);
	expect_told(o, 1006, false);
	client_expect_gone(fd);
	close(fd);
}

/* A session in which the n-th allocation fails: it may end early, and harms nobody else. Ours must not allocate. */
static void session(int fd)
{
	static const char frames[] = "\x81\x85\x00\x00\x00\x00hello"
				     "\x89\x84\x00\x00\x00\x00ping"
				     "\x01\x83\x00\x00\x00\x00"
				     "fra"
				     "\x00\x83\x00\x00\x00\x00"
				     "gme";
	static const char rest[] = "\x80\x83\x00\x00\x00\x00nts"
				   "\x88\x82\x00\x00\x00\x00\x03\xe8";
	char got[4096];

	(void)send(fd, handshake, sizeof(handshake) - 1, MSG_NOSIGNAL);
	(void)send(fd, frames, sizeof(frames) - 1, MSG_NOSIGNAL);
	(void)send(fd, rest, sizeof(rest) - 1, MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while (client_recv(fd, got, sizeof(got)) > 0)
		;
}

static void without_memory(void **state)
{
	(void)state;
	unsigned n = 0;
	bool failed;

	start(&count_ops);
	do {
		failing_alloc_arm(++n);
		int fd = client_connect(&w.h);

		session(fd);
		failed = failing_alloc_disarm();
		close(fd);
		unsigned good = atomic_load(&owner_count);

		fd = ws_connect();
		send_frame(fd, 0x81, "hello", 5);
		send_frame(fd, 0x88, "\x03\xe8", 2);
		expect_close(fd, 1000);
		close(fd);
		expect_told(&owners[good], 1000, false);
	} while (failed);
	assert_true(n > 5);
	for (unsigned i = 0; i < atomic_load(&owner_count); i++)
		WAIT_FOR(atomic_load(&owners[i].closes) == 1);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_queue_goes_before_the_close),
		cmocka_unit_test(the_client_talks_while_we_close),
		cmocka_unit_test(what_is_said_behind_a_part_of_the_close),
		cmocka_unit_test(urgent_frames_overtake),
		cmocka_unit_test(the_reserve_has_an_end),
		cmocka_unit_test(cutting_tells_nobody),
		cmocka_unit_test(ending_from_within_message),
		cmocka_unit_test(a_fault_ends_the_queue),
		cmocka_unit_test(a_fault_is_told_in_pieces),
		cmocka_unit_test(connections_that_break),
		cmocka_unit_test(a_pool_that_stops),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
