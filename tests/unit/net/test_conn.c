/* One connection on one loop: what comes and goes, pausing, half-closing, and closing from within any callback. */
#include "net/conn.h"

#include "side.h"

enum {
	LARGE_BYTES = 900000,
	HUGE_BYTES = 7 << 20, /* more than the kernel holds for one who does not read */
	ROUNDS = 200,
};

static struct harness h;
static struct sides sides;

static void start(enum net_sender_kind sender, const struct side_hooks *hooks)
{
	sides_start(&h, &sides, &(struct net_pool_options){ .loops = 1, .sender = sender }, hooks);
}

/* What a test has done on the loop; ctx is the side. */
static void do_send_large(struct net_loop *loop, void *ctx)
{
	(void)loop;
	side_send(ctx, LARGE_BYTES);
}

static void do_want_send(struct net_loop *loop, void *ctx)
{
	struct side *s = ctx;

	(void)loop;
	net_conn_want_send(s->conn);
	net_conn_want_send(s->conn);
}

static void do_pause(struct net_loop *loop, void *ctx)
{
	(void)loop;
	net_conn_pause(((struct side *)ctx)->conn);
}

static void do_resume(struct net_loop *loop, void *ctx)
{
	(void)loop;
	net_conn_resume(((struct side *)ctx)->conn);
	net_conn_resume(((struct side *)ctx)->conn);
}

static void do_close(struct net_loop *loop, void *ctx)
{
	(void)loop;
	side_close(ctx);
}

static void do_nothing(struct net_loop *loop, void *ctx)
{
	(void)loop;
	(void)ctx;
}

static void bytes_come_and_go(void **state)
{
	(void)state;
	for (int kind = NET_SENDER_AUTO; kind <= NET_SENDER_PLAIN; kind++) {
		start((enum net_sender_kind)kind, NULL);
		int fd = client_connect(&h);
		struct side *s = sides_wait(&sides, 0);

		client_send_stream(fd, 0, LARGE_BYTES);
		WAIT_FOR(atomic_load(&s->received) == LARGE_BYTES);
		harness_call(&h, 0, do_send_large, s);
		client_expect_stream(fd, 0, LARGE_BYTES);
		WAIT_FOR(atomic_load(&s->sent) == LARGE_BYTES);
		struct net_counters c;

		net_pool_counters(h.pool, &c);
		assert_int_equal(c.accepted, 1);
		assert_int_equal(c.bytes_in, LARGE_BYTES);
		assert_int_equal(c.bytes_out, LARGE_BYTES);
		close(fd);
		WAIT_FOR(atomic_load(&s->ends) == 1);
		assert_int_equal(atomic_load(&s->closes), 0);
		harness_call(&h, 0, do_close, s);
		harness_call(&h, 0, do_nothing, NULL);
		net_pool_counters(h.pool, &c);
		assert_int_equal(c.closed, 1);
		sides_finish(&h, &sides);
		/* Who closes is not told that it has closed. */
		assert_int_equal(atomic_load(&s->closes), 0);
	}
}

static void nothing_to_send_sends_nothing(void **state)
{
	(void)state;
	start(NET_SENDER_AUTO, NULL);
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	harness_call(&h, 0, do_want_send, s);
	harness_call(&h, 0, do_nothing, NULL);
	/* Marked twice, asked once. */
	assert_int_equal(atomic_load(&s->gathers), 1);
	assert_false(client_readable(fd));
	harness_call(&h, 0, do_want_send, s);
	harness_call(&h, 0, do_nothing, NULL);
	assert_int_equal(atomic_load(&s->gathers), 2);
	close(fd);
	sides_finish(&h, &sides);
}

/* Answer each byte from within `data`, with several marks. */
static void echo(struct side *s)
{
	size_t more = atomic_load(&s->received) - atomic_load(&s->out);

	side_send(s, more);
	net_conn_want_send(s->conn);
}

static void an_echo_from_within_data(void **state)
{
	(void)state;
	start(NET_SENDER_AUTO, &(struct side_hooks){ .data = echo });
	int fds[3];
	size_t at = 0;

	for (int i = 0; i < 3; i++)
		fds[i] = client_connect(&h);
	for (size_t round = 1; round <= ROUNDS; round++) {
		size_t bytes = round % 7 == 0 ? 5000 : round;

		for (int i = 0; i < 3; i++)
			client_send_stream(fds[i], at, bytes);
		for (int i = 0; i < 3; i++)
			client_expect_stream(fds[i], at, bytes);
		at += bytes;
	}
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	sides_finish(&h, &sides);
}

/* One thing after another, each asked for from within `sent`. */
static void send_on(struct side *s)
{
	if (atomic_load(&s->sent) == atomic_load(&s->out) && atomic_load(&s->out) < 50000)
		side_send(s, 100);
}

