/* The ends of a connection: cut from within any callback, by another's, and finished in order whatever the peer does. */
#include "net/conn.h"
#include "side.h"

enum {
	LARGE_BYTES = 900000,
	HUGE_BYTES = 7 << 20,
	REST_MS = 2000, /* how much later than its time a deadline may come here */
};

static struct harness h;
static struct sides sides;
static enum net_fate fate; /* written by a call on the loop, read behind it */

static void start(const struct side_hooks *hooks)
{
	sides_start(&h, &sides, &(struct net_pool_options){ .loops = 1 }, hooks);
}

static void do_nothing(struct net_loop *loop, void *ctx)
{
	(void)loop;
	(void)ctx;
}

static void do_send_large(struct net_loop *loop, void *ctx)
{
	(void)loop;
	side_send(ctx, LARGE_BYTES);
}

static void do_finish(struct net_loop *loop, void *ctx)
{
	(void)loop;
	net_conn_finish(((struct side *)ctx)->conn);
	net_conn_finish(((struct side *)ctx)->conn);
}

static void do_send_and_finish(struct net_loop *loop, void *ctx)
{
	do_send_large(loop, ctx);
	do_finish(loop, ctx);
}

/* Nothing of it is left: it has been counted, and the client sees its end. */
static void expect_gone(int fd, uint64_t closed)
{
	struct net_counters c;

	client_expect_gone(fd);
	close(fd);
	harness_call(&h, 0, do_nothing, NULL);
	net_pool_counters(h.pool, &c);
	assert_int_equal(c.closed, closed);
}

static void close_itself(struct side *s)
{
	side_close(s);
	/* Nothing of this does anything to one that is closed. */
	net_conn_close(s->conn);
	net_conn_want_send(s->conn);
	net_conn_finish(s->conn);
}

static void send_large(struct side *s)
{
	side_send(s, LARGE_BYTES);
}

static void closing_from_within_callbacks(void **state)
{
	static const struct side_hooks each[] = {
		{ .accepted = close_itself },
		{ .data = close_itself },
		{ .ended = close_itself },
		{ .data = send_large, .sent = close_itself },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(each) / sizeof(*each); i++) {
		start(&each[i]);
		for (uint64_t round = 1; round <= 20; round++) {
			int fd = client_connect(&h);
			struct side *s = sides_wait(&sides, (unsigned)round - 1);

			if (i > 0)
				client_send_stream(fd, 0, 4000);
			if (i == 2)
				assert_int_equal(shutdown(fd, SHUT_WR), 0);
			WAIT_FOR(atomic_load(&s->cut));
			expect_gone(fd, round);
			assert_int_equal(atomic_load(&s->closes), 0);
			assert_true(i != 3 || atomic_load(&s->sent) > 0);
		}
		harness_finish(&h);
	}
}

/* More than one read takes is there when `data` closes it: what was left to be read is of no account. */
static void send_much(struct net_loop *loop, void *ctx)
{
	static char much[4 * NET_RECV_BYTES];
	int fd = *(const int *)ctx;
	ssize_t n = send(fd, much, sizeof(much), MSG_NOSIGNAL | MSG_DONTWAIT);

	(void)loop;
	assert(n > NET_RECV_BYTES);
}

static void take_any(struct side *s)
{
	s->raw = true;
}

static void closing_within_a_full_read(void **state)
{
	(void)state;
	start(&(struct side_hooks){ .accepted = take_any, .data = close_itself });
	for (unsigned i = 0; i < 20; i++) {
		int fd = client_connect(&h);
		struct side *s = sides_wait(&sides, i);

		harness_call(&h, 0, send_much, &fd);
		WAIT_FOR(atomic_load(&s->cut));
		expect_gone(fd, i + 1);
		assert_int_equal(atomic_load(&s->datas), 1);
	}
	harness_finish(&h);
}

static atomic_uint refused;

static void refuse(struct net_conn *conn, void *ctx)
{
	assert(ctx == &refused);
	net_conn_close(conn);
	atomic_fetch_add(&refused, 1);
}

static void closing_instead_of_taking_it(void **state)
{
	(void)state;
	harness_create(&h, &(struct net_pool_options){ .loops = 1 });
	harness_listen(&h, refuse, &refused);
	harness_run(&h);
	for (uint64_t round = 1; round <= 20; round++) {
		int fd = client_connect(&h);

		WAIT_FOR(atomic_load(&refused) == round);
		expect_gone(fd, round);
	}
	harness_finish(&h);
}

/* Whoever hears first closes all the others, whose bytes are there as well. */
static void close_others(struct side *s)
{
	for (unsigned i = 0; i < atomic_load(&sides.count); i++) {
		if (&sides.all[i] != s && !side_over(&sides.all[i]))
			side_close(&sides.all[i]);
	}
}

static unsigned cut_sides(void)
{
	unsigned cut = 0;

	for (unsigned i = 0; i < 8; i++)
		cut += atomic_load(&sides.all[i].cut);
	return cut;
}

struct together {
	int fds[8];
};

/* With the loop held: all are ready in one iteration. */
static void send_from_all(struct net_loop *loop, void *ctx)
{
	const struct together *t = ctx;

	(void)loop;
	for (size_t i = 0; i < 8; i++) {
		uint8_t byte = side_byte(0);
		ssize_t n = send(t->fds[i], &byte, 1, MSG_NOSIGNAL);

		assert(n == 1);
	}
}

static void closing_others_that_are_ready(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		struct together t;
		unsigned heard = 0;

		start(&(struct side_hooks){ .data = close_others });
		for (unsigned i = 0; i < 8; i++) {
			t.fds[i] = client_connect(&h);
			sides_wait(&sides, i);
		}
		harness_call(&h, 0, send_from_all, &t);
		WAIT_FOR(cut_sides() == 7);
		harness_call(&h, 0, do_nothing, NULL);
		for (unsigned i = 0; i < 8; i++) {
			heard += atomic_load(&sides.all[i].datas);
			close(t.fds[i]);
		}
		assert_int_equal(heard, 1);
		sides_finish(&h, &sides);
	}
}

/* Within a batch of sends: the first whose bytes have gone closes those that come after it in the same batch. */
static void answer(struct side *s)
{
	side_send(s, 100);
}

static void closing_others_of_a_batch(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		struct together t;

		start(&(struct side_hooks){ .data = answer, .sent = close_others });
		for (unsigned i = 0; i < 8; i++) {
			t.fds[i] = client_connect(&h);
			sides_wait(&sides, i);
		}
		harness_call(&h, 0, send_from_all, &t);
		WAIT_FOR(cut_sides() == 7);
		for (unsigned i = 0; i < 8; i++) {
			if (!atomic_load(&sides.all[i].cut))
				client_expect_stream(t.fds[i], 0, 100);
			else
				client_expect_gone(t.fds[i]);
			close(t.fds[i]);
		}
		sides_finish(&h, &sides);
	}
}

static void finishing_sends_what_there_is(void **state)
{
	(void)state;
	start(NULL);
	for (unsigned round = 0; round < 5; round++) {
		int fd = client_connect(&h);
		struct side *s = sides_wait(&sides, round);

		harness_call(&h, 0, round % 2 == 0 ? do_send_and_finish : do_finish, s);
		client_expect_stream(fd, 0, round % 2 == 0 ? LARGE_BYTES : 0);
		client_expect_end(fd);
		assert_int_equal(atomic_load(&s->closes), 0);
		/* What comes now is thrown away. */
		client_send_stream(fd, 0, 100000);
		close(fd);
		WAIT_FOR(atomic_load(&s->closes) == 1);
		assert_int_equal(atomic_load(&s->error), 0);
		assert_int_equal(atomic_load(&s->datas), 0);
		assert_int_equal(atomic_load(&s->ends), 0);
	}
	harness_finish(&h);
}

/* What gather begins to give while it finishes goes too. */
static void send_ten_times(struct side *s)
{
	if (atomic_load(&s->out) < 1000)
		side_send(s, 100);
}

static void start_and_finish(struct side *s)
{
	send_ten_times(s);
	net_conn_finish(s->conn);
}

static void finish_itself(struct side *s)
{
	net_conn_finish(s->conn);
}