static void output_goes_on_from_within_sent(void **state)
{
	(void)state;
	start(NET_SENDER_AUTO, &(struct side_hooks){ .accepted = echo, .data = send_on, .sent = send_on });
	int fd = client_connect(&h);

	client_send_stream(fd, 0, 1);
	client_expect_stream(fd, 0, 50000);
	struct side *s = sides_wait(&sides, 0);

	harness_call(&h, 0, do_nothing, NULL);
	assert_int_equal(atomic_load(&s->sent), 50000);
	close(fd);
	sides_finish(&h, &sides);
}

/* More pieces than go at once: gather is asked again, in order. */
static void many_small_pieces(void **state)
{
	(void)state;
	start(NET_SENDER_AUTO, NULL);
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	s->piece_bytes = 7;
	harness_call(&h, 0, do_send_large, s);
	client_expect_stream(fd, 0, LARGE_BYTES);
	assert_true(atomic_load(&s->gathers) >= LARGE_BYTES / 7 / 1024);
	close(fd);
	sides_finish(&h, &sides);
}

static bool blocked;

static void see_blocked(struct net_loop *loop, void *ctx)
{
	(void)loop;
	blocked = net_conn_blocked(((struct side *)ctx)->conn);
}

static void do_send_huge(struct net_loop *loop, void *ctx)
{
	(void)loop;
	side_send(ctx, HUGE_BYTES);
}

/* One that does not read holds back its own connection alone, and has everything when it does. */
static void a_slow_reader(void **state)
{
	(void)state;
	start(NET_SENDER_AUTO, NULL);
	int slow = client_connect(&h), quick = client_connect(&h);
	struct side *s = sides_wait(&sides, 0), *other = sides_wait(&sides, 1);

	s->piece_bytes = 100000;
	harness_call(&h, 0, do_send_huge, s);
	WAIT_FOR((harness_call(&h, 0, see_blocked, s), blocked));
	unsigned gathers = atomic_load(&s->gathers);

	assert_true(atomic_load(&s->sent) < HUGE_BYTES);
	harness_call(&h, 0, do_want_send, s);
	harness_call(&h, 0, do_send_large, other);
	client_expect_stream(quick, 0, LARGE_BYTES);
	/* While it is blocked there is nothing to ask for. */
	assert_int_equal(atomic_load(&s->gathers), gathers);
	client_expect_stream(slow, 0, HUGE_BYTES);
	WAIT_FOR(atomic_load(&s->sent) == HUGE_BYTES);
	harness_call(&h, 0, see_blocked, s);
	assert_false(blocked);
	close(slow);
	close(quick);
	sides_finish(&h, &sides);
}

static void a_paused_connection_reads_nothing(void **state)
{
	(void)state;
	start(NET_SENDER_AUTO, NULL);
	int fd = client_connect(&h), other = client_connect(&h);
	struct side *s = sides_wait(&sides, 0), *t = sides_wait(&sides, 1);

	for (size_t round = 0; round < 20; round++) {
		harness_call(&h, 0, do_pause, s);
		client_send_stream(fd, round * 1000, 1000);
		/* When the other's bytes have come, these could have. */
		client_send_stream(other, round, 1);
		WAIT_FOR(atomic_load(&t->received) == round + 1);
		harness_call(&h, 0, do_nothing, NULL);
		assert_int_equal(atomic_load(&s->received), round * 1000);
		harness_call(&h, 0, do_resume, s);
		WAIT_FOR(atomic_load(&s->received) == (round + 1) * 1000);
	}
	/* The peer's end waits behind its bytes. */
	harness_call(&h, 0, do_pause, s);
	client_send_stream(fd, 20000, 1000);
	close(fd);
	client_send_stream(other, 20, 1);
	WAIT_FOR(atomic_load(&t->received) == 21);
	harness_call(&h, 0, do_nothing, NULL);
	assert_int_equal(atomic_load(&s->ends), 0);
	assert_int_equal(atomic_load(&s->closes), 0);
	harness_call(&h, 0, do_resume, s);
	WAIT_FOR(atomic_load(&s->ends) == 1);
	assert_int_equal(atomic_load(&s->received), 21000);
	close(other);
	sides_finish(&h, &sides);
}

static void pause_itself(struct side *s)
{
	net_conn_pause(s->conn);
}

/* From within `data`: what came in one piece has been lent, and no more comes. */
static void pausing_within_data(void **state)
{
	(void)state;
	start(NET_SENDER_AUTO, &(struct side_hooks){ .data = pause_itself });
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	client_send_stream(fd, 0, LARGE_BYTES);
	for (size_t resumed = 0; atomic_load(&s->received) < LARGE_BYTES; resumed++) {
		WAIT_FOR(atomic_load(&s->datas) == resumed + 1);
		harness_call(&h, 0, do_nothing, NULL);
		assert_int_equal(atomic_load(&s->datas), resumed + 1);
		if (atomic_load(&s->received) < LARGE_BYTES)
			harness_call(&h, 0, do_resume, s);
	}
	close(fd);
	sides_finish(&h, &sides);
}