static void finishing_from_within_callbacks(void **state)
{
	static const struct side_hooks each[] = {
		{ .accepted = start_and_finish, .sent = send_ten_times },
		{ .data = start_and_finish, .sent = send_ten_times },
		{ .ended = start_and_finish, .sent = send_ten_times },
		{ .accepted = send_ten_times, .sent = finish_itself },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(each) / sizeof(*each); i++) {
		start(&each[i]);
		for (unsigned round = 0; round < 10; round++) {
			int fd = client_connect(&h);
			struct side *s = sides_wait(&sides, round);

			if (i == 1)
				client_send_stream(fd, 0, 10);
			if (i == 2)
				assert_int_equal(shutdown(fd, SHUT_WR), 0);
			client_expect_stream(fd, 0, i == 3 ? 100 : 1000);
			client_expect_end(fd);
			close(fd);
			WAIT_FOR(atomic_load(&s->closes) == 1);
			assert_int_equal(atomic_load(&s->error), 0);
		}
		harness_finish(&h);
	}
}

static void finishing_a_slow_reader(void **state)
{
	(void)state;
	start(NULL);
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	s->piece_bytes = 100000;
	for (size_t bytes = 0; bytes < HUGE_BYTES; bytes += LARGE_BYTES)
		harness_call(&h, 0, do_send_large, s);
	harness_call(&h, 0, do_finish, s);
	client_expect_stream(fd, 0, atomic_load(&s->out));
	client_expect_end(fd);
	close(fd);
	WAIT_FOR(atomic_load(&s->closes) == 1);
	assert_int_equal(atomic_load(&s->error), 0);
	harness_finish(&h);
}

/* Who has ended its side and does not read yet may still take it all, or go: nothing is said before that is known. */
static void finishing_with_bytes_under_way(void **state)
{
	(void)state;
	start(NULL);
	for (unsigned round = 0; round < 6; round++) {
		int fd = client_connect(&h);
		struct side *s = sides_wait(&sides, round);

		int small = 64 << 10; /* what it does not read waits with us */

		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
		if (round % 2 == 0)
			assert_int_equal(shutdown(fd, SHUT_WR), 0);
		WAIT_FOR(round % 2 != 0 || atomic_load(&s->ends) == 1);
		harness_call(&h, 0, do_send_and_finish, s);
		client_expect_stream(fd, 0, 1000);
		if (round % 2 != 0)
			assert_int_equal(shutdown(fd, SHUT_WR), 0);
		for (unsigned turn = 0; turn < 10; turn++)
			harness_call(&h, 0, do_nothing, NULL);
		assert_int_equal(atomic_load(&s->closes), 0);
		if (round % 3 != 0) {
			client_expect_stream(fd, 1000, LARGE_BYTES - 1000);
			client_expect_end(fd);
		}
		close(fd); /* with bytes unread: a reset */
		WAIT_FOR(atomic_load(&s->closes) == 1);
		assert_int_equal(atomic_load(&s->error), round % 3 == 0 ? ECONNRESET : 0);
	}
	harness_finish(&h);
}

static void do_ask_fate(struct net_loop *loop, void *ctx)
{
	(void)loop;
	fate = net_conn_fate(((struct side *)ctx)->conn);
}

static enum net_fate fate_of(struct side *s)
{
	harness_call(&h, 0, do_ask_fate, s);
	return fate;
}

/* What is under way to who has ended its side may arrive: that is known when its kernel has it, or has reset. */
static void bytes_under_way_to_one_that_has_ended(void **state)
{
	int small = 64 << 10;

	(void)state;
	start(NULL);
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	WAIT_FOR(atomic_load(&s->ends) == 1);
	harness_call(&h, 0, do_send_large, s);
	assert_int_equal(fate_of(s), NET_FATE_ENDING);
	client_expect_stream(fd, 0, LARGE_BYTES);
	WAIT_FOR(fate_of(s) == NET_FATE_ENDED);
	close(fd);
	harness_finish(&h);
}

/* Both sides have ended: it is closed at once, whether the other closes its descriptor or not. */
static void finishing_where_the_peer_has_ended(void **state)
{
	(void)state;
	start(NULL);
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	WAIT_FOR(atomic_load(&s->ends) == 1);
	uint64_t began_ns = clock_now_ns();
	harness_call(&h, 0, do_finish, s);
	client_expect_end(fd);
	WAIT_FOR(atomic_load(&s->closes) == 1);
	assert_true(clock_now_ns() - began_ns < NET_LINGER_MS * CLOCK_NS_PER_MS / 2);
	assert_int_equal(atomic_load(&s->error), 0);
	close(fd);
	harness_finish(&h);
}

/* A paused one does not hear the peer's end: finishing reads again. */
static void do_pause_send_finish(struct net_loop *loop, void *ctx)
{
	net_conn_pause(((struct side *)ctx)->conn);
	do_send_and_finish(loop, ctx);
}

static void finishing_while_paused(void **state)
{
	(void)state;
	start(NULL);
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	harness_call(&h, 0, do_pause_send_finish, s);
	client_expect_stream(fd, 0, LARGE_BYTES);
	client_expect_end(fd);
	close(fd);
	WAIT_FOR(atomic_load(&s->closes) == 1);
	assert_int_equal(atomic_load(&s->error), 0);
	harness_finish(&h);
}

static void do_cut(struct net_loop *loop, void *ctx)
{
	(void)loop;
	side_close(ctx);
}

static void cutting_one_that_finishes(void **state)
{
	(void)state;
	start(NULL);
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	harness_call(&h, 0, do_finish, s);
	client_expect_end(fd);
	harness_call(&h, 0, do_cut, s);
	expect_gone(fd, 1);
	assert_int_equal(atomic_load(&s->closes), 0);
	harness_finish(&h);
}

static void a_reset_while_finishing(void **state)
{
	(void)state;
	start(NULL);
	int fd = client_connect(&h);
	struct side *s = sides_wait(&sides, 0);

	harness_call(&h, 0, do_finish, s);
	client_expect_end(fd);
	client_reset(fd);
	WAIT_FOR(atomic_load(&s->closes) == 1);
	harness_finish(&h);
}

/* Sends without end, until the other has gone. */
static void *send_for_ever(void *arg)
{
	char bytes[4096] = { 0 };
	ssize_t n;

	do
		n = send(*(int *)arg, bytes, sizeof(bytes), MSG_NOSIGNAL);
	while (n > 0 || errno == EINTR);
	return NULL;
}

/* Those who never end their side: one silent, one that sends for ever. Both are cut after NET_LINGER_MS. */
static void a_peer_that_never_ends(void **state)
{
	(void)state;
	pthread_t thread;

	start(NULL);
	int silent = client_connect(&h), loud = client_connect(&h);
	struct side *s = sides_wait(&sides, 0), *t = sides_wait(&sides, 1);
	uint64_t began_ns = clock_now_ns();

	harness_call(&h, 0, do_send_and_finish, s);
	harness_call(&h, 0, do_finish, t);
	assert_int_equal(pthread_create(&thread, NULL, send_for_ever, &loud), 0);
	client_expect_stream(silent, 0, LARGE_BYTES);
	client_expect_end(silent);
	WAIT_FOR(atomic_load(&s->closes) == 1 && atomic_load(&t->closes) == 1);
	uint64_t took_ms = (clock_now_ns() - began_ns) / CLOCK_NS_PER_MS;

	assert_in_range(took_ms, NET_LINGER_MS - 1, NET_LINGER_MS + harness_slower() * REST_MS);
	/* It has taken all of it, as far as its kernel says. */
	assert_int_equal(atomic_load(&s->error), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(silent);
	close(loud);
	harness_finish(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closing_from_within_callbacks),
		cmocka_unit_test(closing_within_a_full_read),
		cmocka_unit_test(closing_instead_of_taking_it),
		cmocka_unit_test(closing_others_that_are_ready),
		cmocka_unit_test(closing_others_of_a_batch),
		cmocka_unit_test(finishing_sends_what_there_is),
		cmocka_unit_test(finishing_from_within_callbacks),
		cmocka_unit_test(finishing_a_slow_reader),
		cmocka_unit_test(finishing_with_bytes_under_way),
		cmocka_unit_test(bytes_under_way_to_one_that_has_ended),
		cmocka_unit_test(finishing_where_the_peer_has_ended),
		cmocka_unit_test(finishing_while_paused),
		cmocka_unit_test(cutting_one_that_finishes),
		cmocka_unit_test(a_reset_while_finishing),
		cmocka_unit_test(a_peer_that_never_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