static void a_reset_is_told_once(void **state)
{
	(void)state;
	for (int paused = 0; paused < 2; paused++) {
		start(NET_SENDER_AUTO, NULL);
		int fd = client_connect(&h);
		struct side *s = sides_wait(&sides, 0);

		if (paused)
			harness_call(&h, 0, do_pause, s);
		client_reset(fd);
		WAIT_FOR(atomic_load(&s->closes) == 1);
		assert_int_equal(atomic_load(&s->error), ECONNRESET);
		assert_int_equal(atomic_load(&s->ends), 0);
		sides_finish(&h, &sides);
		assert_int_equal(atomic_load(&s->closes), 1);
	}
}

/* Who has ended its side is still sent to. */
static void a_half_closed_peer(void **state)
{
	(void)state;
	start(NET_SENDER_AUTO, NULL);
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	client_send_stream(fd, 0, 5000);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	WAIT_FOR(atomic_load(&s->ends) == 1);
	assert_int_equal(atomic_load(&s->received), 5000);
	harness_call(&h, 0, do_send_large, s);
	client_expect_stream(fd, 0, LARGE_BYTES);
	WAIT_FOR(atomic_load(&s->sent) == LARGE_BYTES);
	assert_int_equal(atomic_load(&s->closes), 0);
	assert_false(client_readable(fd));
	harness_call(&h, 0, do_close, s);
	client_expect_end(fd);
	close(fd);
	sides_finish(&h, &sides);
}

static void do_lend(struct net_loop *loop, void *ctx)
{
	struct side *s = ctx;
	uint8_t bytes[10];

	(void)loop;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = side_byte(i);
	net_conn_lend(s->conn, bytes, sizeof(bytes));
	assert(atomic_load(&s->received) == sizeof(bytes));
	net_conn_lend(s->conn, bytes, 0);
	assert(atomic_load(&s->datas) == 1);
}

static void lent_bytes_are_received_bytes(void **state)
{
	(void)state;
	start(NET_SENDER_AUTO, NULL);
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	harness_call(&h, 0, do_lend, s);
	client_send_stream(fd, 10, 1000);
	WAIT_FOR(atomic_load(&s->received) == 1010);
	close(fd);
	sides_finish(&h, &sides);
}

static enum net_fate fate;

static void see_fate(struct net_loop *loop, void *ctx)
{
	(void)loop;
	fate = net_conn_fate(((struct side *)ctx)->conn);
}

#define WAIT_FOR_FATE(side, want) WAIT_FOR((harness_call(&h, 0, see_fate, (side)), fate == (want)))

static void the_fate_of_what_was_sent(void **state)
{
	(void)state;
	start(NET_SENDER_AUTO, NULL);
	int fd = client_connect(&h), full = client_connect(&h), broken = client_connect(&h);
	struct side *s = sides_wait(&sides, 0), *t = sides_wait(&sides, 1), *u = sides_wait(&sides, 2);

	harness_call(&h, 0, do_send_large, s);
	client_expect_stream(fd, 0, LARGE_BYTES);
	WAIT_FOR_FATE(s, NET_FATE_ACKED);
	close(fd);
	WAIT_FOR_FATE(s, NET_FATE_ENDED);

	t->piece_bytes = 100000;
	harness_call(&h, 0, do_send_huge, t);
	WAIT_FOR((harness_call(&h, 0, see_blocked, t), blocked));
	harness_call(&h, 0, see_fate, t);
	assert_int_equal(fate, NET_FATE_OPEN);
	close(full); /* with bytes unread: a reset */
	WAIT_FOR(atomic_load(&t->closes) == 1);

	/* A reset that nobody has read yet is seen all the same, and still told. */
	harness_call(&h, 0, do_pause, u);
	client_reset(broken);
	WAIT_FOR(atomic_load(&u->closes) == 1 || (harness_call(&h, 0, see_fate, u), fate == NET_FATE_LOST));
	WAIT_FOR(atomic_load(&u->closes) == 1);
	assert_int_equal(atomic_load(&u->error), ECONNRESET);
	sides_finish(&h, &sides);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_and_go),
		cmocka_unit_test(nothing_to_send_sends_nothing),
		cmocka_unit_test(an_echo_from_within_data),
		cmocka_unit_test(output_goes_on_from_within_sent),
		cmocka_unit_test(many_small_pieces),
		cmocka_unit_test(a_slow_reader),
		cmocka_unit_test(a_paused_connection_reads_nothing),
		cmocka_unit_test(pausing_within_data),
		cmocka_unit_test(a_reset_is_told_once),
		cmocka_unit_test(a_half_closed_peer),
		cmocka_unit_test(lent_bytes_are_received_bytes),
		cmocka_unit_test(the_fate_of_what_was_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
